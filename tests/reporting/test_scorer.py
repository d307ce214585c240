"""The report of a training with a scoring teacher: its use and its cost."""

from collections.abc import Callable
from pathlib import Path

import pytest

from azdistill.contracts.files import write_json
from azdistill.contracts.report import ReportConfig
from azdistill.reporting.collect import Folders, collect
from azdistill.reporting.render import html, markdown
from azdistill.reporting.report import Costs, Report
from tests.reporting.conftest import USAGE

Distil = Callable[..., dict[str, Path]]


@pytest.mark.parametrize("render", [html, markdown])
def test_the_page_shows_the_use_and_the_cost_of_all_attempts(distil: Distil, render: Callable[[Report], str]) -> None:
    folders = distil()
    counts = {"asked": 1400, "from_store": 90, "scored": 1500, "spent": 3.25}
    write_json(folders["training"] / "usage.json", {**USAGE, **counts, "teacher": "qwen <i>", "route": "endpoint"})
    report = collect(Folders(**folders), ReportConfig(title="quickstart"))
    text = render(report)
    assert report.costs.scorer == 3.25
    for words in ("(endpoint): 1,500 sampled answers, 1,400 requests, 90 from the response store", "3.25"):
        assert words in text
    assert "qwen <i>" not in text


def test_scores_are_part_of_what_a_distillation_costs() -> None:
    assert Costs(teacher=2, scorer=3, training=1).spent == 6
