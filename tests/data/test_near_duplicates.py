"""Rows that repeat an earlier row with small changes, and rows that only look like it."""

import random

import pytest

from azdistill.data.near_duplicates import near_duplicates

LONG = (
    "The delivery of the second parcel was announced for Tuesday, but the driver left it with a neighbour who is on "
    "holiday, and the customer asks for a refund."
)
REPLY = "We are sorry for the delay. A colleague will call the neighbour and bring the parcel to you by Friday evening."


@pytest.mark.parametrize(
    "other",
    [
        (LONG.upper() + " \n", REPLY),
        (LONG.replace("Tuesday,", "tuesday"), REPLY.replace(". ", "!  ")),
        ("Hello, " + LONG, REPLY),
        (LONG, REPLY.replace("colleague", "colleage")),
    ],
    ids=["case", "punctuation", "greeting", "typing error"],
)
def test_a_row_with_small_changes_repeats_the_earlier_one(other):
    assert near_duplicates([("What?", "That."), (LONG, REPLY), other], 0.8) == {2: 1}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("2+3?", "5"), ("2+4?", "5")),
        (("Is Paris on a river?", "yes"), ("Is Parma on a river?", "yes")),
        ((LONG, REPLY), (LONG, "Please send us a photograph of the parcel, and we refund its price the same day.")),
        ((LONG, "refund"), (LONG, "delivery")),
        ((LONG + " It cost 20 euros.", REPLY), (LONG + " It cost 25 euros.", REPLY)),
    ],
    ids=["other number", "other name", "other answer", "other label", "other price"],
)
def test_a_row_of_the_same_form_with_other_content_does_not(first, second):
    assert near_duplicates([first, second], 0.8) == {}


def words(rng, count):
    return " ".join("".join(rng.choices("abdeilmnorstu", k=rng.randint(3, 9))) for _ in range(count))


def test_a_template_that_many_rows_share_is_not_compared():
    rng = random.Random(0)
    template = words(rng, 200)
    rows = [(f"{template}\n{words(rng, 15)}", "positive") for _ in range(40)]
    question = rows[7][0]
    rows += [(f"{question} thanks", "positive"), (f"{question} thanks", "negative")]
    assert near_duplicates(rows, 0.8) == {40: 7}


def test_copies_of_one_row_name_the_first_of_them():
    assert near_duplicates([(LONG,), ("Hi! " + LONG,), (LONG + " Hi!",), (LONG,)], 0.8) == {1: 0, 2: 0, 3: 0}


def test_languages_without_spaces_are_compared():
    text = "".join(
        random.Random(1).choices(
            "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动", k=120
        )
    )
    assert near_duplicates([(text,), (text[:50] + "学" + text[50:],), (text[::-1],)], 0.8) == {1: 0}


@pytest.mark.parametrize("rows", [[], [("", "")], [("a", "b")]])
def test_few_and_empty_rows_have_no_duplicates(rows):
    assert near_duplicates(rows, 0.8) == {}


def test_planted_copies_are_recalled_and_nothing_else():
    rng = random.Random(2)
    rows = [(words(rng, 40), words(rng, 30)) for _ in range(500)]
    planted = {}
    for number in rng.sample(range(500), 50):
        prompt = rows[number][0].split()
        prompt[rng.randrange(40)] = words(rng, 1)
        planted[len(rows)] = number
        rows.append((" ".join(prompt), rows[number][1]))
    repeats = near_duplicates(rows, 0.8)
    assert repeats.items() <= planted.items()
    assert len(repeats) >= 0.97 * len(planted)
