"""The response store: what was paid for or decided, on disk before it is counted. See docs/store.md."""

from azdistill.teacher.store.found import Found
from azdistill.teacher.store.lines import StoredAnswer
from azdistill.teacher.store.writer import ResponseStore, open_store

__all__ = ["Found", "ResponseStore", "StoredAnswer", "open_store"]
