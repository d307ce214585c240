"""Spellings in which endpoints, proxies and servers repeat a secret, and a search for any of them."""

import base64
import html
import json
import quopri
import random
import string
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import quote

SPELLINGS: Mapping[str, Callable[[str], str]] = {
    "as it is": lambda secret: secret,
    "percent": lambda secret: quote(secret, safe=""),
    "percent, all": lambda secret: "".join(f"%{byte:02x}" for byte in secret.encode()),
    "percent, twice": lambda secret: quote(quote(secret, safe=""), safe=""),
    "HTML": html.escape,
    "HTML, decimal": lambda secret: "".join(f"&#{ord(letter)};" for letter in secret),
    "HTML, hexadecimal": lambda secret: "".join(f"&#x{ord(letter):X};" for letter in secret),
    "JSON": json.dumps,
    "JSON, all": lambda secret: "".join(f"\\u{ord(letter):04x}" for letter in secret),
    "JSON, twice": lambda secret: json.dumps(json.dumps(secret)),
    "JSON in HTML": lambda secret: html.escape(json.dumps(secret)),
    "percent, as JavaScript": lambda secret: "".join(f"%u{ord(letter):04X}" for letter in secret),
    "quoted-printable": lambda secret: quopri.encodestring(secret.encode(), quotetabs=True).decode(),
    "octal": lambda secret: "".join(f"\\{ord(letter):03o}" for letter in secret),
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "base64 of user and password": lambda secret: base64.b64encode(f"me:{secret}".encode()).decode(),
    "base64 for URLs": lambda secret: base64.urlsafe_b64encode(f"x:{secret}\n".encode()).decode(),
    "hexadecimal": lambda secret: secret.encode().hex(),
    "broken over a line": lambda secret: f"{secret[: len(secret) // 2]}\r\n    {secret[len(secret) // 2 :]}",
    "upper case": str.upper,
    "start": lambda secret: f"{secret[: len(secret) * 2 // 3]}...",
    "end": lambda secret: f"...{secret[len(secret) // 3 :]}",
}

# The characters of a secret that must not remain, and those of a spelling with several characters a letter.
FRAGMENT, ENCODED_FRAGMENT = 8, 24


_LETTERS = string.ascii_letters + string.digits
# Keys of Azure and other services, passwords and tokens, by kind.
KINDS: Mapping[str, Callable[[random.Random], str]] = {
    "letters": lambda rng: "".join(rng.choices(_LETTERS, k=84)),
    "hexadecimal": lambda rng: "".join(rng.choices("0123456789abcdef", k=32)),
    "with a start": lambda rng: "sk-" + "".join(rng.choices(_LETTERS + "-_", k=45)),
    "base64": lambda rng: base64.b64encode(rng.randbytes(64)).decode(),
    "symbols": lambda rng: "".join(rng.choices(_LETTERS + "+/=&<>\"'%:@!?#$", k=24)),
    "token": lambda rng: (
        f"eyJ0eXAiOiJKV1Qi{''.join(rng.choices(_LETTERS, k=900))}.{''.join(rng.choices(_LETTERS, k=300))}"
    ),
}


def random_secrets(count: int, seed: int = 17) -> list[str]:
    """Secrets of all kinds in turn."""
    rng, kinds = random.Random(seed), list(KINDS.values())
    return [kinds[number % len(kinds)](rng) for number in range(count)]


class SecretSearch:
    """Search outputs for secrets in all spellings, and for what is left of one."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._fragments: dict[int, dict[str, str]] = {FRAGMENT: {}, ENCODED_FRAGMENT: {}}
        for secret in secrets:
            self._add(secret, secret, FRAGMENT)
            for spelling in SPELLINGS.values():
                self._add(secret, spelling(secret), ENCODED_FRAGMENT)

    def _add(self, secret: str, text: str, length: int) -> None:
        for start in range(len(text) - length + 1):
            self._fragments[length][text[start : start + length]] = secret

    def hits(self, output: str) -> dict[str, str]:
        """The secrets in an output, each with a fragment of it."""
        return {
            fragments[fragment]: fragment
            for length, fragments in self._fragments.items()
            for fragment in {output[start : start + length] for start in range(len(output) - length + 1)}
            & fragments.keys()
        }
