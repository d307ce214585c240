"""Pick test rows for the report: where the student is worse than the teacher, what it learned, and other faults."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from azdistill.contracts.files import read_rows
from azdistill.contracts.layout import COMPLETIONS_FILE, PREDICTIONS_FILE, PROMPTS_FILE
from azdistill.contracts.results import ModelRole, RowScores
from azdistill.contracts.rows import Completion, Prediction, Prompt, gold_texts
from azdistill.reporting.figures import shorten
from azdistill.reporting.report import EXAMPLE_KINDS, Example, ExampleKind

# Rows of each kind in the report.
MOST_ROWS = 100

# Characters shown of one text; the complete row is in the step's files.
LONGEST = 1200


def pick_examples(
    scores: Iterable[RowScores],
    kinds: Mapping[ExampleKind, Sequence[str]],
    prompts: Path,
    completions: Path,
    predictions: Mapping[ModelRole, Path],
    metric: str,
) -> tuple[Example, ...]:
    """The first MOST_ROWS rows of each kind, with their texts. `metric` is the primary one."""
    ids = {identity: kind for kind, members in kinds.items() for identity in members[:MOST_ROWS]}
    row_scores = {row.id: row for row in scores if row.id in ids}
    rows = {row.id: row for row in read_rows(prompts / PROMPTS_FILE, Prompt) if row.id in ids}
    files: dict[ModelRole, Iterable[Completion] | Iterable[Prediction]] = {
        "teacher": read_rows(completions / COMPLETIONS_FILE, Completion),
        **{role: read_rows(folder / PREDICTIONS_FILE, Prediction) for role, folder in predictions.items()},
    }
    answers = {role: {row.id: row.completion for row in file if row.id in ids} for role, file in files.items()}
    return tuple(
        _example(kind, rows[identity], answers, row_scores[identity], metric) for identity, kind in ids.items()
    )


def rows_by_kind(rows: Iterable[RowScores], metric: str) -> dict[ExampleKind, list[str]]:
    """Ids of the rows of each kind, by the scores of `metric`, the largest difference first.

    A row without a score has no kind, nor has one that all three models answer without a fault. Equal rows are in the
    order of their ids. Ids are hashes, so the choice of the first is unbiased and always the same.
    """
    keys: dict[ExampleKind, list[tuple[float, str]]] = {kind: [] for kind in EXAMPLE_KINDS}
    for row in rows:
        student, teacher, baseline = (row.score(metric, role) for role in ("student", "teacher", "baseline"))
        if student is None:
            continue
        if teacher is not None and student < teacher:
            keys["worse than the teacher"].append((student - teacher, row.id))
        elif student > (baseline or 0):
            keys["better than the baseline"].append(((baseline or 0) - student, row.id))
        elif student < 1:
            keys["no better than the baseline"].append((student, row.id))
    return {kind: [identity for _, identity in sorted(members)] for kind, members in keys.items()}


def _example(
    kind: ExampleKind,
    prompt: Prompt,
    answers: Mapping[ModelRole, Mapping[str, str]],
    scores: RowScores,
    metric: str,
) -> Example:
    return Example(
        kind=kind,
        id=prompt.id,
        source=prompt.source.rpartition(":")[0],
        columns=prompt.columns,
        messages=tuple(
            message.model_copy(update={"content": shorten(message.content, LONGEST)}) for message in prompt.messages
        ),
        gold=shorten("\n".join(gold_texts(prompt.gold)), LONGEST) or None,
        answers={
            role: shorten(texts[prompt.id], LONGEST) if prompt.id in texts else None for role, texts in answers.items()
        },
        correct={role: scores.correct(role) for role in answers},
        scores={role: scores.score(metric, role) for role in answers},
    )
