"""The response store: bought answers and final rejections, on disk before they count. See docs/store.md."""

from azdistill.teacher.store.index import StoreIndex
from azdistill.teacher.store.records import StoredAnswer
from azdistill.teacher.store.writer import ResponseStore, open_store

__all__ = ["ResponseStore", "StoreIndex", "StoredAnswer", "open_store"]
