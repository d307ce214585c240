"""A lock of an endpoint, as one of its tags: two rollouts at the same time would undo each other's traffic.

Azure refuses an operation on an endpoint while another one is in progress, and has no conditional update. So the lock
is read again before each change: of two rollouts that both wrote it, the later one continues and the other stops.
"""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from azdistill.azure.deployment.endpoint import EndpointState
from azdistill.contracts.errors import AzdistillError

LOCK_TAG = "azdistill_rollout"
# A killed rollout leaves its lock, which is ignored after this time without a change. Creating a deployment takes less.
LEASE = timedelta(hours=2)


class EndpointLocked(AzdistillError):
    """Another rollout changes the endpoint."""

    code = "endpoint_locked"


@dataclass(frozen=True)
class RolloutLock:
    """The lock of one rollout of `model`. `content` is the hash of its release, `pause` the longest time in which it
    changes nothing."""

    model: str
    content: str
    pause: timedelta
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    @property
    def tag(self) -> dict[str, str]:
        """The tag that holds the lock from now on."""
        expires = datetime.now(UTC) + LEASE + self.pause
        return {LOCK_TAG: f"{self.id} {expires:%Y-%m-%dT%H:%M:%SZ} {self.content} {self.model}"}

    def is_interrupted(self, state: EndpointState) -> bool:
        """True if a rollout of the same release holds the endpoint, which this one continues."""
        return _parsed(state).content == self.content

    def check_free(self, state: EndpointState) -> None:
        """Raises EndpointLocked if a rollout of another release holds the endpoint."""
        held = _parsed(state)
        if held.owner and held.content != self.content and held.expires > datetime.now(UTC):
            raise EndpointLocked(
                f"another rollout is in progress, of {held.model}",
                subject=f"endpoint {state.entity.name!r}",
                fix="wait until it has ended; if it was killed, use --take-over, or wait until "
                f"{held.expires:%H:%M} UTC",
            )

    def check_held(self, state: EndpointState) -> None:
        """Raises EndpointLocked if another rollout has taken the endpoint from this one."""
        held = _parsed(state)
        if held.owner != self.id:
            other = f"a rollout of {held.model} has taken over" if held.owner else f"its tag {LOCK_TAG} was removed"
            raise EndpointLocked(
                f"this rollout stops: {other}",
                subject=f"endpoint {state.entity.name!r}",
                fix="its traffic is left to the other rollout",
            )


class _Held(NamedTuple):
    """The rollout that holds an endpoint. All fields are empty without one."""

    owner: str = ""
    expires: datetime = datetime.min.replace(tzinfo=UTC)
    content: str = ""
    model: str = ""


def _parsed(state: EndpointState) -> _Held:
    """The rollout in the tag of an endpoint. A text that is not that of a lock holds nothing."""
    try:
        owner, expires, content, model = state.tags.get(LOCK_TAG, "").split(" ", 3)
        return _Held(owner, datetime.strptime(expires, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC), content, model)
    except ValueError:
        return _Held()
