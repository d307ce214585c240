"""A pipeline without pipelines in it: the nodes of each pipeline component stand in its place.

As on Azure ML, a node of it waits for what it reads itself, and not for all that the pipeline component reads.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from azdistill.engine.pipeline.documents import Data, Node, Pipeline, Scalar, Value
from azdistill.engine.pipeline.expressions import JobOutput, PipelineInput

SEPARATOR = "."
"""No node has it in its name, and a run folder of such names reads well."""


def flat(pipeline: Pipeline) -> Pipeline:
    """The same work with nodes named OUTER.INNER. Expects a pipeline without errors."""
    inner = {node.name: flat(node.component.pipeline) for node in pipeline.nodes.values() if node.component.pipeline}
    if not inner:
        return pipeline
    writers = {name: _writers(part) for name, part in inner.items()}
    nodes = [
        _with_writers(one, writers)
        for node in pipeline.nodes.values()
        for one in (_placed(node, inner[node.name]) if node.name in inner else [node])
    ]
    return replace(pipeline, nodes={node.name: node for node in nodes})


def _writers(inner: Pipeline) -> Mapping[str, JobOutput]:
    """Who writes each output of a pipeline component, by name."""
    return {
        target: JobOutput(node.name, port) for node in inner.nodes.values() for port, target in node.promoted.items()
    }


def _placed(outer: Node, inner: Pipeline) -> Iterator[Node]:
    """The nodes of a pipeline component as nodes of the pipeline around it."""
    for node in inner.nodes.values():
        given = {port: _bound(value, outer, inner) for port, value in node.inputs.items()}
        kept = {port: target for port, target in node.promoted.items() if target in outer.outputs}
        settings = {port: replace(outer.outputs[target], type=node.outputs[port].type) for port, target in kept.items()}
        deterministic = node.component.deterministic and outer.component.deterministic
        yield replace(
            node,
            name=f"{outer.name}{SEPARATOR}{node.name}",
            component=replace(node.component, deterministic=deterministic),
            inputs={port: value for port, value in given.items() if value is not None},
            outputs={**node.outputs, **{port: one for port, one in settings.items() if one.path or one.mode}},
            promoted={port: outer.promoted[target] for port, target in kept.items() if target in outer.promoted},
        )


def _bound(value: Value, outer: Node, inner: Pipeline) -> Value | None:
    """What an input of an inner node is given, seen from outside; None where nothing is, as for an optional input."""
    if isinstance(value, JobOutput):
        return JobOutput(f"{outer.name}{SEPARATOR}{value.node}", value.name)
    if isinstance(value, PipelineInput):
        return outer.inputs.get(value.name, _default(inner, value.name))
    return value


def _default(inner: Pipeline, name: str) -> Scalar | Data | None:
    given = inner.inputs[name]
    return inner.ports[name].default if given is None and name in inner.ports else given


def _with_writers(node: Node, writers: Mapping[str, Mapping[str, JobOutput]]) -> Node:
    """A node that reads an output of a pipeline component reads it from the node that writes it."""
    return replace(node, inputs={port: _source(value, writers) for port, value in node.inputs.items()})


def _source(value: Value, writers: Mapping[str, Mapping[str, JobOutput]]) -> Value:
    if not isinstance(value, JobOutput) or value.node not in writers:
        return value
    writer = writers[value.node][value.name]
    return JobOutput(f"{value.node}{SEPARATOR}{writer.node}", writer.name)
