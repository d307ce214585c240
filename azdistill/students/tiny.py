"""A tiny stand-in for a student, for rehearsals: the architecture of the real one, and a tokenizer of the rows at hand.

It has no weights: they are drawn when it is loaded.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

FALLBACK = "LlamaForCausalLM"
CAUSAL = ("ForCausalLM", "LMHeadModel")
"""How the classes end that take the sizes below; others hold several models, each with sizes of its own."""

SIZES = {"hidden_size": 64, "num_hidden_layers": 2}
OTHER_SIZES = {
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 32_768,
    "num_experts": 4,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
}
"""Those of all families together: a family passes over what it has no use for."""

VOCABULARY, SPARE = 2000, 16
"""Pieces of the tokenizer, and ids that are left for marks which a family's own tokenizer adds when it is loaded."""

PAD, END, ROLES = "<|pad|>", "<|end|>", ("<|system|>", "<|user|>", "<|assistant|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message.role + '|>' + message.content + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def write_tiny_student(folder: Path, architecture: str | None, texts: Iterable[str]) -> None:
    """Write config and tokenizer. An architecture that transformers doesn't have, or that is no plain causal
    language model, becomes a Llama; config.json says which one it is."""
    tokenizer = byte_level_tokenizer(texts)
    (_config(architecture, tokenizer) or _config(FALLBACK, tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _config(architecture: str | None, tokenizer: Any) -> Any:
    """None when there is no such architecture, or none of these sizes."""
    import transformers

    model = getattr(transformers, architecture, None) if architecture and architecture.endswith(CAUSAL) else None
    if model is None:
        return None
    config = model.config_class(
        architectures=[architecture],
        vocab_size=len(tokenizer) + SPARE,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **SIZES,
        **OTHER_SIZES,
    )
    return config if all(getattr(config, name, None) == size for name, size in SIZES.items()) else None


def byte_level_tokenizer(texts: Iterable[str], vocabulary: int = VOCABULARY, pieces: str | None = None) -> Any:
    """A byte-level BPE of these texts with a chat template: any text can be written in it, and theirs in about as
    many tokens as a real student's tokenizer would make of them. `pieces` is a regular expression for what merges
    never cross; None takes GPT-2's."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    in_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pieces is None)
    cut = [pre_tokenizers.Split(Regex(pieces), behavior="isolated")] if pieces else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*cut, in_bytes]) if cut else in_bytes
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
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
