"""The content of report.json: everything that the HTML page, the Markdown page and the console show."""

import math
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict

from azdistill.contracts.job_facts import ModelFacts
from azdistill.contracts.manifest import Manifest
from azdistill.contracts.results import (
    GateDecision,
    Interval,
    ModelMetrics,
    ModelRole,
    ReferenceSource,
    ScorerUsage,
    SliceMetrics,
    SuiteMetrics,
    Usage,
)
from azdistill.contracts.rows import Message, Split
from azdistill.contracts.verdicts import JudgeResults

ExampleKind = Literal["worse than the teacher", "better than the baseline", "no better than the baseline"]
EXAMPLE_KINDS: tuple[ExampleKind, ...] = get_args(ExampleKind)


class ReportModel(BaseModel):
    """Base of the report's models: immutable; unknown fields are ignored."""

    model_config = ConfigDict(frozen=True)


class Stage(ReportModel):
    """Rows after a step. `left_behind` counts the rows that the step removed, by reason."""

    name: str
    rows: int
    left_behind: dict[str, int]


class CurvePoint(ReportModel):
    """One line of history.jsonl. `terms` are the parts of the loss, each multiplied by its weight."""

    step: int
    loss: float | None = None
    terms: dict[str, float] = {}
    learning_rate: float | None = None
    validation_loss: float | None = None


class Trial(ReportModel):
    """One training of a sweep. `objective` is its last validation loss, `values` are the settings that were varied.

    The student is that of the trial that `is_best`.
    """

    number: int
    run: str
    state: str
    objective: float | None
    values: dict[str, str]
    is_best: bool


class Trials(ReportModel):
    """The trials of a sweep over `fields`, none if MLflow does not have them."""

    fields: tuple[str, ...]
    trials: tuple[Trial, ...] = ()

    @property
    def best(self) -> Trial | None:
        return next((trial for trial in self.trials if trial.is_best), None)


class Example(ReportModel):
    """One test row with the answer of each model (None: no answer).

    `gold` has a line for each reference. `correct` is None without a reference. `scores` are those of the primary
    metric, and so is the comparison of `kind`. `columns` are those that the evaluation is sliced by.
    """

    kind: ExampleKind
    id: str
    source: str = ""
    columns: dict[str, str] = {}
    messages: tuple[Message, ...]
    gold: str | None
    answers: dict[ModelRole, str | None]
    correct: dict[ModelRole, bool | None]
    scores: dict[ModelRole, float | None] = {}


class SplitFacts(ReportModel):
    """The prompts of one split: `files` are rows by file, lengths are characters of all messages of a prompt."""

    name: Split
    rows: int
    files: dict[str, int]
    with_reference: int
    median_length: int
    longest: int
    most_turns: int


class LengthBin(ReportModel):
    """Texts of `shortest` to `longest` characters: prompts of all splits, and complete answers of the teachers to
    training and validation rows."""

    shortest: int
    longest: int
    prompts: int
    answers: int


class LabelCount(ReportModel):
    """Rows of one answer: valid answers of the teachers to training rows, and training rows with their weights."""

    label: str
    answers: int
    training_rows: int
    weight: float


class LanguageCount(ReportModel):
    """Texts of a random sample in one language, an ISO 639 code; empty for texts that are too short or unclear."""

    language: str
    prompts: int
    answers: int


class PublicTestSet(ReportModel):
    """A public test set with its number of rows, and the training and validation rows that have text of them."""

    name: str
    rows: int
    prompts: int


class NewPromptCounts(ReportModel):
    """Prompts that a teacher wrote: those that became training rows, those that were not needed any more, and rejected
    ones by reason. `without_prompts` are requests without a usable reply by reason."""

    requests: int
    without_prompts: dict[str, int]
    written: int
    kept: int
    not_needed: int
    rejected: dict[str, int]


class AnswerScoreCounts(ReportModel):
    """Answers of the teachers to training and validation rows by the score that `judge` gave them, `unjudged` without
    one. Answers below `minimum`, or without a score, were dropped. The judge is simulated if its route is."""

    judge: str
    route: str
    minimum: float
    scores: dict[str, int]
    unjudged: int


class RowSample(ReportModel):
    """One row. `messages` and `answer` are empty where the run has only the reason why the row was removed."""

    source: str
    id: str = ""
    messages: tuple[Message, ...] = ()
    answer: str | None = None
    detail: str = ""


class SampleGroup(ReportModel):
    """Random rows with the same fate. `step` removed them for `reason`; both are empty for rows that were kept."""

    step: str
    reason: str
    rows: int
    samples: tuple[RowSample, ...]


