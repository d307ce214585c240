"""The universal form of a row: chat messages, and a reference answer where there is one."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from azdistill.contracts.rows import Message, Role
from azdistill.tasks.fields import as_text, kind, optional
from azdistill.tasks.task import BadRow, Case

ROLES: tuple[Role, ...] = get_args(Role)


def chat_case(record: Mapping[str, Any]) -> Case:
    """`{"messages": [...], "gold": ...}`; a last assistant turn is the reference answer. Raises BadRow."""
    turns = record["messages"]
    if not isinstance(turns, list) or not turns:
        found = "an empty list" if turns == [] else kind(turns)
        raise BadRow("no_messages", f"messages is {found}, not a list of messages")
    messages = [_message(number, turn) for number, turn in enumerate(turns)]
    _check_order([message.role for message in messages])
    gold = optional(record, "gold")
    if messages[-1].role == "assistant":
        gold = _last_turn(messages.pop().content, gold)
    return Case(tuple(messages), gold)


def _message(number: int, turn: Any) -> Message:
    place = f"messages[{number}]"
    if not isinstance(turn, dict):
        raise BadRow("not_a_message", f"{place} is {kind(turn)}, not an object with role and content")
    if turn.get("role") not in ROLES:
        raise BadRow("unknown_role", f"{place}.role={turn.get('role')!r} is none of {', '.join(ROLES)}")
    return Message(role=turn["role"], content=as_text(f"{place}.content", turn.get("content")))


def _check_order(roles: Sequence[Role]) -> None:
    """System only at the start, then user and assistant in turn, from a user on."""
    turns = roles[1:] if roles[0] == "system" else roles
    if "user" not in turns:
        raise BadRow("no_user_turn", f"no user turn among {', '.join(roles)}; there is nothing to answer")
    if "system" in turns:
        raise BadRow("late_system", "a system turn after the first turn; only the first may be one")
    if turns[0] == "assistant":
        raise BadRow("assistant_first", "the assistant speaks first; the first turn must be the user's")
    for before, after in itertools.pairwise(turns):
        if before == after:
            raise BadRow("turns_not_alternating", f"two {after} turns in a row; join them into one")


def _last_turn(said: str, gold: str | None) -> str:
    if gold is not None and gold != said:
        raise BadRow("two_references", "gold differs from the last assistant turn; keep one of them")
    return said
