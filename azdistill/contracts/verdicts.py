"""Verdicts of a judge: the files of steps judge_answers and judge, and what step evaluate concludes from them.

::

    answer_scores.jsonl  AnswerScore         judge_answers, a line for each answer that is scored
    summary.json         AnswerScoreSummary  judge_answers
    verdicts.jsonl       Verdict             judge, a line for each comparison or score
    labels.jsonl         Verdict             judge, a line for each label of a person
    summary.json         JudgeSummary        judge
    judge.json           JudgeResults        evaluate
"""

from typing import Literal

from pydantic import Field

from azdistill.contracts.results import Interval, ModelRole, Result
from azdistill.contracts.rows import Row

# Lowest and highest score of an answer.
LOWEST, HIGHEST = 1, 5

JudgeMode = Literal["pairwise", "score"]
Preference = Literal["first", "second", "tie"]
# A preference among two answers, or a score from 1 to 5.
Reading = Preference | float


class Verdict(Row):
    """The verdict on one answer (a score) or on two (a preference).

    `models` wrote the answers; there are none for answers that a person labelled. `readings` has the verdict of each
    reply, in the order of `answers`; None: the reply has none. It is empty where no request was needed. `verdict` is
    None if a reading is, and a tie if the readings of both orders differ. `replies` are the complete ones, with the
    judge's reasons. `human` is the verdict of a person.
    """

    id: str
    models: tuple[ModelRole, ...] = ()
    answers: tuple[str, ...]
    readings: tuple[Reading | None, ...] = ()
    verdict: Reading | None
    replies: tuple[str | None, ...] = ()
    human: Reading | None = None


class AnswerScore(Row):
    """The score of one answer of a teacher, from 1 to 5; None if the judge gave none.

    `key` is that of the completion. `reply` is the complete reply with the judge's reasons, None without one.
    """

    key: str
    score: float | None
    reply: str | None


class AnswerScoreSummary(Result):
    """Counts of step judge_answers: `scores` counts answers by their score, and `unjudged` answers have none.

    `unanswered` requests got no complete reply, and `unreadable` replies no score. Equal answers to a prompt share a
    request. `spent` is the cost of all replies, also of those that were in the store. `rubric` is the sha256 of its
    text, hex.
    """

    model: str
    rubric: str = ""
    answers: int
    unjudged: int
    unanswered: int
    unreadable: int
    scores: dict[str, int]
    spent: float = 0.0


class JudgeSummary(Result):
    """Counts of step judge. `unjudged` of the `rows` lack a verdict; with too many, the verdicts are not `usable`.

    `unanswered` requests got no complete reply, and `unreadable` replies no verdict. `other_labels` are labels of rows
    that are no longer in the data. `without_verdict` counts requests without a verdict by reason. `rubric` is the
    sha256 of its text, hex.
    """

    model: str
    mode: JudgeMode
    rubric: str = ""
    rows: int
    unjudged: int
    max_unjudged: float
    requests: int
    unanswered: int
    unreadable: int
    other_labels: int = 0
    without_verdict: dict[str, int] = Field({})

    @property
    def usable(self) -> bool:
        return self.rows > 0 and self.unjudged <= self.max_unjudged * self.rows

    @property
    def failures(self) -> str:
        """The number of requests without a verdict, and the most frequent reason. Empty where all have one."""
        if not self.without_verdict:
            return ""
        reason, count = max(self.without_verdict.items(), key=lambda item: item[1])
        return (
            f"{sum(self.without_verdict.values()):,} of {self.requests:,} requests to the judge have no verdict, "
            f"{count:,} of them because {reason}"
        )


class ModelComparison(Result):
    """Wins, ties and losses of the answers of `model` against those of `against`, of the rows with a verdict."""

    model: ModelRole
    against: ModelRole
    wins: int
    ties: int
    losses: int


class HumanAgreement(Result):
    """Agreement of the judge with people on `labels` labels: Cohen's kappa, with quadratic weights for scores."""

    labels: int
    same: int
    kappa: Interval


class JudgeResults(JudgeSummary):
    """The judge's verdicts in numbers. `self_agreement`: fraction of comparisons with one verdict in both orders."""

    comparisons: tuple[ModelComparison, ...] = ()
    self_agreement: Interval = Interval()
    human: HumanAgreement | None = None
