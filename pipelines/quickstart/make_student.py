"""Write the quickstart's student: a Llama's config and a tokenizer trained on the generated text; no weights.

python pipelines/quickstart/make_student.py --data pipelines/quickstart/data --out pipelines/quickstart/student
"""

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, PreTrainedTokenizerFast

from azdistill.simulate.experts import support

PAD, END, ROLES = "<|pad|>", "<|end|>", ("<|system|>", "<|user|>", "<|assistant|>")
VOCABULARY = 900
PIECES = r" ?#?\p{N}{1,2}| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+"
"""Words, marks, and digits by twos: `#48` and `21` of an order number that was never seen are known pieces."""

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message.role + '|>' + message.content + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def student_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE of these texts: any text can be written in it, and theirs in few tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
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


def student_config(tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    """A Llama of a third of a million parameters, whose weights and positions are scaled to learn fast from nothing."""
    return LlamaConfig(
        architectures=["LlamaForCausalLM"],
        vocab_size=len(tokenizer),
        hidden_size=96,
        intermediate_size=288,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=0.05,
        rope_parameters={"rope_type": "default", "rope_theta": 100.0},
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def spoken(data: Path) -> Iterator[str]:
    """Every turn of the rows to learn from, and the wordings of the policy. Test rows stay unseen."""
    yield from support.QUESTIONS.values()
    yield from (f"Order #10: {verdict}" for verdict in support.VERDICTS.values())
    for line in (data / "training_data.jsonl").read_text(encoding="utf-8").splitlines():
        yield from (message["content"] for message in json.loads(line)["messages"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that generate.py wrote")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    options = parser.parse_args()
    tokenizer = student_tokenizer(spoken(options.data))
    tokenizer.save_pretrained(options.out)
    student_config(tokenizer).save_pretrained(options.out)


if __name__ == "__main__":
    main()
