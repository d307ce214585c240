"""One row of a run, from the user's file to the training row or the scores of a test row."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from azdistill.contracts.augmenting import AnsweredRequest
from azdistill.contracts.errors import InputError
from azdistill.contracts.layout import (
    ANSWER_SCORES_FILE,
    CALLS_FILE,
    COMPLETIONS_FILE,
    DROPS_FILE,
    LEFT_OUT_FILE,
    MANIFEST_FILE,
    METRICS_FILE,
    PREDICTIONS_FILE,
    REJECTS_FILE,
    REQUESTS_FILE,
    RUN_AUGMENTED,
    RUN_EVALUATION,
    RUN_PROMPTS,
    SCORES_FILE,
    TRAIN_FILE,
    VALIDATION_FILE,
)
from azdistill.contracts.manifest import Manifest
from azdistill.contracts.progress import Progress
from azdistill.contracts.results import Metrics, RowScores, read_result
from azdistill.contracts.rows import AnswerCall, Completion, Message, Prediction, Prompt, Reject, TrainRow
from azdistill.contracts.verdicts import AnswerScore
from azdistill.local_runs.row_lines import rows_with
from azdistill.local_runs.run_folder import RUNS, find_run

COMPLETIONS = Path("teacher", "completions")
ANSWER_SCORES = Path("judge_answers", "answer_scores")
CURATED = Path("curate", "curated")
# Folders of the steps whose settings are part of the story.
FOLDERS = {"prepare": RUN_PROMPTS.parent, "teacher": COMPLETIONS, "curate": CURATED}
# Files of rejected, left out and dropped rows. Runs of earlier versions lack some of them.
REMOVED = (
    ("prepare", RUN_PROMPTS.with_name(REJECTS_FILE)),
    ("prepare", RUN_PROMPTS.with_name(LEFT_OUT_FILE)),
    ("augment", RUN_AUGMENTED.with_name(REJECTS_FILE)),
    ("teacher", COMPLETIONS / REJECTS_FILE),
    ("curate", CURATED / DROPS_FILE),
)
PREDICTIONS = {role: Path(f"predict_{role}", "predictions", PREDICTIONS_FILE) for role in ("student", "baseline")}
MEGABYTE = 1 << 20

# Rows that are listed if a row id is ambiguous.
FEW_ROWS = 5
NEIGHBORS = 5


@dataclass(frozen=True)
class TeacherAnswer:
    """An answer of a teacher. `call` is None if the run did not record it, `cost` if the teacher has no price, `score`
    if no judge was asked about the answer."""

    completion: Completion
    call: AnswerCall | None
    cost: float | None
    score: AnswerScore | None = None


@dataclass(frozen=True)
class NearTrainingRow:
    """A training row whose prompt is similar to that of a test row. `similarity` is at most 1, the same words."""

    row: TrainRow
    source: str
    similarity: float


@dataclass(frozen=True)
class RowStory:
    """All records of a run about one row. `prompt` is None for a row that step prepare rejected or left out.

    `removed` has the name of the step for each record of a rejected, left out or dropped row. `training` has the
    name of the split for each row that was trained or validated on. `settings` are the configs of the steps, and
    `files` the inputs of step prepare. `written` is None unless a teacher wrote the prompt.
    """

    source: str
    prompt: Prompt | None
    removed: Sequence[tuple[str, Reject]]
    answers: Sequence[TeacherAnswer] = ()
    training: Sequence[tuple[str, TrainRow]] = ()
    predictions: Mapping[str, str] = field(default_factory=dict)
    scores: RowScores | None = None
    primary_metric: str = ""
    neighbors: Sequence[NearTrainingRow] = ()
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    files: Sequence[str] = ()
    written: AnsweredRequest | None = None


def find_prompts_run(path: Path) -> Path:
    """The folder of a run, by its path or its name in runs/. Raises InputError for a run without prompts."""
    for candidate in (path, RUNS / path):
        if (candidate / RUN_PROMPTS).is_file():
            return candidate
    run = find_run(path)
    raise InputError(
        f"{run.state}, without {RUN_PROMPTS.as_posix()}",
        file=run.path,
        code="no_prompts",
        fix="run it until step prepare has completed; a downloaded run needs the outputs of its steps",
    )


def row_story(run: Path, row: str) -> RowStory:
    """The story of the row with an id, a unique beginning of one, or a `file:line`. Raises InputError for others."""
    prompt = _find_prompt(run, row)
    source = prompt.source if prompt else Path(row).name
    removed = list(_removed(run, source))
    manifests = {step: _manifest(run / folder) for step, folder in FOLDERS.items()}
    settings = {
        step: manifest.provenance.config for step, manifest in manifests.items() if manifest and manifest.provenance
    }
    prepared = manifests["prepare"]
    files = sorted(prepared.provenance.data) if prepared and prepared.provenance else ()
    if prompt is None:
        if not removed:
            raise _unknown(run, row)
        return RowStory(source, None, removed, settings=settings, files=files)
    return RowStory(
        source,
        prompt,
        removed,
        answers=list(_answers(run, prompt.id, settings.get("teacher", {}))),
        training=list(_training_rows(run, prompt.id)),
        predictions={
            role: row.completion
            for role, path in PREDICTIONS.items()
            for row in rows_with(run / path, "id", prompt.id, Prediction)
        },
        scores=next(rows_with(run / RUN_EVALUATION / SCORES_FILE, "id", prompt.id, RowScores), None),
        primary_metric=_primary_metric(run),
        neighbors=near_training_rows(run, prompt.messages) if prompt.split == "test" else (),
        settings=settings,
        files=files,
        written=_written(run, source),
    )


def _written(run: Path, source: str) -> AnsweredRequest | None:
    """The request to which a new prompt is the reply. The source of the prompt has its position there at the end."""
    path = run / RUN_AUGMENTED.with_name(REQUESTS_FILE)
    return next(rows_with(path, "source", source.rpartition(":")[0], AnsweredRequest), None)


def _prompts_file(run: Path) -> Path:
    """The file with the prompts of all rows, new ones included."""
    augmented = run / RUN_AUGMENTED
    return augmented if augmented.is_file() else run / RUN_PROMPTS


def near_training_rows(run: Path, messages: Sequence[Message]) -> list[NearTrainingRow]:
    """The training rows whose prompts are most similar to a prompt; none before step curate has completed."""
    from azdistill.data.nearest import nearest

    path = run / CURATED / TRAIN_FILE
    if not path.is_file():
        return []
    text = _text(message.model_dump() for message in messages)
    matches = nearest(text, (_text(orjson.loads(line)["messages"][:-1]) for line in _lines(path)), NEIGHBORS)
    positions = {match.position for match in matches}
    with path.open("rb") as stream:
        lines = {number: line for number, line in enumerate(stream) if number in positions}
    rows = [(TrainRow.model_validate_json(lines[match.position]), match.similarity) for match in matches]
    return [NearTrainingRow(row, _source(run, row.id), similarity) for row, similarity in rows]


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file. Logs progress in megabytes."""
    progress = Progress("MB of training rows compared", path.stat().st_size // MEGABYTE)
    size = 0
    with path.open("rb") as stream:
        for line in stream:
            size += len(line)
            if size >= MEGABYTE:
                progress.advance(size // MEGABYTE)
                size %= MEGABYTE
            yield line


def _text(turns: Iterable[Mapping[str, Any]]) -> str:
    """The text of a prompt that is compared: its turns but the system turn."""
    return "\n".join(turn["content"] for turn in turns if turn["role"] != "system")


def _source(run: Path, identity: str) -> str:
    prompt = next(rows_with(_prompts_file(run), "id", identity.partition("-")[0], Prompt), None)
    return prompt.source if prompt else ""


def _find_prompt(run: Path, row: str) -> Prompt | None:
    """None for a row that only the rejects have."""
    path = _prompts_file(run)
    by_source = list(rows_with(path, "source", Path(row).name, Prompt)) if ":" in row else []
    prompts = by_source or list(islice(rows_with(path, "id", row, Prompt, is_prefix=True), FEW_ROWS))
    if len(prompts) > 1:
        ids = ", ".join(f"{prompt.id} ({prompt.split} row {prompt.source})" for prompt in prompts)
        raise InputError("several rows match", subject=f"row {row!r}", code="ambiguous_row", fix=f"name one of {ids}")
    return prompts[0] if prompts else None


def _unknown(run: Path, row: str) -> InputError:
    prompts = RUN_PROMPTS.as_posix()
    return InputError(
        "no row of this run has this id or source",
        subject=f"row {row!r}",
        file=run,
        code="unknown_row",
        fix=f"give an id of {prompts}, its beginning, or the source of a row, such as {_first_source(run)}",
    )


def _first_source(run: Path) -> str:
    """The bundle names the user's files by their field, such as training_data.csv."""
    with _prompts_file(run).open("rb") as stream:
        line = stream.readline()
    return str(orjson.loads(line)["source"]) if line else "training_data.jsonl:12"


def _removed(run: Path, source: str) -> Iterator[tuple[str, Reject]]:
    for step, file in REMOVED:
        yield from ((step, reject) for reject in rows_with(run / file, "source", source, Reject))


def _answers(run: Path, identity: str, config: Mapping[str, Any]) -> Iterator[TeacherAnswer]:
    teachers = {teacher.get("name") or teacher["model"]: teacher for teacher in config.get("teachers", ())}
    for row in rows_with(run / COMPLETIONS / COMPLETIONS_FILE, "id", identity, Completion):
        call = next(rows_with(run / COMPLETIONS / CALLS_FILE, "key", row.key, AnswerCall), None)
        score = next(rows_with(run / ANSWER_SCORES / ANSWER_SCORES_FILE, "key", row.key, AnswerScore), None)
        yield TeacherAnswer(row, call, _cost(row, teachers.get(row.teacher, {})), score)


def _cost(row: Completion, teacher: Mapping[str, Any]) -> float | None:
    from azdistill.contracts.requests import Teacher
    from azdistill.teacher.budget import cost

    prices = {name: teacher.get(name) for name in ("input_price", "output_price")}
    if prices["input_price"] is None and prices["output_price"] is None:
        return None
    return cost(Teacher(model=row.teacher, **prices), row.usage.prompt_tokens, row.usage.completion_tokens)


def _training_rows(run: Path, identity: str) -> Iterator[tuple[str, TrainRow]]:
    for split, file in (("train", TRAIN_FILE), ("validation", VALIDATION_FILE)):
        yield from ((split, row) for row in rows_with(run / CURATED / file, "id", identity, TrainRow, is_prefix=True))


def _manifest(folder: Path) -> Manifest | None:
    """The manifest without a comparison of the files, which would read all of them. None before the step completes."""
    path = folder / MANIFEST_FILE
    return read_result(path, Manifest) if path.is_file() else None


def _primary_metric(run: Path) -> str:
    path = run / RUN_EVALUATION / METRICS_FILE
    return read_result(path, Metrics).primary_metric if path.is_file() else ""
