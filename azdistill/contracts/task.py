"""The names of the task types, and how a task of the user's own travels."""

from typing import Literal

from azdistill.contracts.step import Port

TaskName = Literal["nli", "conversation", "qa", "math", "summarization"]

OWN: Literal["own"] = "own"
"""What a step is told in place of a name when the task is a file of the user's."""

TaskChoice = Literal[TaskName, "own"]

TASK_FILE = Port("uri_file", "Python file of the task, when task is own", optional=True)
"""Input `task_file` of the steps that read rows or answers, and so a part of their cache keys and of no others'."""
