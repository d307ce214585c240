"""The task of the SmolLM2 job: reverse a list of words. An answer is correct as reasoning-gym's verifier decides."""

from azdistill.tasks.fields import ask, optional, required
from azdistill.tasks.task import Case


def case(record):
    return Case(ask(required(record, "question")), optional(record, "answer"))


def answer(text):
    return text.strip() or None


def correct(answer, reference):
    return answer == reference
