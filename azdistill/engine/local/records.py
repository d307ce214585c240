"""What is known of a node in a run folder: `NODE/node.json`, and the key that decides about reuse."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

State = Literal["waiting", "running", "completed", "reused", "failed", "skipped", "interrupted"]

NAME = "node.json"
MOST_PARTS = 1000
"""A folder of more files is compared as a whole, without the names of those that changed."""

_SHOWN = 3
_IN_WORDS = frozenset({"parameter", "output", "variable", "processes", "interpreter", "setting"})


@dataclass(frozen=True)
class Key:
    """What a node's result depends on.

    `values` by label (`code`, `command`, `input prompts`, `parameter seed`, ...): a text or a content hash.
    `parts` by label: the hash of each file behind it, to say which one has changed.
    """

    values: Mapping[str, str]
    parts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """The last try of a node. `outputs` are content hashes, there once it is completed. `settings` are
    where and how Azure ML would run it, which does not count here."""

    state: State
    key: Key
    settings: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    exit_code: int | None = None
    seconds: float = 0.0


def read_record(folder: Path) -> Record | None:
    """The record in a node's folder; None when there is none or it can't be read, so that the node runs."""
    try:
        raw = json.loads((folder / NAME).read_text(encoding="utf-8"))
        return Record(**{**raw, "key": Key(**raw["key"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_record(folder: Path, record: Record) -> None:
    """Write beside and rename: a record is whole or the earlier one."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{NAME}"
    partial.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")
    partial.replace(folder / NAME)


def differences(before: Key, now: Key) -> list[str]:
    """In words, what of a key has changed: parameters with their values, code and inputs with their files."""
    return [
        _change(label, before, now)
        for label in {**before.values, **now.values}
        if before.values.get(label) != now.values.get(label)
    ]


def _change(label: str, before: Key, now: Key) -> str:
    was, is_ = before.values.get(label), now.values.get(label)
    if was is None or is_ is None:
        return f"{label} {'added' if was is None else 'removed'}"
    if label.partition(" ")[0] in _IN_WORDS:
        return f"{label}: {was} -> {is_}"
    files = list(_files(before.parts.get(label, {}), now.parts.get(label, {})))
    more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
    return f"{label} changed{': ' if files else ''}{', '.join(files[:_SHOWN])}{more}"


def _files(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({**before, **now}) if before and now else ():
        if before.get(name) != now.get(name):
            yield f"{name} {'added' if name not in before else 'removed' if name not in now else ''}".rstrip()
