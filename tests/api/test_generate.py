"""generate_teacher_responses: from rows to completions, in a script and in a notebook."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from azdistill import generate_teacher_responses, generate_teacher_responses_async
from azdistill.contracts.errors import AzdistillError, DataError, InputError
from azdistill.contracts.requests import STORE_PATH, Teacher
from azdistill.contracts.simulation import Simulation
from azdistill.contracts.teacher import TeacherConfig
from azdistill.engine.local.storage import datastore_path
from azdistill.simulate.process import running
from tests.api.conftest import question_rows

ROOT = Path(__file__).parents[2]


def test_each_row_gets_its_completion_in_order(teacher: dict[str, Any]) -> None:
    responses = generate_teacher_responses(teacher, question_rows(1, 2, 3))
    assert [row.messages[0].content[-6:] for row in responses.completions] == ["#4712.", "#4713.", "#4714."]
    assert {row.finish_reason for row in responses.completions} == {"stop"}
    assert all(row.completion for row in responses.completions)
    assert (responses.rejects, responses.usage["asked"]) == ([], 3)
    assert responses.usage["completion_tokens"] > 0


def test_a_file_and_a_list_of_the_same_rows_give_the_same_completions(teacher: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in question_rows(1, 2)))
    from_file = generate_teacher_responses(teacher, path).completions
    from_list = generate_teacher_responses(teacher, question_rows(1, 2)).completions
    assert [row.completion for row in from_file] == [row.completion for row in from_list]
    assert [row.source for row in from_file] == ["rows.jsonl:1", "rows.jsonl:2"]
    assert [row.source for row in from_list] == ["row 1", "row 2"]


def test_stored_answers_are_not_requested_again(teacher: dict[str, Any]) -> None:
    generate_teacher_responses(teacher, question_rows(1))
    repeated = generate_teacher_responses(teacher, question_rows(1, 2))
    assert (repeated.usage["from_store"], repeated.usage["asked"]) == (1, 1)
    store = datastore_path(STORE_PATH, Path(".azdistill"))
    assert store
    assert list(store.glob("*.jsonl"))


def test_it_works_while_an_event_loop_is_running(teacher: dict[str, Any]) -> None:
    async def cell() -> int:
        return len(generate_teacher_responses(teacher, question_rows(1, 2)).completions)

    threads = threading.active_count()
    assert asyncio.run(cell()) == 2
    assert threading.active_count() <= threads


def test_two_coroutines_may_run_concurrently(teacher: dict[str, Any]) -> None:
    async def both() -> list[int]:
        teachers = ({**teacher, "model": name} for name in ("one", "two"))
        calls = (generate_teacher_responses_async(model, question_rows(1, 2)) for model in teachers)
        return [len(responses.completions) for responses in await asyncio.gather(*calls)]

    assert asyncio.run(both()) == [2, 2]


def test_an_error_is_raised_while_an_event_loop_is_running(teacher: dict[str, Any]) -> None:
    async def cell() -> None:
        generate_teacher_responses({**teacher, "key_variable": "NO_SUCH_KEY"}, question_rows(1))

    with pytest.raises(InputError, match="variable NO_SUCH_KEY is not set in the environment"):
        asyncio.run(cell())


NOTEBOOK = """\
import asyncio, sys
from azdistill import generate_teacher_responses, generate_teacher_responses_async
from azdistill.contracts.errors import Interrupted
from tests.api.conftest import question_rows

async def cell(address):
    teacher = {"model": "DeepSeek-V3.2", "endpoint": address, "max_in_flight": 4}
    try:
        generate_teacher_responses(teacher, question_rows(*range(4000)))
    except Interrupted as error:
        print(error)

asyncio.new_event_loop().run_until_complete(cell(sys.argv[1]))
"""


def test_ctrl_c_in_a_notebook_keeps_the_answers_that_arrived(tmp_path: Path) -> None:
    with running(Simulation(expert="support", latency_ms=40)) as address:
        command = [sys.executable, "-c", NOTEBOOK, address]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
        while not any(path.stat().st_size for path in tmp_path.rglob("*.jsonl")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "interrupted by Ctrl-C" in out
    assert any(path.stat().st_size for path in tmp_path.rglob("*.jsonl"))


@pytest.mark.parametrize("form", ["teacher", "config", "section"])
def test_a_teacher_may_have_any_form_of_a_job(teacher: dict[str, Any], form: str) -> None:
    endpoint = teacher["endpoint"]
    model = Teacher(model="DeepSeek-V3.2", endpoint=endpoint)
    forms = {"teacher": model, "config": TeacherConfig(teachers=(model,)), "section": {"teachers": [model]}}
    assert generate_teacher_responses(forms[form], question_rows(1)).usage["teacher"] == "DeepSeek-V3.2"


def test_rows_may_have_the_fields_of_a_task_or_of_a_task_file(teacher: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "orders.py").write_text(
        "from azdistill.tasks.conversation import answer, correct\n"
        "from azdistill.tasks.fields import ask, required\n"
        "from azdistill.tasks.task import Case\n\n\n"
        "def case(record):\n    return Case(ask('Help with order #' + required(record, 'order')), None)\n"
    )
    (from_task_file,) = generate_teacher_responses(teacher, [{"order": 4711}], task="orders.py").completions
    assert from_task_file.messages[0].content == "Help with order #4711"
    (row,) = generate_teacher_responses(teacher, [{"prompt": "Help with order #4711"}]).completions
    assert row.completion == from_task_file.completion


WRONG = [
    ({"endpoint": None}, {}, "endpoint.*connection"),
    ({"temperature": 9}, {}, r"^teacher.temperature=9: "),
    ({"api_key": "sk-live-1"}, {}, r"^teacher.*api_key: unknown field"),
    ({}, {"task": "chat"}, "^task='chat': "),
    ({}, {"task": "absent.py"}, r"absent\.py"),
]


@pytest.mark.parametrize(("change", "arguments", "message"), WRONG)
def test_wrong_settings_are_named_without_their_secrets(
    teacher: dict[str, Any], change: dict[str, Any], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as error:
        generate_teacher_responses({**teacher, **change}, question_rows(1), **arguments)
    assert "sk-live" not in str(error.value)


def test_unusable_rows_are_rejected_up_to_max_reject_ratio(teacher: dict[str, Any]) -> None:
    rows = [*question_rows(1), {"text": "no question"}]
    with pytest.raises(DataError, match=r"1 of 2 rows can't be used, .*1 missing_field \(row 2: "):
        generate_teacher_responses(teacher, rows)
    responses = generate_teacher_responses(teacher, rows, max_reject_ratio=0.5)
    assert (len(responses.completions), responses.rejects[0].source) == (1, "row 2")


@pytest.mark.parametrize("rows", [[], [{"text": "x"}]])
def test_no_usable_row_is_an_error(teacher: dict[str, Any], rows: list[Any]) -> None:
    with pytest.raises(DataError, match="no row can be used"):
        generate_teacher_responses(teacher, rows, max_reject_ratio=1)


def test_a_teacher_that_refuses_every_row_is_an_error(teacher: dict[str, Any]) -> None:
    with pytest.raises(AzdistillError, match=r"max_reject_ratio=0\.05: 1 of 1 prompts have no answer"):
        generate_teacher_responses(teacher, [{"messages": [{"role": "user", "content": "What is love?"}]}])
