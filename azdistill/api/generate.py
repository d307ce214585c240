"""Stage one: the teacher's answers to a user's rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azdistill.api.inputs import Rows, as_data, named_task, validated
from azdistill.contracts.prepare import PrepareConfig
from azdistill.contracts.rows import Completion, Reject
from azdistill.contracts.teacher import STORE_PATH, Teacher, TeacherConfig
from azdistill.engine.local.storage import datastore_path, home_folder


@dataclass(frozen=True)
class TeacherResponses:
    """What a teacher answered.

    `completions` are in the order of the rows, one each unless there are several teachers or samples;
    `rejects` are the rows without one, each with its source and reason. `usage` counts calls and tokens and
    has latencies in seconds; what was found in the store cost nothing and is in `from_store`.
    """

    completions: list[Completion]
    rejects: list[Reject]
    usage: dict[str, Any]


def generate_teacher_responses(
    teacher: TeacherConfig | Teacher | Mapping[str, Any],
    data: Rows,
    *,
    task: str = "conversation",
    max_reject_ratio: float = 0.02,
    store: Path | str | None = None,
) -> TeacherResponses:
    """Ask the teacher for an answer to every row of `data`, in a script or in a notebook.

    `teacher` is a dict such as `{"model": "DeepSeek-V3.2", "endpoint": "https://...", "key_variable":
    "TEACHER_KEY", "temperature": 0.7}`, or the `teacher` section of a job. `data` is a JSONL file or a list of
    rows, `task` a name or a Python file (docs/jobs.md). An answer is kept in `store` once it arrives and is
    never asked for again; the default is the store that the runs of this folder share.

    Raises InputError for a teacher that can't be asked, DataError (an InputError) when more than the part
    `max_reject_ratio` of the rows is of no use, EndpointError when the endpoint refuses for good,
    AzdistillError when too many rows got no answer, Interrupted on Ctrl-C: call again to continue.
    """
    from azdistill.teacher.event_loop import run

    asking = generate_teacher_responses_async(teacher, data, task=task, max_reject_ratio=max_reject_ratio, store=store)
    return run(asking)


async def generate_teacher_responses_async(
    teacher: TeacherConfig | Teacher | Mapping[str, Any],
    data: Rows,
    *,
    task: str = "conversation",
    max_reject_ratio: float = 0.02,
    store: Path | str | None = None,
) -> TeacherResponses:
    """The same as a coroutine, for a loop that does other things meanwhile; several may run side by side. Cancelling it
    loses nothing that has arrived."""
    from azdistill.data.prepare import read_prompts
    from azdistill.teacher.collect import check_rejects, collect
    from azdistill.teacher.endpoint import resolve_all
    from azdistill.teacher.store import open_store

    config = teacher_config(teacher)
    field, task_file = named_task(task)
    wanted = validated(PrepareConfig, {**field, "max_reject_ratio": max_reject_ratio}, "rows")
    prompts, bad = read_prompts(as_data(data), wanted, task_file)
    kept = open_store(Path(store) if store else shared_store())
    collected = await collect(prompts, config, resolve_all(config), kept, task_file)
    check_rejects(collected, len(prompts), config)
    return TeacherResponses(collected.completions, [*bad, *collected.rejects], collected.usage)


def teacher_config(teacher: TeacherConfig | Teacher | Mapping[str, Any]) -> TeacherConfig:
    """A teacher with the settings to ask it by. Raises InputError with all findings."""
    if isinstance(teacher, TeacherConfig):
        return teacher
    given = teacher.model_dump(exclude_unset=True) if isinstance(teacher, Teacher) else dict(teacher)
    settings = {name: given.pop(name) for name in TeacherConfig.model_fields if name in given}
    return validated(TeacherConfig, {"teachers": [given], **settings}, "teacher")


def shared_store() -> Path:
    """Where the teacher step of a run in this folder keeps its answers."""
    found = datastore_path(STORE_PATH, home_folder())
    assert found
    return found
