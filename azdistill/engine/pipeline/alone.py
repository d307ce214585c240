"""A component alone: the pipeline of one node that runs it, with the component's inputs as its own."""

import re

from azdistill.engine.pipeline.components import read_component
from azdistill.engine.pipeline.documents import Node, OutputSetting, Pipeline
from azdistill.engine.pipeline.expressions import PipelineInput
from azdistill.engine.pipeline.reading import Part
from azdistill.engine.yaml_document import Document


def is_component(document: Document) -> bool:
    """Whether a file is a command or parallel component, and no pipeline."""
    work = document.value.get("command") or document.value.get("task")
    return bool(work) and "jobs" not in document.value


def component_alone(document: Document) -> Pipeline:
    """Where the pipeline runs is not said, as a component doesn't say it either."""
    root = Part(document, [])
    component = read_component(root, document.path.resolve().parent.name)
    name = re.sub(r"\W", "_", component.name.lower(), flags=re.ASCII)
    node = Node(
        name=name,
        component=component,
        inputs={port: PipelineInput(port) for port in component.inputs},
        outputs={port: OutputSetting(kind) for port, kind in component.outputs.items()},
        promoted={},
        settings=component.settings,
    )
    return Pipeline(
        document=document,
        inputs={port: declared.default for port, declared in component.inputs.items()},
        ports=component.inputs,
        outputs={},
        nodes={name: node},
        findings=tuple(root.found),
        is_component=True,
    )
