"""Row records: the lines of the JSONL files between steps."""

import hashlib
from json.encoder import encode_basestring
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

Split = Literal["train", "validation", "test"]
Role = Literal["system", "user", "assistant"]
SPLITS: tuple[Split, ...] = get_args(Split)
# A reference answer, or several that are all right.
Gold = str | tuple[str, ...]
# Multiplies the loss of a row's target tokens. The default is not written to files.
RowWeight = Annotated[float, Field(gt=0, allow_inf_nan=False, exclude_if=lambda weight: weight == 1.0)]


class Row(BaseModel):
    """Base of the records: immutable, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Message(Row):
    """One turn of a conversation. `weight`: 0 for an assistant turn that is not trained.

    Source: https://platform.openai.com/docs/guides/supervised-fine-tuning (weight of a message)
    """

    role: Role
    content: str
    weight: Literal[0, 1] = Field(1, exclude_if=lambda weight: weight == 1)


class Prompt(Row):
    """A conversation that ends with a user turn.

    `messages` are what the student sees. `gold` is the reference answer where the
    user's data has one, or a list of answers that are all right. `source` is `file:line`
    in the user's file. `weight` is that of the training row. `columns` are other columns of
    the user's row, by which the evaluation is sliced.
    """

    id: str
    split: Split
    messages: tuple[Message, ...]
    gold: Gold | None = None
    source: str
    weight: RowWeight = 1.0
    columns: dict[str, str] = Field({}, exclude_if=lambda columns: not columns)


class TokenUsage(Row):
    """Tokens of one teacher call, as the endpoint counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class Completion(Row):
    """A teacher's answer to one prompt.

    `finish_reason` is as the endpoint reports it; only an answer with `stop` is complete.
    `sample` numbers the answers of one teacher to one prompt. `trace` is the reasoning
    that was split off the answer.
    """

    id: str
    split: Split
    messages: tuple[Message, ...]
    gold: Gold | None = None
    source: str
    weight: RowWeight = 1.0
    completion: str
    finish_reason: str
    teacher: str
    sample: int = 0
    trace: str | None = None
    key: str
    usage: TokenUsage


class AnswerCall(Row):
    """The calls that an answer took; `key` is that of the completion. Facts that are not known are not written.

    `model` is the name in the endpoint's reply, `attempts` the number of calls until the answer arrived, `from_store`
    whether it had been bought before this run.
    """

    key: str
    model: Annotated[str | None, Field(exclude_if=lambda value: value is None)] = None
    attempts: Annotated[int | None, Field(exclude_if=lambda value: value is None)] = None
    from_store: Annotated[bool | None, Field(exclude_if=lambda value: value is None)] = None


# Suffix of the id of a training row whose target is a reasoning trace.
TRACE = "-trace"


class TrainRow(Row):
    """A training conversation, which ends with the target turn. `weight` multiplies the loss of its targets.

    `key` is that of the completion whose text the target is; None for a reasoning trace.
    """

    id: str
    messages: tuple[Message, ...]
    weight: RowWeight = 1.0
    key: Annotated[str | None, Field(exclude_if=lambda key: key is None)] = None


class Prediction(Row):
    """A student's or baseline's answer to one test prompt.

    `reference_nll` is the negative log-likelihood of the row's reference answer under the model, summed over its
    `reference_tokens` tokens, in nats. Both are absent without a reference, and for one that is too long for the model.
    """

    id: str
    completion: str
    truncated: bool
    reference_nll: Annotated[float | None, Field(exclude_if=lambda value: value is None)] = None
    reference_tokens: Annotated[int | None, Field(exclude_if=lambda value: value is None)] = None


class Reject(Row):
    """A rejected row: `reason` is a short code for counting, `detail` describes the error."""

    source: str
    reason: str
    detail: str


def gold_texts(gold: Gold | None) -> tuple[str, ...]:
    """All reference answers of a row; empty without one."""
    if gold is None:
        return ()
    return (gold,) if isinstance(gold, str) else gold


def canonical(messages: tuple[Message, ...]) -> str:
    """The text form of a conversation from which ids and store keys are hashed."""
    turns = ",".join(f'["{message.role}",{encode_basestring(message.content)}]' for message in messages)
    return f"[{turns}]"


def prompt_id(messages: tuple[Message, ...]) -> str:
    """16 hex digits of a hash of the content: the same conversation has the same id in any file."""
    return hashlib.sha256(canonical(messages).encode()).hexdigest()[:16]
