"""Blue-green rollout of a release: a new deployment without traffic, a smoke test, mirrored requests, then traffic step
by step, and the old deployment removed.

Every failure or interruption gives the old deployment all requests again. A deployment that answers requests is never
deleted.
"""

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from azdistill.azure.deployment.autoscale import remove_autoscale, set_autoscale
from azdistill.azure.deployment.decision import Decision, decide
from azdistill.azure.deployment.endpoint import ENDED, MAX_WAIT_S, SUCCEEDED, EndpointState, OnlineEndpoint
from azdistill.azure.deployment.files import AUTOSCALE_TAG, ENDPOINT_FILE, Release, deployment_file
from azdistill.azure.deployment.lock import LOCK_TAG, EndpointLocked, RolloutLock
from azdistill.azure.deployment.smoke import Scoring, SmokeRow
from azdistill.contracts.errors import AzdistillError

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

# Seconds between two polls of an operation that an interrupted rollout has started.
POLL_S = 15.0
MAX_UPDATE_S = 300.0

Sleep = Callable[[float], None]


class SmokeTestRefused(AzdistillError):
    """A new deployment answers too few test rows as the student did in its evaluation."""

    exit_code = 3
    code = "smoke_test_refused"


def roll_out(
    client: "MLClient",
    release: Release,
    rows: Sequence[SmokeRow],
    folder: Path,
    *,
    take_over: bool = False,
    sleep: Sleep = time.sleep,
) -> Generator[str, None, None]:
    """Deploy a release whose files are in `folder`. Yields a line for each thing that was done.

    Closing the generator interrupts the rollout. An interrupted rollout of the same release continues; if it still
    runs, it stops before its next change. `take_over` ignores the lock of a rollout of another release.

    Raises SmokeTestRefused when the answers differ, EndpointLocked during another rollout, InputError for an endpoint
    that cannot be used, AzdistillError for other failures.
    """
    endpoint = OnlineEndpoint(client, release.deployment.endpoint_name)
    lock = RolloutLock(release.model, release.content, timedelta(minutes=release.deployment.step_minutes))
    state = endpoint.read()
    if state and state.is_busy and lock.is_interrupted(state):
        yield f"{endpoint.subject}: waiting for the operation of an interrupted rollout of {release.model}"
        state = _wait_while_busy(endpoint, sleep)
    if state is None:
        yield f"{endpoint.subject}: creating"
        endpoint.create(folder / ENDPOINT_FILE, lock.tag)
    else:
        if not take_over:
            lock.check_free(state)
        if decide(state, release.content) is None:
            yield f"{endpoint.subject}: {release.model} already has all traffic, nothing done"
            return
        _check_usable(state)
    rollout = _Rollout(client, release, rows, folder, endpoint, lock, sleep)
    yield from rollout.run()


def _wait_while_busy(endpoint: OnlineEndpoint, sleep: Sleep) -> EndpointState | None:
    """The endpoint when Azure does not change it any more. Raises AzdistillError after MAX_WAIT_S."""
    for _ in range(int(MAX_WAIT_S / POLL_S)):
        state = endpoint.read()
        if state is None or not state.is_busy:
            return state
        sleep(POLL_S)
    raise AzdistillError(
        "is still being changed", subject=endpoint.subject, code="timeout", fix="look at it in the studio"
    )


def _check_usable(state: EndpointState) -> None:
    """Raises AzdistillError for an endpoint that is being changed or whose creation failed."""
    if state.provisioning_state == SUCCEEDED:
        return
    in_progress = state.provisioning_state not in ENDED
    raise AzdistillError(
        f"its provisioning state is {state.provisioning_state}",
        subject=f"endpoint {state.entity.name!r}",
        code="conflict" if in_progress else "endpoint_failed",
        fix="wait until the operation has ended, then run again" if in_progress else "look at it in the studio",
    )


