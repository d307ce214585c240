"""Azdistill has the verdict of Azure's client on files as people publish them.

After a change of a file, or of the client, run `python -m tests.corpus.verdicts`.
"""

import json
from collections.abc import Sequence

import pytest

from tests.corpus.verdicts import (
    FILES,
    VERDICTS,
    client_verdict,
    client_version,
    compare,
    recorded,
    refused_later,
    verdict,
)

# Files that azdistill does not refuse, though Azure ML does, with the reason.
NOT_CHECKED = "the local engine does not run jobs of this type, and does not check their own fields"
MISSES = {
    "wrong/pipeline/automl_misplaced_fields.yml": NOT_CHECKED,
    "wrong/pipeline/spark_without_entry.yml": NOT_CHECKED,
}

RECORDED = recorded()


@pytest.mark.parametrize("name", FILES)
def test_azdistill_has_the_verdict_of_the_client(name: str) -> None:
    comparison = compare(name, verdict(name), RECORDED[name])
    assert comparison.false_alarms == comparison.contradictions == ()
    assert bool(comparison.misses) == (name in MISSES), comparison.misses


@pytest.mark.parametrize(
    "names", [FILES[::10], pytest.param(FILES, marks=pytest.mark.slow)], ids=["every tenth file", "every file"]
)
def test_the_recorded_verdicts_are_those_of_the_installed_client(names: Sequence[str]) -> None:
    assert json.loads(VERDICTS.read_text())["azure-ai-ml"] == client_version()
    assert {name: client_verdict(name) for name in names} == {name: RECORDED[name] for name in names}


def test_a_wrong_file_is_refused_by_someone_and_a_right_one_by_nobody() -> None:
    refused = {name for name in FILES if RECORDED[name] or refused_later(name)}
    assert refused == {name for name in FILES if name.startswith("wrong/")}
    assert len(json.loads(VERDICTS.read_text())["files"]) == len(FILES)
