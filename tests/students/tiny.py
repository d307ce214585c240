"""Students with a few thousand random weights: configs of real architectures, copies of real chat templates."""

import itertools
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast, set_seed
from transformers.utils import logging

from azdistill.contracts.rows import Message

logging.disable_progress_bar()  # `write` below must not print to the stderr that a test reads

SPECIAL = (
    "<pad> <s> </s> <|im_start|> <|im_end|> <|user|> <|assistant|> <|system|> <|end|> <|endoftext|> "
    "<start_of_turn> <end_of_turn>"
).split()

# SmolLM2 and Qwen2.
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

# Phi-4-mini: the complete text ends with one more special token than the answer does.
PHI = (
    "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}"
)

# Gemma 2.
GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{{ '<start_of_turn>' + m.role + '\n' + m.content | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>assistant\n' }}{% endif %}"
)

# Qwen3.
THINKING = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}"
    "{% if m.role == 'assistant' and loop.last %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{{ m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is defined and enable_thinking is false %}"
    "{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}"
)

# The students of DeepSeek-R1: the prompt opens a thinking block that the template drops from finished answers.
REASONING = (
    "{% for m in messages %}{% if m.role == 'assistant' %}"
    "{{ '<|assistant|>' + m.content.split('</think>')[-1] + '</s>' }}"
    "{% else %}{{ '<|user|>' + m.content }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|><think>\n' }}{% endif %}"
)

SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.2,
}

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {"model_type": "llama"},
    "smollm": {"model_type": "llama", "tie_word_embeddings": True},
    "phi3": {"model_type": "phi3"},
    "qwen2": {"model_type": "qwen2"},
    "qwen3": {"model_type": "qwen3", "head_dim": 8},
    "gemma2": {"model_type": "gemma2", "head_dim": 8, "sliding_window": 16, "query_pre_attn_scalar": 8},
    "gemma3": {"model_type": "gemma3_text", "head_dim": 8, "sliding_window": 16, "query_pre_attn_scalar": 8},
}


def tokenizer(template: str | None = CHATML, eos: str | None = "<|im_end|>", **tokens: Any) -> PreTrainedTokenizerFast:
    """A tokenizer of single bytes and the special tokens of all families. `tokens`: bos_token, pad_token, ..."""
    pieces = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    byte_level = Tokenizer(models.BPE(vocab={piece: number for number, piece in enumerate(pieces)}, merges=[]))
    byte_level.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    byte_level.decoder = decoders.ByteLevel()
    byte_level.add_special_tokens(SPECIAL)
    options = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": eos, "chat_template": template, **tokens}
    options = {name: value for name, value in options.items() if value}
    return PreTrainedTokenizerFast(tokenizer_object=byte_level, **options)


def config(architecture: str, **changed: Any) -> Any:
    size = len(SPECIAL) + 256
    ids = {"vocab_size": size, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 4}
    return AutoConfig.for_model(**{**SIZES, **ids, **ARCHITECTURES[architecture], **changed})


def model(architecture: str, seed: int = 0, **changed: Any) -> Any:
    set_seed(seed)
    return AutoModelForCausalLM.from_config(config(architecture, **changed)).eval()


def write(folder: Path, architecture: str = "smollm", weights: bool = True, seed: int = 0, **changed: Any) -> Path:
    """Write a student to `folder`; without weights only its config and tokenizer."""
    tokenizer().save_pretrained(folder)
    if weights:
        model(architecture, seed, **changed).save_pretrained(folder)
    else:
        config(architecture, **changed).save_pretrained(folder)
    return folder


def turns(*contents: str, system: str | None = None) -> tuple[Message, ...]:
    """A conversation in which user and assistant alternate."""
    first = (Message(role="system", content=system),) if system is not None else ()
    roles = itertools.cycle(("user", "assistant"))
    return (*first, *(Message(role=next(roles), content=content) for content in contents))
