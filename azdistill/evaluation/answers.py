"""What teacher, baseline and student answered to the same test rows, side by side."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from azdistill.contracts.errors import DataError
from azdistill.contracts.results import MODEL_ROLES, ModelRole
from azdistill.contracts.rows import Completion, Prediction, Prompt

Reference = Literal["gold", "teacher"]


@dataclass(frozen=True)
class Answer:
    """A model's text, and whether it came to its end. An answer that never arrived is blank and not whole."""

    text: str = ""
    whole: bool = False


@dataclass(frozen=True)
class TestRow:
    """One held-out row: what it is held against (None: nothing), and the three answers to it."""

    id: str
    gold: str | None
    answers: Mapping[ModelRole, Answer]


def align(
    prompts: Iterable[Prompt],
    completions: Iterable[Completion],
    predictions: Mapping[Literal["baseline", "student"], Iterable[Prediction]],
) -> list[TestRow]:
    """The test rows in the order of the prompts.

    The teacher may have been refused some; a model of ours answers all of them. Raises
    DataError when a folder's rows are not those of the prompts.
    """
    tests = [prompt for prompt in prompts if prompt.split == "test"]
    ids = {prompt.id for prompt in tests}
    taught = [row for row in completions if row.split == "test"]
    given: dict[ModelRole, dict[str, Answer]] = {"teacher": {row.id: _taught(row) for row in taught}}
    _check("completions", given["teacher"], ids, complete=False)
    for who, rows in predictions.items():
        given[who] = {row.id: Answer(row.completion, not row.truncated) for row in rows}
        _check(who, given[who], ids, complete=True)
    return [TestRow(row.id, row.gold, {who: given[who].get(row.id, Answer()) for who in MODEL_ROLES}) for row in tests]


def _taught(row: Completion) -> Answer:
    return Answer(row.completion, row.finish_reason == "stop")


def _check(folder: str, found: Mapping[str, Answer], ids: set[str], *, complete: bool) -> None:
    strange, missing = sorted(found.keys() - ids), sorted(ids - found.keys()) if complete else []
    if strange or missing:
        what = f"no answer to test row {missing[0]!r}" if missing else f"an answer to unknown test row {strange[0]!r}"
        number = len(missing) + len(strange)
        raise DataError(f"{folder}: {what} ({number} rows like it); make all folders from the same prompts")
