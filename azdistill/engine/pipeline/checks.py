"""Static checks of a whole pipeline: what could not run is found before anything runs."""

from collections import defaultdict
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

from azdistill.engine.pipeline.documents import Data, Node, Pipeline
from azdistill.engine.pipeline.node_checks import NodeCheck
from azdistill.engine.pipeline.reading import Part
from azdistill.engine.problems import Problem

_NEED_COMPUTE = ("command", "sweep", "parallel")


def findings(pipeline: Pipeline, inside: bool = False) -> list[Problem]:
    """Everything found in a pipeline, by file and line, its own file first. One that is `inside` another is given
    its inputs there."""
    found = list(pipeline.findings)
    root = Part(pipeline.document, found)
    for node in pipeline.nodes.values():
        NodeCheck(pipeline, node, root.at("jobs", node.name), inside).run()
        if node.component.pipeline:
            found += [one for one in findings(node.component.pipeline, inside=True) if one not in found]
    _check_files(pipeline, root)
    _check_cycles(pipeline.nodes, root)
    _check_writers(pipeline, root)
    _check_outputs(pipeline, root)
    _check_compute(pipeline, root)
    return sorted(found, key=lambda one: (one.file != pipeline.path, str(one.file), one.line, one.text))


def order(nodes: Mapping[str, Node]) -> list[str]:
    """Node names, each after what it reads. Raises graphlib.CycleError."""
    graph = {name: sorted(node.upstream() & nodes.keys()) for name, node in nodes.items()}
    return list(TopologicalSorter(graph).static_order())


def _check_files(pipeline: Pipeline, root: Part) -> None:
    places = {("inputs", name): value for name, value in pipeline.inputs.items()} | {
        ("jobs", node.name, "inputs", name): value
        for node in pipeline.nodes.values()
        for name, value in node.inputs.items()
    }
    for place, value in places.items():
        if isinstance(value, Data) and not value.is_remote and "${{" not in value.path:
            _check_file(root.at(*place), value)


def _check_file(part: Part, data: Data) -> None:
    if not data.local.exists():
        part.error(f"no such file or folder in {str(data.base)!r}", value=data.path)
    elif data.type == "uri_file" and data.local.is_dir():
        part.error("a folder, and the input is a uri_file", value=data.path)
    elif data.type in ("uri_folder", "mltable") and data.local.is_file():
        part.error(f"a file, and the input is a {data.type}", value=data.path)


def _check_cycles(nodes: Mapping[str, Node], root: Part) -> None:
    try:
        order(nodes)
    except CycleError as problem:
        circle = list(reversed(problem.args[1]))
        root.at("jobs", circle[0]).error(f"a cycle: {' -> '.join(circle)}", value=None)


def _check_writers(pipeline: Pipeline, root: Part) -> None:
    """Two jobs that write one place overwrite each other; a shared store that is mounted is meant to be shared."""
    writers: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for node in pipeline.nodes.values():
        for name, setting in node.outputs.items():
            target = f"outputs.{node.promoted[name]}" if name in node.promoted else setting.path
            target = target and target.replace("${{output_name}}", name)
            if target and (name in node.promoted or (setting.mode != "rw_mount" and "${{name}}" not in target)):
                writers[target.rstrip("/")].append((node.name, name))
    for target, ports in writers.items():
        for node_name, name in ports[1:]:
            text = f"jobs.{ports[0][0]}.outputs.{ports[0][1]} writes to {target} too; give each a place of its own"
            root.at("jobs", node_name, "outputs", name).error(text, value=None)


def _check_outputs(pipeline: Pipeline, root: Part) -> None:
    written = {target for node in pipeline.nodes.values() for target in node.promoted.values()}
    for name in pipeline.outputs:
        if name not in written:
            root.at("outputs", name).warning("no job writes it", value=None)


def _check_compute(pipeline: Pipeline, root: Part) -> None:
    """A pipeline component takes the compute of the job that holds it."""
    raw = pipeline.document.value
    settings = raw.get("settings")
    if (
        pipeline.is_component
        or raw.get("compute")
        or (isinstance(settings, Mapping) and settings.get("default_compute"))
    ):
        return
    for node in pipeline.nodes.values():
        if node.component.kind in _NEED_COMPUTE and not node.settings.get("compute"):
            text = "none given; name one here or in settings.default_compute, such as serverless"
            root.at("jobs", node.name, "compute").error(text, "azure")
