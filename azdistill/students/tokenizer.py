"""A student's tokenizer, ready to write conversations."""

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from azdistill.contracts.errors import DataError
from azdistill.students.folders import tokenizer_part
from azdistill.students.problems import reading


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a student's folder; padding goes to the left, so that answers end side by side.

    Raises DataError for one that can't be loaded, can't write, or has no chat template.
    """
    place = tokenizer_part(folder)
    with reading(folder, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(
            place, local_files_only=True, trust_remote_code=False, padding_side="left"
        )
    if not tokenizer("a", add_special_tokens=False)["input_ids"]:  # so transformers takes a missing tokenizer.json
        raise DataError(
            f"student {str(folder)!r}: its tokenizer has no vocabulary; copy tokenizer.json to {str(place)!r}"
        )
    if not tokenizer.chat_template:
        raise DataError(f"student {str(folder)!r}: its tokenizer has no chat_template; take a chat or instruct model")
    if tokenizer.pad_token_id is None:  # never read: masked in training, cut off in generation
        tokenizer.pad_token_id = tokenizer.eos_token_id or 0
    return tokenizer
