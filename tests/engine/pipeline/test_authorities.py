"""Each error of a pipeline file says who refuses it, and Azure's own client has the same verdict."""

from pathlib import Path

import pytest

from azdistill.azure.offline import sdk_problems
from tests.engine.pipeline.wrong import AREAS, P, find_problems

# The client refuses these when it uploads a file or looks up an asset, for which it needs a workspace.
_AT_UPLOAD = {"missing include", "missing data", "an asset without a version"}


@pytest.mark.parametrize("area", AREAS)
def test_the_client_refuses_what_we_say_that_it_refuses(tmp_path: Path, area: str) -> None:
    differences = []
    for number, (name, case) in enumerate(AREAS[area].cases.items()):
        folder = tmp_path / str(number)
        ours = {authority for problem in find_problems(folder, AREAS[area], case) for authority in problem.refused_by}
        if ("client" in ours) != (bool(sdk_problems(folder / P)) or name in _AT_UPLOAD):
            differences.append((name, sorted(ours)))
    assert differences == []


@pytest.mark.parametrize("area", AREAS)
def test_each_error_and_no_warning_says_who_refuses_it(tmp_path: Path, area: str) -> None:
    for number, case in enumerate(AREAS[area].cases.values()):
        for problem in find_problems(tmp_path / str(number), AREAS[area], case):
            assert bool(problem.refused_by) == (problem.severity == "error"), problem
            assert problem.severity == "warning" or ("engine" in problem.refused_by) <= (problem.scope != "azure")
            assert problem.scope != "local" or problem.refused_by == ("engine",) or problem.severity == "warning"
