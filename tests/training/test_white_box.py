"""White-box teachers: frozen models that read the student's tokens."""

import re

import pytest
import torch
from transformers import AutoTokenizer

from azdistill.contracts.errors import DataError
from azdistill.students.loading import load_student
from azdistill.training.white_box import load_teacher
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


def test_a_folder_without_a_model_is_named(loaded, tmp_path):
    with pytest.raises(DataError, match=re.escape(f"white-box teacher {str(tmp_path)!r}: no ")):
        load_teacher(tmp_path, loaded)
