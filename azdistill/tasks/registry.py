"""The task types by name."""

from collections.abc import Mapping

from azdistill.contracts.task import TaskName
from azdistill.tasks import conversation, math, nli, qa, summarization
from azdistill.tasks.task import Task

TASKS: Mapping[TaskName, Task] = {
    "nli": nli,
    "conversation": conversation,
    "qa": qa,
    "math": math,
    "summarization": summarization,
}
