"""A part of a pipeline: up to a node, or from a node on."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from azdistill.engine.errors import InputError
from azdistill.engine.pipeline.documents import Node, Pipeline
from azdistill.engine.pipeline.findings import suggestion
from azdistill.engine.pipeline.flatten import SEPARATOR

Nodes = Mapping[str, Node]


@dataclass(frozen=True)
class Part:
    """What of a pipeline to run: with `until`, that node and what it needs; with `start`, that node and what
    comes after it run again, changed or not, and what comes before it has to be there."""

    until: str | None = None
    start: str | None = None

    def of(self, pipeline: Pipeline) -> Pipeline:
        """The pipeline without the nodes that are left out. Raises InputError for a node that it doesn't have."""
        if self.until is not None:
            _check("--until", self.until, pipeline.nodes)
            kept = before(pipeline.nodes, self.until) | named(pipeline.nodes, self.until)
            pipeline = replace(pipeline, nodes={name: node for name, node in pipeline.nodes.items() if name in kept})
        if self.start is not None:
            _check("--from", self.start, pipeline.nodes)
        return pipeline


WHOLE = Part()


def named(nodes: Nodes, name: str) -> frozenset[str]:
    """The node of that name, or the nodes of the pipeline component of that name."""
    return frozenset(other for other in nodes if other == name or other.startswith(name + SEPARATOR))


def before(nodes: Nodes, name: str) -> frozenset[str]:
    """What a node needs: the nodes whose outputs it reads, and those that they read."""
    found: set[str] = set()
    itself = named(nodes, name)
    waiting = list(itself)
    while waiting:
        fresh = (nodes[waiting.pop()].upstream() & nodes.keys()) - found
        found |= fresh
        waiting += fresh
    return frozenset(found - itself)


def since(nodes: Nodes, name: str) -> frozenset[str]:
    """A node, or those of a pipeline component, and every node that needs them."""
    start = named(nodes, name)
    return frozenset(other for other in nodes if other in start or start & before(nodes, other))


def _check(option: str, name: str, nodes: Nodes) -> None:
    if not named(nodes, name):
        raise InputError(f"{option} {name!r}: no such node in what is to run; {suggestion(name, nodes)}")
