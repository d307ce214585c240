"""Answers that are there already, in place of a teacher to ask: nothing is called and nothing is paid."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from azdistill.contracts.errors import DataError
from azdistill.contracts.rows import Completion, Message, Prompt, Reject, TokenUsage, canonical, prompt_id
from azdistill.contracts.teacher import TeacherConfig
from azdistill.teacher.collect import Collected
from azdistill.teacher.usage import UsageCounter, latencies


class GivenAnswer(BaseModel):
    """One line: the conversation and its answer, which may be its last turn. Lines of a completions.jsonl of ours are
    such lines; fields that say nothing here are passed over."""

    model_config = ConfigDict(frozen=True)

    messages: tuple[Message, ...]
    completion: str
    finish_reason: str = "stop"
    teacher: str | None = None
    usage: TokenUsage = TokenUsage()

    @model_validator(mode="before")
    @classmethod
    def _last_turn_is_the_answer(cls, values: Any) -> Any:
        turns = values.get("messages") if isinstance(values, dict) else None
        if not isinstance(turns, list) or not turns or "completion" in values:
            return values
        *asked, last = turns
        said = last.get("content") if isinstance(last, dict) and last.get("role") == "assistant" else None
        return values if said is None else {**values, "messages": asked, "completion": said}


def take(prompts: Sequence[Prompt], answers: Path, config: TeacherConfig) -> Collected:
    """The answer of each prompt's conversation, the first where there are several; a prompt without one is kept aside.

    Raises DataError for a file that isn't there, or in which no line is an answer.
    """
    given, strange = _read(answers)
    found = {prompt.id: given[prompt.id] for prompt in prompts if prompt.id in given}
    told = f"teacher: {len(found)} of {len(prompts)} conversations have an answer among {len(given)} given ones"
    print(
        told + (f"; passed over: {len(strange)} lines that are none, from line {strange[0]} on" if strange else ""),
        flush=True,
    )
    name = config.teachers[0].called
    completions = [_completion(prompt, found[prompt.id], name) for prompt in prompts if prompt.id in found]
    rejects = [_reject(prompt) for prompt in prompts if prompt.id not in found]
    return Collected(completions, rejects, _usage(completions, rejects, name), len(rejects))


def _read(path: Path) -> tuple[Mapping[str, GivenAnswer], list[int]]:
    """Answers by the id of their conversation, and the numbers of the lines that hold none."""
    found: dict[str, GivenAnswer] = {}
    strange: list[int] = []
    try:
        lines = path.read_bytes().splitlines()
    except OSError as problem:
        raise DataError(f"answers {str(path)!r}: {problem.strerror}; give teacher.completions a JSONL file") from None
    for number, line in enumerate(lines, 1):
        try:
            answer = GivenAnswer.model_validate_json(line)
            found.setdefault(prompt_id(answer.messages), answer)
        except ValidationError:
            strange += [number] if line.strip() else []
    if not found:
        raise DataError(
            f"answers {str(path)!r}: no line is an answer; give lines with messages and completion, or with messages "
            "that end with the assistant's turn"
        )
    return found, strange


def _completion(prompt: Prompt, answer: GivenAnswer, teacher: str) -> Completion:
    keyed = orjson.dumps([canonical(prompt.messages), answer.completion])
    return Completion(
        **prompt.model_dump(),
        completion=answer.completion,
        finish_reason=answer.finish_reason,
        teacher=answer.teacher or teacher,
        key=hashlib.sha256(keyed).hexdigest(),
        usage=answer.usage,
    )


def _reject(prompt: Prompt) -> Reject:
    detail = "teacher.completions holds no answer to this conversation; messages have to be the same to the letter"
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
        **latencies([]),
    }
