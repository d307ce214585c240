"""Cases for the judge: which answers it scores or compares, and the prompts that ask for it."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from azdistill.contracts import judging
from azdistill.contracts.judge_files import HumanLabel
from azdistill.contracts.results import ModelRole
from azdistill.contracts.rows import Message, Prompt, gold_texts
from azdistill.contracts.verdicts import LOWEST, JudgeMode, Reading

# The model whose wins are counted comes first. With the third pair all models meet the same opponents.
PAIRS: tuple[tuple[ModelRole, ModelRole], ...] = (
    ("student", "teacher"),
    ("student", "baseline"),
    ("teacher", "baseline"),
)
MODELS: tuple[ModelRole, ...] = ("student", "teacher", "baseline")


@dataclass(frozen=True)
class JudgeCase:
    """One answer to score, or two to compare. `models` wrote them; there are none for a person's label."""

    row: Prompt
    answers: tuple[str, ...]
    models: tuple[ModelRole, ...] = ()
    human: Reading | None = None

    @property
    def known(self) -> Reading | None:
        """The verdict where no judge is needed: equal answers are a tie, and a missing answer is the worst."""
        if len(self.answers) == 1:
            return None if self.answers[0] else float(LOWEST)
        first, second = self.answers
        if first == second:
            return "tie"
        return "second" if not first else "first" if not second else None

    def prompts(self, rubric: str) -> list[tuple[Message, ...]]:
        """The prompts: one for a score, both orders for a comparison, none where the verdict is known."""
        if self.known is not None:
            return []
        orders = [self.answers] if len(self.answers) == 1 else [self.answers, self.answers[::-1]]
        return [judging.render(self.row.messages, gold_texts(self.row.gold), order, rubric) for order in orders]


@dataclass(frozen=True)
class Cases:
    """All cases of a job: `judged` are those of `rows` test rows, `labelled` those of people.

    `other_labels` counts labels of rows that are not in the data.
    """

    rows: int
    judged: Sequence[JudgeCase]
    labelled: Sequence[JudgeCase]
    other_labels: int

    @property
    def all(self) -> Sequence[JudgeCase]:
        return [*self.judged, *self.labelled]

    @classmethod
    def of(
        cls,
        prompts: Sequence[Prompt],
        answers: Mapping[str, Mapping[ModelRole, str]],
        labels: Sequence[tuple[HumanLabel, Reading]],
        mode: JudgeMode,
        most_rows: int,
    ) -> "Cases":
        """The cases of a sample of the test rows. `answers` are texts by row and model; an empty one is missing."""
        rows, by_id = sample(prompts, most_rows), {prompt.id: prompt for prompt in prompts}
        labelled = [
            JudgeCase(by_id[label.id], label.answers, human=human) for label, human in labels if label.id in by_id
        ]
        return cls(len(rows), cases(rows, answers, mode), labelled, len(labels) - len(labelled))


def sample(prompts: Iterable[Prompt], rows: int) -> list[Prompt]:
    """The first test rows by their ids, at most `rows` of them unless that is 0.

    An id is a hash of the row, so this is a random sample that keeps its rows when others are added.
    """
    tests = sorted((prompt for prompt in prompts if prompt.split == "test"), key=lambda prompt: prompt.id)
    return tests[:rows] if rows else tests


def cases(rows: Iterable[Prompt], answers: Mapping[str, Mapping[ModelRole, str]], mode: JudgeMode) -> list[JudgeCase]:
    """The cases of some rows. `answers` are texts by row and model; an empty one is missing."""
    groups: Sequence[tuple[ModelRole, ...]] = PAIRS if mode == "pairwise" else [(model,) for model in MODELS]
    return [
        JudgeCase(row, tuple(answers[row.id][model] for model in models), models)
        for row, models in itertools.product(rows, groups)
    ]
