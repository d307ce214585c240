"""The teachers that can be asked from here: one short call each, with what the endpoint makes of it."""

import asyncio
import os
from collections.abc import Mapping

from azdistill.azure.checks.check import Check, State
from azdistill.contracts.errors import InputError
from azdistill.contracts.teacher import Teacher, TeacherConfig
from azdistill.doctor.found import from_error
from azdistill.teacher.endpoint import resolve
from azdistill.teacher.event_loop import run
from azdistill.teacher.preflight import Seen, call, what_is_wrong, what_to_know

UNASKED = {
    "simulated": "simulated, which is for runs on this machine; to submit set teacher_route to endpoint",
    "completions": "not asked, as its completions are given",
}
"""Routes by which no endpoint is asked."""


def check_teachers(config: TeacherConfig, *, offline: bool, environ: Mapping[str, str] = os.environ) -> list[Check]:
    """One finding a teacher. With `offline`, and on another route than endpoint, nobody is asked."""
    if told := UNASKED.get(config.teacher_route):
        return [Check(_named(teacher), "ok", told) for teacher in config.teachers]
    if offline:
        return [Check(_named(teacher), "unknown", "not asked: --offline") for teacher in config.teachers]
    return run(_all(config, environ))


async def _all(config: TeacherConfig, environ: Mapping[str, str]) -> list[Check]:
    return list(await asyncio.gather(*(_look(teacher, config, environ) for teacher in config.teachers)))


async def _look(teacher: Teacher, config: TeacherConfig, environ: Mapping[str, str]) -> Check:
    if waits := _not_from_here(teacher, environ):
        return waits
    try:
        return _judged(await call(resolve(teacher, config.teacher_route, environ), config))
    except InputError as problem:
        return from_error(_named(teacher), problem)


def _not_from_here(teacher: Teacher, environ: Mapping[str, str]) -> Check | None:
    """A key that is not on this machine is no mistake where the job has a connection."""
    if teacher.endpoint is None:
        told = f"not asked: connection {teacher.connection!r} is read by a job in Azure"
        return Check(_named(teacher), "unknown", told, "to have it asked from here, give endpoint and key_variable too")
    if teacher.key_variable is None or environ.get(teacher.key_variable, "").strip():
        return None
    state: State = "unknown" if teacher.connection else "wrong"
    variable = teacher.key_variable
    told, command = f"not asked: variable {variable} is not set", f"read -rs {variable} && export {variable}"
    return Check(_named(teacher), state, told, "set it to the endpoint's key, which you paste unseen", command)


def _judged(seen: Seen) -> Check:
    what, url = _named(seen.endpoint.teacher), seen.endpoint.url
    if wrong := what_is_wrong(seen):
        detail, _, move = wrong.partition("; ")
        return Check(what, "wrong", f"{url}: {detail} ({_replied(seen)})", move)
    if seen.status == 200:
        notice = what_to_know(seen)
        return Check(what, "unknown" if notice else "ok", f"{url} answers (one short call)", notice or "")
    told = what_to_know(seen) or "no answer yet"
    return Check(what, "unknown", f"{url}: {told} ({_replied(seen)})", "see that it is up; a run asks until it answers")


def _replied(seen: Seen) -> str:
    """In the endpoint's words, or in those of the connection to it; some repeat the key."""
    reply = f"HTTP {seen.status}: {seen.words}" if seen.status else f"{type(seen.problem).__name__}: {seen.problem}"
    return seen.endpoint.access.redact(reply)


def _named(teacher: Teacher) -> str:
    return f"teacher {teacher.called!r}"
