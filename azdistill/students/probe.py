"""A text that shows whether another tokenizer is the student's."""

from typing import Any

from azdistill.contracts.scoring import TokenizerProbe
from azdistill.students.template import end_of_turn_id

# Words, numbers, code, white space and several scripts: tokenizers of different families split these differently.
TEXT = (
    "The quick brown fox didn't pay 1,234.50 EUR in 2024.\n\n    def area(r):\treturn 3.14159 * r ** 2  # comment\n"
    "naïve façade, Übergröße; mulțumesc, спасибо, 你好世界, こんにちは 🙂"
)


def tokenizer_probe(tokenizer: Any) -> TokenizerProbe:
    """The probe of a tokenizer: TEXT, and the token that ends a turn."""
    text = TEXT + tokenizer.convert_ids_to_tokens(end_of_turn_id(tokenizer))
    ids = tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
    return TokenizerProbe(text, ids, tuple(tokenizer.decode([token]) for token in ids))
