"""A tiny student for dry runs: the architecture of the real one, and a tokenizer trained on the job's own rows.

It has no weights: they are initialized at random when it is loaded.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

FALLBACK = "LlamaForCausalLM"

# Suffixes of the classes that accept the sizes below. Others, such as vision models, consist of several models.
SUPPORTED_SUFFIXES = ("ForCausalLM", "LMHeadModel")

SIZES = {"hidden_size": 64, "num_hidden_layers": 2}

# The sizes of all architectures: a config ignores those that it does not have.
OPTIONAL_SIZES = {
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 32_768,
    "num_experts": 4,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
}

VOCABULARY_SIZE = 2000

# Embeddings for the special tokens that the tokenizer class of an architecture adds when it is loaded.
SPARE_EMBEDDINGS = 16

PAD, END, ROLES = "<|pad|>", "<|end|>", ("<|system|>", "<|user|>", "<|assistant|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message.role + '|>' + message.content + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def write_tiny_student(folder: Path, architecture: str | None, texts: Iterable[str]) -> None:
    """Write config and tokenizer.

    An architecture that transformers doesn't have, or that isn't a causal language model, becomes a Llama; config.json
    names the one that was used.
    """
    tokenizer = byte_level_tokenizer(texts)
    (_config(architecture, tokenizer) or _config(FALLBACK, tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _config(architecture: str | None, tokenizer: Any) -> Any:
    """The config of a small model; None for an architecture that is unknown or doesn't have the fields of SIZES."""
    import transformers

    if architecture is None or not architecture.endswith(SUPPORTED_SUFFIXES):
        return None
    model_class = getattr(transformers, architecture, None)
    if model_class is None:
        return None
    config = model_class.config_class(
        architectures=[architecture],
        vocab_size=len(tokenizer) + SPARE_EMBEDDINGS,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **SIZES,
        **OPTIONAL_SIZES,
    )
    return config if all(getattr(config, name, None) == size for name, size in SIZES.items()) else None


def byte_level_tokenizer(
    texts: Iterable[str], vocabulary_size: int = VOCABULARY_SIZE, split_pattern: str | None = None
) -> Any:
    """Train a byte-level BPE tokenizer with a chat template.

    It encodes any text, and `texts` in about as many tokens as the tokenizer of a real student. `split_pattern` is a
    regular expression for the pieces that merges never cross; None is the pattern of GPT-2.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=split_pattern is None)
    if split_pattern is None:
        tokenizer.pre_tokenizer = byte_level
    else:
        split = pre_tokenizers.Split(Regex(split_pattern), behavior="isolated")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[PAD, END, *ROLES],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        extra_special_tokens=list(ROLES),
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )
