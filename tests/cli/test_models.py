"""azdistill models: the catalog as tables and as JSON."""

import json

from azdistill.job.catalog import built_in
from tests.cli.conftest import Command


def test_each_model_has_a_line_with_its_size_licence_and_needs(azdistill: Command) -> None:
    lines = {line.split()[0]: line.split() for line in azdistill("models").out.splitlines() if line}
    assert {*built_in().teachers, *built_in().students} <= lines.keys()
    assert lines["llama-3.3-70b"][1:6] == ["70", "128,000", "llama3.3", "Foundry", "resource"]
    assert lines["qwen2.5-1.5b"][1:4] == ["1.54", "32,768", "apache-2.0"]
    assert lines["qwen2.5-1.5b"][5:8] == ["GB,", "Standard_NC4as_T4_v3", "huggingface.co/Qwen/Qwen2.5-1.5B-Instruct"]


def test_json_has_all_facts(azdistill: Command) -> None:
    catalog = json.loads(azdistill("models", "--format", "json").out)
    assert catalog["students"]["phi-4-mini"]["parameters"] == 3.8
    assert catalog["as_of"] == built_in().as_of.isoformat()
