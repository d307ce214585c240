"""A pipeline of one node that runs a component file, with the component's inputs as its own."""

import re

from azdistill.engine.pipeline.client_fields import check_component_file
from azdistill.engine.pipeline.components import read_component
from azdistill.engine.pipeline.expressions import PipelineInput
from azdistill.engine.pipeline.model import Node, OutputSetting, Pipeline
from azdistill.engine.pipeline.yaml_node import YamlNode
from azdistill.engine.yaml_document import Document


def is_component(document: Document) -> bool:
    """True if a file is a command or parallel component rather than a pipeline."""
    return "jobs" not in document.value and bool(document.value.get("command") or document.value.get("task"))


def single_component(document: Document) -> Pipeline:
    """The pipeline that runs the component of a file. It has no compute, as a component has none."""
    root = YamlNode(document, [])
    component = read_component(root, document.path.resolve().parent.name)
    check_component_file(root)
    name = re.sub(r"\W|^(?=\d)", "_", component.name.lower(), flags=re.ASCII)
    node = Node(
        name=name,
        component=component,
        inputs={port: PipelineInput(port) for port in component.inputs},
        outputs={port: OutputSetting(type) for port, type in component.outputs.items()},
        promoted={},
        settings=component.settings,
    )
    return Pipeline(
        document=document,
        inputs={port: declared.default for port, declared in component.inputs.items()},
        ports=component.inputs,
        outputs={},
        nodes={name: node},
        problems=tuple(root.problems),
        is_component=True,
    )
