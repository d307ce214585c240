"""BLEU: the published value, and one that can be worked out by hand."""

import pytest
from sacrebleu.metrics import BLEU

from azdistill.metrics.bleu import bleu

ANSWERS = ["The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."]
REFERENCES = [
    ["The dog bit the man.", "It was not unexpected.", "The man bit him first."],
    ["The dog had bit the man.", "No one was surprised.", "The man had bitten the dog."],
]


def test_the_metric_underneath_gives_the_value_its_authors_publish():
    assert BLEU().corpus_score(ANSWERS, REFERENCES).score == pytest.approx(48.53, abs=0.005)


def test_with_several_references_it_is_the_published_value():
    assert bleu(ANSWERS, list(zip(*REFERENCES, strict=True))).value == pytest.approx(48.53, abs=0.005)
    fewer = [(REFERENCES[0][0], REFERENCES[1][0]), *((text,) for text in REFERENCES[0][1:])]
    assert bleu(ANSWERS, fewer).details["signature"].startswith("nrefs:var|")


@pytest.mark.parametrize("references", REFERENCES)
def test_with_one_reference_a_row_it_is_sacrebleu_to_four_digits(references):
    assert bleu(ANSWERS, [[text] for text in references]).value == round(
        BLEU().corpus_score(ANSWERS, [references]).score, 4
    )


def test_one_word_of_seven_amiss_is_worked_out_by_hand():
    """6/7 words, 5/6 pairs, 4/5 triples and 3/4 quadruples agree: their geometric mean is (3/7)^(1/4)."""
    score = bleu(["the cat sat on the mat today"], [["the cat sat on the mat yesterday"]])
    assert score.value == round(100 * (3 / 7) ** 0.25, 4)
    assert {"nrefs:1", "case:mixed", "tok:13a", "smooth:exp"} <= set(score.details["signature"].split("|"))


def test_a_short_answer_pays_for_its_brevity():
    """All of four words are right, of a reference of eight: exp(1 - 8/4)."""
    assert bleu(["a b c d"], [["a b c d e f g h"]]).value == pytest.approx(36.7879)


@pytest.mark.parametrize("answers", [[""], ["x"]])
def test_nothing_in_common_is_nothing(answers):
    assert bleu(answers, [["a b c d"]]).value == 0


def test_no_rows_have_no_bleu():
    assert bleu([], []) is None


def test_one_word_labels_have_a_bleu_and_sentences_the_published_one():
    labels = ["neutral", "entailment", "neutral", "neutral"]
    assert bleu(labels, [["neutral"]] * 4).value == 75
    published = BLEU(effective_order=False).corpus_score(ANSWERS, [REFERENCES[0]]).score
    assert bleu(ANSWERS, [[text] for text in REFERENCES[0]]).value == round(published, 4)
