"""The files of a saved student have the form of transformers 5, and what older readers expect."""

import copy
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GenerationConfig

from azdistill.students.loading import load_student
from tests.students import families, tiny
from tests.students.test_folders import mlflow_layout

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
LONGROPE = {"type": "longrope", "short_factor": [1.0, 1.1, 1.2], "long_factor": [1.0, 2.0, 4.0]}
LINEAR = {"rope_type": "linear", "factor": 8.0}

# Family: architecture, fields of config.json as transformers 4.57 and the authors of the models write them.
CONFIGS = {
    "qwen2.5": ("qwen2", {"rope_theta": 1e6}),
    "qwen3": ("qwen3", {"rope_theta": 1e6, "tie_word_embeddings": True}),
    "llama-3": ("llama", {"rope_theta": 5e5, "rope_scaling": LLAMA3, "tie_word_embeddings": True}),
    "phi-4-mini": (
        "phi3",
        {
            "rope_theta": 1e4,
            "partial_rotary_factor": 0.75,
            "original_max_position_embeddings": 64,
            "rope_scaling": LONGROPE,
        },
    ),
    "gemma-3": ("gemma3", {"rope_theta": 1e6, "rope_local_base_freq": 2e4, "rope_scaling": LINEAR}),
}


def family(folder: Path, name: str) -> Path:
    """A student of a family with a few thousand random weights."""
    architecture, fields = copy.deepcopy(CONFIGS[name])  # transformers adds fields to them
    tokenizer = families.family_tokenizer(name)
    tokenizer.save_pretrained(folder)
    ends = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id}
    tiny.model(architecture, vocab_size=len(tokenizer), **ends, **fields).save_pretrained(folder)
    return folder


def read(path: Path):
    return json.loads(path.read_text())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", CONFIGS)
def test_both_forms_of_a_config_mean_the_same(tmp_path, name):
    student = load_student(family(tmp_path / "base", name), dtype="float32")
    student.save(tmp_path / "saved", "float16")
    config = read(tmp_path / "saved" / "config.json")
    expected = {"dtype": "float16", "torch_dtype": "float16", "use_cache": True, **CONFIGS[name][1]}
    assert {field: config.get(field) for field in expected} == expected
    loaded = load_student(tmp_path / "saved", dtype="float32")
    assert loaded.model.config.rope_parameters == student.model.config.rope_parameters
    assert loaded.model.config.rope_parameters
    assert type(loaded.tokenizer) is type(student.tokenizer)
    GenerationConfig.from_pretrained(tmp_path / "saved").validate(strict=True)
    loaded.save(tmp_path / "again", "float16")
    assert contents(tmp_path / "again") == contents(tmp_path / "saved")
    assert not any(str(tmp_path).encode() in content for content in contents(tmp_path / "saved").values())


