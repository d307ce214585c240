"""Suggest which columns of a row that no task reads are its question and its answer."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# Beginnings of names of columns, in several languages.
QUESTIONS = (
    "ask", "consulta", "demande", "domanda", "frage", "instruct", "intrebare", "întrebare", "mesaj", "message",
    "pergunta", "prompt", "pytanie", "query", "quest", "request", "ticket", "user", "utterance", "vraag",
)  # fmt: skip
ANSWERS = (
    "answer", "antwoord", "antwort", "assistant", "completion", "odpowied", "output", "raspuns", "răspuns", "réponse",
    "reponse", "reply", "resolution", "respuesta", "resposta", "response", "risposta", "solution", "target",
)  # fmt: skip

# Of columns with the passage that a question is about.
PASSAGES = ("article", "context", "document", "kontext", "paragraph", "passage", "text")

# Fields of question and answer in rows of a task. The other tasks read a prompt and its completion.
FIELDS = {"qa": ("question", "answer"), "math": ("question", "answer"), "summarization": ("document", "summary")}
GENERAL_FIELDS = ("prompt", "completion")

# Longer names are no names of columns.
LONGEST_NAME, MOST_WORDS = 60, 5

# The change that makes a CSV file without a header readable.
ADD_HEADER = "add a first line with the names of the columns, such as question,answer"


def are_values(names: Iterable[str]) -> bool:
    """True if a name of a column is a sentence or a number: then the first line of the CSV file is a row."""
    return any(name.endswith((".", "?", "!")) or len(name.split()) > MOST_WORDS or name.isdecimal() for name in names)


def suggested_columns(record: Mapping[str, Any], task: str = "conversation") -> str:
    """A value of `data.columns` for a row: its conversation, its named question and answer, or its first two texts; for
    task qa also its passage.

    Empty for a row with fewer texts.
    """
    if conversation := next((name for name, value in record.items() if _is_conversation(value)), None):
        return f"{{messages: {_scalar(conversation)}}}"
    texts = [name for name, value in record.items() if isinstance(value, str) and value.strip()]
    names = [name for name in texts if 0 < len(name) <= LONGEST_NAME and name.isprintable()]
    short = {name.casefold(): name for name in names}
    question, answer = short.get("q"), short.get("a")
    if question is None or answer is None:
        question = _first(names, QUESTIONS)
        answer = _first([name for name in names if name != question], ANSWERS)
    others = [name for name in names if name not in (question, answer)]
    passage = _first(others, PASSAGES) if task == "qa" and len(names) > len(GENERAL_FIELDS) else None
    others = [name for name in others if name != passage]
    question = question or (others.pop(0) if others else None)
    answer = answer or (others.pop(0) if others else None)
    if question is None or answer is None:
        return ""
    columns = dict(zip(FIELDS.get(task, GENERAL_FIELDS), (question, answer), strict=True))
    columns |= {} if passage is None else {"context": passage}
    return f"{{{', '.join(f'{field}: {_scalar(name)}' for field, name in columns.items())}}}"


def _is_conversation(value: Any) -> bool:
    """True for turns as OpenAI or ShareGPT write them."""
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(turn, dict) and turn.keys() & {"role", "from"} for turn in value)


def _first(names: Sequence[str], beginnings: tuple[str, ...]) -> str | None:
    return next((name for name in names if name.casefold().startswith(beginnings)), None)


def _scalar(name: str) -> str:
    """The name as a YAML value."""
    return name if name.replace("_", "").isalpha() else f"'{name.replace(chr(39), chr(39) * 2)}'"
