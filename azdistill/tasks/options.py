"""Multiple choice: read the options of a row and the right one, as public data sets write them."""

from collections.abc import Mapping
from string import ascii_uppercase
from typing import Any

from azdistill.tasks.fields import as_text
from azdistill.tasks.task import BadRow

OPTIONS = ("choices", "options")
KEYS = ("answerKey", "answer_idx", "answer", "label")


def options_of(record: Mapping[str, Any]) -> dict[str, str]:
    """The texts of a row's options by letter, from A on; empty for a row without options. Raises BadRow.

    Accepts a list of texts (MMLU, RACE), texts with labels (ARC, CommonsenseQA) and texts by letter (MedQA).
    """
    name, value = next(((name, record[name]) for name in OPTIONS if record.get(name)), ("", None))
    if value is None:
        return {}
    if not isinstance(texts := _texts(value), list) or not 2 <= len(texts) <= len(ascii_uppercase):
        raise BadRow("no_options", f"{name} is no list of 2 to {len(ascii_uppercase)} texts")
    return {letter: as_text(name, text) for letter, text in zip(ascii_uppercase, texts, strict=False)}


def _texts(value: Any) -> Any:
    if isinstance(value, dict):
        return value["text"] if "text" in value else list(value.values())
    if isinstance(value, list):
        return [item.get("text") if isinstance(item, dict) else item for item in value]
    return None


def option_letter(record: Mapping[str, Any], options: Mapping[str, str]) -> str | None:
    """The letter of the right option; None without one. Raises BadRow for a key that names no option.

    A key is a label of the row's options, a letter, the text of an option, or an index from 0 as in MMLU.
    """
    name = next((name for name in KEYS if record.get(name) not in (None, "")), None)
    if name is None:
        return None
    key = record[name]
    if isinstance(key, int) and not isinstance(key, bool):
        letter = ascii_uppercase[key] if 0 <= key < len(options) else None
    else:
        letter = _by_text(as_text(name, key).strip(), record, options)
    if letter not in options:
        raise BadRow("unknown_option", f"{name}={key!r} is none of the options {', '.join(options)}")
    return letter


def _by_text(key: str, record: Mapping[str, Any], options: Mapping[str, str]) -> str | None:
    for letter, label in zip(options, _labels(record), strict=False):
        if key == label:
            return letter
    by_text = [letter for letter, text in options.items() if text.strip() == key]
    return key.upper() if key.upper() in options else next(iter(by_text), None)


def _labels(record: Mapping[str, Any]) -> list[str]:
    """The labels that the row gives its options, such as 1 to 4; empty where it gives none."""
    value = next(record[name] for name in OPTIONS if record.get(name))
    if isinstance(value, dict):
        labels = value["label"] if "text" in value and "label" in value else list(value)
        return list(map(str, labels)) if isinstance(labels, list) else []
    return [str(item["label"]) for item in value if isinstance(item, dict) and "label" in item]
