"""Rows of chat messages: the format that every task accepts."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from azdistill.contracts.rows import Message, Role, gold_texts
from azdistill.tasks import conversation
from azdistill.tasks.fields import as_text, json_type, references
from azdistill.tasks.task import BadRow, Case

# A larger weight of a row is a mistake.
MOST_WEIGHT = 1e300
ROLES: tuple[Role, ...] = get_args(Role)
ANSWERS = (*conversation.ANSWERS, "label", "reference", "ground_truth")


def chat_case(turns: Any, record: Mapping[str, Any]) -> Case:
    """A row with a conversation. A last assistant turn is the reference answer, or the field `gold`; after a last user
    turn it may be in another field of an answer. The field `weight` is that of the row.

    The conversation ends before turns that are not trained: those with `"weight": 0`. Raises BadRow.
    """
    if not isinstance(turns, list) or not turns:
        actual = "an empty list" if turns == [] else json_type(turns)
        raise BadRow("no_messages", f"messages is {actual}, not a list of messages")
    messages = [_message(index, turn) for index, turn in enumerate(turns)]
    _check_order([message.role for message in messages])
    messages = _without_untrained_end(messages)
    gold = references(record, "gold")
    if messages[-1].role == "user":
        gold = gold or references(record, *ANSWERS)
    else:
        last = messages.pop().content
        if gold is not None and last not in gold_texts(gold):
            raise BadRow("two_references", "gold differs from the last assistant turn; keep one of them")
        gold = gold or last
    return Case(tuple(messages), gold, _row_weight(record))


def _message(index: int, turn: Any) -> Message:
    field = f"messages[{index}]"
    if not isinstance(turn, dict):
        raise BadRow("not_a_message", f"{field} is {json_type(turn)}, not an object with role and content")
    if turn.get("role") not in ROLES:
        raise BadRow("unknown_role", f"{field}.role={turn.get('role')!r} is none of {', '.join(ROLES)}")
    content = as_text(f"{field}.content", turn.get("content"))
    if turn["role"] != "assistant" or turn.get("weight") is None:
        return Message(role=turn["role"], content=content)
    weight = turn["weight"]
    if type(weight) not in (int, float) or weight not in (0, 1):
        raise BadRow("invalid_weight", f"{field}.weight={weight!r} is neither 0 nor 1")
    return Message(role=turn["role"], content=content, weight=1 if weight else 0)


def _without_untrained_end(messages: list[Message]) -> list[Message]:
    """Leave out the turns after the last assistant turn to train on, if the conversation ends with an assistant turn
    of weight 0."""
    if messages[-1].role != "assistant" or messages[-1].weight:
        return messages
    trained = [index for index, message in enumerate(messages) if message.role == "assistant" and message.weight]
    if not trained:
        raise BadRow("no_target", "all assistant turns have weight 0, so there is nothing to train on")
    return messages[: trained[-1] + 1]


def _row_weight(record: Mapping[str, Any]) -> float:
    weight = record.get("weight")
    if weight is None:
        return 1.0
    if type(weight) not in (int, float) or not 0 < weight < MOST_WEIGHT:
        raise BadRow("invalid_weight", f"weight={weight!r:.60} is not a number above 0")
    return float(weight)


def _check_order(roles: Sequence[Role]) -> None:
    """An optional system turn, then user and assistant turns that alternate, starting with the user."""
    turns = roles[1:] if roles[0] == "system" else roles
    if "user" not in turns:
        raise BadRow("no_user_turn", f"no user turn among {', '.join(roles)}, so there is nothing to answer")
    if "system" in turns:
        raise BadRow("late_system", "a system turn after the first turn; only the first turn may be system")
    if turns[0] == "assistant":
        raise BadRow("assistant_first", "the first turn is the assistant's; it must be the user's")
    for before, after in itertools.pairwise(turns):
        if before == after:
            raise BadRow("turns_not_alternating", f"two {after} turns in a row; join them into one")
