"""Azdistill has the verdict of Azure's client on files as people publish them."""

import json

import pytest

from tests.corpus.verdicts import FILES, VERDICTS, compare, recorded, refused_later, verdict, verdicts_text

# Files that azdistill does not refuse, though Azure ML does, with the reason.
MISSES = {
    "wrong/components/pipeline_name_capital.yml": "the name of a pipeline component is not checked yet",
}

RECORDED = recorded()


@pytest.mark.parametrize("name", FILES)
def test_azdistill_has_the_verdict_of_the_client(name: str) -> None:
    comparison = compare(name, verdict(name), RECORDED[name])
    assert comparison.false_alarms == comparison.contradictions == ()
    assert bool(comparison.misses) == (name in MISSES), comparison.misses


def test_the_recorded_verdicts_are_those_of_the_installed_client() -> None:
    assert verdicts_text() == VERDICTS.read_text(encoding="utf-8"), "run python -m tests.corpus.verdicts"


def test_a_wrong_file_is_refused_by_someone_and_a_right_one_by_nobody() -> None:
    refused = {name for name in FILES if RECORDED[name] or refused_later(name)}
    assert refused == {name for name in FILES if name.startswith("wrong/")}
    assert len(json.loads(VERDICTS.read_text())["files"]) == len(FILES)
