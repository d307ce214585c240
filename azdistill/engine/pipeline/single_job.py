"""The pipeline of one node for a file of one job or component."""

import re
from dataclasses import replace

from azdistill.engine.pipeline.client_fields import check_component_file
from azdistill.engine.pipeline.components import read_component
from azdistill.engine.pipeline.expressions import InputText, JobOutput, PipelineInput, required_names
from azdistill.engine.pipeline.model import Component, Node, OutputSetting, Pipeline
from azdistill.engine.pipeline.yaml_node import YamlNode


def single_component(root: YamlNode) -> Pipeline:
    """The pipeline that runs the component of a file, with the component's inputs as its own. It has no compute, as a
    component has none."""
    component = read_component(root, root.document.path.resolve().parent.name)
    check_component_file(root)
    _check_optional_inputs(root, component)
    node = Node(
        name=node_name(component.name),
        component=component,
        inputs={port: PipelineInput(port) for port in component.inputs},
        outputs={port: OutputSetting(type) for port, type in component.outputs.items()},
        promoted={},
        settings=component.settings,
    )
    return Pipeline(
        document=root.document,
        inputs={port: declared.default for port, declared in component.inputs.items()},
        ports=component.inputs,
        outputs={},
        nodes={node.name: node},
        problems=tuple(root.problems),
        is_component=True,
        is_single=True,
    )


def _check_optional_inputs(root: YamlNode, component: Component) -> None:
    """Warn about a command that needs the value of an optional input: it is not inside of `$[[ ]]`. In a pipeline, only
    a job that gives it no value has this problem."""
    required = required_names(component.command)
    for name, port in component.inputs.items():
        if port.optional and port.default is None and f"inputs.{name}" in required:
            message = f"uses the optional inputs.{name}, and cannot run without its value"
            fix = f"put its flag into $[[ ]], such as $[[--{name} ${{{{inputs.{name}}}}}]]"
            root.at("command").warning("optional_for_required", message, fix, value=None)


def single_job(root: YamlNode, node: Node) -> Pipeline:
    """The pipeline that runs `node`, the job of a file. The inputs of the job are those of the pipeline, so that they
    can be overridden."""
    references = PipelineInput | InputText | JobOutput
    for name, value in node.inputs.items():
        if isinstance(value, references):
            message = "a job outside a pipeline has no parent to read from"
            root.at("inputs", name).error("invalid_reference", message, "write the value")
    values = {name: value for name, value in node.inputs.items() if not isinstance(value, references)}
    inputs = {name: PipelineInput(name) for name in values}
    return Pipeline(
        document=root.document,
        inputs=values,
        ports={},
        outputs={},
        nodes={node.name: replace(node, inputs=inputs)},
        problems=tuple(root.problems),
        is_single=True,
    )


def node_name(text: str) -> str:
    """A name of a node that is like another name."""
    return re.sub(r"\W|^(?=\d)", "_", text.lower(), flags=re.ASCII)
