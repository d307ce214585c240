"""The interface of a metric.

A new metric is a file in this package with one `RowMetric`, `CorpusMetric` or `ProfileMetric`, and its entry in
`azdistill.metrics.registry`. Evaluation, gates, report, console and client read the declaration.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from azdistill.contracts.task import TaskChoice
from azdistill.tasks.task import Task
from azdistill.tasks.texts import without_reasoning

if TYPE_CHECKING:
    from azdistill.contracts.results import ModelRole

# `fraction` is 0 to 1 and shown in percent, `score` 0 to 1, `points` 0 to 100, `ratio` 0 and more; `count` is shown as
# 1.2 k.
Unit = Literal["fraction", "score", "points", "ratio", "rows", "seconds", "milliseconds", "bytes", "count", "text"]

# Tasks whose answers are sentences. The answers of a custom task may be.
FREE_TEXT: tuple[TaskChoice, ...] = ("conversation", "summarization", "own")


@dataclass(frozen=True)
class ModelAnswer:
    """One model's answer to one test row, and what it can be compared with.

    `text` is as written, `complete` if the model ended it itself; `reference_texts` are without reasoning. `answer`,
    `references` and `teacher_answer` are what `task` extracts from the texts; None: the text is missing, cut off, or
    not a valid answer. Without a valid reference, `references` is empty. `judge_score` is from 0 to 1, None without
    a verdict. `reference_nll` is the negative log-likelihood of a reference under the model, summed over its
    `reference_tokens` tokens; None: it was not computed.
    """

    text: str
    complete: bool
    answer: str | None
    reference_texts: tuple[str, ...]
    references: tuple[str, ...]
    teacher_answer: str | None
    task: Task
    judge_score: float | None = None
    reference_nll: float | None = None
    reference_tokens: int | None = None

    @property
    def final_text(self) -> str:
        """The text without reasoning."""
        return without_reasoning(self.text)

    def matches(self, expected: Sequence[str]) -> bool | None:
        """True if the task counts the answer as correct for one of the expected ones; None without any."""
        if not expected:
            return None
        return self.answer is not None and any(self.task.correct(self.answer, one) for one in expected)


@dataclass(frozen=True)
class CorpusScore:
    """A value of all rows together. `details` go into metrics.json as `<metric>_<detail>`, such as a signature."""

    value: float | int
    details: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """Declaration of a metric.

    `name` is its key in metrics.json and report.json, `label` its title in the report. `higher_is_better` decides
    whether a gate is a lower or an upper bound; None: it cannot be gated. `compared_with` is the model that the
    report divides the student's value by. `on_console` adds it to the table at the end of a run. `tasks` are those
    whose report shows it; None: all. Without `in_report`, only report.json and gates have it.
    `client_names` are the names that `client.models.evaluate` accepts; the first one is in its default result.
    """

    name: str
    label: str
    unit: Unit
    higher_is_better: bool | None = None
    compared_with: "ModelRole | None" = None
    on_console: bool = False
    tasks: tuple[TaskChoice, ...] | None = None
    in_report: bool = True
    client_names: tuple[str, ...] = ()

    def suits(self, task: str) -> bool:
        """True if the metric means something for the answers of a task."""
        return self.tasks is None or task in self.tasks


@dataclass(frozen=True, kw_only=True)
class RowMetric(Metric):
    """A metric that is the mean of a score of each row: a bool, or a number from 0 to 1. None: the row does not count.

    Its value has a confidence interval: Wilson's for bools, a bootstrap interval for graded scores.
    """

    score: Callable[[ModelAnswer], float | None]


@dataclass(frozen=True, kw_only=True)
class CorpusMetric(Metric):
    """A metric of all rows together. `details` names the details of its `CorpusScore`, which the report shows.

    Without rows to score, `compute` returns None.
    """

    compute: Callable[[Sequence[ModelAnswer]], CorpusScore | None]
    details: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ProfileMetric(Metric):
    """A field `name` of profile.json, and for the teacher of usage.json where it has one."""