@dataclass
class _Rollout:
    """One rollout. Each change reads the endpoint first and checks that the lock is still its own."""

    client: "MLClient"
    release: Release
    rows: Sequence[SmokeRow]
    folder: Path
    endpoint: OnlineEndpoint
    lock: RolloutLock
    sleep: Sleep

    def run(self) -> Iterator[str]:
        """Take the lock, roll out and release it, whatever happens."""
        state = self._state()
        state.entity.tags = {**state.tags, **self.lock.tag}
        self.endpoint.update(state, state.traffic, state.mirrored)
        try:
            state = self._held()
            decision = decide(state, self.release.content)
            if decision:
                yield from self._deploy(decision, state)
        finally:
            with contextlib.suppress(AzdistillError):
                self._release_lock()

    def _deploy(self, decision: Decision, state: EndpointState) -> Iterator[str]:
        before = {decision.old: 100} if decision.old else state.traffic
        try:
            if not decision.leftover:
                yield from self._create(decision.target, state)
                yield from self._move_traffic(decision)
        except EndpointLocked:  # the traffic is that of the other rollout
            raise
        except GeneratorExit:  # the caller reads no more lines, such as after Ctrl-C while it printed one
            self._restore(before, decision.target)
            raise
        except (Exception, KeyboardInterrupt) as error:
            if isinstance(error, AzdistillError):
                yield from self._log(decision.target)
            yield self._restore(before, decision.target)
            raise
        yield f"{self.endpoint.subject}: {self.release.model} has all traffic, by deployment {decision.target}"
        yield from self._remove(decision.old or decision.leftover)

    def _create(self, target: str, state: EndpointState) -> Iterator[str]:
        """The deployment, without traffic. One of an earlier attempt is used if it is the same and complete."""
        if state.state_of(target) == SUCCEEDED and state.content(target) == self.release.content:
            yield f"deployment {target}: exists"
        else:
            if state.state_of(target):
                yield f"deployment {target}: removing what an earlier rollout left"
                self._delete(target)
            yield f"deployment {target}: creating, which takes 15 to 60 minutes"
            self._check_unused(target)
            self.endpoint.create_deployment(self.folder / deployment_file(target))
        if self.release.deployment.autoscale:
            set_autoscale(self.client, self.release, state.entity, target)
            yield f"deployment {target}: autoscale setting written"

    def _move_traffic(self, decision: Decision) -> Iterator[str]:
        """Smoke test, mirrored requests, and the steps of traffic that the deployment does not have yet."""
        deployment, target = self.release.deployment, decision.target
        yield self._test(target)
        has = self._held().traffic.get(target, 0)
        if decision.old and deployment.mirror_percent and not has:
            self._set_traffic({decision.old: 100}, {target: deployment.mirror_percent})
            yield f"deployment {target}: gets copies of {deployment.mirror_percent}% of the requests"
            yield self._test_later(target)
        for percent in (step for step in (deployment.traffic if decision.old else (100,)) if step > has):
            rest = {decision.old: 100 - percent} if decision.old and percent < 100 else {}
            self._set_traffic({**rest, target: percent}, {})
            yield f"deployment {target}: answers {percent}% of the requests"
            if decision.old:
                yield self._test_later(target)

    def _test_later(self, target: str) -> str:
        self.sleep(60 * self.release.deployment.step_minutes)
        return self._test(target)

    def _test(self, target: str) -> str:
        """Raises SmokeTestRefused when too few answers are those of the evaluation."""
        state, least = self._held(), self.release.deployment.smoke_agreement
        result = Scoring(self.client, self.release, state.entity.scoring_uri, target).test(self.rows)
        if result.agreement < least:
            raise SmokeTestRefused(
                f"only {result}; at least {least:.0%} are required (deployment.smoke_agreement)",
                subject=f"deployment {target!r}",
                fix=f"compare its answer to row {result.different} with predictions.jsonl",
            )
        return f"deployment {target}: {result}"

    def _restore(self, before: Mapping[str, int], target: str) -> str:
        """Give the requests back to the deployment that had them. The new one stays without traffic, for its log."""
        subject = self.endpoint.subject
        try:
            state = self._settled()
            if (state.traffic, state.mirrored) != (before, {}):
                self._set_traffic(before, {})
        except AzdistillError as error:
            command = self.endpoint.set_traffic_command(before)
            return f"{subject}: its traffic could not be restored ({error}); set it: {command}"
        shares = ", ".join(f"{color} {percent}%" for color, percent in before.items()) or "none"
        restored = f"{subject}: traffic as before, {shares}"
        if target not in state.deployments:
            return restored
        return (
            f"{restored}; {target} is kept for its log, and costs as long as it exists: {state.delete_command(target)}"
        )

    def _settled(self) -> EndpointState:
        """The endpoint when Azure has ended an update that was interrupted, which takes a minute."""
        state = self._held()
        for _ in range(int(MAX_UPDATE_S / POLL_S)):
            if state.provisioning_state in ENDED:
                break
            self.sleep(POLL_S)
            state = self._held()
        return state

    def _log(self, target: str) -> Iterator[str]:
        if text := self.endpoint.log(target):
            yield f"log of deployment {target}:\n{text}"

    def _remove(self, old: str | None) -> Iterator[str]:
        """Delete a deployment that has no traffic any more, if azdistill created it."""
        if old is None:
            return
        if self._held().content(old) is None:
            yield f"deployment {old}: kept, because azdistill did not create it; it has no traffic and still costs"
            return
        self._delete(old)
        yield f"deployment {old}: removed"

    def _delete(self, name: str) -> None:
        """Delete a deployment without traffic, and its autoscale setting."""
        state = self._check_unused(name)
        self.endpoint.delete_deployment(name)
        if AUTOSCALE_TAG in (state.deployments[name].tags or {}):
            remove_autoscale(self.client, self.release, name)

    def _check_unused(self, name: str) -> EndpointState:
        """The endpoint now. Raises AzdistillError if this deployment answers requests."""
        state = self._held()
        if state.traffic.get(name):
            raise AzdistillError("answers requests and is kept", subject=f"deployment {name!r}", code="conflict")
        return state

    def _set_traffic(self, traffic: Mapping[str, int], mirrored: Mapping[str, int]) -> None:
        state = self._held()
        state.entity.tags = {**state.tags, **self.lock.tag}
        self.endpoint.update(state, traffic, mirrored)

    def _held(self) -> EndpointState:
        """The endpoint now. Raises EndpointLocked if another rollout has taken it."""
        state = self._state()
        self.lock.check_held(state)
        return state

    def _state(self) -> EndpointState:
        state = self.endpoint.read()
        if state is None:
            raise AzdistillError("was deleted during the rollout", subject=self.endpoint.subject, code="not_found")
        return state

    def _release_lock(self) -> None:
        state = self._held()
        state.entity.tags = {name: value for name, value in state.tags.items() if name != LOCK_TAG}
        self.endpoint.update(state, state.traffic, state.mirrored)
