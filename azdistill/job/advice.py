"""Best practice: what runs, and is yet worth a second look. It warns and never forbids."""

from collections.abc import Iterator
from datetime import date
from typing import Any

from azdistill.contracts.findings import Place, named, number
from azdistill.job.catalog import Facts, TeacherFacts
from azdistill.job.model import DistillationJob
from azdistill.job.models import AS_OF
from azdistill.job.paths import FILES

USUAL = {"learning_rate": (1e-5, 5e-5), "num_epochs": (2, 5)}
"""Least and most of full fine-tuning from pretrained weights."""

MUTABLE = "azureml://datastores/"
LATEST = ("@latest", "/labels/latest")

STUDENT: Place = ("student", "model")

Advice = Iterator[tuple[Place, str]]


def advice(job: DistillationJob, today: date = AS_OF) -> list[tuple[Place, str]]:
    """Place and sentence of each warning, none for a job that follows best practice.

    Pure: it reads no clock, so whoever knows better than the catalog's own day says what day it is.
    """
    parts = (_training, _licences, _route, _weights, _contexts, _sizes, _test_rows, _changing)
    return [*_lifecycles(job, today), *(found for part in parts for found in part(job))]


def _about(place: Place, value: Any, text: str) -> tuple[Place, str]:
    return place, f"{named(place)}={value!r}: {text}"


def _training(job: DistillationJob) -> Advice:
    for name, (least, most) in USUAL.items() if job.student.weights == "pretrained" else ():
        value = getattr(job.train, name)
        if not least <= value <= most:
            why = "so little is learned" if value < least else "so much that it knew is lost"
            usual = f"full fine-tuning of a pretrained student takes {number(least)} to {number(most)} as a rule"
            yield _about(("train", name), value, f"{usual}; {'below' if value < least else 'above'}, {why}")


def _models(job: DistillationJob) -> Iterator[tuple[Place, str, Facts]]:
    """Teachers and student that something is known of: place, name as given, facts."""
    yield from _known_teachers(job)
    if facts := job.known.student(job.student.model):
        yield STUDENT, job.student.model, facts


def _known_teachers(job: DistillationJob) -> Iterator[tuple[Place, str, TeacherFacts]]:
    for place, teacher in enumerate(job.teacher.teachers):
        if facts := job.known.teacher(teacher.model):
            yield ("teacher", "teachers", place, "model"), teacher.model, facts


def _lifecycles(job: DistillationJob, today: date) -> Advice:
    for place, name, facts in _models(job):
        if facts.leaves(today):
            verb = "was retired" if facts.gone(today) else f"is {facts.lifecycle}, to be retired"
            when = f" on {facts.retires}" if facts.retires else ""
            instead = f"; Azure names {facts.replacement} in its place" if facts.replacement else ""
            still = "; weights that you have can still be trained" if place == STUDENT else ""
            yield _about(place, name, f"{facts.name} {verb}{when} (as of {AS_OF}){instead}{still}")


def _licences(job: DistillationJob) -> Advice:
    for place, name, facts in _models(job):
        if facts.duty and facts.licence not in job.licences_acknowledged:
            then = f"if you keep to it, add {facts.licence} to licences_acknowledged"
            yield _about(place, name, f"licence {facts.licence}: {facts.duty}; {then}")


def _route(job: DistillationJob) -> Advice:
    text = "served by the Messages API, where azdistill asks for chat completions; put a gateway between the two"
    for place, name, facts in _known_teachers(job):
        if facts.route == "messages":
            yield _about(place, name, text)


def _weights(job: DistillationJob) -> Advice:
    for place, teacher in enumerate(job.teacher.teachers):
        if teacher.weight != 1 and job.teacher.policy != "route":
            text = f"without effect with policy {job.teacher.policy}; only route shares the prompts out"
            yield _about(("teacher", "teachers", place, "weight"), teacher.weight, text)


def _contexts(job: DistillationJob) -> Advice:
    asked: tuple[Place, int] = ("teacher", "max_tokens"), job.teacher.max_tokens
    learned: tuple[Place, int] = ("train", "max_length"), job.train.max_length
    for place, _, facts in _models(job):
        field, tokens = learned if place == STUDENT else asked
        if facts.context and tokens > facts.context:
            yield _about(field, tokens, f"more than the {facts.context} tokens of {facts.name}; give at most those")


def _sizes(job: DistillationJob) -> Advice:
    student = job.known.student(job.student.model)
    sizes = [facts.parameters for _, _, facts in _known_teachers(job) if facts.parameters]
    if student and student.parameters and sizes and min(sizes) < student.parameters:
        has = f"its teacher has {sizes[0]:g}" if len(job.teacher.teachers) == 1 else f"a teacher has {min(sizes):g}"
        text = f"{student.parameters:g} billion parameters, and {has}; choose a student smaller than that"
        yield _about(STUDENT, job.student.model, text)


def _test_rows(job: DistillationJob) -> Advice:
    if job.data.test_data is None:
        drawn = f"{job.prepare.test_fraction:.0%} of the training rows are held out to test on"
        yield ("data", "test_data"), f"data.test_data: not given, so {drawn}; rows that were gathered apart prove more"


def _changing(job: DistillationJob) -> Advice:
    paths = {("data", name): getattr(job.data, name) or "" for name in FILES} | {STUDENT: job.student.model}
    for place, path in paths.items():
        if path.startswith(MUTABLE):
            text = (
                "Azure ML reuses results while this text stays, whatever lies there; name a data asset with a version"
            )
            yield _about(place, path, text)
        if path.startswith("azureml:") and path.endswith(LATEST):
            yield _about(place, path, "latest moves under a job that doesn't change; name a version")
