"""Row records: what one line of each JSONL file between steps holds."""

import hashlib
import json
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

Split = Literal["train", "validation", "test"]
Role = Literal["system", "user", "assistant"]
SPLITS: tuple[Split, ...] = get_args(Split)


class Row(BaseModel):
    """Base of the records: immutable, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Message(Row):
    """One turn of a conversation."""

    role: Role
    content: str


class Prompt(Row):
    """A conversation that waits for its next assistant turn.

    `messages` end with a user turn and are the student's view of the row.
    `gold` is the reference answer where the user's data has one. `source` is
    `file:line`, so that a finding can be taken back to the user's file.
    """

    id: str
    split: Split
    messages: tuple[Message, ...]
    gold: str | None = None
    source: str


class TokenUsage(Row):
    """Tokens of one teacher call, as the endpoint counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class Completion(Row):
    """A teacher's answer to one prompt. `finish_reason` is the endpoint's own word;
    only `stop` is a whole answer. `sample` numbers the answers of one teacher to one
    prompt. `trace` is the reasoning that was split off the answer."""

    id: str
    split: Split
    messages: tuple[Message, ...]
    gold: str | None = None
    source: str
    completion: str
    finish_reason: str
    teacher: str
    sample: int = 0
    trace: str | None = None
    key: str
    usage: TokenUsage


class TrainRow(Row):
    """A conversation that ends with the answer to learn."""

    id: str
    messages: tuple[Message, ...]


class Prediction(Row):
    """A student's or baseline's answer to one test prompt."""

    id: str
    completion: str
    truncated: bool


class Reject(Row):
    """A row kept aside: why (`reason`, a short code for counting), and what was seen."""

    source: str
    reason: str
    detail: str


def canonical(messages: tuple[Message, ...]) -> str:
    """The one text form of a conversation that ids and store keys are hashed from."""
    turns = [[message.role, message.content] for message in messages]
    return json.dumps(turns, ensure_ascii=False, separators=(",", ":"))


def prompt_id(messages: tuple[Message, ...]) -> str:
    """16 hex digits from the content: the same conversation has the same id in any file."""
    return hashlib.sha256(canonical(messages).encode()).hexdigest()[:16]
