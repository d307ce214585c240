"""A simulated teacher that draws its answers from examples of the job."""

from collections import Counter

from tests.simulate.chat import chats

TEXTS = ("billing", "delivery", "returns")


def answers(simulated, **options):
    responses = simulated(lambda session: chats(session, 120, temperature=0), examples=TEXTS, **options)
    return [reply["choices"][0]["message"]["content"] for _, _, reply in responses]


def test_each_row_always_gets_the_same_example_and_a_wrong_answer_is_another_one(simulated):
    drawn, wrong = answers(simulated), answers(simulated, wrong_rate=1.0)
    assert drawn == answers(simulated)
    assert min(Counter(drawn)[text] for text in TEXTS) > 20
    assert all(pair[0] != pair[1] for pair in zip(drawn, wrong, strict=True))
