"""The tiny student of a dry run has the architecture of the real student and can be trained."""

from pathlib import Path

import pytest
import torch

from azdistill.contracts.rows import Message
from azdistill.job.catalog import built_in
from azdistill.students.loading import load_student
from azdistill.students.template import tokenize_rows
from azdistill.students.tiny import FALLBACK, VOCABULARY_SIZE, write_tiny_student

TEXTS = ["Where is my order 4711?", "It arrived broken.", "Schöne Grüße \N{WAVING HAND SIGN}"]
ARCHITECTURES = sorted({facts.architecture for facts in built_in().students.values() if facts.architecture})
TURNS = [
    Message(role="system", content="Be brief."),
    Message(role="user", content="Where is my order 4711?"),
    Message(role="assistant", content="On its way \N{DELIVERY TRUCK}."),
]


@pytest.mark.parametrize(
    "architecture", [*ARCHITECTURES, "MistralForCausalLM", "Qwen3MoeForCausalLM", "GPT2LMHeadModel"]
)
def test_it_is_a_small_model_of_the_architecture_and_has_gradients(tmp_path: Path, architecture: str) -> None:
    write_tiny_student(tmp_path, architecture, TEXTS)
    student = load_student(tmp_path, "random", seed=1)
    assert type(student.model).__name__ == architecture
    assert sum(weight.numel() for weight in student.model.parameters()) < 3_000_000
    (row,) = tokenize_rows(student.tokenizer, [TURNS])
    ids = torch.tensor([row.input_ids])
    student.model(input_ids=ids, labels=ids).loss.backward()
    assert student.tokenizer.decode(row.input_ids[-row.num_target_tokens :]) == f"{TURNS[-1].content}<|end|>"


def test_its_template_has_all_roles_and_its_tokenizer_can_encode_any_text(tmp_path: Path) -> None:
    write_tiny_student(tmp_path, "LlamaForCausalLM", TEXTS)
    tokenizer = load_student(tmp_path, "random").tokenizer
    (row,) = tokenize_rows(tokenizer, [TURNS])
    assert tokenizer.decode(row.input_ids) == (
        "<|system|>Be brief.<|end|><|user|>Where is my order 4711?<|end|>"
        "<|assistant|>On its way \N{DELIVERY TRUCK}.<|end|>"
    )
    assert row.input_ids[-1] == tokenizer.eos_token_id
    assert len(tokenizer) <= VOCABULARY_SIZE


@pytest.mark.parametrize("architecture", [None, "PhoenixForCausalLM", "Gemma3ForConditionalGeneration", "BertModel"])
def test_an_unsupported_architecture_becomes_a_llama(tmp_path: Path, architecture: str | None) -> None:
    write_tiny_student(tmp_path, architecture, TEXTS)
    assert type(load_student(tmp_path, "random").model).__name__ == FALLBACK


def test_the_same_texts_give_the_same_files(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_tiny_student(tmp_path / name, "Phi3ForCausalLM", TEXTS)
    first, second = ({path.name: path.read_bytes() for path in (tmp_path / n).iterdir()} for n in ("first", "second"))
    assert first == second
