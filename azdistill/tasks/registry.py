"""Task types by name, and a user's own task by its file."""

from collections.abc import Mapping
from pathlib import Path

from azdistill.contracts.errors import InputError
from azdistill.contracts.task import OWN, TaskChoice, TaskName
from azdistill.tasks import conversation, math, nli, qa, summarization
from azdistill.tasks.own import load_task
from azdistill.tasks.task import Task

TASKS: Mapping[TaskName, Task] = {
    "nli": nli,
    "conversation": conversation,
    "qa": qa,
    "math": math,
    "summarization": summarization,
}


def task_of(choice: TaskChoice, file: Path | None = None, labels: str | None = None) -> Task:
    """The task with a name, or the task in the user's `file` when `choice` is own.

    `labels` are those of task nli, separated by commas. Raises InputError.
    """
    if choice == "nli" and labels:
        return nli.LabelTask(labels.split(","))
    if choice != OWN:
        return TASKS[choice]
    if file is None:
        raise InputError(
            "no task_file is set",
            code="missing_file",
            field=("task",),
            value=choice,
            fix="set task_file to the Python file of the task",
        )
    return load_task(file)
