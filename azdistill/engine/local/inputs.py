"""Whether a node left what it read as it was."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from azdistill.engine.local.hashing import Hashes, total
from azdistill.engine.local.records import Key, differences
from azdistill.engine.local.resolve import Produced


class Originals:
    """Files and folders that no node may change. What lies where nodes may write, or holds such a place, is none of
    them: `shared` are outputs at fixed addresses, `own` are the folders of this run and of its home."""

    def __init__(self, hashes: Hashes, shared: Iterable[Path], own: Iterable[Path]) -> None:
        self._hashes, self._shared, self._own = hashes, tuple(shared), tuple(own)

    def changed(self, inputs: Mapping[str, Produced]) -> Iterator[str]:
        """In words, the inputs that are not as they were. A file whose size, times and inode are the same is not read
        again."""
        for name, before in inputs.items():
            if self._counts(before.path) and (change := self._change(before)):
                yield f"input {name!r} {change} ({before.path}); a node may not change what it reads: copy it first"

    def _counts(self, path: Path) -> bool:
        above = any(place.is_relative_to(path) for place in (*self._own, *self._shared))
        return not above and not any(path.is_relative_to(place) for place in self._shared)

    def _change(self, before: Produced) -> str | None:
        try:
            if not before.path.exists():
                return "is gone"
            now = self._hashes.parts(before.path)
        except OSError as problem:
            return f"can't be read any more: {problem.strerror}"
        told = differences(_key(before.parts), _key(now))
        return told[0].strip() if told else None


def _key(parts: Mapping[str, str]) -> Key:
    return Key({"": total(parts)}, {"": parts})
