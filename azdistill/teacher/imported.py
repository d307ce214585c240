"""Load completions from a file of the user instead of asking a teacher. Nothing is called and nothing is paid."""

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from azdistill.contracts.errors import DataError
from azdistill.contracts.requests import RequestConfig
from azdistill.contracts.rows import Completion, Message, Prompt, Reject, TokenUsage, canonical, prompt_id
from azdistill.teacher.collect import Collected
from azdistill.teacher.usage import UsageCounter, latency_percentiles

logger = logging.getLogger("azdistill.teacher")


class ImportedRow(BaseModel):
    """One line: a conversation and its completion, which may be its last turn. Other fields are ignored.

    The rows of our own completions.jsonl have this form too.
    """

    model_config = ConfigDict(frozen=True)

    messages: tuple[Message, ...]
    completion: str
    finish_reason: str = "stop"
    teacher: str | None = None
    usage: TokenUsage = TokenUsage()

    @model_validator(mode="before")
    @classmethod
    def _split_off_last_turn(cls, values: Any) -> Any:
        turns = values.get("messages") if isinstance(values, dict) else None
        if not isinstance(turns, list) or not turns or "completion" in values:
            return values
        *prompt, last = turns
        is_assistant = isinstance(last, dict) and last.get("role") == "assistant"
        completion = last.get("content") if is_assistant else None
        return values if completion is None else {**values, "messages": prompt, "completion": completion}


def load_completions(prompts: Sequence[Prompt], file: Path, config: RequestConfig) -> Collected:
    """Match the completions in `file` with the prompts by their messages. The first match counts.

    A prompt without a completion becomes a reject. Raises DataError for a file that is missing or has no completion.
    """
    rows, invalid_lines = _read(file)
    matches = {prompt.id: rows[prompt.id] for prompt in prompts if prompt.id in rows}
    logger.info("%d of %d prompts have a completion in %s (%d rows)", len(matches), len(prompts), file.name, len(rows))
    if invalid_lines:
        logger.warning("%s:%d: no completion; %d such lines were skipped", file, invalid_lines[0], len(invalid_lines))
    teacher = config.teachers[0].called
    completions = [_completion(prompt, matches[prompt.id], teacher) for prompt in prompts if prompt.id in matches]
    rejects = [_reject(prompt) for prompt in prompts if prompt.id not in matches]
    return Collected(completions, rejects, _usage(completions, rejects, teacher), len(rejects))


def _read(file: Path) -> tuple[Mapping[str, ImportedRow], list[int]]:
    """Rows by the id of their prompt, and the numbers of invalid lines."""
    rows: dict[str, ImportedRow] = {}
    invalid_lines: list[int] = []
    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise DataError(
            f"cannot be read ({error.strerror})", file=file, fix="set teacher.completions to a JSONL file"
        ) from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = ImportedRow.model_validate_json(line)
            rows.setdefault(prompt_id(row.messages), row)
        except ValidationError:
            invalid_lines.append(number)
    if not rows:
        raise DataError(
            "no line has a completion",
            file=file,
            fix="each line needs messages and completion, or messages that end with an assistant turn",
        )
    return rows, invalid_lines


def _completion(prompt: Prompt, row: ImportedRow, teacher: str) -> Completion:
    content = orjson.dumps([canonical(prompt.messages), row.completion])
    return Completion(
        **prompt.model_dump(exclude={"columns"}),
        completion=row.completion,
        finish_reason=row.finish_reason,
        teacher=row.teacher or teacher,
        key=hashlib.sha256(content).hexdigest(),
        usage=row.usage,
    )


def _reject(prompt: Prompt) -> Reject:
    detail = "teacher.completions has no completion for these messages; they must match exactly"
    return Reject(source=prompt.source, reason="no_completion", detail=detail)


def _usage(completions: Sequence[Completion], rejects: Sequence[Reject], teacher: str) -> dict[str, Any]:
    return {
        "teacher": teacher,
        "route": "completions",
        "asked": 0,
        "answered": len(completions),
        "rejected": len(rejects),
        "from_store": 0,
        "finish_reasons": Counter(row.finish_reason for row in completions),
        **UsageCounter().counts(),
        **latency_percentiles([]),
    }
