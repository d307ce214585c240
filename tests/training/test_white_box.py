"""White-box teachers: frozen models that read the student's tokens."""

import re

import pytest
import torch
from tokenizers import pre_tokenizers
from transformers import AutoTokenizer

from azdistill.contracts.errors import DataError
from azdistill.students.loading import load_student
from azdistill.students.probe import TEXT
from azdistill.students.tiny import byte_level_tokenizer
from azdistill.training.white_box import load_teacher, shared_vocabulary
from tests.students import tiny

TOKENS = len(tiny.tokenizer())


@pytest.fixture(scope="module")
def loaded(student):
    return load_student(student)


def test_a_teacher_is_frozen_and_may_have_more_padding_and_no_chat_template(loaded, tmp_path):
    folder = tiny.write(tmp_path, "llama", hidden_size=48, vocab_size=TOKENS + 20)
    (folder / "chat_template.jinja").unlink()
    teacher = load_teacher(folder, loaded, weight=0.5, dtype="bfloat16")
    assert (teacher.vocabulary, teacher.weight, teacher.model.dtype) == (TOKENS, 0.5, torch.bfloat16)
    assert not teacher.model.training
    assert not any(weight.requires_grad for weight in teacher.model.parameters())


def test_a_tokenizer_with_more_tokens_at_its_end_shares_the_others(loaded, tmp_path):
    folder = tiny.write(tmp_path, "llama", vocab_size=TOKENS + 20)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<tool>", "<call>"])
    tokenizer.save_pretrained(folder)
    assert load_teacher(folder, loaded).vocabulary == TOKENS
    with_more = load_student(folder)
    assert load_teacher(tiny.write(tmp_path / "fewer", "llama"), with_more).vocabulary == TOKENS


def test_another_tokenizer_is_refused(loaded, tmp_path):
    folder = tiny.write(tmp_path, "llama")
    text = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(
        text.replace('"a": ', '"swap": ').replace('"b": ', '"a": ').replace('"swap": ', '"b": ')
    )
    message = f"white-box teacher {str(folder)!r}: its tokenizer is not that of the student: token "
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        load_teacher(folder, loaded)
    assert "is 'b', and 'a' for the student" in str(caught.value)


@pytest.mark.parametrize("sizes", [(270, 290), (290, 270)])
def test_a_tokenizer_with_more_merges_is_refused_though_its_tokens_are_the_same(tmp_path, sizes):
    """The tokens of the smaller one are the first of the other, and none of the later ones is in the test text."""
    tokenizers = [byte_level_tokenizer(["xylophones puzzle jazzy wizards"] * 3, size) for size in sizes]
    assert tokenizers[0].tokenize(TEXT) == tokenizers[1].tokenize(TEXT)
    with pytest.raises(DataError, match=r"it splits a text into \[.*\], and that of the student into \[") as caught:
        shared_vocabulary(*tokenizers, tmp_path)
    assert caught.value.problems[0].code == "other_tokenizer"


def test_a_tokenizer_that_splits_at_other_places_is_refused(tmp_path):
    teacher, student = (byte_level_tokenizer(["234 50"] * 3, 264) for _ in range(2))
    single_digits = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    teacher.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(single_digits)
    with pytest.raises(DataError, match="it splits a text into"):
        shared_vocabulary(teacher, student, tmp_path)


def test_a_folder_without_a_model_is_named(loaded, tmp_path):
    with pytest.raises(DataError, match=re.escape(f"white-box teacher {str(tmp_path)!r}: no ")):
        load_teacher(tmp_path, loaded)
