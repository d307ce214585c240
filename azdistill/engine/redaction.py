"""Remove secrets from text that comes from outside, such as replies of endpoints and errors of connections.

Apply it before the text is truncated, logged or written. The text is searched as it is and decoded (percent-encoding,
HTML and JSON escapes, in any order and several times), without blanks and line breaks, and regardless of case. Secrets
are also searched in base64 and as hexadecimal digits. Of a secret that the sender has truncated, every fragment of
`FRAGMENT` characters is found.
"""

import base64
import html
import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote as percent_encoded
from urllib.parse import unquote

from azdistill.engine.problems import SECRET_PARAMETER, printable

PLACEHOLDER = "[key]"
# A shorter text is no secret: to replace every "a" would make the message unreadable.
SHORTEST_SECRET = 4
# Characters of a secret that are replaced wherever they occur.
FRAGMENT = 8
LONGEST_QUOTE = 300
# Characters of a text that a quote reads, and searches once blanks are removed: a reply may have megabytes.
READ, SEARCHED = 65_536, 4096
# Texts that were escaped again and again, as in the log of a log.
DECODINGS = 4

# All of `user:password@` after `://`, also with unescaped `@`, quotes or colons in the password. In wasbs and abfss
# URLs a plain name before `@` is the container.
USER_INFO = re.compile(
    r"(?<=://)(?<!\bwasb://)(?<!\bwasbs://)(?<!\babfs://)(?<!\babfss://)[^\s/?#]*@|(?<=://)[^\s/?#:@]*:[^\s/?#]*@"
)
# What authenticates in any text: secret parameters of URLs and connection strings, values of authorization headers,
# and JSON web tokens. Group `value` is replaced.
CREDENTIALS = (
    re.compile(rf"[?&;]{SECRET_PARAMETER}=(?P<value>[^&#;\s\"'<>]+)", re.IGNORECASE),
    re.compile(r"\b(?:AccountKey|SharedAccessKey|SharedAccessSignature|Password|Pwd)=(?P<value>[^;\s\"'<>]+)", re.I),
    re.compile(r"\b(?:Bearer|Basic)\s+(?P<value>(?=\S*\d)[\w.~+/=-]{16,})", re.IGNORECASE),
    re.compile(r"(?P<value>\beyJ[\w-]{10,}\.[\w-]{10,}(?:\.[\w-]*)?)"),
)

