"""Write the students of the jobs in this folder, and train their teacher on teacher.jsonl.

    python pipelines/signals/make_models.py --data pipelines/signals/data

All are Llamas. The teacher has the tokenizer of `student`, which white-box distillation needs; `other_student` has
another one, for benchmarks/signals_study.py. The students have config and tokenizer, no weights.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from transformers import LlamaConfig

from azdistill import fine_tune_student
from azdistill.students.tiny import byte_level_tokenizer

QUICKSTART_STUDENT = Path(__file__).parents[1] / "quickstart" / "student"

# The smaller vocabulary has parts of words in place of many words.
VOCABULARY, OTHER_VOCABULARY = 500, 440

STUDENT = {"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 2, "head_dim": 32}
TEACHER = {"hidden_size": 96, "intermediate_size": 288, "num_hidden_layers": 4, "head_dim": 48}
TRAINING = {"weights": "random", "learning_rate": 2e-3, "batch_size": 32, "num_epochs": 4, "max_length": 128}

# Fraction of the teacher's rows that choose its best weights.
HELD_OUT = 0.05


def write_untrained(folder: Path, tokenizer: Any, sizes: dict[str, int]) -> Path:
    """Config and tokenizer of the quickstart's student in another size."""
    config = LlamaConfig.from_pretrained(QUICKSTART_STUDENT)
    tokens = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config.update({"vocab_size": len(tokenizer), **tokens, **sizes})
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that generate.py wrote")
    data = parser.parse_args().data
    rows = [json.loads(line) for line in (data / "teacher.jsonl").read_text(encoding="utf-8").splitlines()]
    texts = [turn["content"] for row in rows for turn in row["messages"]]
    tokenizer = byte_level_tokenizer(texts, VOCABULARY)
    write_untrained(data / "student", tokenizer, STUDENT)
    write_untrained(data / "other_student", byte_level_tokenizer(texts, OTHER_VOCABULARY), STUDENT)
    untrained = write_untrained(data / "untrained_teacher", tokenizer, TEACHER)
    count = round(HELD_OUT * len(rows))
    tuned = fine_tune_student(untrained, rows[count:], rows[:count], hyperparameters=TRAINING)
    tuned.save(data / "teacher")


if __name__ == "__main__":
    main()
