"""generate_teacher_responses: rows to completions, in a script and in a notebook."""

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
from azdistill.contracts.simulation import Simulation
from azdistill.contracts.teacher import STORE_PATH, Teacher, TeacherConfig
from azdistill.engine.local.storage import datastore_path
from azdistill.simulate.process import running
from tests.api.conftest import asked

ROOT = Path(__file__).parents[2]


def test_each_row_gets_its_completion_in_order(teacher: dict[str, Any]) -> None:
    found = generate_teacher_responses(teacher, asked(1, 2, 3))
    assert [row.messages[0].content[-6:] for row in found.completions] == ["#4712.", "#4713.", "#4714."]
    assert {row.finish_reason for row in found.completions} == {"stop"}
    assert all(row.completion for row in found.completions)
    assert (found.rejects, found.usage["asked"]) == ([], 3)
    assert found.usage["completion_tokens"] > 0


def test_a_file_gives_the_same_as_the_list_of_its_rows(teacher: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in asked(1, 2)))
    ours, theirs = generate_teacher_responses(teacher, path), generate_teacher_responses(teacher, asked(1, 2))
    assert [row.completion for row in ours.completions] == [row.completion for row in theirs.completions]
    assert [row.source for row in ours.completions] == ["rows.jsonl:1", "rows.jsonl:2"]
    assert [row.source for row in theirs.completions] == ["row 1", "row 2"]


def test_what_was_answered_is_not_asked_again_by_this_or_a_run(teacher: dict[str, Any]) -> None:
    generate_teacher_responses(teacher, asked(1))
    again = generate_teacher_responses(teacher, asked(1, 2))
    assert (again.usage["from_store"], again.usage["asked"]) == (1, 1)
    store = datastore_path(STORE_PATH, Path(".azdistill"))
    assert store
    assert list(store.glob("*.jsonl"))


def test_it_works_where_a_loop_runs_already(teacher: dict[str, Any]) -> None:
    async def cell() -> int:
        return len(generate_teacher_responses(teacher, asked(1, 2)).completions)

    threads = threading.active_count()
    assert asyncio.run(cell()) == 2
    assert threading.active_count() <= threads


def test_two_may_run_side_by_side_in_one_loop(teacher: dict[str, Any]) -> None:
    async def both() -> list[int]:
        asking = (generate_teacher_responses_async({**teacher, "model": name}, asked(1, 2)) for name in ("one", "two"))
        return [len(found.completions) for found in await asyncio.gather(*asking)]

    assert asyncio.run(both()) == [2, 2]


def test_a_failure_is_the_same_where_a_loop_runs_already(teacher: dict[str, Any]) -> None:
    async def cell() -> None:
        generate_teacher_responses({**teacher, "key_variable": "NO_SUCH_KEY"}, asked(1))

    with pytest.raises(InputError, match="key_variable 'NO_SUCH_KEY' is not set"):
        asyncio.run(cell())


NOTEBOOK = """\
import asyncio, sys
from azdistill import generate_teacher_responses, generate_teacher_responses_async
from azdistill.contracts.errors import Interrupted
from tests.api.conftest import asked

async def cell(address):
    teacher = {"model": "DeepSeek-V3.2", "endpoint": address, "max_in_flight": 4}
    try:
        generate_teacher_responses(teacher, asked(*range(4000)))
    except Interrupted as told:
        print(told)

asyncio.new_event_loop().run_until_complete(cell(sys.argv[1]))
"""


def test_ctrl_c_in_a_notebook_keeps_what_arrived(tmp_path: Path) -> None:
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
    assert "interrupted by Ctrl-C; all answers that arrived are stored, run again to continue\n" in out


@pytest.mark.parametrize("form", ["one", "config", "section"])
def test_a_teacher_may_be_given_in_any_form_that_a_job_has(teacher: dict[str, Any], form: str) -> None:
    endpoint = teacher["endpoint"]
    one = Teacher(model="DeepSeek-V3.2", endpoint=endpoint)
    forms = {"one": one, "config": TeacherConfig(teachers=(one,)), "section": {"teachers": [one]}}
    assert generate_teacher_responses(forms[form], asked(1)).usage["teacher"] == "DeepSeek-V3.2"


def test_natural_fields_and_own_tasks_are_rows_too(teacher: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "orders.py").write_text(
        "from azdistill.tasks.conversation import answer, correct\n"
        "from azdistill.tasks.fields import ask, required\n"
        "from azdistill.tasks.task import Case\n\n\n"
        "def case(record):\n    return Case(ask('Help with order #' + required(record, 'order')), None)\n"
    )
    (own,) = generate_teacher_responses(teacher, [{"order": 4711}], task="orders.py").completions
    assert own.messages[0].content == "Help with order #4711"
    (row,) = generate_teacher_responses(teacher, [{"prompt": "Help with order #4711"}]).completions
    assert row.completion == own.completion


WRONG = [
    ({"endpoint": None}, asked(1), {}, "has neither endpoint nor connection"),
    ({"temperature": 9}, asked(1), {}, r"teacher: temperature=9: expected at most 2"),
    ({"api_key": "sk-live-1"}, asked(1), {}, r"api_key: unknown field"),
    ({}, asked(1), {"task": "chat"}, "rows: task='chat': expected"),
    ({}, asked(1), {"task": "absent.py"}, r"absent\.py:1: No such file"),
]


@pytest.mark.parametrize(("change", "rows", "options", "said"), WRONG)
def test_wrong_settings_are_one_sentence(
    teacher: dict[str, Any], change: dict[str, Any], rows: Any, options: Any, said: str
) -> None:
    with pytest.raises(InputError, match=said) as problem:
        generate_teacher_responses({**teacher, **change}, rows, **options)
    assert "sk-live" not in str(problem.value)


def test_bad_rows_are_data_up_to_the_ratio(teacher: dict[str, Any]) -> None:
    rows = [*asked(1), {"text": "no question"}]
    with pytest.raises(DataError, match=r"1 of 2 rows can't be used, .*row 2: missing_field"):
        generate_teacher_responses(teacher, rows)
    found = generate_teacher_responses(teacher, rows, max_reject_ratio=0.5)
    assert (len(found.completions), found.rejects[0].source) == (1, "row 2")


@pytest.mark.parametrize("rows", [[], [{"text": "x"}]])
def test_no_usable_row_is_an_error(teacher: dict[str, Any], rows: list[Any]) -> None:
    with pytest.raises(DataError, match="no row can be used"):
        generate_teacher_responses(teacher, rows, max_reject_ratio=1)


def test_a_teacher_that_refuses_every_row_is_an_error(teacher: dict[str, Any]) -> None:
    with pytest.raises(AzdistillError, match="1 of 1 prompts got no answer"):
        generate_teacher_responses(teacher, [{"messages": [{"role": "user", "content": "What is love?"}]}])
