"""Remove secrets from text that comes from outside, such as replies of endpoints and errors of connections.

Apply it before the text is truncated, logged or written: a truncated secret is not recognised.
"""

import re
import urllib.request
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

# All of `user:password@` after `://`, also with unescaped `@`, quotes or colons in the password.
USER_INFO = re.compile(r"(?<=://)[^\s/?#]*@")

# A shorter text is no secret: to replace every "a" would make the message unreadable.
SHORTEST_SECRET = 4

LONGEST_QUOTE = 300


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Replace `secrets` and the passwords of this process's proxies, and remove the user and password of every URL."""
    for secret in sorted({*secrets, *_proxy_passwords()}, key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, "[key]")
    return USER_INFO.sub("", text)


def quote(text: str, secrets: Iterable[str] = ()) -> str:
    """Redact text and shorten it to one line of at most `LONGEST_QUOTE` characters, for a message."""
    line = " ".join(redact(text, secrets).split())
    return line if len(line) <= LONGEST_QUOTE else f"{line[: LONGEST_QUOTE - 3]}..."


def _proxy_passwords() -> set[str]:
    """Passwords in the proxy variables of the environment (HTTPS_PROXY and others), as written and unescaped."""
    passwords = set()
    for proxy in urllib.request.getproxies_environment().values():
        try:
            password = urlsplit(proxy).password
        except ValueError:
            continue
        if password:
            passwords |= {password, unquote(password)}
    return passwords
