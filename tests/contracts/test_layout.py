"""The layout names the outputs and inputs that the steps and the plan declare."""

import ast
from pathlib import Path

import pytest

from azdistill.contracts import layout
from azdistill.job.components import step_of
from azdistill.job.graph import GRAPH, PUBLISHED

PACKAGE = Path(layout.__file__).parents[1]
RUN_PATHS = {name: path for name, path in vars(layout).items() if name.startswith("RUN_")}
# README.md, the model card, is also the name of pages.
FILE_NAMES = {value for name, value in vars(layout).items() if name.endswith("_FILE")} - {layout.MODEL_CARD_FILE}


@pytest.mark.parametrize("name", RUN_PATHS)
def test_a_path_in_a_run_folder_starts_with_a_node_and_its_output(name: str) -> None:
    node, output = RUN_PATHS[name].parts[:2]
    assert output in step_of(GRAPH[node].step).outputs


def test_the_outputs_of_the_pipeline_are_outputs_of_its_nodes() -> None:
    assert set(PUBLISHED) == {layout.EVALUATION_OUTPUT, layout.REPORT_OUTPUT, layout.REGISTRATION_OUTPUT}
    for published, source in PUBLISHED.items():
        node, output = source.split(".")
        assert output == published
        assert output in step_of(GRAPH[node].step).outputs


def test_the_layout_imports_nothing_of_azdistill() -> None:
    nodes = ast.walk(ast.parse(Path(layout.__file__).read_text(encoding="utf-8")))
    imported = [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    assert imported == ["pathlib"]


def test_no_other_module_has_a_literal_with_the_name_of_a_file_of_the_layout() -> None:
    """The engine names components as Azure ML does, and imports nothing of azdistill."""
    sources = (path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] != "engine")
    literals = {
        (path.relative_to(PACKAGE).as_posix(), node.value)
        for path in sources
        if path != Path(layout.__file__)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if Path(node.value).name in FILE_NAMES
    }
    assert not literals
