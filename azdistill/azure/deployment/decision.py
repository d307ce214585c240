"""Decide what a rollout does next, from the state of the endpoint alone, so that an interrupted one can continue."""

from dataclasses import dataclass

from azdistill.azure.deployment.endpoint import SUCCEEDED, EndpointState
from azdistill.azure.deployment.files import COLORS
from azdistill.contracts.errors import InputError


@dataclass(frozen=True)
class Decision:
    """`target` is the deployment that gets all traffic in the end, and `old` the one that has the others now.

    `leftover`: the target has all traffic already, and this deployment of another release has none and is removed.
    """

    target: str
    old: str | None = None
    leftover: str | None = None


def decide(state: EndpointState, content: str) -> Decision | None:
    """None: the release with this content has all traffic, and no earlier one is left.

    Raises InputError for traffic that is divided between two other deployments, and where the name of the new one
    belongs to someone else's deployment.
    """
    live = state.traffic
    ready = [name for name in live if state.content(name) == content and state.state_of(name) == SUCCEEDED]
    if len(live) > 1:
        return _resumed(state, content)
    if ready:
        leftover = next((name for name in COLORS if name not in live and state.content(name)), None)
        return Decision(ready[0], leftover=leftover) if leftover else None
    old = next(iter(live), None)
    same = next((name for name in COLORS if name != old and state.content(name) == content), None)
    target = same or next(name for name in COLORS if name != old)
    if target in state.deployments and state.content(target) is None:
        raise InputError(
            "was not created by azdistill, and the rollout needs its name",
            subject=f"deployment {target!r}",
            code="name_taken",
            fix="delete it, if nobody uses it",
            command=state.delete_command(target),
        )
    return Decision(target, old)


def _resumed(state: EndpointState, content: str) -> Decision:
    """The rollout that an interrupted one left with traffic on two deployments."""
    live = state.traffic
    target = next((name for name in live if state.content(name) == content), None)
    others = [name for name in live if name != target]
    if target and len(others) == 1:
        return Decision(target, others[0])
    shares = ", ".join(f"{name} {percent}%" for name, percent in live.items())
    keep = max(live, key=lambda name: live[name])
    raise InputError(
        f"its traffic is divided ({shares}) by another rollout",
        subject=f"endpoint {state.entity.name!r}",
        code="traffic_divided",
        fix="deploy that model again to finish it, or give one deployment all traffic",
        command=state.set_traffic_command({keep: 100}),
    )
