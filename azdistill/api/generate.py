"""Ask a teacher for answers to rows, from a notebook or a script."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azdistill.api.inputs import Rows, task_field_and_file, validated
from azdistill.api.progress import show_progress
from azdistill.contracts.prepare import PrepareConfig
from azdistill.contracts.requests import STORE_PATH, Teacher
from azdistill.contracts.rows import Completion, Reject
from azdistill.contracts.teacher import TeacherConfig
from azdistill.engine.local.storage import datastore_path, home_folder


@dataclass(frozen=True)
class TeacherResponses:
    """The answers of a teacher.

    `completions` are in the order of the rows, one a row unless there are several teachers or samples. `rejects` are
    the rows without a usable answer, each with source and reason. `usage` has the counts of calls and tokens, and
    latencies in seconds; `from_store` counts the answers that an earlier call had paid for.
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
    progress: bool = True,
) -> TeacherResponses:
    """Ask the teacher for an answer to every row of `data`.

    `teacher` is a dict such as `{"model": "DeepSeek-V3.2", "endpoint": "https://...", "key_variable":
    "TEACHER_KEY", "temperature": 0.7}`, or the `teacher` section of a job. `data` is a JSONL file or a list of
    rows, `task` the name of a task or a Python file (docs/jobs.md). Answers are saved in the folder `store` as they
    arrive and are never requested again; the default is the store of the runs in this folder. `progress` shows the
    progress on standard output, unless logging is configured.

    Raises InputError for a teacher that can't be asked, DataError (an InputError) when more than the share
    `max_reject_ratio` of the rows is unusable, EndpointError when the endpoint fails permanently, AzdistillError when
    too many rows got no answer, Interrupted on Ctrl-C: call again to continue.
    """
    from azdistill.teacher.event_loop import run

    responses = generate_teacher_responses_async(
        teacher, data, task=task, max_reject_ratio=max_reject_ratio, store=store, progress=progress
    )
    return run(responses)


async def generate_teacher_responses_async(
    teacher: TeacherConfig | Teacher | Mapping[str, Any],
    data: Rows,
    *,
    task: str = "conversation",
    max_reject_ratio: float = 0.02,
    store: Path | str | None = None,
    progress: bool = True,
) -> TeacherResponses:
    """`generate_teacher_responses` as a coroutine, for programs that run an event loop.

    Several may run concurrently. Answers that have arrived stay in the store when it is cancelled.
    """
    from azdistill.data.prepare import read_prompts
    from azdistill.teacher.collect import check_rejects, collect
    from azdistill.teacher.endpoint import resolve_all
    from azdistill.teacher.store import open_store

    config = teacher_config(teacher)
    task_field, task_file = task_field_and_file(task)
    prepare = validated(PrepareConfig, {**task_field, "max_reject_ratio": max_reject_ratio})
    with show_progress(progress):
        prompts, rejects = read_prompts(Path(data) if isinstance(data, str) else data, prepare, task_file)
        answers = open_store(Path(store) if store else default_store())
        collected = await collect(prompts, config, resolve_all(config), answers, task_file)
        check_rejects(collected, len(prompts), config)
    return TeacherResponses(collected.completions, [*rejects, *collected.rejects], collected.usage)


def teacher_config(teacher: TeacherConfig | Teacher | Mapping[str, Any]) -> TeacherConfig:
    """The `teacher` section for one teacher. Fields of the section and of the teacher may be mixed in one dict.

    Raises InputError with all problems.
    """
    if isinstance(teacher, TeacherConfig):
        return teacher
    fields = teacher.model_dump(exclude_unset=True) if isinstance(teacher, Teacher) else dict(teacher)
    section = {name: fields.pop(name) for name in TeacherConfig.model_fields if name in fields}
    return validated(TeacherConfig, {"teachers": [fields], **section}, "teacher")


def default_store() -> Path:
    """The store that the teacher step of a run in this folder uses."""
    store = datastore_path(STORE_PATH, home_folder())
    assert store
    return store