def base_of_older_version(folder: Path) -> Path:
    """A student whose tokenizer has the files that transformers 4.57 writes."""
    tiny.write(folder, "phi3")
    tokens = {str(number): {"content": token, "special": True} for number, token in enumerate(tiny.SPECIAL)}
    flags = dict.fromkeys(("lstrip", "normalized", "rstrip", "single_word"), False)
    config = {
        "tokenizer_class": "GPT2Tokenizer",
        "add_bos_token": False,
        "bos_token": "<s>",
        "eos_token": "<|im_end|>",
        "additional_special_tokens": ["<|user|>", "<|end|>"],
        "added_tokens_decoder": {number: {**token, **flags} for number, token in tokens.items()},
        "auto_map": {"AutoTokenizer": ["tokenization_phi3.Phi3Tokenizer", None]},
        "chat_template": tiny.CHATML,
    }
    (folder / "chat_template.jinja").unlink()
    vocab = read(folder / "tokenizer.json")["model"]["vocab"]
    files = {
        "tokenizer_config.json": config,
        "vocab.json": vocab,
        "added_tokens.json": {token: number for number, token in enumerate(tiny.SPECIAL)},
        "special_tokens_map.json": {"bos_token": "<s>", "eos_token": {"content": "<|im_end|>", **flags}},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer.model").write_bytes(b"\x0a\x0b pieces")
    return folder


VOCABULARY = ("tokenizer.model", "vocab.json", "merges.txt", "added_tokens.json")
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", *VOCABULARY)


@pytest.mark.parametrize("layout", ["plain", "mlflow"])
def test_every_file_of_the_tokenizer_is_kept(tmp_path, layout):
    base = base_of_older_version(tmp_path / "base")
    original, files = read(base / "tokenizer_config.json"), contents(base)
    folder = base if layout == "plain" else mlflow_layout(base, tmp_path / "mlflow", files=TOKENIZER)
    student = load_student(folder, dtype="float32")
    assert type(student.tokenizer) is type(load_student(base).tokenizer)
    student.save(tmp_path / "saved", "float32")
    saved = tmp_path / "saved"
    assert {name: (saved / name).read_bytes() for name in VOCABULARY} == {name: files[name] for name in VOCABULARY}
    expected = read(base / "special_tokens_map.json") | {"pad_token": "<|im_end|>"}
    assert read(saved / "special_tokens_map.json") == expected

    config = read(saved / "tokenizer_config.json")
    same = ("tokenizer_class", "add_bos_token", "additional_special_tokens", "added_tokens_decoder")
    assert {name: config[name] for name in same} == {name: original[name] for name in same}
    assert (config["extra_special_tokens"], config["pad_token"]) == ({}, "<|im_end|>")
    assert config["chat_template"] == (saved / "chat_template.jinja").read_text() == student.tokenizer.chat_template
    assert not {"auto_map", "is_local", "local_files_only", "backend"} & {*config}
    assert not any(str(tmp_path).encode() in content for content in contents(saved).values())


def test_a_student_is_saved_over_its_base(tmp_path):
    folder = base_of_older_version(tmp_path / "base")
    before = contents(folder)
    load_student(folder, dtype="float32").save(folder, "float32")
    assert {name: (folder / name).read_bytes() for name in VOCABULARY} == {name: before[name] for name in VOCABULARY}
    config = read(folder / "tokenizer_config.json")
    assert (config["tokenizer_class"], config["add_bos_token"]) == ("GPT2Tokenizer", False)


def test_no_tokenizer_class_of_transformers_5_is_saved(tmp_path):
    folder = tiny.write(tmp_path / "base")
    assert read(folder / "tokenizer_config.json")["tokenizer_class"] == "TokenizersBackend"
    tokenizer = tiny.tokenizer(extra_special_tokens=["<|end|>", "<|user|>"])
    tokenizer.save_pretrained(folder)
    load_student(folder).save(tmp_path / "saved", "float32")
    config = read(tmp_path / "saved" / "tokenizer_config.json")
    assert config["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert config["model_input_names"] == ["input_ids", "attention_mask"]
    assert (config["extra_special_tokens"], config["additional_special_tokens"]) == ({}, ["<|end|>", "<|user|>"])


@pytest.mark.parametrize("different", [True, False])
def test_the_tie_flag_says_what_the_weights_are(tmp_path, different):
    """transformers 5 loads a head that differs from the embeddings, whatever the flag says. Others tie them by it."""
    base = tiny.write(tmp_path / "base", "smollm")
    if different:
        weights = load_file(base / "model.safetensors")
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"] * 2
        save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    assert read(base / "config.json")["tie_word_embeddings"] is True
    student = load_student(base, dtype="float32")
    student.save(tmp_path / "saved", "float32")
    assert read(tmp_path / "saved" / "config.json")["tie_word_embeddings"] is not different
    saved = load_file(tmp_path / "saved" / "model.safetensors")
    assert ("lm_head.weight" in saved) is different
    loaded = load_student(tmp_path / "saved", dtype="float32").model
    assert torch.equal(loaded.lm_head.weight, student.model.lm_head.weight)


def test_code_of_the_base_is_not_referred_to(tmp_path):
    base = tiny.write(tmp_path / "base", "phi3")
    config = read(base / "config.json") | {"auto_map": {"AutoConfig": "configuration_phi3.Phi3Config"}}
    (base / "config.json").write_text(json.dumps(config))
    load_student(base).save(tmp_path / "saved", "float32")
    assert "auto_map" not in read(tmp_path / "saved" / "config.json")
