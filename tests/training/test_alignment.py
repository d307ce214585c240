"""Alignment of a teacher's log probabilities with the student's tokens."""

import numpy as np
import pytest

from azdistill.students.tiny import byte_level_tokenizer
from azdistill.teacher.logprobs_writer import LogprobsWriter, TokenLogprobs
from azdistill.training.alignment import Aligner, TokenBytes
from azdistill.training.teacher_logprobs import TeacherLogprobs
from tests.students import tiny
from tests.students.families import FAMILIES

KEY = "ab" * 32
WORDS = byte_level_tokenizer(["Paris, the", "Rome, the"] * 99, vocabulary_size=320)


def logprobs(folder, *positions):
    """Log probabilities of one answer: at each position the chosen token first, and the probability of each."""
    likely = [[(token, float(np.log(probability))) for token, probability in row.items()] for row in positions]
    with LogprobsWriter(folder, top=3) as writer:
        tokens = [row[0][0] for row in likely]
        writer.add(KEY, TokenLogprobs(tokens, [row[0][1] for row in likely], likely))
    return TeacherLogprobs(folder)


def targets(tokenizer, answer):
    return [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]


def probabilities(tokenizer, top_k):
    """Of each position, the likely tokens as bytes."""
    tokens = TokenBytes(tokenizer).of_id
    return [
        {tokens[index]: round(float(np.exp(value)), 2) for index, value in zip(ids, values, strict=True) if index >= 0}
        for ids, values in zip(top_k.ids, top_k.logprobs.astype(float), strict=True)
    ]


def test_the_same_tokens_are_aligned_up_to_the_end_token(tmp_path):
    teacher = logprobs(tmp_path, {b"Paris": 0.7, b"Rome": 0.2}, {b",": 0.9, b" the": 0.05}, {b" the": 0.6, b"?!": 0.3})
    top_k = Aligner(teacher, WORDS).align(KEY, targets(WORDS, "Paris, the"))
    assert probabilities(WORDS, top_k) == [
        {b"Paris": 0.7, b"Rome": 0.2}, {b",": 0.9, b" the": 0.05}, {b" the": 0.6}, {},
    ]  # fmt: skip


def test_a_student_with_other_tokens_gets_those_that_align(tmp_path):
    """The student of single bytes has the comma, but neither `Paris` nor ` the`."""
    teacher = logprobs(tmp_path, {b"Paris": 0.7, b"R": 0.2}, {b",": 0.9, b";": 0.05}, {b" the": 0.6})
    tokenizer = tiny.tokenizer()
    aligned = probabilities(tokenizer, Aligner(teacher, tokenizer).align(KEY, targets(tokenizer, "Paris, the")))
    assert aligned == [{}] * 5 + [{b",": 0.9, b";": 0.05}] + [{}] * 5


def test_white_space_before_an_answer_is_no_part_of_it(tmp_path):
    teacher = logprobs(tmp_path, {b" Paris": 0.7, b" Rome": 0.2, b"Rome": 0.1}, {b",": 0.9})
    top_k = Aligner(teacher, WORDS).align(KEY, targets(WORDS, "Paris,"))
    assert probabilities(WORDS, top_k) == [{b"Paris": 0.7, b"Rome": 0.2}, {b",": 0.9}, {}]


def test_parts_of_a_character_and_text_before_the_answer(tmp_path):
    teacher = logprobs(tmp_path, {b"\xc3": 0.8, b"e": 0.1}, {b"\xa9": 1.0})
    tokenizer = tiny.tokenizer()
    aligned = probabilities(tokenizer, Aligner(teacher, tokenizer).align(KEY, targets(tokenizer, "<think>é")))
    assert aligned[-3:] == [{b"\xc3": 0.8, b"e": 0.1}, {b"\xa9": 1.0}, {}]


@pytest.mark.parametrize(("key", "answer"), [(None, "Paris"), ("cd" * 32, "Paris"), (KEY, "Rome"), (KEY, "")])
def test_another_answer_is_not_aligned(tmp_path, key, answer):
    aligner = Aligner(logprobs(tmp_path, {b"Paris": 0.7}), WORDS)
    assert aligner.align(key, targets(WORDS, answer)) is None


@pytest.mark.parametrize("family", FAMILIES)
def test_the_tokens_of_each_family_spell_the_text(family):
    tokenizer = FAMILIES[family]()
    tokens = TokenBytes(tokenizer)
    text = "the one" if family == "unigram" else "The caf\u00e9 costs 12.50,\n\u6f22\u5b57 \U0001f600 ok"
    encoded = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert b"".join(tokens.of_id[index] for index in encoded).strip() == text.encode()
    assert tokens.of_id[tokenizer.eos_token_id] is None