# Unlike AZURE_KEY_VAULT_NAME, whose words are in many texts.
_SECRET_VARIABLE = re.compile(
    r"(^|_)(api)?(key|token|secret|password|passwd|pwd|pat|credentials?)(_?\d+)?$", re.IGNORECASE
)
_ESCAPE = re.compile(
    r"%u[0-9a-f]{4}|[%=][0-9a-f]{2}|&#(?:\d{1,7}|x[0-9a-f]{1,6});?|&[a-z]{2,8};"
    r"|\\u[0-9a-f]{4}|\\u\{[0-9a-f]{1,5}\}|\\x[0-9a-f]{2}|\\[0-3][0-7]{2}|\\[nrt/\\\"']",
    re.IGNORECASE,
)
_BLANKS = {"n": "\n", "r": "\r", "t": "\t"}
_IGNORED = re.compile(r"[^\s\u00ad\u200b-\u200d\u2060\ufeff]")
_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Replace `secrets`, those of this process's environment and all that authenticates in a URL or header, and remove
    the user and password of every URL."""
    known = frozenset(secret for secret in (*secrets, *environment_secrets()) if len(secret) >= SHORTEST_SECRET)
    return _replace(text, sorted(_spans(text, _fragments(known)), key=lambda span: (span.start, -span.end)))


def quote(text: str, secrets: Iterable[str] = ()) -> str:
    """Redact text and shorten it to one printable line of at most `LONGEST_QUOTE` characters, for a message."""
    start = " ".join(text[:READ].split())[:SEARCHED]
    line = printable(" ".join(redact(start, secrets).split()))
    return line if len(line) <= LONGEST_QUOTE else f"{line[: LONGEST_QUOTE - 3]}..."


def redact_output() -> None:
    """Redact the traceback of a bug, and each log record of this process when it is made, also those of libraries that
    have handlers of their own: urllib3's quote proxies, MLflow's quote its server."""
    logging.setLogRecordFactory(_redacted_record)
    sys.excepthook = _print_redacted


def _print_redacted(*error: Any) -> None:
    print(redact("".join(traceback.format_exception(*error))), end="", file=sys.stderr)


def _redacted_record(*arguments: Any, **options: Any) -> logging.LogRecord:
    record = logging.LogRecord(*arguments, **options)
    try:
        text = record.getMessage()
    except Exception:  # of another package: the arguments do not fit the message
        text = str(record.msg)
    record.msg, record.args = printable(redact(text)), None
    if record.exc_info:
        record.exc_text = redact("".join(traceback.format_exception(*record.exc_info)).rstrip())
    return record


def environment_secrets() -> set[str]:
    """Passwords of proxies and of other URLs in the environment, and values of variables with names of secrets."""
    from urllib.request import getproxies_environment  # it imports http.client and ssl

    secrets = set()
    for proxy in getproxies_environment().values():
        secrets |= _password(proxy.partition("://")[2].rpartition("@")[0])
    for name, value in os.environ.items():
        if "://" in value:
            secrets |= url_secrets(value)
        elif _SECRET_VARIABLE.search(name) and len(value) >= FRAGMENT and not value.startswith(("/", "~", ".")):
            secrets.add(value.strip())
    return secrets


def url_secrets(url: str) -> set[str]:
    """The password and the secret parameters of a URL."""
    parameters = {match["value"] for match in CREDENTIALS[0].finditer(url)}
    passwords = {word for match in USER_INFO.finditer(url) for word in _password(match[0][:-1])}
    return passwords | parameters | set(map(unquote, parameters))


def _password(user_info: str) -> set[str]:
    """The password of `user:password`, or a token without a user; as written and unescaped."""
    user, _, password = user_info.partition(":")
    secret = password or user
    return {secret, unquote(secret)} if secret else set()


@dataclass(frozen=True)
class _Span:
    start: int
    end: int
    replacement: str = PLACEHOLDER


@dataclass(frozen=True)
class _View:
    """A decoded text. The character at an index is that of `starts[index]:ends[index]` of the original text."""

    text: str
    starts: Sequence[int]
    ends: Sequence[int]

    def span(self, start: int, end: int, replacement: str = PLACEHOLDER) -> _Span:
        return _Span(self.starts[start], self.ends[end - 1], replacement)

    def decoded(self) -> "_View":
        characters: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        rest = 0
        for match in _ESCAPE.finditer(self.text):
            decoded = _decode(match[0])
            characters += [self.text[rest : match.start()], decoded]
            starts += [*self.starts[rest : match.start()], *[self.starts[match.start()]] * len(decoded)]
            ends += [*self.ends[rest : match.start()], *[self.ends[match.end() - 1]] * len(decoded)]
            rest = match.end()
        text = "".join((*characters, self.text[rest:]))
        return _View(text, [*starts, *self.starts[rest:]], [*ends, *self.ends[rest:]])

    def compact(self) -> "_View":
        """Without blanks, line breaks and invisible characters, in lower case."""
        kept = [match.start() for match in _IGNORED.finditer(self.text)]
        text = "".join(self.text[index] for index in kept).translate(_LOWER)
        return _View(text, [self.starts[index] for index in kept], [self.ends[index] for index in kept])


def _views(text: str) -> Iterator[_View]:
    """A text as it is, and decoded once, twice, ..."""
    view = _View(text, range(len(text)), range(1, len(text) + 1))
    for _ in range(DECODINGS):
        yield view
        if not _ESCAPE.search(view.text):
            return
        view = view.decoded()


def _spans(text: str, fragments: Mapping[int, frozenset[str]]) -> Iterator[_Span]:
    """The parts of a text to replace, in all of its decodings."""
    for view in _views(text):
        for match in USER_INFO.finditer(view.text):
            yield view.span(*match.span(), "")
        for pattern in CREDENTIALS:
            for match in pattern.finditer(view.text):
                yield view.span(*match.span("value"))
        yield from _fragments_in(view.compact(), fragments)


def _fragments_in(view: _View, fragments: Mapping[int, frozenset[str]]) -> Iterator[_Span]:
    for length, texts in fragments.items():
        for start in range(len(view.text) - length + 1):
            if view.text[start : start + length] in texts:
                yield view.span(start, start + length)


def _replace(text: str, spans: Sequence[_Span]) -> str:
    """Overlapping and adjacent spans are replaced once, by the first one's replacement."""
    pieces: list[str] = []
    end = 0
    for span in spans:
        if span.start > end or not pieces:
            pieces += [text[end : span.start], span.replacement]
        end = max(end, span.end)
    return "".join((*pieces, text[end:]))


@lru_cache(maxsize=64)
def _fragments(secrets: frozenset[str]) -> dict[int, frozenset[str]]:
    """Fragments to search, by their length."""
    by_length: dict[int, set[str]] = {}
    for form in {form for secret in secrets for form in _forms(secret)}:
        length = min(FRAGMENT, len(form))
        by_length.setdefault(length, set()).update(
            form[start : start + length] for start in range(len(form) - length + 1)
        )
    return {length: frozenset(texts) for length, texts in by_length.items() if length >= SHORTEST_SECRET}


def _forms(secret: str) -> Iterator[str]:
    """The spellings of a secret that decoding does not undo, and those of a secret that has an escape in itself, as
    `_View.compact` returns them."""
    escaped = {secret, percent_encoded(secret, safe=""), html.escape(secret), json.dumps(secret)[1:-1]}
    encoded = [form for text in escaped for form in (text.encode().hex(), *_base64(text.encode()))]
    for form in (secret, secret.encode().decode("latin-1"), *encoded):
        yield from (view.compact().text for view in _views(form))


def _base64(content: bytes) -> Iterator[str]:
    """The characters of base64 that depend on `content` alone, after 0, 1 and 2 other bytes."""
    for before in range(3):
        bits = 8 * (before + len(content))
        start, end = -(-8 * before // 6), bits // 6
        for alphabet in (b"+/", b"-_"):
            yield base64.b64encode(bytes(before) + content, alphabet).decode()[start:end]


def _decode(escape: str) -> str:
    kind, rest = escape[0], escape[1:].lower()
    if kind == "&":
        return html.unescape(escape if escape.endswith(";") else f"{escape};")
    if kind in "%=" or (rest[0] in "ux" and len(rest) > 1):
        return chr(int(rest.lstrip("ux").strip("{}"), 16))
    if rest.isdecimal():
        return chr(int(rest, 8))
    return _BLANKS.get(rest, rest)
