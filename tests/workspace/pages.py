"""Lists come in pages with a nextLink, as ARM has them."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from tests.workspace.wire import Reply, Request

TOKEN = "$skipToken"


def page(request: Request, items: Sequence[Any], size: int) -> Reply:
    """The page of `items` that `request` asks for, with a link to the one after it."""
    start = int(request.query.get(TOKEN, "0"))
    end = start + size
    body: dict[str, Any] = {"value": list(items[start:end])}
    if end < len(items):
        body["nextLink"] = f"{request.url}?{urlencode({**request.query, TOKEN: end})}"
    return Reply(body=body)
