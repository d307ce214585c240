"""Pick a few test rows for the report: where the student learned, and where it is wrong."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from azdistill.contracts.files import read_rows
from azdistill.contracts.layout import COMPLETIONS_FILE, PREDICTIONS_FILE, PROMPTS_FILE, SCORES_FILE
from azdistill.contracts.results import ModelRole, RowScores
from azdistill.contracts.rows import Completion, Prediction, Prompt, gold_texts
from azdistill.reporting.report import Example

# Examples of each kind.
EACH = 3

# Characters shown of one text; the complete row is in the step's files.
LONGEST = 1200


def pick_examples(
    prompts: Path, completions: Path, evaluation: Path, predictions: Mapping[ModelRole, Path], metric: str
) -> tuple[Example, ...]:
    """Up to three rows on which the student gains most over the baseline, then up to three of its lowest scores.

    Scores are those of the primary `metric`. Equal rows are in the order of their ids. Ids are hashes, so the choice
    is unbiased and always the same.
    """
    scores = {row.id: row for row in read_rows(evaluation / SCORES_FILE, RowScores)}
    ids = _choose(list(scores.values()), metric)
    rows = {row.id: row for row in read_rows(prompts / PROMPTS_FILE, Prompt) if row.id in ids}
    files: dict[ModelRole, Iterable[Completion] | Iterable[Prediction]] = {
        "teacher": read_rows(completions / COMPLETIONS_FILE, Completion),
        **{role: read_rows(folder / PREDICTIONS_FILE, Prediction) for role, folder in predictions.items()},
    }
    answers = {role: {row.id: row.completion for row in file if row.id in ids} for role, file in files.items()}
    return tuple(_example(rows[identity], answers, scores[identity], metric) for identity in ids)


def _choose(rows: Sequence[RowScores], metric: str) -> list[str]:
    student = {row.id: score for row in rows if (score := row.score(metric, "student")) is not None}
    baseline = {row.id: row.score(metric, "baseline") or 0.0 for row in rows}
    # A score of 0 is no example of what the student learned, and a score of 1 none of a fault.
    gains = [identity for identity in student if student[identity] > 0]
    gains.sort(key=lambda identity: (baseline[identity] - student[identity], identity))
    faults = [identity for identity in student if student[identity] < 1 and identity not in gains[:EACH]]
    faults.sort(key=lambda identity: (student[identity], identity))
    return gains[:EACH] + faults[:EACH]


def _example(prompt: Prompt, answers: Mapping[ModelRole, Mapping[str, str]], scores: RowScores, metric: str) -> Example:
    return Example(
        id=prompt.id,
        messages=tuple(message.model_copy(update={"content": shorten(message.content)}) for message in prompt.messages),
        gold=shorten("\n".join(gold_texts(prompt.gold))) or None,
        answers={role: shorten(texts[prompt.id]) if prompt.id in texts else None for role, texts in answers.items()},
        correct={role: scores.correct(role) for role in answers},
        scores={role: scores.score(metric, role) for role in answers},
    )


def shorten(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text) - LONGEST} more characters)"
