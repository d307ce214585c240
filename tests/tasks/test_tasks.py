"""Extraction and comparison of answers in each task."""

import time

import pytest

from azdistill.tasks.registry import TASKS, task_of
from azdistill.tasks.task import BadRow

LABELS = [
    ("Entailment.", "entailment"),
    ("The premise entails the hypothesis.", "entailment"),
    ("This is not entailment; it contradicts the premise.", "contradiction"),
    ("It could be neutral or entailment. Answer: neutral", "neutral"),
    ("**Label:** contradiction", "contradiction"),
    ("<think>entailment? no, neutral</think>neutral", "neutral"),
    ("neutral or entailment", None),
    ("The premise does not necessarily entail the hypothesis.", None),
    ("It is never entailed.", None),
    ("It can't be entailed.", None),
    ("It's not a contradiction or entailment; neutral", "neutral"),
    ("neither entailment nor contradiction: neutral", "neutral"),
    ("This is not neutral but entailment", "entailment"),
    ("The premise does not say it, so the label is neutral.", "neutral"),
    ("No, it is a contradiction.", "contradiction"),
    ("<think>entailment, or is it", None),
    ("I can't say.", None),
    ("", None),
]


@pytest.mark.parametrize(("text", "label"), LABELS)
def test_nli_reads_the_one_label_that_is_meant(text, label):
    assert TASKS["nli"].answer(text) == label


TWO_WAY = [
    ("not_entailment", "not_entailment"),
    ("Entailment.", "entailment"),
    ("Not entailment.", "not_entailment"),
    ("non-entailment", "not_entailment"),
    ("Answer: **not_entailment**", "not_entailment"),
    ("The premise does not necessarily entail the hypothesis.", "not_entailment"),
    ("It cannot be entailed.", "not_entailment"),
    ("The label is entailment, not not_entailment.", "entailment"),
    ("entailment or not_entailment", None),
    ("yes", None),
]


@pytest.mark.parametrize(("text", "label"), TWO_WAY)
def test_a_job_may_set_two_labels(text, label):
    assert task_of("nli", labels="entailment,not_entailment").answer(text) == label


def test_labels_are_read_as_written_in_rows_and_answers():
    task = task_of("nli", labels="no,yes")
    rows = [{"sentence1": "It rains.", "sentence2": "x", "label": label} for label in (0, 1, "Yes")]
    assert [task.case(row).gold for row in rows] == ["no", "yes", "yes"]
    assert [task.answer(text) for text in ("No, it does not.", "Yes!", "Nothing I know", "yes or no")] == [
        *("no", "yes", None, None),
    ]


def test_qnli_asks_whether_the_sentence_answers_the_question():
    row = {"question": "Who wrote it?", "sentence": "Ada wrote it.", "label": 0, "idx": 7}
    case = task_of("nli", labels="entailment,not_entailment").case(row)
    assert case.gold == "entailment"
    assert case.messages[0].content.endswith("Answer with one word: entailment or not_entailment.")
    with pytest.raises(BadRow) as raised:
        TASKS["nli"].case(row)
    assert raised.value.reason == "label_order"
    mnli = {"sentence1": "It rains.", "sentence2": "x", "label": 1}
    assert task_of("nli", labels="entailment,neutral,contradiction").case(mnli).gold == "neutral"


@pytest.mark.parametrize(
    "text",
    [
        "1e99999999",
        "9" * 10_000,
        "9" * 4300 + "e99",
        "\\boxed{" * 3000,
        "1," * 20_000,
        "answer is " * 5000,
        "\\[ " * 5000,
    ],
)
def test_no_text_is_slow_to_read(text):
    TASKS["math"].answer("x + 1")  # starts the process of math-verify
    started = time.perf_counter()
    for task in TASKS.values():
        task.answer(text)
    assert time.perf_counter() - started < 1.0


def test_a_label_of_many_digits_is_a_bad_row():
    with pytest.raises(BadRow):
        TASKS["nli"].case({"premise": "It rains.", "hypothesis": "x", "label": "9" * 5000})


@pytest.mark.parametrize(
    ("task", "text", "reference", "is_correct"),
    [
        ("conversation", "Order 7:  refund\nAPPROVED", "order 7: refund approved", True),
        ("conversation", "Order 7: refund approved", "Order 8: refund approved", False),
        ("qa", "The Eiffel Tower.", "eiffel tower", True),
        ("qa", "Answer: A", "a", True),
        ("qa", "The answer is Paris", "Paris", True),
        ("qa", "Lyon", "Paris", False),
        ("nli", "it entails", "entailment", True),
        ("summarization", "The cat sat on the mat today", "Today the cat sat on a mat", True),
        ("summarization", "Stocks fell in Tokyo", "The cat sat on the mat", False),
    ],
)
def test_equal_answers_are_correct(task, text, reference, is_correct):
    module = TASKS[task]
    assert module.correct(module.answer(text), module.answer(reference)) is is_correct


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("text", ["", "  \n ", "<think>never ends"])
def test_an_empty_text_is_no_answer(task, text):
    """In qa an empty text says that there is no answer, as in SQuAD 2."""
    expected = "no answer" if task == "qa" and not text.strip() else None
    assert TASKS[task].answer(text) == expected


