"""One turn of a conversation with a student."""

from collections.abc import Sequence

from azdistill.contracts.rows import Message
from azdistill.generation.generate import generate
from azdistill.students.loading import Student
from azdistill.students.template import encode_prompts


def chat_reply(student: Student, messages: Sequence[Message], max_new_tokens: int) -> str:
    """The student's answer to a conversation that ends with a user turn."""
    (answer,) = generate(student, encode_prompts(student.tokenizer, [messages]), max_new_tokens, 1)
    text: str = student.tokenizer.decode(answer.ids, skip_special_tokens=True)
    return text
