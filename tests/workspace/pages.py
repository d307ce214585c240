"""Pages of a list, linked by nextLink as ARM does."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from tests.workspace.wire import Reply, Request

TOKEN = "$skipToken"


def page(request: Request, items: Sequence[Any], size: int) -> Reply:
    """The requested page of `items`, with a link to the next page."""
    start = int(request.query.get(TOKEN, "0"))
    end = start + size
    body: dict[str, Any] = {"value": list(items[start:end])}
    if end < len(items):
        body["nextLink"] = f"{request.url}?{urlencode({**request.query, TOKEN: end})}"
    return Reply(body=body)
