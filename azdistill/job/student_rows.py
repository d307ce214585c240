"""Check rows against the student that is trained on them: what train would refuse after the teacher is paid."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, Any

from azdistill.contracts.problems import Problem
from azdistill.job.paths import FILES, is_remote
from azdistill.job.samples import first_rows, row_texts, sourced_rows

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob
    from azdistill.job.template_rendering import StudentTemplate, Turn

# Rows of each file that are read, and the processor time in which they are rendered.
ROWS, ROWS_S = 200, 0.3

# More characters than most texts have per token: a row has at least as many tokens as its characters divided by this.
MOST_CHARACTERS = 6

# Conversations that step prepare accepts, without the answer to the last turn.
_ORDER = re.compile(r"(system )?(user assistant )*user ")


def rejected_rows(job: "DistillationJob", template: "StudentTemplate") -> Iterator[str]:
    """The first row of each local file or folder that the template rejects: its roles, source and the reason."""
    deadline = process_time() + ROWS_S
    for path in _local_files(job):
        for source, row in sourced_rows(path, ROWS):
            if process_time() > deadline:
                return
            turns = _conversation(row)
            if turns and (reason := template.rejection(turns)):
                roles = ", ".join(turn["role"] for turn in turns)
                yield f"its chat template rejects the roles {roles} of {source} ({reason})"
                break


def long_rows(job: "DistillationJob", positions: int | None) -> Iterator[Problem]:
    """A warning when too many training rows are longer than `max_length`, or than the student has `positions` for."""
    path = Path(job.data.training_data)
    rows = list(first_rows(path, ROWS)) if path in _local_files(job) else []
    limit = min(job.train.max_length, positions or job.train.max_length)
    lengths = [_characters(row) // MOST_CHARACTERS for row in rows]
    too_long = sum(length > limit for length in lengths)
    if too_long <= job.train.max_overlong_ratio * len(rows):
        return
    message = f"{too_long} of the first {len(rows)} training rows are longer than {limit:,} tokens"
    is_context = limit < job.train.max_length
    yield Problem(
        code="rows_too_long",
        message=f"{message}{', the context of the student' if is_context else ''} (the longest has {max(lengths):,})",
        fix="choose a student with a longer context, or shorten the rows"
        if is_context
        else "raise it, or shorten rows",
        field=("student", "model") if is_context else ("train", "max_length"),
        value=job.student.model if is_context else limit,
        severity="warning",
    )


def _local_files(job: "DistillationJob") -> list[Path]:
    paths = [*(getattr(job.data, name) for name in FILES), *(suite.data for suite in job.regressions)]
    return [Path(path) for path in paths if path and not is_remote(path) and os.path.exists(path)]


def _conversation(row: Any) -> "list[Turn]":
    """The turns of a row up to the last question. Empty for a row of another form, or that step prepare rejects."""
    turns = row.get("messages") if isinstance(row, dict) else None
    if not isinstance(turns, list) or not all(_is_turn(turn) for turn in turns):
        return []
    prompt = turns[:-1] if turns and turns[-1]["role"] == "assistant" else turns
    return prompt if _ORDER.fullmatch("".join(f"{turn['role']} " for turn in prompt)) else []


def _is_turn(turn: Any) -> bool:
    return isinstance(turn, dict) and isinstance(turn.get("role"), str) and isinstance(turn.get("content"), str)


def _characters(row: Any) -> int:
    turns = row.get("messages") if isinstance(row, dict) else None
    return sum(map(len, row_texts(turns or row)))
