"""Write config and tokenizer of a student so that transformers 4.57, vLLM and llama.cpp's converter read them too.

transformers 5 writes both in a form of its own: transformers 4.57 doesn't have the tokenizer's class, and doesn't see
the parameters of rotary position embeddings, in whose place it uses its defaults. llama.cpp's converter reads the kinds
of tokens from tokenizer_config.json, and a SentencePiece vocabulary from tokenizer.model. Every reader ignores fields
that it doesn't know, so the files have the fields of both forms.
"""

import copy
import shutil
from pathlib import Path
from typing import Any

from azdistill.contracts.files import read_json, write_json

CONFIG, TOKENIZER_CONFIG, SPECIAL_TOKENS = "config.json", "tokenizer_config.json", "special_tokens_map.json"

# Files of a tokenizer that transformers 5 reads, but writes as tokenizer.json only.
VOCABULARY_FILES = (
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tekken.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "added_tokens.json",
    SPECIAL_TOKENS,
)

# Options of `from_pretrained` that transformers saves, its reader of tokenizer.json, and code that is never run.
NOT_SAVED = ("is_local", "local_files_only", "trust_remote_code", "backend", "auto_map")

# Fields of tokenizer_config.json that transformers 5 drops.
DROPPED = ("add_bos_token", "add_eos_token")

# Fields of a token in tokenizer_config.json.
TOKEN_FIELDS = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")


def save_config(model: Any, folder: Path, dtype: str) -> None:
    """Write config.json of a model whose weights are saved as `dtype`."""
    config = copy.deepcopy(model.config)
    head = model.get_output_embeddings()
    for section in {id(section): section for section in (config, config.get_text_config())}.values():
        section.dtype = dtype
        # transformers 5 leaves the flag of a base whose head differs from its embeddings; others would tie them.
        section.tie_word_embeddings = head is not None and head.weight is model.get_input_embeddings().weight
    config.save_pretrained(folder)
    saved = read_json(folder / CONFIG)
    write_json(folder / CONFIG, _with_older_fields({key: saved[key] for key in saved if key != "auto_map"}))


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Write a tokenizer and its chat template, and copy the files of its base that transformers 5 doesn't write."""
    base = Path(tokenizer.name_or_path or folder)
    original = _read(base / TOKENIZER_CONFIG)
    tokenizer.save_pretrained(folder)
    config = _tokenizer_config(read_json(folder / TOKENIZER_CONFIG), original, tokenizer)
    write_json(folder / TOKENIZER_CONFIG, config)
    for name in VOCABULARY_FILES:
        if (base / name).is_file() and base.resolve() != folder.resolve():
            shutil.copyfile(base / name, folder / name)
    if special := _read(folder / SPECIAL_TOKENS):
        write_json(folder / SPECIAL_TOKENS, {"pad_token": tokenizer.pad_token, **special})


def _with_older_fields(config: dict[str, Any]) -> dict[str, Any]:
    """Add the fields that transformers 4.57 and older versions read."""
    sections = {name: _with_older_fields(config[name]) for name in ("text_config",) if config.get(name)}
    rope = config.get("rope_parameters") or {}
    full = rope.get("full_attention") or rope
    local = rope.get("sliding_attention") or {}
    older = {
        "torch_dtype": config.get("dtype"),
        "rope_theta": full.get("rope_theta"),
        "partial_rotary_factor": full.get("partial_rotary_factor"),
        "rope_scaling": _rope_scaling(full, config.get("model_type")),
        "rope_local_base_freq": local.get("rope_theta"),
    }
    return config | sections | {name: value for name, value in older.items() if value is not None}


def _rope_scaling(rope: dict[str, Any], model_type: str | None) -> dict[str, Any] | None:
    kind = rope.get("rope_type", "default")
    if kind == "default":
        return None
    if model_type == "phi3":  # transformers 4.57 accepts exactly these fields
        return {"type": kind, "short_factor": rope["short_factor"], "long_factor": rope["long_factor"]}
    return {name: value for name, value in rope.items() if name not in ("rope_theta", "partial_rotary_factor")}


def _tokenizer_config(saved: dict[str, Any], original: dict[str, Any], tokenizer: Any) -> dict[str, Any]:
    config = {name: value for name, value in saved.items() if name not in NOT_SAVED}
    config |= {name: original[name] for name in DROPPED if name in original}
    name = original.get("tokenizer_class") or saved["tokenizer_class"]
    config["tokenizer_class"] = "PreTrainedTokenizerFast" if name == "TokenizersBackend" else name
    config["chat_template"] = tokenizer.chat_template
    config["model_input_names"] = tokenizer.model_input_names  # 4.57 adds token_type_ids, which no decoder accepts
    config["added_tokens_decoder"] = {
        str(number): {field: getattr(token, field) for field in TOKEN_FIELDS}
        for number, token in sorted(tokenizer.added_tokens_decoder.items())
    }
    # A list in transformers 5, names and their tokens in 4.57.
    named = original.get("extra_special_tokens")
    config["extra_special_tokens"] = named if isinstance(named, dict) else {}
    config["additional_special_tokens"] = [str(token) for token in tokenizer.extra_special_tokens]
    return config


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = read_json(path) if path.is_file() else {}
    return content
