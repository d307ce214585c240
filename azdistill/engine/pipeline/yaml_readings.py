"""Warnings about values that Azure's client reads otherwise than a person: its YAML is of version 1.1."""

import datetime
from collections.abc import Container
from typing import Any

from azdistill.engine.pipeline.yaml_node import YamlNode
from azdistill.engine.problems import FieldPath

# Fields that are booleans in any file, so that `yes` is read as it is meant.
_BOOLEANS = frozenset(
    "is_deterministic optional force_rerun continue_on_step_failure include_dashboard enable_async_mode".split()
)
# Fields with names that the user chooses, which must be text.
_NAMES = frozenset("inputs outputs jobs tags properties search_space services".split())


def warn_of_readings(root: YamlNode, booleans: Container[FieldPath]) -> None:
    """Add the warnings of a file, and the errors for dates. `booleans` are fields of type boolean."""
    for field, code, text, value in root.document.readings:
        node = YamlNode(root.document, root.problems, field)
        if code == "duplicate_key":
            message = f"the key {text} is there twice, and only the last one counts"
            node.warning(code, message, "remove one of them", value=None)
        elif code == "key_is_no_text":
            if field[-2:-1] and field[-2] in _NAMES:
                message = f"Azure ML reads this name as {_shown(value)}, and refuses names that are not text"
                node.error("invalid_name", message, f"put it in quotes: '{text}'", scope="azure", value=None)
        elif code == "invalid_yaml":
            message = "Azure's client cannot read a file with ? in a text without quotes between { } or [ ]"
            node.error(code, message, "put it in quotes", scope="azure", value=text)
        elif isinstance(value, datetime.date):
            message = "Azure ML reads a date here, which it refuses"
            node.error(code, message, f"put it in quotes: '{text}'", scope="azure", value=text)
        elif not isinstance(value, bool) or not (field in booleans or field[-1] in _BOOLEANS):
            node.warning(code, f"Azure ML reads it as {_shown(value)}", _fix(text, value), value=text)


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _fix(text: str, value: Any) -> str:
    return f"put it in quotes: '{text}', or write {_shown(value)}"
