"""The page of a run in progress: its graph, the last lines of its logs, and the loss."""

from collections.abc import Sequence
from dataclasses import dataclass

from azdistill.reporting.curve import curve
from azdistill.reporting.graph import graph
from azdistill.reporting.render import TEMPLATES, render_page, script_hash
from azdistill.reporting.report import CurvePoint

SCRIPT = (TEMPLATES / "watch.js").read_text(encoding="utf-8")

# Nodes in these states are shown with their log.
OPEN = ("running", "failed", "interrupted")


@dataclass(frozen=True)
class WatchedNode:
    """A node with the last lines of its log. `needs` are the nodes whose outputs it reads."""

    name: str
    state: str
    seconds: float = 0.0
    needs: tuple[str, ...] = ()
    log: tuple[str, ...] = ()


@dataclass(frozen=True)
class WatchedRun:
    """A run at one moment. `updated` is a time as text; `losses` are those of its training so far."""

    name: str
    state: str
    updated: str
    nodes: Sequence[WatchedNode]
    losses: Sequence[CurvePoint] = ()


def watch_page(run: WatchedRun, *, refreshing: bool) -> str:
    """One self-contained HTML page, which reloads itself every two seconds if it is `refreshing`.

    A script reloads it, and not a meta element, so that a reader can stop that.
    Source: Web Content Accessibility Guidelines 2.2, technique F41.
    """
    ended = [node for node in run.nodes if node.state in ("completed", "reused")]
    return render_page(
        "watch.html.jinja",
        run=run,
        graph=graph({node.name: node.needs for node in run.nodes}),
        states={node.name: node.state for node in run.nodes},
        ended=len(ended),
        curve=curve(run.losses),
        last_loss=run.losses[-1].loss if run.losses else None,
        logs=[node for node in run.nodes if node.log],
        OPEN=OPEN,
        refreshing=refreshing,
        script=SCRIPT,
        script_hash=script_hash(SCRIPT),
    )
