"""No secret goes where it isn't needed: tests/azure/canary.py plants them and looks everywhere."""

import pytest

from tests.azure.canary import PLANTS, Search, canaries


@pytest.mark.slow
def test_no_planted_secret_turns_up_anywhere(storage, tmp_path):
    search = canaries(storage, tmp_path)
    hits = search.hits()
    print(f"canary_planted {len(search.planted)} canary_hits {len(hits)}")
    assert hits == []
    assert len(search.planted) == len(PLANTS) + 3
    for source in ("token of the user", "token of the job", "secret of the node's identity"):
        assert any(search.planted[source][0] in value for value in search.carried), source
    kinds = {place.partition(" ")[0] for place in search.left}
    assert kinds >= set("bundle request job blob assets: output folders log repr MLflow's submission endpoint".split())


def test_the_search_finds_what_is_there():
    search = Search({"key": ["canary-1"], "token": ["canary-2"]})
    search.look_at("log", "a canary-1 sang")
    assert search.hits() == ["key in log"]
