"""A stand-in that draws from the answers that a job gives."""

from collections import Counter

from tests.simulate.asking import chats

TEXTS = ("billing", "delivery", "returns")


def answers(simulated, **options):
    found = simulated(lambda session: chats(session, 120, temperature=0), examples=TEXTS, **options)
    return [reply["choices"][0]["message"]["content"] for _, _, reply in found]


def test_each_row_gets_one_of_the_examples_again_and_again_and_a_wrong_answer_is_another(simulated):
    drawn, wrong = answers(simulated), answers(simulated, wrong_rate=1.0)
    assert drawn == answers(simulated)
    assert min(Counter(drawn)[text] for text in TEXTS) > 20
    assert all(pair[0] != pair[1] for pair in zip(drawn, wrong, strict=True))
