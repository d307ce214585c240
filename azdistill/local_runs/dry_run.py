"""Dry runs: run the bundle of a job with inputs that replace everything that costs money, takes long or publishes."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from azdistill.contracts.errors import InputError
from azdistill.contracts.extras import check_steps
from azdistill.contracts.train import UNIFORM, WHITE_BOX_PORTS, TrainConfig
from azdistill.contracts.train_scored import MODEL_PORT
from azdistill.contracts.verdicts import LOWEST
from azdistill.engine.local.data import find_copy
from azdistill.engine.local.variables import TRACKING_URI, database_address
from azdistill.job.paths import FILES, is_remote, is_rubric_file
from azdistill.job.plan import step_configs, suite_files
from azdistill.job.simulation import simulations
from azdistill.local_runs.request import RunRequest
from azdistill.local_runs.tiny_student import (
    read_architecture,
    required_length,
    student_architecture,
    tiny_baseline,
    tiny_student,
)

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob

logger = logging.getLogger("azdistill.local_runs")

# Upper limits: rows of each file, new prompts, training epochs, and new tokens of each answer of student and baseline.
MAX_ROWS, MAX_NEW_PROMPTS, MAX_EPOCHS, MAX_NEW_TOKENS = 50, 10, 1, 32

# Folder in the run folder for the tiny student, the answer store and the model registry. It is deleted with the run.
HOME = ".dry-run"


@dataclass(frozen=True)
class Replacement:
    """The value of a pipeline input in a dry run. The log describes it as `label before -> after`."""

    name: str
    value: str
    label: str
    before: object
    after: object


def with_dry_run_inputs(request: RunRequest, job: "DistillationJob") -> RunRequest:
    """Replace the inputs of a job by those of a dry run and log them. Inputs that the user set keep their values.

    Raises InputError for data that is not on this machine.
    """
    files, home = _data_files(request, job), request.folder / HOME
    fixed = {*request.options.inputs, *(job.tuning.search_space if job.tuning else ())}
    _check_local({**files, **_judge_files(request, job)})
    replacements = [
        replacement for replacement in (*_without_side_effects(job), *_reduced(job)) if replacement.name not in fixed
    ]
    rows = next((int(replacement.value) for replacement in replacements if replacement.name == "rows"), 0)
    if "student" not in request.options.inputs:
        student = _replaced_student(job, home, files, rows)
        replacements = [*(replacement for replacement in student if replacement.name not in fixed), *replacements]
    logger.info("dry run: it proves that the parts fit together, and its figures mean nothing; replaced:")
    for replacement in replacements:
        logger.info("  %-8s %s -> %s", replacement.label, replacement.before, replacement.after)
    inputs = {**{replacement.name: replacement.value for replacement in replacements}, **request.options.inputs}
    options = replace(request.options, inputs=inputs, home=home, variables=_variables(home))
    return replace(request, options=options)


def _variables(home: Path) -> Mapping[str, str]:
    return {
        # Replaces a real registry that the environment may name.
        TRACKING_URI: database_address(home),
        # A tiny model needs no more threads, and concurrent nodes would compete for the cores.
        "OMP_NUM_THREADS": "1",
    }


def _data_files(request: RunRequest, job: "DistillationJob") -> Mapping[str, str]:
    """Pipeline input -> path of its rows or answers. The path of remote data is its local copy, if there is one."""
    from_job = {name: getattr(job.data, name) for name in FILES} | {"completions": job.teacher.completions}
    return _local_copies(request, from_job | suite_files(job))


def _judge_files(request: RunRequest, job: "DistillationJob") -> Mapping[str, str]:
    """Pipeline input -> path of rubric and labels of a judge, if they are files."""
    if job.judge is None:
        return {}
    rubric = job.judge.rubric if is_rubric_file(job.judge.rubric) else None
    return _local_copies(request, {"rubric": rubric, "human_labels": job.judge.human_labels})


def _local_copies(request: RunRequest, files: Mapping[str, str | None]) -> Mapping[str, str]:
    paths = {name: request.options.inputs.get(name, path) for name, path in files.items() if path is not None}
    return {name: str(find_copy(path, request.options.data) or path) for name, path in paths.items()}


def _check_local(files: Mapping[str, str]) -> None:
    remote = {name: path for name, path in files.items() if is_remote(path)}
    if remote:
        options = [f"  inputs.{name}={path!r}: --data {path}=FILE" for name, path in remote.items()]
        raise InputError("\n".join(["a dry run reads its rows on this machine; give a local copy of", *options]))


def _without_side_effects(job: "DistillationJob") -> Iterator[Replacement]:
    teachers, name = job.teacher.teachers, f"{job.registered_model}-dry-run"
    if job.teacher.teacher_route == "endpoint":
        names, sources = ", ".join(teacher.called for teacher in teachers), ", ".join(_answer_sources(job))
        simulated = "a simulated teacher" if len(teachers) == 1 else f"{len(teachers)} simulated teachers"
        yield Replacement("teacher_route", "simulated", "teacher", names, f"{simulated} on loopback ({sources})")
    if job.judge and job.judge.judge_route == "endpoint":
        judge = job.judge.judge_model.called
        yield Replacement("judge_route", "simulated", "judge", judge, "a simulated judge on loopback")
    minimum = job.curate.min_judge_score
    if minimum is not None and minimum > LOWEST:
        after = f"at least {LOWEST}, because the scores of a simulated judge say nothing"
        yield Replacement("min_judge_score", str(LOWEST), "scores", f"at least {minimum:g}", after)
    if job.scorer and job.scorer.scorer_route == "endpoint":
        scorer = job.scorer.model or job.scorer.requests.teachers[0].called
        yield Replacement("scorer_route", "simulated", "scorer", scorer, "the student before training, on loopback")
    if job.evaluate.enforce_gates:
        yield Replacement("enforce_gates", "false", "gates", "enforced", "reported")
    yield Replacement("registered_model", name, "name", job.registered_model, f"{name}, in a registry of this run")


def _answer_sources(job: "DistillationJob") -> Iterable[str]:
    """Distinct sources of the simulated answers."""
    return dict.fromkeys(
        "your examples" if settings.examples else f"expert {settings.expert}" for settings in simulations(job)
    )


def _reduced(job: "DistillationJob") -> Iterator[Replacement]:
    if not 0 < job.prepare.rows <= MAX_ROWS:
        first_rows = f"the first {MAX_ROWS} of each file"
        yield Replacement("rows", str(MAX_ROWS), "rows", job.prepare.rows or "all", first_rows)
    if job.data.augment and job.data.augment.new_prompts > MAX_NEW_PROMPTS:
        before = f"{job.data.augment.new_prompts} new ones"
        yield Replacement("new_prompts", str(MAX_NEW_PROMPTS), "prompts", before, f"{MAX_NEW_PROMPTS} new ones")
    if job.train.num_epochs > MAX_EPOCHS:
        yield Replacement("num_epochs", str(MAX_EPOCHS), "epochs", f"{job.train.num_epochs:g}", MAX_EPOCHS)
    if job.predict.max_new_tokens > MAX_NEW_TOKENS:
        before = f"up to {job.predict.max_new_tokens} tokens"
        yield Replacement("max_new_tokens", str(MAX_NEW_TOKENS), "answers", before, f"up to {MAX_NEW_TOKENS}")


def _replaced_student(job: "DistillationJob", home: Path, files: Mapping[str, str], rows: int) -> Iterator[Replacement]:
    architecture = student_architecture(job)
    check_steps(["train"])  # the tiny student is written with the same packages
    student = tiny_student(home, architecture, files.values(), rows)
    tiny_architecture = read_architecture(student)
    reason = "" if tiny_architecture == architecture else f", as {architecture or 'its architecture'} is not known here"
    description = f"a tiny {tiny_architecture} with random weights{reason}"
    yield Replacement("student", str(student), "student", job.student.model, description)
    if job.student.baseline:
        baseline = tiny_baseline(student)
        yield Replacement("baseline", str(baseline), "baseline", job.student.baseline, "the same with weights")
    for port, teacher in zip(WHITE_BOX_PORTS, job.white_box, strict=False):
        folder = str(tiny_baseline(student))
        yield Replacement(port, folder, "white-box teacher", teacher.model, "the student with other weights")
    if job.scorer and job.scorer.model:
        # A dry run does not read it: the student scores.
        yield Replacement(MODEL_PORT, str(tiny_baseline(student)), "scorer", job.scorer.model, "a tiny model")
    if job.train.layer_map != UNIFORM:
        yield Replacement("layer_map", UNIFORM, "layers", job.train.layer_map, UNIFORM)
    if job.student.weights != "random":
        yield Replacement("weights", "random", "weights", job.student.weights, "random")
    limit = job.train.max_length
    length = required_length(student, files.values(), rows, limit) + job.teacher.max_tokens
    if length > limit:
        after = f"up to {length} tokens, because the tiny tokenizer needs more for a text"
        yield Replacement("max_length", str(length), "length", f"up to {limit} tokens", after)
    train = step_configs(job)["train"]
    for setting in train.cuda_settings if isinstance(train, TrainConfig) else ():
        after = f"{setting.substitute}, which needs no GPU"
        yield Replacement(setting.field, setting.substitute, setting.field, setting.value, after)