def test_options_are_part_of_the_question():
    case = TASKS["qa"].case({"question": "Where?", "choices": ["Rome", "Paris"], "answer": 1})
    assert case.messages[0].content == "Where?\nA) Rome\nB) Paris\nAnswer with the letter of the right option."


def test_only_a_data_set_with_unanswerable_questions_asks_for_no_answer():
    passage = {"question": "Where?", "context": "In Paris."}
    for answers, asks in [({"answers": []}, True), ({"answers": ["Paris"]}, True), ({"answer": "Paris"}, False)]:
        text = TASKS["qa"].case(passage | answers).messages[0].content
        assert ("no answer" in text) is asks


# fmt: off
CASES = [
    ("nli", {"premise": "It rains.", "hypothesis": "It is wet.", "label": 0}, "entailment"),
    ("nli", {"sentence1": "It rains.", "sentence2": "It is dry.", "gold_label": "contradiction"}, "contradiction"),
    ("nli", {"premise": "It rains.", "hypothesis": "It is wet.", "label": -1}, None),
    ("nli", {"premise": "It rains.", "hypothesis": "It is wet."}, None),
    ("nli", {"sentence1": "It rains.", "sentence2": "It is wet.", "label": "Entailment"}, "entailment"),
    ("qa", {"question": "Where?", "context": "In Paris.", "answer": "Paris"}, "Paris"),
    ("qa", {"question": "Where?", "answers": {"text": ["Paris", "the city"], "answer_start": [3, 3]}},
     ("Paris", "the city")),
    ("qa", {"question": "Where?", "answers": {"text": ["Paris", "Paris"], "answer_start": [3, 3]}}, "Paris"),
    ("qa", {"question": "Where?", "answers": {"text": [], "answer_start": []}}, "no answer"),
    ("qa", {"question": "Where?", "answers": []}, "no answer"),
    ("qa", {"question": "Where?", "answer": None}, None),
    ("qa", {"question": "Where?", "answer": ["Paris", "Paname"]}, ("Paris", "Paname")),
    ("qa", {"question": "Who?", "answer": {"value": "Lewis", "aliases": ["H. S. Lewis"]}}, ("Lewis", "H. S. Lewis")),
    ("qa", {"question": "Where?", "choices": ["Rome", "Paris"], "answer": 1}, "B) Paris"),
    ("qa", {"question": "Where?", "choices": {"text": ["Rome", "Paris"], "label": ["1", "2"]}, "answerKey": "2"},
     "B) Paris"),
    ("qa", {"question": "Where?", "options": {"A": "Rome", "B": "Paris"}, "answer_idx": "B", "answer": "Paris"},
     "B) Paris"),
    ("qa", {"question": "Where?", "options": ["Rome", "Paris"], "answer": "Paris"}, "B) Paris"),
    ("qa", {"question": "Where?", "options": ["Rome", "Paris"]}, None),
    ("math", {"question": "2+2?", "answer": 4}, "4"),
    ("math", {"problem": "2+2?", "solution": "so \\boxed{4}"}, "so \\boxed{4}"),
    ("summarization", {"document": "A long tale.", "summary": "A tale."}, "A tale."),
    ("conversation", {"prompt": "Hello", "response": "Hi"}, "Hi"),
    ("conversation", {"prompt": "Hello", "response": ["Hi", "Hey"]}, ("Hi", "Hey")),
]
# fmt: on


@pytest.mark.parametrize(("task", "record", "gold"), CASES)
def test_natural_fields_become_a_question(task, record, gold):
    case = TASKS[task].case(record)
    assert [message.role for message in case.messages] == ["user"]
    assert case.gold == gold
    first = next(iter(record.values()))
    assert first in case.messages[0].content


@pytest.mark.parametrize(
    ("task", "record", "reason"),
    [
        ("nli", {"premise": "It rains."}, "missing_field"),
        ("nli", {"premise": "It rains.", "hypothesis": "x", "label": "maybe"}, "unknown_label"),
        ("nli", {"premise": "It rains.", "hypothesis": "x", "label": 3}, "unknown_label"),
        ("nli", {"premise": "It rains.", "hypothesis": "x", "label": "not_entailment"}, "unknown_label"),
        ("nli", {"sentence1": "It rains.", "sentence2": "x", "label": 1}, "label_order"),
        ("qa", {"question": " "}, "empty_content"),
        ("qa", {"question": ["Where?"]}, "not_text"),
        ("qa", {"question": "Where?", "answers": [None]}, "not_text"),
        ("qa", {"question": "Where?", "choices": ["Rome"], "answer": 0}, "no_options"),
        ("qa", {"question": "Where?", "choices": "Rome or Paris", "answer": 0}, "no_options"),
        ("qa", {"question": "Where?", "choices": ["Rome", "Paris"], "answer": 2}, "unknown_option"),
        ("qa", {"question": "Where?", "choices": ["Rome", "Paris"], "answerKey": "3"}, "unknown_option"),
        ("math", {"question": True}, "not_text"),
        ("summarization", {"text": "half \ud83d a smile"}, "not_unicode"),
        ("conversation", {}, "missing_field"),
    ],
)
def test_a_row_without_its_fields_says_which(task, record, reason):
    with pytest.raises(BadRow) as found:
        TASKS[task].case(record)
    assert found.value.reason == reason
