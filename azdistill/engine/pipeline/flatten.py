"""Replace the pipeline components of a pipeline by their nodes.

As on Azure ML, a node of a pipeline component waits only for what it reads itself.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from azdistill.engine.errors import PipelineError
from azdistill.engine.pipeline.expressions import InputText, JobOutput, PipelineInput
from azdistill.engine.pipeline.model import Data, Node, Pipeline, Scalar, Value

MAX_NODES = 10_000

# Between the names of outer and inner node. Node names do not contain it.
SEPARATOR = "."


def flatten(pipeline: Pipeline) -> Pipeline:
    """The same work as one level of nodes, named OUTER.INNER. The pipeline must have no errors.

    Raises PipelineError for more than `MAX_NODES` nodes.
    """
    inner: dict[str, Pipeline] = {}
    count = len(pipeline.nodes)
    for node in pipeline.nodes.values():
        if node.component.pipeline:
            inner[node.name] = flatten(node.component.pipeline)
            count += len(inner[node.name].nodes)
        if count > MAX_NODES:
            raise PipelineError(f"has more than {MAX_NODES:,} nodes", code="too_many_jobs", file=pipeline.path)
    if not inner:
        return pipeline
    writers = {name: _writers(component) for name, component in inner.items()}
    nodes = [
        _with_writers(leaf, writers)
        for node in pipeline.nodes.values()
        for leaf in (_inner_nodes(node, inner[node.name]) if node.name in inner else [node])
    ]
    return replace(pipeline, nodes={node.name: node for node in nodes})


def node_count(pipeline: Pipeline, counted: dict[int, int] | None = None) -> int:
    """Number of nodes of the flattened pipeline, which may have errors. A pipeline component is counted once: `counted`
    has those by id."""
    counted = {} if counted is None else counted
    for component in (node.component for node in pipeline.nodes.values()):
        if component.pipeline and id(component.pipeline) not in counted:
            counted[id(component.pipeline)] = node_count(component.pipeline, counted)
    inner = (node.component.pipeline for node in pipeline.nodes.values())
    return sum(counted[id(nested)] if nested else 1 for nested in inner)


def _writers(inner: Pipeline) -> Mapping[str, JobOutput]:
    """The inner node output that is each output of a pipeline component, by name."""
    return {
        target: JobOutput(node.name, port) for node in inner.nodes.values() for port, target in node.promoted.items()
    }


def _inner_nodes(outer: Node, inner: Pipeline) -> Iterator[Node]:
    """The nodes of a pipeline component, as nodes of the pipeline that contains it."""
    for node in inner.nodes.values():
        inputs = {port: _outer_value(value, outer, inner) for port, value in node.inputs.items()}
        bound = {port: target for port, target in node.promoted.items() if target in outer.outputs}
        settings = {
            port: replace(outer.outputs[target], type=node.outputs[port].type) for port, target in bound.items()
        }
        deterministic = node.component.deterministic and outer.component.deterministic
        yield replace(
            node,
            name=f"{outer.name}{SEPARATOR}{node.name}",
            component=replace(node.component, deterministic=deterministic),
            inputs={port: value for port, value in inputs.items() if value is not None},
            outputs={
                **node.outputs,
                **{port: setting for port, setting in settings.items() if setting.path or setting.mode},
            },
            promoted={port: outer.promoted[target] for port, target in bound.items() if target in outer.promoted},
        )


def _outer_value(value: Value, outer: Node, inner: Pipeline) -> Value | None:
    """The value of an inner node's input in the outer pipeline; None for an optional input without a value."""
    if isinstance(value, JobOutput):
        return JobOutput(f"{outer.name}{SEPARATOR}{value.node}", value.name)
    if isinstance(value, PipelineInput):
        return outer.inputs.get(value.name, _default(inner, value.name))
    if isinstance(value, InputText):
        return InputText(tuple(_outer_value(part, outer, inner) for part in value.parts))  # type: ignore[arg-type]
    return value


def _default(inner: Pipeline, name: str) -> Scalar | Data | None:
    value = inner.inputs[name]
    return inner.ports[name].default if value is None and name in inner.ports else value


def _with_writers(node: Node, writers: Mapping[str, Mapping[str, JobOutput]]) -> Node:
    """A node that reads an output of a pipeline component reads it from the inner node that writes it."""
    return replace(node, inputs={port: _writer(value, writers) for port, value in node.inputs.items()})


def _writer(value: Value, writers: Mapping[str, Mapping[str, JobOutput]]) -> Value:
    if not isinstance(value, JobOutput) or value.node not in writers:
        return value
    writer = writers[value.node][value.name]
    return JobOutput(f"{value.node}{SEPARATOR}{writer.node}", writer.name)
