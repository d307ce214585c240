"""Names of the tasks, and the input for a custom task."""

from typing import Annotated, Literal

from pydantic import Field

from azdistill.contracts.step import Port

TaskName = Literal["nli", "conversation", "qa", "math", "summarization"]

# Task of a step when the user provides a Python file.
OWN: Literal["own"] = "own"

TaskChoice = Literal[TaskName, "own"]

# Tasks whose answers are sentences: an exact match with the reference says nothing about an answer.
SENTENCE_TASKS: frozenset[TaskChoice] = frozenset({"conversation", "summarization"})

# A field of the steps with a task.
Labels = Annotated[
    str | None,
    Field(
        pattern=r"^[A-Za-z0-9_-]+(,[A-Za-z0-9_-]+)+$",
        description="Labels of task nli in the order of their integers, separated by commas. "
        "Default: entailment,neutral,contradiction.",
    ),
]

# Input of the steps that read rows or answers: a change of the file changes the cache keys of these steps only.
TASK_FILE = Port("uri_file", "Python file of the task, when task is own", optional=True)
METRIC_FILE = Port("uri_file", "Python file of the metric own", optional=True)
