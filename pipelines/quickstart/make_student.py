"""Write the quickstart's student: a Llama's config and a tokenizer trained on the generated text; no weights.

python pipelines/quickstart/make_student.py --data pipelines/quickstart/data --out pipelines/quickstart/student
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from transformers import LlamaConfig, PreTrainedTokenizerFast

from azdistill.simulate.experts import support
from azdistill.students.tiny import byte_level_tokenizer

VOCABULARY = 900

# Words, punctuation, and digits in pairs: the pieces `#48` and `21` of an unseen order number are in the vocabulary.
PIECES = r" ?#?\p{N}{1,2}| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+"


def student_config(tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    """A Llama config of about 330,000 parameters, scaled to train fast from random weights."""
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


def tokenizer_texts(data: Path) -> Iterator[str]:
    """Every turn of the training rows, and the sentences of the policy. Test rows are not read."""
    yield from support.QUESTIONS.values()
    yield from (f"Order #10: {verdict}" for verdict in support.VERDICTS.values())
    for line in (data / "training_data.jsonl").read_text(encoding="utf-8").splitlines():
        yield from (message["content"] for message in json.loads(line)["messages"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that generate.py wrote")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    options = parser.parse_args()
    tokenizer = byte_level_tokenizer(tokenizer_texts(options.data), VOCABULARY, PIECES)
    tokenizer.save_pretrained(options.out)
    student_config(tokenizer).save_pretrained(options.out)


if __name__ == "__main__":
    main()
