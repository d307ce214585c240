"""Write the quickstart's data: conversations with a shop's support desk, the same bytes for the same seed.

    python pipelines/quickstart/generate.py --out pipelines/quickstart/data

Training rows have no answer; test rows have the policy's answer as `gold`.
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

# Fraction of conversations that end before the desk has all facts.
UNFINISHED = 0.1

OPENINGS = (
    "Hi, I need help with order #{order}.",
    "Hello, this is about order #{order}.",
    "I have a problem with my order #{order}.",
    "Can you help me? My order is #{order}.",
    "I want to return something from order #{order}.",
)

# A few items of each kind, so that a small student sees each often enough to learn its kind.
SOLD = tuple(item for items in support.KINDS.values() for item in items[:3])

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

# Ranges of weeks since delivery, drawn evenly, between which the policy distinguishes.
PERIODS = ((2, 4), (5, 8), (9, 14))

THANKS = ("", "", "", "Thanks.")

Chat = tuple[Message, ...]


def conversations(rng: random.Random) -> Iterator[Chat]:
    """Generate distinct conversations without end. The order number is never in the last turn."""
    seen: set[Chat] = set()
    while True:
        chat = _conversation(rng)
        if chat not in seen:
            seen.add(chat)
            yield chat


def _conversation(rng: random.Random) -> Chat:
    """A conversation: the customer states some facts, and the desk asks for missing ones until it can decide."""
    customer_says = _customer(rng)
    patience = 1 if rng.random() < UNFINISHED else len(support.QUESTIONS)
    chat = (_message("system", SYSTEM), _message("user", _opening(customer_says, rng)))
    while (fact := support.missing(support.read_case(chat))) and patience:
        reply = " ".join(filter(None, (rng.choice(THANKS), customer_says(fact))))
        chat = (*chat, _message("assistant", support.QUESTIONS[fact]), _message("user", reply))
        patience -= 1
    return chat


def _customer(rng: random.Random) -> Callable[[support.Fact], str]:
    """A random case, as a function from a fact to the customer's words for it."""
    condition, member = rng.choice(tuple(CONDITIONS)), rng.random() < 0.5
    wording: Mapping[support.Fact, str] = {
        "order": rng.choice(OPENINGS).format(order=rng.randint(1000, 9999)),
        "item": rng.choice(ITEMS).format(item=rng.choice(SOLD)),
        "days": rng.choice(WEEKS).format(weeks=rng.randint(*rng.choice(PERIODS))),
        "condition": rng.choice(CONDITIONS[condition]),
        "member": rng.choice(MEMBERS[member]),
    }
    return wording.__getitem__


def _opening(customer_says: Callable[[support.Fact], str], rng: random.Random) -> str:
    """The order number and at most two more facts, so that at least one fact is missing."""
    others: list[support.Fact] = [fact for fact in ("item", "days", "condition") if rng.random() < 0.5][:2]
    return " ".join(customer_says(fact) for fact in ("order", *others))


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
