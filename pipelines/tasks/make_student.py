"""Write the student of the jobs in this folder: the quickstart's config, and a tokenizer trained on their rows.

python pipelines/tasks/make_student.py --out pipelines/tasks/student
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from transformers import LlamaConfig

from azdistill.students.tiny import byte_level_tokenizer

HERE = Path(__file__).parent
QUICKSTART_STUDENT = HERE.parent / "quickstart" / "student"
VOCABULARY = 2000

# Words and single digits: a student that sees few rows learns whole words sooner than their parts.
PIECES = r" ?\p{N}| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+"


def texts() -> Iterator[str]:
    """The lines of all training files and of the stored answers."""
    for path in (*sorted(HERE.glob("*/train.*")), HERE / "conversation" / "answers.jsonl"):
        yield from path.read_text(encoding="utf-8").splitlines()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    out = parser.parse_args().out
    tokenizer = byte_level_tokenizer(texts(), VOCABULARY, PIECES)
    config = LlamaConfig.from_pretrained(QUICKSTART_STUDENT)
    config.vocab_size = len(tokenizer)
    config.eos_token_id, config.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    config.save_pretrained(out)
    tokenizer.save_pretrained(out)


if __name__ == "__main__":
    main()
