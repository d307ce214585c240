"""A stand-in that draws from the answers that a job gives."""

import json
import urllib.request
from collections import Counter

from azdistill.contracts.rows import Message
from azdistill.contracts.teacher import Simulation
from azdistill.simulate.experts.examples import Examples
from azdistill.simulate.process import running

TEXTS = ("billing", "delivery", "returns")


def asked(number: int) -> list[Message]:
    return [Message(role="user", content=f"ticket {number}")]


def test_each_row_gets_one_of_the_examples_again_and_again() -> None:
    one, other = Examples(TEXTS, seed=1), Examples(TEXTS, seed=1)
    drawn = [one.answer(asked(number)) for number in range(300)]
    assert drawn == [other.answer(asked(number)) for number in range(300)]
    assert min(Counter(drawn)[text] for text in TEXTS) > 60


def test_a_wrong_answer_is_another_of_them() -> None:
    expert = Examples(TEXTS, seed=1)
    assert all(
        expert.wrong_answer(asked(number)) in set(TEXTS) - {expert.answer(asked(number))} for number in range(50)
    )


def test_a_stand_in_with_examples_draws_from_them() -> None:
    body = json.dumps({"model": "m", "messages": [turn.model_dump() for turn in asked(0)]}).encode()
    with running(Simulation(examples=TEXTS, latency_ms=0)) as url:
        request = urllib.request.Request(f"{url}/v1/chat/completions", body, {"Content-Type": "application/json"})
        reply = json.load(urllib.request.urlopen(request, timeout=5))
    assert reply["choices"][0]["message"]["content"] in TEXTS
