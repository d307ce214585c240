"""HTTP messages: request, reply, and ARM's format of an error."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Request:
    """`path` has no query string; `names` are the values of the placeholders in the route's path."""

    method: str
    host: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any = None
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def api_version(self) -> str | None:
        return self.query.get("api-version")

    @property
    def url(self) -> str:
        return f"https://{self.host}{self.path}"


@dataclass
class Reply:
    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        return b"" if self.body is None else json.dumps(self.body).encode()


class ArmError(Exception):
    """An error in ARM's format: `{"error": {"code": ..., "message": ...}}` with an HTTP status."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.reply = Reply(status, {"error": {"code": code, "message": message}}, dict(headers or {}))


def not_found(kind: str, name: str) -> ArmError:
    return ArmError(404, "ResourceNotFound", f"The {kind} {name!r} was not found.")
