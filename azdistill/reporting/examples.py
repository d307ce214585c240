"""A few test rows worth reading: where the student learned, and where it is wrong."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from azdistill.contracts.files import read_rows
from azdistill.contracts.results import SCORES_FILE, ModelRole, RowScores
from azdistill.contracts.rows import Completion, Prediction, Prompt
from azdistill.reporting.report import Example

EACH = 3
LONGEST = 1200
"""Characters shown of one text; a report is for reading, the whole row is in the step's files."""


def pick_examples(
    prompts: Path, completions: Path, evaluation: Path, predictions: Mapping[ModelRole, Path]
) -> tuple[Example, ...]:
    """Up to three rows that the student has right where the baseline has not, then up to three it has wrong.

    Among equals the ids decide, which are hashes, so the choice is as good as random and always the same.
    """
    scores = {score.id: score for score in read_rows(evaluation / SCORES_FILE, RowScores)}
    chosen = _choose(scores.values())
    rows = {row.id: row for row in read_rows(prompts / "prompts.jsonl", Prompt) if row.id in chosen}
    taught = read_rows(completions / "completions.jsonl", Completion)
    answers: dict[ModelRole, dict[str, str]] = {
        "teacher": {row.id: row.completion for row in taught if row.id in chosen}
    }
    for who, folder in predictions.items():
        found = read_rows(folder / "predictions.jsonl", Prediction)
        answers[who] = {row.id: row.completion for row in found if row.id in chosen}
    return tuple(_example(rows[identity], answers, scores[identity]) for identity in chosen)


def _choose(scores: Iterable[RowScores]) -> list[str]:
    ordered = sorted(scores, key=lambda score: (bool(score.correct("baseline")), score.id))
    right = [score.id for score in ordered if score.correct("student")]
    wrong = sorted(score.id for score in ordered if score.correct("student") is False)
    return right[:EACH] + wrong[:EACH]


def _example(prompt: Prompt, answers: Mapping[ModelRole, Mapping[str, str]], score: RowScores) -> Example:
    return Example(
        id=prompt.id,
        messages=tuple(message.model_copy(update={"content": shorten(message.content)}) for message in prompt.messages),
        gold=None if prompt.gold is None else shorten(prompt.gold),
        answers={who: shorten(found[prompt.id]) if prompt.id in found else None for who, found in answers.items()},
        correct={who: score.correct(who) for who in answers},
    )


def shorten(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text) - LONGEST} more characters)"
