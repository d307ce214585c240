"""A dry run: the job's own bundle, with everything replaced by pipeline inputs that costs, takes long or publishes."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from azdistill.contracts.errors import InputError
from azdistill.engine.local.data import find_copy
from azdistill.job.paths import FILES, is_remote
from azdistill.job.simulation import simulations
from azdistill.local_runs.request import RunRequest
from azdistill.local_runs.tiny_student import architecture_in, architecture_of, tiny_student

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob

ROWS, EPOCHS, TOKENS = 50, 1, 32
"""At most: rows of each file, passes over the training rows, and tokens of an answer of student and baseline."""

OWN = ".dry-run"
"""The folder in the run folder that holds what is thrown away with it: tiny student, answers, registry."""


@dataclass(frozen=True)
class Replacement:
    """A pipeline input that is set otherwise: `was` and `becomes` say what that means, in words."""

    name: str
    value: str
    what: str
    was: object
    becomes: object


def rehearsal(request: RunRequest, job: "DistillationJob") -> RunRequest:
    """The request with its replacements, which are told. What the user sets stays as it is set.

    Raises InputError for data that isn't on this machine.
    """
    files, home = _files(request, job), request.folder / OWN
    _check_local(files)
    found = [one for one in (*_harmless(job), *_small(job)) if one.name not in request.options.inputs]
    rows = next((int(one.value) for one in found if one.name == "rows"), 0)
    if "student" not in request.options.inputs:
        found = [*_student(job, home, files, rows), *found]
    _tell(found)
    inputs = {**{one.name: one.value for one in found}, **request.options.inputs}
    options = replace(request.options, inputs=inputs, home=home, variables=_variables(home))
    return replace(request, options=options)


def _variables(home: Path) -> Mapping[str, str]:
    """A registry of its own, also where the environment names a real one. One thread for each node: a tiny model
    has no use for more, and nodes side by side would wait for one another."""
    return {"MLFLOW_TRACKING_URI": f"sqlite:///{home.absolute().as_posix()}/mlflow.db", "OMP_NUM_THREADS": "1"}


def _files(request: RunRequest, job: "DistillationJob") -> Mapping[str, str]:
    """The files of rows and answers, by the pipeline input that each one is: the local copies of those elsewhere."""
    given = {name: getattr(job.data, name) for name in FILES} | {"completions": job.teacher.completions}
    asked = {name: request.options.inputs.get(name, path) for name, path in given.items() if path is not None}
    return {name: str(find_copy(path, request.options.data) or path) for name, path in asked.items()}


def _check_local(files: Mapping[str, str]) -> None:
    remote = {name: path for name, path in files.items() if is_remote(path)}
    if remote:
        told = [f"  inputs.{name}={path!r}: --data {path}=FILE" for name, path in remote.items()]
        raise InputError("\n".join(["a dry run reads its rows on this machine; give a local copy of", *told]))


def _harmless(job: "DistillationJob") -> Iterator[Replacement]:
    teachers, name = job.teacher.teachers, f"{job.registered_model}-dry-run"
    if job.teacher.teacher_route == "endpoint":
        names, answering = ", ".join(teacher.called for teacher in teachers), ", ".join(_answering(job))
        stand_ins = "a stand-in" if len(teachers) == 1 else f"{len(teachers)} stand-ins"
        yield Replacement("teacher_route", "simulated", "teacher", names, f"{stand_ins} on loopback ({answering})")
    if job.evaluate.enforce_gates:
        yield Replacement("enforce_gates", "false", "gates", "enforced", "reported")
    yield Replacement("registered_model", name, "name", job.registered_model, f"{name}, in a registry of this run")


def _answering(job: "DistillationJob") -> Iterable[str]:
    """The sources of the simulated answers, each once."""
    return dict.fromkeys(
        "your examples" if settings.examples else f"expert {settings.expert}" for settings in simulations(job)
    )


def _small(job: "DistillationJob") -> Iterator[Replacement]:
    if not 0 < job.prepare.rows <= ROWS:
        yield Replacement("rows", str(ROWS), "rows", job.prepare.rows or "all", f"the first {ROWS} of each file")
    if job.train.num_epochs > EPOCHS:
        yield Replacement("num_epochs", str(EPOCHS), "epochs", f"{job.train.num_epochs:g}", EPOCHS)
    if job.predict.max_new_tokens > TOKENS:
        was = f"up to {job.predict.max_new_tokens} tokens"
        yield Replacement("max_new_tokens", str(TOKENS), "answers", was, f"up to {TOKENS}")


def _student(job: "DistillationJob", home: Path, files: Mapping[str, str], rows: int) -> Iterator[Replacement]:
    wanted = architecture_of(job)
    student = tiny_student(home, wanted, files.values(), rows)
    built = architecture_in(student)
    instead = "" if built == wanted else f", as {wanted or 'its architecture'} is not known here"
    becomes = f"a tiny {built} with random weights{instead}"
    yield Replacement("student", str(student), "student", job.student.model, becomes)
    if job.student.weights != "random":
        yield Replacement("weights", "random", "weights", job.student.weights, "random")


def _tell(found: list[Replacement]) -> None:
    print("dry run: it proves that the parts fit together, and its figures mean nothing; replaced:", file=sys.stderr)
    for one in found:
        print(f"  {one.what:<8} {one.was} -> {one.becomes}", file=sys.stderr)
