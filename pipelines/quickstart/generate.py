"""Write the quickstart's data: conversations with a shop's support desk, the same bytes for the same seed.

    python pipelines/quickstart/generate.py --out pipelines/quickstart/data

Training rows wait for the teacher; test rows carry the policy's answer as `gold`.
"""

import argparse
import json
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from azdistill.contracts.files import write_text
from azdistill.contracts.rows import Message, Role
from azdistill.simulate.experts import support

TRAIN_ROWS, TEST_ROWS = 5000, 500
SYSTEM = "You are the support desk of a shop."
UNFINISHED = 0.1
"""The part of conversations that end while the desk still has to ask."""

OPENINGS = (
    "Hi, I need help with order #{order}.",
    "Hello, this is about order #{order}.",
    "I have a problem with my order #{order}.",
    "Can you help me? My order is #{order}.",
    "I want to return something from order #{order}.",
)
SOLD = tuple(item for items in support.KINDS.values() for item in items[:3])
"""A few of each kind, so that a small student meets each often enough to learn what kind it is."""

ITEMS = ("It is the {item}.", "The {item} is not for me.", "I ordered the {item}.", "It is about the {item}.")
WEEKS = ("It arrived {weeks} weeks ago.", "I got it {weeks} weeks ago.", "That was {weeks} weeks ago.")
CONDITIONS: Mapping[support.Condition, tuple[str, ...]] = {
    "broken": ("It is broken.", "It broke.", "It is faulty.", "It arrived damaged."),
    "sealed": ("It is still sealed.", "It is unopened."),
    "opened": ("I have opened it.", "It was opened.", "I have used it once."),
}
MEMBERS: Mapping[bool, tuple[str, ...]] = {
    True: ("Yes, I am.", "I am a member.", "Yes."),
    False: ("No, I am not.", "I am not a member.", "No."),
}
PERIODS = ((2, 4), (5, 8), (9, 14))
"""Weeks since delivery, drawn evenly from what the policy tells apart."""

THANKS = ("", "", "", "Thanks.")

Chat = tuple[Message, ...]


def conversations(luck: random.Random) -> Iterator[Chat]:
    """Conversations without end, none twice. The order number is never in the last turn."""
    seen: set[Chat] = set()
    while True:
        chat = _conversation(luck)
        if chat not in seen:
            seen.add(chat)
            yield chat


def _conversation(luck: random.Random) -> Chat:
    """The customer says some facts, the desk asks for what it still needs, until it can decide."""
    tell = _teller(luck)
    patience = 1 if luck.random() < UNFINISHED else len(support.QUESTIONS)
    chat = (_message("system", SYSTEM), _message("user", _opening(tell, luck)))
    while (fact := support.missing(support.read_case(chat))) and patience:
        reply = " ".join(filter(None, (luck.choice(THANKS), tell(fact))))
        chat = (*chat, _message("assistant", support.QUESTIONS[fact]), _message("user", reply))
        patience -= 1
    return chat


def _teller(luck: random.Random) -> Callable[[support.Fact], str]:
    """How this customer words each fact of a case that is drawn here."""
    condition, member = luck.choice(tuple(CONDITIONS)), luck.random() < 0.5
    said: Mapping[support.Fact, str] = {
        "order": luck.choice(OPENINGS).format(order=luck.randint(1000, 9999)),
        "item": luck.choice(ITEMS).format(item=luck.choice(SOLD)),
        "days": luck.choice(WEEKS).format(weeks=luck.randint(*luck.choice(PERIODS))),
        "condition": luck.choice(CONDITIONS[condition]),
        "member": luck.choice(MEMBERS[member]),
    }
    return said.__getitem__


def _opening(tell: Callable[[support.Fact], str], luck: random.Random) -> str:
    """The order number, and at most two facts more: something is always left to ask."""
    more: list[support.Fact] = [fact for fact in ("item", "days", "condition") if luck.random() < 0.5][:2]
    return " ".join(tell(fact) for fact in ("order", *more))


def _message(role: Role, content: str) -> Message:
    return Message(role=role, content=content)


def rows(seed: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Training rows without an answer, and test rows with the policy's; no conversation is in both."""
    chats = conversations(random.Random(seed))
    training = [_row(next(chats)) for _ in range(TRAIN_ROWS)]
    test = [_row(chat) | {"gold": support.answer(chat)} for chat, _ in zip(chats, range(TEST_ROWS), strict=False)]
    return training, test


def _row(chat: Chat) -> dict[str, Any]:
    return {"messages": [message.model_dump() for message in chat]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    for name, written in zip(("training_data", "test_data"), rows(options.seed), strict=True):
        write_text(options.out / f"{name}.jsonl", "".join(json.dumps(row) + "\n" for row in written))


if __name__ == "__main__":
    main()
