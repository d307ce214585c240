"""Personal data is found by pattern and checksum, and replaced before ids are computed."""

import json
from collections import Counter

import pytest

from azdistill.contracts.files import read_rows
from azdistill.contracts.rows import Prompt
from azdistill.data.personal_data import redact_text

# Numbers of documentation and of the authorities' examples.
PERSONAL = [
    ("Write to ana.pop+x@example.co.uk, please", "Write to <EMAIL>, please"),
    ("Mail: ștefan@exemplu.ro.", "Mail: <EMAIL>."),
    ("IBAN RO49 AAAA 1B31 0075 9384 0000 or DE89370400440532013000", "IBAN <IBAN> or <IBAN>"),
    ("from 192.168.1.254, or 2001:db8::8a2e:370:7334.", "from <IP_ADDRESS>, or <IP_ADDRESS>."),
    ("card 4111 1111 1111 1111, 5500-0000-0000-0004, 378282246310005", "card " + ", ".join(["<CREDIT_CARD>"] * 3)),
    ("CNP 1800101221144", "CNP <NATIONAL_ID>"),
    ("PESEL 44051401359, SSN 078-05-1120", "PESEL <NATIONAL_ID>, SSN <NATIONAL_ID>"),
    ("DNI 12345678Z, NIE X1234567L, CF RSSMRA85T10A562S", "DNI <NATIONAL_ID>, NIE <NATIONAL_ID>, CF <NATIONAL_ID>"),
    ("Call +40 722 123 456 or (212) 555-0123 or 0721-234-567", "Call <PHONE> or <PHONE> or <PHONE>"),
    ("Call 0722123456, 030/1234567 or +49 (30) 901820.", "Call <PHONE>, <PHONE> or <PHONE>."),
]
OTHER = [
    "Order #4711 of 12-03-2024 for 1,234.56 euros at 10:30:00, version 2.10.3",
    "The card 4111 1111 1111 1112 and the number 1234567890123456 are none",
    "DE89370400440532013001, 1800101221145, 44051401358, 12345678A, 000-12-3456, 999.1.1.1",
    "f(x) = 0.25 * 10 - 3, 100 200 300, ISBN 978-3-16-148410-0, user@localhost, a::b, x[1::2], 2 + 2",
    "Between 1990 and 2024, 12 of 1000000 people; 3.14159265358979",
]


@pytest.mark.parametrize(("text", "redacted"), PERSONAL)
def test_personal_data_is_replaced_by_tags(text, redacted):
    counts = Counter()
    assert redact_text(text, counts) == redacted
    assert counts.total() == redacted.count("<")


@pytest.mark.parametrize("text", OTHER)
def test_other_numbers_stay(text):
    counts = Counter()
    assert (redact_text(text, counts), counts) == (text, {})


def test_rows_are_redacted_before_their_ids_are_computed(jsonl, row, prepare_step):
    rows = [row(f"Where is order {n}?") for n in range(20)]
    rows += [row(f"I am {name}@example.com", f"Call 0722 123 45{n}.") for n, name in enumerate(("ana", "ion"))]
    rows += [row("x", gold=["a", "b@example.com"], topic="b@example.com"), {"messages": 1}]
    path = jsonl(rows)
    done = prepare_step(path, pii="redact", slice_columns="topic", max_reject_ratio=0.5)
    assert (done.code, done.err) == (0, "")
    text = (done.folder / "prompts.jsonl").read_text()
    assert "example.com" not in text
    assert "0722" not in text
    (prompt,) = (row for row in read_rows(done.folder / "prompts.jsonl", Prompt) if "EMAIL" in row.messages[0].content)
    assert (prompt.messages[0].content, prompt.gold) == ("I am <EMAIL>", "Call <PHONE>.")
    counts = json.loads((done.folder / "manifest.json").read_text())["counts"]
    assert counts["left_out"] == {"duplicate": 1}
    assert counts["personal_data"] == {"action": "redact", "values": {"email": 4, "phone": 2}}
    assert "personal data redacted: 4 email, 2 phone" in done.out
    done = prepare_step(path, pii="report", slice_columns="topic", max_reject_ratio=0.5)
    assert "ana@example.com" in (done.folder / "prompts.jsonl").read_text()
    assert "personal data: 4 email, 2 phone" in done.out
