"""Pick a few test rows for the report: where the student learned, and where it is wrong."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from azdistill.contracts.files import read_rows
from azdistill.contracts.layout import COMPLETIONS_FILE, PREDICTIONS_FILE, PROMPTS_FILE, SCORES_FILE
from azdistill.contracts.results import ModelRole, RowScores
from azdistill.contracts.rows import Completion, Prediction, Prompt
from azdistill.reporting.report import Example

# Examples of each kind.
EACH = 3

# Characters shown of one text; the complete row is in the step's files.
LONGEST = 1200


def pick_examples(
    prompts: Path, completions: Path, evaluation: Path, predictions: Mapping[ModelRole, Path]
) -> tuple[Example, ...]:
    """Up to three rows where the student is right and the baseline wrong, then up to three where the student is wrong.

    Rows are chosen in the order of their ids. Ids are hashes, so the choice is unbiased and always the same.
    """
    scores = {row.id: row for row in read_rows(evaluation / SCORES_FILE, RowScores)}
    ids = _choose(scores.values())
    rows = {row.id: row for row in read_rows(prompts / PROMPTS_FILE, Prompt) if row.id in ids}
    files: dict[ModelRole, Iterable[Completion] | Iterable[Prediction]] = {
        "teacher": read_rows(completions / COMPLETIONS_FILE, Completion),
        **{role: read_rows(folder / PREDICTIONS_FILE, Prediction) for role, folder in predictions.items()},
    }
    answers = {role: {row.id: row.completion for row in file if row.id in ids} for role, file in files.items()}
    return tuple(_example(rows[identity], answers, scores[identity]) for identity in ids)


def _choose(scores: Iterable[RowScores]) -> list[str]:
    ordered = sorted(scores, key=lambda row: (bool(row.correct("baseline")), row.id))
    right = [row.id for row in ordered if row.correct("student")]
    wrong = sorted(row.id for row in ordered if row.correct("student") is False)
    return right[:EACH] + wrong[:EACH]


def _example(prompt: Prompt, answers: Mapping[ModelRole, Mapping[str, str]], scores: RowScores) -> Example:
    return Example(
        id=prompt.id,
        messages=tuple(message.model_copy(update={"content": shorten(message.content)}) for message in prompt.messages),
        gold=None if prompt.gold is None else shorten(prompt.gold),
        answers={role: shorten(texts[prompt.id]) if prompt.id in texts else None for role, texts in answers.items()},
        correct={role: scores.correct(role) for role in answers},
    )


def shorten(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text) - LONGEST} more characters)"
