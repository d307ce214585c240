"""Secrets are removed from text that comes from outside, before it is cut."""

import pytest

from azdistill.contracts.redaction import LONGEST_QUOTE, quote, redact


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("no secret", "no secret"),
        ("https://host/v1?a=b@c", "https://host/v1?a=b@c"),
        ("see http://me:pw@host:8080/x, please", "see http://host:8080/x, please"),
        ("url='http://me@host'", "url='http://host'"),
        ("http://me:p@ss:w'ord@host", "http://host"),
        ("http://a:b@one http://c:d@two", "http://one http://two"),
        ("write to me@host", "write to me@host"),
    ],
)
def test_user_and_password_of_urls_are_removed(text, redacted):
    assert redact(text) == redacted


def test_known_secrets_are_replaced_the_longest_first():
    assert redact("keys abcd-long and abcd", ["abcd", "abcd-long", ""]) == "keys [key] and [key]"


def test_the_password_of_a_proxy_is_a_known_secret(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://me:p%40ssword@proxy:3128")
    assert redact("407: not with p@ssword or p%40ssword") == "407: not with [key] or [key]"


def test_a_broken_proxy_variable_is_ignored(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://[::1")
    assert redact("text") == "text"


def test_a_quote_is_one_short_line_without_a_part_of_a_secret():
    text = "a\n" * 140 + "abcdefgh" * 5
    assert quote(text, ["abcdefgh" * 5]) == " ".join("a" * 140) + " [key]"
    assert len(quote("x" * 1000)) == LONGEST_QUOTE
