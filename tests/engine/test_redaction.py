"""Secrets are removed from text that comes from outside, before it is cut."""

import io
import logging
import sys
import time

import pytest

from azdistill.engine.redaction import LONGEST_QUOTE, quote, redact, redact_output
from tests.secret_spellings import SPELLINGS, SecretSearch, random_secrets


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
        ("wasbs://rows@a.blob.core.windows.net/x", "wasbs://rows@a.blob.core.windows.net/x"),
        ("abfss://rows:pw@a.dfs.core.windows.net/x", "abfss://a.dfs.core.windows.net/x"),
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


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_secret_is_replaced_in_every_spelling(spelling):
    for secret in random_secrets(12):
        text = f"<p>refused: {SPELLINGS[spelling](secret)}</p>"
        redacted = redact(text, [secret])
        assert not SecretSearch([secret]).hits(redacted), secret
        assert redacted.startswith("<p>refused: ")
        assert redacted.endswith("</p>")


@pytest.mark.parametrize("length", [60, 290, 295, 300, 310])
def test_no_part_of_a_secret_is_left_where_a_quote_ends(length):
    (secret,) = random_secrets(1)
    assert not SecretSearch([secret]).hits(quote("x" * length + " " + secret, [secret]))
    assert not SecretSearch([secret]).hits(quote("x" * length + secret[:40], [secret]))


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("GET https://h/api?a=1&code=abc%26def&b=2", "GET https://h/api?a=1&code=[key]&b=2"),
        ("https://h/x?sv=2024&sig=a%2Fb%3D, again", "https://h/x?sv=2024&sig=[key] again"),
        (
            "/v1?subscription-key=1&Ocp-Apim-Subscription-Key=2",
            "/v1?subscription-key=[key]&Ocp-Apim-Subscription-Key=[key]",
        ),
        ("to=https%3A%2F%2Fme%3Apw%40h%2F%3Fapi-key%3Dabc", "to=https%3A%2F%2Fh%2F%3Fapi-key%3D[key]"),
        ("&quot;http:\\/\\/me:pw@host&quot;", "&quot;http:\\/\\/host&quot;"),
        ("Authorization: Bearer abcdefgh12345678", "Authorization: Bearer [key]"),
        ("Bearer authentication is required", "Bearer authentication is required"),
        ("AccountName=a;AccountKey=Zm9v==;x=1", "AccountName=a;AccountKey=[key];x=1"),
        ("token eyJhbGciOiJub25lIn0.eyJhdWQiOiJ4In0.c2ln expired", "token [key] expired"),
        ("https://h/x?page=2&keyword=a", "https://h/x?page=2&keyword=a"),
    ],
)
def test_what_authenticates_in_urls_and_headers_is_replaced(text, redacted):
    assert redact(text) == redacted


def test_secrets_of_the_environment_are_known(monkeypatch):
    secrets = {
        "MLFLOW_TRACKING_URI": "https://me:pw-of-mlflow@host",
        "MLFLOW_TRACKING_PASSWORD": "another-pw",
        "AZUREML_RUN_TOKEN": "run-token-1",
        "ROWS": "https://h/rows?sig=signature1",
        "PIP_INDEX_URL": "https://pat-of-feed@host/simple",
    }
    for name, value in {**secrets, "KEY_FILE": "/home/me/key.txt", "KEY_VAULT_NAME": "my-pw-of-mlflow-vault"}.items():
        monkeypatch.setenv(name, value)
    text = "pw-of-mlflow another-pw run-token-1 signature1 pat-of-feed /home/me/key.txt"
    assert redact(text) == "[key] [key] [key] [key] [key] /home/me/key.txt"


def test_a_large_reply_is_quoted_quickly():
    started = time.perf_counter()
    quote("<p>an error page</p>\n" * 100_000, random_secrets(6))
    quote("<p>an error page</p>\n" * 100_000, random_secrets(6))
    assert time.perf_counter() - started < 0.5


def test_log_records_of_all_packages_are_redacted_and_printable(monkeypatch, capsys):
    monkeypatch.setenv("HTTPS_PROXY", "http://me:p-a-s-s@proxy")
    text, make_record, print_exception = io.StringIO(), logging.getLogRecordFactory(), sys.excepthook
    handler, logger = logging.StreamHandler(text), logging.getLogger("another.package")
    logger.addHandler(handler)
    redact_output()
    try:
        logger.warning("refused: %s", "p-a-s-s \x1b[31m \u202e")
        logger.warning("refused: %s %s", "not enough arguments")
        try:
            raise ValueError("not with p-a-s-s")
        except ValueError as error:
            logger.exception("failed")
            sys.excepthook(type(error), error, error.__traceback__)
    finally:
        sys.excepthook = print_exception
        logging.setLogRecordFactory(make_record)
        logger.removeHandler(handler)
    lines = text.getvalue().splitlines()
    assert lines[:4] == [
        "refused: [key] \\x1b[31m \\u202e",
        "refused: %s %s",
        "failed",
        "Traceback (most recent call last):",
    ]
    assert lines[-1] == "ValueError: not with [key]"
    assert capsys.readouterr().err.splitlines()[-1] == "ValueError: not with [key]"
