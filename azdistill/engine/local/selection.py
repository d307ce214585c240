"""Select the nodes of a pipeline to run: up to a node, or from a node on."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from azdistill.engine.errors import InputError
from azdistill.engine.pipeline.flatten import SEPARATOR
from azdistill.engine.pipeline.model import Node, Pipeline
from azdistill.engine.problems import suggest

Nodes = Mapping[str, Node]


@dataclass(frozen=True)
class NodeSelection:
    """The nodes to run. Both names may be those of pipeline components, which select all of their nodes.

    `until`: this node and the nodes that it depends on. `start`: this node and its dependents run again, changed or
    not; the nodes that it depends on must be reusable.
    """

    until: str | None = None
    start: str | None = None

    def apply(self, pipeline: Pipeline) -> Pipeline:
        """Return the pipeline without the nodes that are not selected. Raises InputError for an unknown node."""
        if self.until is not None:
            _check("--until", self.until, pipeline.nodes)
            names = dependencies(pipeline.nodes, self.until) | members(pipeline.nodes, self.until)
            pipeline = replace(pipeline, nodes={name: node for name, node in pipeline.nodes.items() if name in names})
        if self.start is not None:
            _check("--from", self.start, pipeline.nodes)
        return pipeline


ALL_NODES = NodeSelection()


def members(nodes: Nodes, name: str) -> frozenset[str]:
    """The node of that name, or the nodes of the pipeline component of that name."""
    return frozenset(node for node in nodes if node == name or node.startswith(name + SEPARATOR))


def dependencies(nodes: Nodes, name: str) -> frozenset[str]:
    """Nodes that a node depends on, directly or not, without the node itself."""
    names: set[str] = set()
    itself = members(nodes, name)
    waiting = list(itself)
    while waiting:
        new = (nodes[waiting.pop()].upstream() & nodes.keys()) - names
        names |= new
        waiting += new
    return frozenset(names - itself)


def dependents(nodes: Nodes, name: str) -> frozenset[str]:
    """A node, or the nodes of a pipeline component, and every node that depends on them."""
    start = members(nodes, name)
    return frozenset(node for node in nodes if node in start or start & dependencies(nodes, node))


def _check(option: str, name: str, nodes: Nodes) -> None:
    if not members(nodes, name):
        raise InputError("no such node is selected", subject=f"{option} {name!r}", fix=suggest(name, nodes))
