"""Load completions from files of the user instead of asking a teacher. Nothing is called and nothing is paid."""

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from azdistill.contracts.errors import DataError
from azdistill.contracts.requests import RequestConfig
from azdistill.contracts.rows import Completion, Prompt, Reject, TokenUsage, canonical, gold_texts, prompt_id
from azdistill.tasks.chat import chat_case
from azdistill.tasks.chat_shapes import turns_of
from azdistill.tasks.conversation import case as conversation_case
from azdistill.tasks.logs import COLLECTED_REQUEST, COLLECTED_RESPONSE, LoggedAnswer, answer_of, request_of
from azdistill.tasks.records import Record, read_records
from azdistill.tasks.task import BadRow, Case
from azdistill.teacher.collect import Collected
from azdistill.teacher.usage import UsageCounter, latency_percentiles

logger = logging.getLogger("azdistill.teacher")


NO_USAGE = TokenUsage()


@dataclass(frozen=True)
class ImportedAnswer:
    """An answer to a prompt. `teacher` is the name in the file, None where that of the job counts."""

    completion: str
    finish_reason: str = "stop"
    teacher: str | None = None
    usage: TokenUsage = NO_USAGE


@dataclass
class _Imported:
    """Answers by the id of their prompt, of which the first counts, and the sources of rows without an answer.

    A request of Azure ML's data collector and its response are two rows with the same `correlationid`.
    """

    answers: dict[str, ImportedAnswer] = field(default_factory=dict)
    unusable: list[str] = field(default_factory=list)
    models: Counter[str] = field(default_factory=Counter)
    requests: dict[str, str] = field(default_factory=dict)
    responses: dict[str, LoggedAnswer] = field(default_factory=dict)

    def add(self, source: str, record: Record) -> None:
        """Add a row of any form."""
        try:
            if isinstance(record, BadRow):
                raise record
            if record.get("type") in (COLLECTED_REQUEST, COLLECTED_RESPONSE):
                self._add_collected(record)
            elif (logged := answer_of(record)) is not None:
                self._add_logged(prompt_id(_case(request_of(record)).messages), logged)
            else:
                self.answers.setdefault(*_answered(record))
        except (BadRow, ValidationError):
            self.unusable.append(source)

    def _add_collected(self, record: Mapping[str, Any]) -> None:
        name = str(record.get("correlationid"))
        if record["type"] == COLLECTED_REQUEST:
            self.requests.setdefault(name, prompt_id(_case(request_of(record)).messages))
        elif (logged := answer_of(record)) is not None:
            self.responses.setdefault(name, logged)
        if name in self.requests and name in self.responses:
            self._add_logged(self.requests.pop(name), self.responses.pop(name))

    def _add_logged(self, prompt: str, logged: LoggedAnswer) -> None:
        usage = TokenUsage(prompt_tokens=logged.prompt_tokens, completion_tokens=logged.completion_tokens)
        self.models[logged.model or "an unnamed model"] += 1
        self.answers.setdefault(prompt, ImportedAnswer(logged.text, logged.finish_reason, None, usage))


def load_completions(prompts: Sequence[Prompt], file: Path, config: RequestConfig) -> Collected:
    """Match the completions in a file or folder with the prompts by their messages. The first match counts.

    A prompt without a completion becomes a reject. Raises DataError for a file that is missing or has no completion.
    """
    imported = _read(file)
    rows = imported.answers
    matches = {prompt.id: rows[prompt.id] for prompt in prompts if prompt.id in rows}
    logger.info("%d of %d prompts have a completion in %s (%d rows)", len(matches), len(prompts), file.name, len(rows))
    teacher = config.teachers[0].called
    if models := ", ".join(f"{name} {count}" for name, count in imported.models.most_common()):
        logger.info("answers by model in the log: %s; they are imported as those of teacher %s", models, teacher)
    if unusable := imported.unusable:
        logger.warning("%s: no completion; %d such rows were skipped", unusable[0], len(unusable))
    completions = [_completion(prompt, matches[prompt.id], teacher) for prompt in prompts if prompt.id in matches]
    rejects = [_reject(prompt) for prompt in prompts if prompt.id not in matches]
    return Collected(completions, rejects, _usage(completions, rejects, teacher), len(rejects))


def _read(file: Path) -> _Imported:
    imported = _Imported()
    for source, record in read_records(file):
        imported.add(source, record)
    if not imported.answers:
        raise DataError(
            "no row has a completion",
            file=file,
            fix="each row needs messages and completion, messages that end with an assistant turn, or a logged answer",
        )
    return imported


def _answered(record: Mapping[str, Any]) -> tuple[str, ImportedAnswer]:
    """Id of the prompt, and answer: `completion` next to a conversation, as in our own completions.jsonl, its last
    assistant turn, or another field of an answer. Raises BadRow without one."""
    row = {name: value for name, value in record.items() if name not in ("gold", "completion")}
    completion, turns = record.get("completion"), turns_of(row)
    if not isinstance(completion, str) or turns is None:
        case = _case({**record, "gold": None})
        completion = next(iter(gold_texts(case.gold)), None)
        if completion is None:
            raise BadRow("no_completion", "has no answer")
    else:
        case = chat_case(turns, {})
    teacher, reason = record.get("teacher"), record.get("finish_reason")
    answer = ImportedAnswer(
        completion,
        reason if isinstance(reason, str) else "stop",
        teacher if isinstance(teacher, str) else None,
        _usage_of(record.get("usage")),
    )
    return prompt_id(case.messages), answer


def _usage_of(usage: Any) -> TokenUsage:
    """The tokens that we count, of a usage that may have other fields."""
    if not isinstance(usage, dict):
        return NO_USAGE
    return TokenUsage.model_validate({name: usage[name] for name in TokenUsage.model_fields if name in usage})


def _case(record: Mapping[str, Any]) -> Case:
    """The conversation of a row as step prepare reads it. Raises BadRow."""
    turns = turns_of(record)
    return conversation_case(record) if turns is None else chat_case(turns, record)


def _completion(prompt: Prompt, row: ImportedAnswer, teacher: str) -> Completion:
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
