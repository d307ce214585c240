"""The names of the task types."""

from typing import Literal

TaskName = Literal["nli", "conversation", "qa", "math", "summarization"]
