"""Tokenizers of the catalog's families: their kind of vocabulary, their control tokens and a template of their form.

The templates in `templates/` are written after those in the public repositories of the models, without tools and
images.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

TEMPLATES = Path(__file__).parent / "templates"

TEXTS = [
    "Is it so?\n\nPerhaps, perhaps not. It is what it is.\n",
    "def f(x):\n    return x + 1\n\n\nprint(f(41))  # 42",
    "user assistant system model SYSTEM Q ANSWER <think> </think> Today Date: 26 Jul 2024",
    "Schöne Grüße 漢字 | im_end im_start end of sentence eot_id /s start_of_turn",
]

QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CHATML = ("<|im_start|>", "<|im_end|>")


def byte_level(special: Sequence[str], plain: Sequence[str] = (), **names: Any) -> PreTrainedTokenizerFast:
    """Byte-level BPE, in which line breaks merge with one another and with what comes before them."""
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(QWEN_SPLIT), behavior="isolated")
    byte_pieces = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_pieces])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=500, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TEXTS * 3, trainer)
    return _with_tokens(tokenizer, special, plain, **names)


def sentencepiece(
    special: Sequence[str], plain: Sequence[str] = (), space: str = "none", **names: Any
) -> PreTrainedTokenizerFast:
    """BPE of whole texts with byte fallback, as in SentencePiece. The first piece of a text gets a space before it
    with `space="first"`; with `space="each"`, as in Llama 2, so does each piece between control tokens."""
    trained = Tokenizer(models.BPE())
    metaspace = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
    trained.pre_tokenizer = metaspace
    trained.train_from_iterator(TEXTS * 3, trainers.BpeTrainer(vocab_size=500, show_progress=False))
    learned = trained.get_vocab()
    pieces = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *sorted(learned, key=learned.__getitem__)]
    vocab = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(
        models.BPE(vocab=vocab, merges=_merges(trained), unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    if space == "each":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        scheme = "first" if space == "first" else "never"
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
    strip = [] if space == "none" else [decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    return _with_tokens(tokenizer, special, plain, unk_token="<unk>", **names)


def unigram(special: Sequence[str], **names: Any) -> PreTrainedTokenizerFast:
    """Unigram, whose vocabulary holds the control tokens as pieces too."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    alphabet = [chr(code) for code in range(32, 127)] + ["\n"]
    trainer = trainers.UnigramTrainer(
        vocab_size=400,
        initial_alphabet=alphabet,
        special_tokens=["<unk>", *special],
        unk_token="<unk>",
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS * 3, trainer)
    return _with_tokens(tokenizer, special, unk_token="<unk>", **names)


def _merges(trained: Tokenizer) -> list[tuple[str, str]]:
    return [tuple(pair) for pair in json.loads(trained.to_str())["model"]["merges"]]


def _with_tokens(
    tokenizer: Tokenizer, special: Sequence[str], plain: Sequence[str] = (), rstrip: Sequence[str] = (), **names: Any
) -> PreTrainedTokenizerFast:
    # Those of Phi-3 absorb the white space after them.
    tokens = [AddedToken(text, special=True, normalized=False, rstrip=text in rstrip) for text in special]
    tokenizer.add_special_tokens(tokens)
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in plain])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, clean_up_tokenization_spaces=False, **names)


THINK = ("<think>", "</think>")
PHI = ("<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
HEADERS = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
TURNS = ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>")
DEEPSEEK = ("<|begin_of_sentence|>", "<|end_of_sentence|>", "<|User|>", "<|Assistant|>")

# By the names of the catalog's students, of which they are the beginnings; the last ones aren't in the catalog.
FAMILIES = {
    "smollm2": lambda: byte_level(("<|endoftext|>", *CHATML), eos_token="<|im_end|>"),
    "qwen2.5": lambda: byte_level(("<|endoftext|>", *CHATML), eos_token="<|im_end|>"),
    "qwen3": lambda: byte_level(("<|endoftext|>", *CHATML), THINK, eos_token="<|im_end|>"),
    "llama-3": lambda: byte_level(HEADERS, bos_token="<|begin_of_text|>", eos_token="<|eot_id|>"),
    "phi-3-mini": lambda: sentencepiece(
        ("<s>", *PHI), space="each", rstrip=PHI[1:], bos_token="<s>", eos_token="<|endoftext|>"
    ),
    "phi-3.5-mini": lambda: sentencepiece(("<s>", *PHI), space="first", rstrip=PHI[1:], eos_token="<|endoftext|>"),
    "phi-4-mini": lambda: byte_level(PHI, eos_token="<|endoftext|>"),
    "phi-4": lambda: byte_level(("<|endoftext|>", *CHATML, "<|im_sep|>"), eos_token="<|im_end|>"),
    "gemma-3": lambda: sentencepiece(TURNS, ("\n\n", "</s>"), bos_token="<bos>", eos_token="<eos>"),
    "deepseek-r1": lambda: byte_level(
        DEEPSEEK, THINK, bos_token="<|begin_of_sentence|>", eos_token="<|end_of_sentence|>"
    ),
    "unigram": lambda: unigram(("<s>", "</s>", *CHATML), bos_token="<s>", eos_token="</s>"),
}
FILES = {"phi-3-mini": "phi3", "phi-3.5-mini": "phi3.5", "phi-4-mini": "phi4-mini", "phi-4": "phi4"} | {
    "llama-3": "llama3",
    "gemma-3": "gemma3",
    "unigram": "smollm2",
}


def family_tokenizer(family: str) -> PreTrainedTokenizerFast:
    """A new tokenizer of a family, with its template as its authors publish it."""
    tokenizer = FAMILIES[family]()
    tokenizer.chat_template = (TEMPLATES / f"{FILES.get(family, family)}.jinja").read_text()
    return tokenizer
