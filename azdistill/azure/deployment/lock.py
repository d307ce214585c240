"""A lock of an endpoint, as one of its tags: two rollouts at the same time would undo each other's traffic.

Azure refuses an operation on an endpoint while another one is in progress, and has no conditional update. So the lock
is read again before each change: of two rollouts that both wrote it, the later one goes on and the other stops.
"""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

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
    """The lock of one rollout of `model`. `pause` is the longest time in which it changes nothing."""

    model: str
    pause: timedelta
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    @property
    def tag(self) -> dict[str, str]:
        """The tag that holds the lock from now on."""
        expires = datetime.now(UTC) + LEASE + self.pause
        return {LOCK_TAG: f"{self.id} {expires:%Y-%m-%dT%H:%M:%SZ} {self.model}"}

    def check_free(self, state: EndpointState) -> None:
        """Raises EndpointLocked if another rollout holds the endpoint."""
        owner, expires, model = _parsed(state)
        if owner and owner != self.id and expires > datetime.now(UTC):
            raise EndpointLocked(
                f"another rollout is in progress, of {model}",
                subject=f"endpoint {state.entity.name!r}",
                fix=f"wait until it has ended; if it was killed, use --take-over, or wait until {expires:%H:%M} UTC",
            )

    def check_held(self, state: EndpointState) -> None:
        """Raises EndpointLocked if another rollout has taken the endpoint from this one."""
        owner, _, model = _parsed(state)
        if owner != self.id:
            other = f"a rollout of {model} has taken over" if owner else "someone removed its tag " + LOCK_TAG
            raise EndpointLocked(
                f"this rollout stops: {other}",
                subject=f"endpoint {state.entity.name!r}",
                fix="its traffic is left to the other rollout",
            )


def _parsed(state: EndpointState) -> tuple[str, datetime, str]:
    """Owner, end and model of the lock. An empty owner: there is none, or its text is not that of a lock."""
    owner, _, rest = state.tags.get(LOCK_TAG, "").partition(" ")
    expires, _, model = rest.partition(" ")
    try:
        return owner, datetime.strptime(expires, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC), model
    except ValueError:
        return "", datetime.min.replace(tzinfo=UTC), ""
