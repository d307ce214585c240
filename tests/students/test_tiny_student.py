"""The tiny student of a dry run: of the family that is asked for, and a model like any other."""

from pathlib import Path

import pytest
import torch

from azdistill.contracts.rows import Message
from azdistill.job.models import BUILT_IN
from azdistill.students.loading import load_student
from azdistill.students.template import encode_rows
from azdistill.students.tiny import FALLBACK, VOCABULARY, write_tiny_student

TEXTS = ["Where is my order 4711?", "It arrived broken.", "Schöne Grüße \N{WAVING HAND SIGN}"]
FAMILIES = sorted({facts.architecture for facts in BUILT_IN.students.values() if facts.architecture})
TURNS = [
    Message(role="system", content="Be brief."),
    Message(role="user", content="Where is my order 4711?"),
    Message(role="assistant", content="On its way \N{DELIVERY TRUCK}."),
]


@pytest.mark.parametrize("family", [*FAMILIES, "MistralForCausalLM", "Qwen3MoeForCausalLM", "GPT2LMHeadModel"])
def test_it_is_a_small_model_of_the_family_that_learns(tmp_path: Path, family: str) -> None:
    write_tiny_student(tmp_path, family, TEXTS)
    student = load_student(tmp_path, "random", seed=1)
    assert type(student.model).__name__ == family
    assert sum(weight.numel() for weight in student.model.parameters()) < 3_000_000
    (row,) = encode_rows(student.tokenizer, [TURNS])
    ids = torch.tensor([row.ids])
    student.model(input_ids=ids, labels=ids).loss.backward()
    assert student.tokenizer.decode(row.ids[-row.learned :]) == f"{TURNS[-1].content}<|end|>"


def test_its_template_has_all_roles_and_any_text_comes_back(tmp_path: Path) -> None:
    write_tiny_student(tmp_path, "LlamaForCausalLM", TEXTS)
    tokenizer = load_student(tmp_path, "random").tokenizer
    (row,) = encode_rows(tokenizer, [TURNS])
    text = tokenizer.decode(row.ids)
    assert text == (
        "<|system|>Be brief.<|end|><|user|>Where is my order 4711?<|end|>"
        "<|assistant|>On its way \N{DELIVERY TRUCK}.<|end|>"
    )
    assert row.ids[-1] == tokenizer.eos_token_id
    assert len(tokenizer) <= VOCABULARY


@pytest.mark.parametrize("family", [None, "PhoenixForCausalLM", "Gemma3ForConditionalGeneration", "BertModel"])
def test_what_is_no_plain_language_model_here_becomes_a_llama(tmp_path: Path, family: str | None) -> None:
    write_tiny_student(tmp_path, family, TEXTS)
    assert type(load_student(tmp_path, "random").model).__name__ == FALLBACK


def test_the_same_rows_make_the_same_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_tiny_student(tmp_path / name, "Phi3ForCausalLM", TEXTS)
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two
