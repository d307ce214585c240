"""The answers of teacher, baseline and student to the same test rows."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from azdistill.contracts.errors import DataError
from azdistill.contracts.results import MODEL_ROLES, ModelRole
from azdistill.contracts.rows import Completion, Gold, Prediction, Prompt

LocalModel = Literal["baseline", "student"]
LOCAL_MODELS: tuple[LocalModel, ...] = get_args(LocalModel)


@dataclass(frozen=True)
class AnswerText:
    """A model's text, and whether it is complete. A missing answer is empty and incomplete.

    `reference_nll` and `reference_tokens` are those of the row's reference under the model, where they are known.
    """

    text: str = ""
    complete: bool = False
    reference_nll: float | None = None
    reference_tokens: int | None = None

    @classmethod
    def of(cls, row: Prediction) -> "AnswerText":
        return cls(row.completion, not row.truncated, row.reference_nll, row.reference_tokens)


@dataclass(frozen=True)
class EvaluationRow:
    """One test row: its reference answer or answers (None: it has none), and the answer of each model.

    `judged` are the scores of a judge, empty if it did not judge the row, and None in a job without one.
    """

    id: str
    gold: Gold | None
    answers: Mapping[ModelRole, AnswerText]
    judged: Mapping[ModelRole, float] | None = None


def align(
    prompts: Iterable[Prompt], completions: Iterable[Completion], predictions: Mapping[LocalModel, Iterable[Prediction]]
) -> list[EvaluationRow]:
    """Join the answers to each test row, in the order of the prompts.

    The teacher may lack an answer to some rows; student and baseline answer all of them once. Raises DataError when
    the rows of a folder are not those of the prompts.
    """
    tests = [prompt for prompt in prompts if prompt.split == "test"]
    ids = _unique("prompts", (prompt.id for prompt in tests))
    answers: dict[ModelRole, dict[str, AnswerText]] = {
        "teacher": {
            row.id: AnswerText(row.completion, row.finish_reason == "stop")
            for row in completions
            if row.split == "test"
        }
    }
    _check_ids("completions", answers["teacher"], ids)
    for role, predicted in predictions.items():
        rows = list(predicted)
        _unique(role, (row.id for row in rows))
        answers[role] = {row.id: AnswerText.of(row) for row in rows}
        _check_ids(role, answers[role], ids, all_required=True)
    return [
        EvaluationRow(row.id, row.gold, {role: answers[role].get(row.id, AnswerText()) for role in MODEL_ROLES})
        for row in tests
    ]


def _unique(folder: str, ids: Iterable[str]) -> set[str]:
    """The ids of a folder's test rows. Raises DataError for one that occurs twice."""
    counts = Counter(ids)
    repeated = [identity for identity, count in counts.items() if count > 1]
    if repeated:
        raise DataError(
            f"test row {repeated[0]!r} occurs {counts[repeated[0]]} times ({len(repeated)} such rows)",
            code="duplicate_rows",
            subject=folder,
            fix="run the step that writes this folder again",
        )
    return set(counts)


def _check_ids(folder: str, answers: Mapping[str, AnswerText], ids: set[str], *, all_required: bool = False) -> None:
    unknown = sorted(answers.keys() - ids)
    missing = sorted(ids - answers.keys()) if all_required else []
    if not unknown and not missing:
        return
    example = f"no answer to test row {missing[0]!r}" if missing else f"an answer to unknown test row {unknown[0]!r}"
    raise DataError(
        f"{example} ({len(missing) + len(unknown)} such rows)",
        code="other_prompts",
        subject=folder,
        fix="make all folders from the same prompts",
    )
