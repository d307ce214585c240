"""chrF and ROUGE: published values, values that can be worked out by hand, and other scripts than Latin."""

import pytest
from sacrebleu.metrics import CHRF

from azdistill.metrics import chrf, form, rouge
from azdistill.metrics.metric import ModelAnswer, RowMetric
from azdistill.tasks import conversation
from azdistill.tasks.texts import words


def answer(text: str, reference: str | None) -> ModelAnswer:
    references = () if reference is None else (reference,)
    return ModelAnswer(text, True, text, references, references, None, conversation)


def rouge_of(text: str, reference: str) -> dict[str, float | None]:
    return {metric.name: metric.score(answer(text, reference)) for metric in rouge.METRICS}


def test_rouge_is_that_of_the_paper() -> None:
    """Lin (2004), section 3: of `police kill the gunman`, 3 of 4 words in order, and 1 of 3 pairs."""
    scores = rouge_of("police kill the gunman", "police killed the gunman")
    assert scores == {"rouge1": 0.75, "rouge2": pytest.approx(1 / 3, abs=1e-6), "rougeL": 0.75}
    assert rouge_of("the gunman kill police", "police killed the gunman")["rougeL"] == 0.5


@pytest.mark.parametrize(
    ("text", "reference", "rouge1"),
    [
        ("猫坐在垫子上", "猫坐在桌子上", 5 / 6),
        ("Größe und Maß", "GRÖSSE und Mass", 1.0),
        ("привет, мир", "Привет мир!", 1.0),
        ("नमस्ते दुनिया", "नमस्ते दोस्त", 0.5),
        ("", "a", 0.0),
    ],
)
def test_rouge_reads_words_of_any_script(text: str, reference: str, rouge1: float) -> None:
    assert rouge_of(text, reference)["rouge1"] == pytest.approx(rouge1, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's 3.5 km_away!", "it s 3 5 km away"),
        ("नमस्ते दुनिया", "नमस्ते दुनिया"),
        ("中A文", "中 a 文"),
        ("カタカナ", "カ タ カ ナ"),
        ("ﬁne ①", "fine 1"),
        ("한국어 단어", "한국어 단어"),
        ("¡Olé!", "olé"),
        ("— … »", ""),
    ],
)
def test_words_of_a_text(text: str, expected: str) -> None:
    assert words(text) == expected.split()


def test_chrf_is_that_of_sacrebleu() -> None:
    pairs = [("The cat sat on the mat.", "The cat sat on a mat."), ("Something else.", "Nothing at all")]
    answers = [answer(*pair) for pair in pairs]
    corpus = chrf.corpus(answers)
    assert corpus
    assert corpus.value == round(CHRF().corpus_score([pairs[0][0], pairs[1][0]], [[pairs[0][1], pairs[1][1]]]).score, 4)
    assert {"nrefs:1", "nc:6", "nw:0"} <= set(corpus.details["signature"].split("|"))
    assert chrf.sentence(answers[0]) == round(CHRF().sentence_score(pairs[0][0], [pairs[0][1]]).score / 100, 6)


def test_the_same_text_scores_1_and_another_script_0() -> None:
    assert chrf.sentence(answer("Straße 7", "Straße 7")) == 1
    assert chrf.sentence(answer("猫", "cat")) == chrf.sentence(answer("", "cat")) == 0


def test_reasoning_is_not_part_of_the_text_that_is_compared() -> None:
    assert chrf.sentence(answer("<think>The cat? No.</think>\nA dog.", "A dog.")) == 1
    assert rouge_of("<think>The cat? No.</think>\nA dog.", "A dog.")["rouge1"] == 1


def test_rows_without_a_reference_do_not_count() -> None:
    assert chrf.sentence(answer("a", None)) is None
    assert rouge.METRICS[0].score(answer("a", None)) is None
    assert chrf.corpus([answer("a", None)]) is None


def form_of(text: str, complete: bool = True, valid: bool = True, reference: str = "a b c d") -> dict[str, object]:
    answer = ModelAnswer(
        text, complete, text if complete and valid else None, (reference,), (reference,), None, conversation
    )
    values = {metric.name: metric.score(answer) for metric in form.METRICS if isinstance(metric, RowMetric)}
    ratio = form.length_ratio([answer])
    return values | {"length_ratio": ratio and ratio.value}


@pytest.mark.parametrize(
    ("answered", "expected"),
    [
        (form_of("a b c d"), {"ended": True, "unparseable": False, "repetition": 0, "length_ratio": 1}),
        (form_of("a", valid=False), {"ended": True, "unparseable": True, "repetition": None, "length_ratio": 0.1429}),
        (form_of("a b a b a b a b", complete=False), {"ended": False, "unparseable": None, "repetition": 0.6}),
        (form_of("<think>a b c d e</think>a b", reference=""), {"ended": True, "length_ratio": None}),
    ],
)
def test_the_form_of_an_answer(answered: dict[str, object], expected: dict[str, object]) -> None:
    assert {name: answered[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("I'm sorry, but I can't assist with that.", True),
        ("I\u2019m sorry, but I can\u2019t assist with that.", True),
        ("  I cannot help you with this request.", True),
        ("i can't provide instructions for that", True),
        ("As an AI language model, I don't do that.", True),
        ("It's not appropriate to share this.", True),
        ("<think>I can't say this.</think>Sure, here is a tutorial.", False),
        ("<think>Sure.</think>I apologize, no.", True),
        ("Sure! I'm sorry it took so long.", False),
        ("The answer is 4; I cannot think of another.", False),
        ("", False),
    ],
)
def test_a_refusal_begins_as_refusals_do(text: str, refused: bool) -> None:
    assert form.refused(answer(text, None)) is refused
