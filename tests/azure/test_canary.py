"""No output contains a secret: tests/azure/canary.py plants secrets and searches all outputs."""

import pytest

from tests.azure.canary import SECRETS, SecretSearch, search_for_secrets


@pytest.mark.slow
def test_no_output_contains_a_secret(storage, tmp_path):
    search = search_for_secrets(storage, tmp_path)
    hits = search.hits()
    print(f"canary_planted {len(search.secrets)} canary_hits {len(hits)}")
    assert hits == []
    assert len(search.secrets) == len(SECRETS) + 3
    for source in ("token of the user", "token of the job", "secret of the node's identity"):
        assert any(search.secrets[source][0] in value for value in search.header_values), source
    kinds = {location.partition(" ")[0] for location in search.outputs}
    assert kinds >= set("bundle request job blob assets: output folders log repr MLflow's submission endpoint".split())


def test_the_search_finds_a_secret():
    search = SecretSearch({"key": ["canary-1"], "token": ["canary-2"]})
    search.add("log", "a line with canary-1")
    assert search.hits() == ["key in log"]
