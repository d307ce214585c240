"""Check the teachers and the scorer that can be reached from this machine, with one short request each."""

import asyncio
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from azdistill.azure.checks.result import CheckResult, from_problem, ok, unknown
from azdistill.contracts.errors import AzdistillError, InputError
from azdistill.contracts.requests import RequestConfig, Teacher
from azdistill.contracts.train_scored import ScorerConfig
from azdistill.engine.problems import Problem
from azdistill.teacher.endpoint import resolve
from azdistill.teacher.event_loop import run
from azdistill.teacher.preflight import LONGEST_CALL_S, ProbeResult, find_problem, find_warning, probe
from azdistill.teacher.scoring_client import ScoringClient
from azdistill.teacher.store import open_store

# Routes that use no endpoint.
WITHOUT_ENDPOINT = {
    "simulated": "simulated, for local runs; to submit the job, set {role}_route to endpoint",
    "completions": "no request is sent: the job provides the completions",
}


def check_teachers(config: RequestConfig, *, offline: bool) -> list[CheckResult]:
    """One result for each teacher, or for the judge. With `offline`, or on another route than endpoint, no request is
    sent."""
    names = [f"{config.role} {teacher.called!r}" for teacher in config.teachers]
    if detail := WITHOUT_ENDPOINT.get(config.teacher_route):
        return [ok(name, detail.format(role=config.role)) for name in names]
    if offline:
        return [unknown(name, "offline", "not checked: --offline") for name in names]
    return run(_check_all(names, config))


def check_scorer(scorer: ScorerConfig, route: str, *, offline: bool) -> CheckResult:
    """Ask an endpoint for one score, as step train does first. With `offline`, or on another route than endpoint, no
    request is sent. Its tokenizer is compared by step train."""
    config = scorer.requests
    (teacher,) = config.teachers
    name = f"{config.role} {teacher.called!r}"
    if route == "simulated":
        return ok(name, "simulated, for local runs; to submit the job, set scorer_route to endpoint")
    if offline:
        return unknown(name, "offline", "not checked: --offline")
    if result := _not_reachable_from_here(name, teacher):
        return result
    limits = {"max_attempts": 1, "timeout_s": min(config.timeout_s, LONGEST_CALL_S), "budget": None}
    once = config.model_copy(update=limits)
    try:
        endpoint = resolve(teacher, config.teacher_route, role=config.role)
        with (
            tempfile.TemporaryDirectory() as folder,
            ScoringClient(endpoint, once, open_store(Path(folder)), None, scorer.top_k) as client,
        ):
            return ok(name, f"{client.endpoint.url} scores given tokens (one short request)")
    except AzdistillError as error:
        problem = error.problems[0]
        return from_problem(name, problem, "unknown" if problem.code == "no_answer" else "problem")


async def _check_all(names: Sequence[str], config: RequestConfig) -> list[CheckResult]:
    checks = zip(names, config.teachers, strict=True)
    return list(await asyncio.gather(*(_check(name, teacher, config) for name, teacher in checks)))


async def _check(name: str, teacher: Teacher, config: RequestConfig) -> CheckResult:
    if result := _not_reachable_from_here(name, teacher):
        return result
    try:
        return _result(name, await probe(resolve(teacher, config.teacher_route, role=config.role), config))
    except InputError as error:
        return from_problem(name, error.problems[0])


def _not_reachable_from_here(name: str, teacher: Teacher) -> CheckResult | None:
    """A key that is missing on this machine is no problem for a job that has a connection."""
    if teacher.endpoint is None:
        message = f"not checked: a job in Azure reads connection {teacher.connection!r}"
        fix = "to check it from this machine, set endpoint and key_variable, too"
        return unknown(name, "connection_only", message, fix)
    variable = teacher.key_variable
    if variable is None or os.environ.get(variable, "").strip():
        return None
    problem = Problem(
        code="no_key",
        message=f"not checked: variable {variable} is not set",
        fix="paste the endpoint's key, which is not shown",
        command=f"read -rs {variable} && export {variable}",
    )
    return from_problem(name, problem, "unknown" if teacher.connection else "problem")


def _result(name: str, result: ProbeResult) -> CheckResult:
    url = result.endpoint.url
    if problem := find_problem(result):
        return from_problem(name, replace(problem, message=f"{url}: {problem.message} ({result.summary})"))
    warning = find_warning(result)
    if result.status == 200:
        detail = f"{url} answers (one short request)"
        if warning is None:
            return ok(name, detail)
        return from_problem(name, replace(warning, message=f"{detail}: {warning.message}"), "unknown")
    if warning:
        return from_problem(name, replace(warning, message=f"{url}: {warning.message} ({result.summary})"), "unknown")
    message = f"{url}: no answer yet ({result.summary})"
    return unknown(name, "no_answer", message, "check that it runs; a job repeats its requests until it answers")