class DataCard(ReportModel):
    """Facts about the rows and answers behind the student.

    Of the teachers' complete answers to rows of all splits, `answers_with_reference` have a reference, and
    `correct_answers` equal one; None for tasks whose answers are sentences. `labels` is empty without a few labels.
    `languages` are those of a sample of the training rows, empty where the detector is not installed. `new_prompts` is
    None without data.augment, and `answer_scores` without curate.min_judge_score. `personal_data` are values in the
    rows and the new prompts by kind.
    """

    lengths: tuple[LengthBin, ...] = ()
    labels: tuple[LabelCount, ...] = ()
    languages: tuple[LanguageCount, ...] = ()
    public_test_sets: tuple[PublicTestSet, ...] = ()
    new_prompts: NewPromptCounts | None = None
    answer_scores: AnswerScoreCounts | None = None
    personal_data: dict[str, int] = {}
    answers_with_reference: int = 0
    correct_answers: int | None = None
    samples: tuple[SampleGroup, ...] = ()


class LengthGroup(ReportModel):
    """Test rows whose answer by the student has `shortest` to `longest` characters, and their mean primary scores."""

    shortest: int
    longest: int
    rows: int
    means: dict[ModelRole, float]


class Costs(ReportModel):
    """Costs in the currency of the job's prices. None: a price is not set.

    `teacher` is that of all answers of the teachers and `by_outcome` that of calls with one outcome, `augment` that of
    all calls for new prompts, `judge_answers` and `judge` those of all calls to a judge about the teacher's answers and
    about the test rows, `scorer` that of all scores of sampled answers, `training` that of the time in which the
    student was trained. `teacher_per_1000` and `student_per_1000` are those of 1,000 answers.
    """

    teacher: float | None = None
    by_outcome: dict[str, float] = {}
    augment: float | None = None
    judge_answers: float | None = None
    judge: float | None = None
    scorer: float | None = None
    training: float | None = None
    teacher_per_1000: float | None = None
    student_per_1000: float | None = None

    @property
    def spent(self) -> float | None:
        """Cost of teacher, new prompts, judge, scores and training. None if no teacher has a price."""
        others = (self.augment, self.judge_answers, self.judge, self.scorer, self.training)
        return None if self.teacher is None else self.teacher + sum(cost or 0 for cost in others)

    @property
    def break_even_requests(self) -> int | None:
        """Answers after which the student has saved what its distillation cost.

        None if a price is not set, or if an answer of the student costs as much as one of the teacher.
        """
        if self.teacher is None or self.teacher_per_1000 is None or self.student_per_1000 is None:
            return None
        saved = (self.teacher_per_1000 - self.student_per_1000) / 1000
        return math.ceil((self.spent or 0) / saved) if saved > 0 else None


class Confusion(ReportModel):
    """Numbers of rows: `counts[i][j]` rows have the reference `labels[i]` and the student's answer `answers[j]`."""

    labels: tuple[str, ...]
    answers: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


class Report(ReportModel):
    """One distillation. `steps` are the manifests of the steps by name: files, configs, code and versions.

    With `trials`, `training` and `curve` are those of the best one. `licences` are those of the models that the student
    was made from.
    """

    title: str
    registered_model: str
    baseline_name: str
    task: str
    test_rows: int
    reference: ReferenceSource
    primary_metric: str = "accuracy"
    primary_reason: str = ""
    headline: str
    verdict: GateDecision
    models: dict[ModelRole, ModelMetrics]
    retention: Interval
    gain: Interval
    detectable_gain: float | None = None
    slices: tuple[SliceMetrics, ...] = ()
    regressions: tuple[SuiteMetrics, ...] = ()
    lengths: tuple[LengthGroup, ...] = ()
    data: tuple[SplitFacts, ...] = ()
    data_card: DataCard = DataCard()
    stages: tuple[Stage, ...]
    usage: Usage
    costs: Costs = Costs()
    judge: JudgeResults | None = None
    judge_usage: Usage | None = None
    scorer_usage: ScorerUsage | None = None
    training: dict[str, Any]
    curve: tuple[CurvePoint, ...]
    confusion: Confusion | None = None
    trials: Trials | None = None
    examples: tuple[Example, ...]
    example_counts: dict[ExampleKind, int] = {}
    licences: tuple[ModelFacts, ...] = ()
    steps: dict[str, Manifest] = {}


def report_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of report.json."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Report.model_json_schema(by_alias=False, mode="serialization"),
    }
