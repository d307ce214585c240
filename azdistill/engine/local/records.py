"""The record of a node in a run folder, `NODE/node.json`, and the key that decides whether the node is reused."""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from azdistill.engine.errors import DataError
from azdistill.engine.files import read_json
from azdistill.engine.local.storage import engine_file
from azdistill.engine.problems import may_be_secret

NodeState = Literal["waiting", "running", "completed", "reused", "failed", "skipped", "interrupted"]

RECORD_FILE = "node.json"
# Folders with more files are compared by one hash: their files are not listed in records.
MAX_LISTED_FILES = 1000
# A record with more seconds, about 30,000 years, is damaged.
LONGEST_S = 1e12

_MAX_SHOWN_FILES = 3
# First words of the labels whose values are short text, shown as `before -> after`.
_TEXT_LABELS = frozenset({"parameter", "output", "variable", "processes", "interpreter", "setting"})
# Those whose values come from users, and what a hash in place of a value starts with.
_WITH_SECRETS = frozenset({"parameter", "variable"})
_HASHED = "sha256 "
_NUMBER = re.compile(r"[-+.\d]+(e[-+]?\d+)?|true|false", re.IGNORECASE)


@dataclass(frozen=True)
class ReuseKey:
    """Everything that determines the result of a node.

    `values` by label (`code`, `command`, `input prompts`, `parameter seed`, ...): a text or a content hash.
    `files` by label: the hash of each file behind that value, to name the files that changed.
    """

    values: Mapping[str, str]
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class NodeRecord:
    """The last attempt of a node.

    `outputs` are content hashes of the outputs of a completed node. `settings` are those that decide where and how
    Azure ML runs the node. They do not affect reuse on this machine.
    """

    state: NodeState
    key: ReuseKey
    settings: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    exit_code: int | None = None
    seconds: float = 0.0


def without_secret(label: str, value: str) -> str:
    """The value of a label such as `parameter hf_token`, as it is written and shown: hashed if it may be secret."""
    kind, _, name = label.partition(" ")
    is_shown = kind not in _WITH_SECRETS or value.startswith(_HASHED) or _NUMBER.fullmatch(value)
    if is_shown or not may_be_secret(name, value):
        return value
    return f"{_HASHED}{hashlib.sha256(value.encode()).hexdigest()[:16]}"


def read_record(folder: Path) -> NodeRecord | None:
    """The record in a node's folder. None when it is missing or damaged: the node then runs."""
    try:
        raw = read_json(folder / RECORD_FILE)
        record = NodeRecord(**{**raw, "key": ReuseKey(**raw["key"])})
    except (DataError, ValueError, TypeError, KeyError):
        return None
    return record if _has_types(record) else None


def has_damaged_record(folder: Path) -> bool:
    """True if a node's folder has a record that cannot be read."""
    return os.path.lexists(folder / RECORD_FILE) and read_record(folder) is None


def _has_types(record: NodeRecord) -> bool:
    """True if each field is of its declared type, and the time a finite number."""
    files = record.key.files
    return (
        record.state in get_args(NodeState)
        and isinstance(record.exit_code, int | None)
        and isinstance(record.seconds, int | float)
        and 0 <= record.seconds < LONGEST_S
        and isinstance(files, dict)
        and all(map(_maps_texts, (record.key.values, record.settings, record.outputs, *files.values())))
    )


def _maps_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def write_record(folder: Path, record: NodeRecord) -> None:
    """Write to a temporary file and rename it, so that a record is never partial."""
    partial = engine_file(folder / f".{RECORD_FILE}")
    partial.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")
    partial.replace(engine_file(folder / RECORD_FILE))


def differences(before: ReuseKey, now: ReuseKey) -> list[str]:
    """Describe what has changed in a key: parameters with their values, code and inputs with their files."""
    return [
        _describe_change(label, before, now)
        for label in {**before.values, **now.values}
        if before.values.get(label) != now.values.get(label)
    ]


def _describe_change(label: str, before: ReuseKey, now: ReuseKey) -> str:
    old, new = before.values.get(label), now.values.get(label)
    if old is None or new is None:
        return f"{label} {'added' if old is None else 'removed'}"
    if label.partition(" ")[0] in _TEXT_LABELS:
        return f"{label}: {without_secret(label, old)} -> {without_secret(label, new)}"
    return f"{label} changed{describe_files(before.files.get(label, {}), now.files.get(label, {}))}"


def describe_files(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """`: b.txt, c.txt added`, from the hashes of files by name. Empty when one of the lists is not known."""
    changes = list(_changed_files(before, now)) if before and now else []
    more = f" and {len(changes) - _MAX_SHOWN_FILES} more" if len(changes) > _MAX_SHOWN_FILES else ""
    return f"{': ' if changes else ''}{', '.join(changes[:_MAX_SHOWN_FILES])}{more}"


def _changed_files(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({**before, **now}):
        if before.get(name) != now.get(name):
            yield f"{name} {'added' if name not in before else 'removed' if name not in now else ''}".rstrip()
