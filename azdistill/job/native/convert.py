"""A native job as a job of ours, and every difference between the two in words."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from azdistill.contracts.evaluate import EvaluateConfig
from azdistill.contracts.findings import number
from azdistill.contracts.prepare import PrepareConfig
from azdistill.contracts.train import TrainConfig
from azdistill.job.model import Compute, DistillationJob
from azdistill.job.native.draft import START, Draft
from azdistill.job.native.job import NO_DATA, SYNONYMS, DataInput, NativeJob
from azdistill.job.native.teacher import teacher
from azdistill.job.paths import FILES, is_remote
from azdistill.job.shorthand import Values

TASKS = {"nlu_qa": "qa"}
"""Azure's names of tasks that have another here."""

MODEL_TYPES = ("custom_model", "mlflow_model")
"""Forms in which a student can be registered."""

LORA_DEFAULTS = {"learning_rate": 3e-4, "num_epochs": 1, "batch_size": 1}
"""Of Azure's component, which trains LoRA weights."""


def converted(native: NativeJob) -> Draft:
    """The job of a native file; its paths stay relative to that file, and its key is left out."""
    draft = Draft()
    for part in (_names, _task, _data, teacher, _student, _training, _compute, _outputs, _proof):
        part(native, draft)
    order = list(DistillationJob.model_fields)
    draft.values = dict(sorted(draft.values.items(), key=lambda item: order.index(item[0])))
    return draft


def moved(values: Values, source: Path, target: Path) -> Values:
    """The values for a file in folder `target`, with their paths relative to that in place of `source`."""
    at = _mover(source, target)
    data = {name: at(value) if name in FILES else value for name, value in values["data"].items()}
    student = {**values["student"], "model": at(values["student"]["model"])}
    return {**values, "data": data, "student": student}


def _mover(source: Path, target: Path) -> Callable[[str], str]:
    def at(path: str) -> str:
        if is_remote(path) or Path(path).is_absolute():
            return path
        found = Path(os.path.relpath(source / path, target)).as_posix()
        return found if found.startswith("..") else f"./{found}"

    return at


def _names(native: NativeJob, draft: Draft) -> None:
    field = "name" if native.name else "experiment_name"
    if given := native.name or native.experiment_name:
        _name(field, given, draft)
    else:
        usual = DistillationJob.model_fields["name"].default
        draft.note(("name",), f"not given; the job is called {usual!r}, where Azure makes a name up")
    if native.name and native.experiment_name != native.name:
        draft.leave(("experiment_name",), native.experiment_name, "the experiment is called as the job is")
    if native.description:
        draft.put(("description",), native.description, ("description",))
        draft.leave(("display_name",), native.display_name, "a job has a name and a description")
    elif native.display_name:
        draft.change(
            ("description",), native.display_name, ("display_name",), native.display_name, "a job has no other"
        )
    if native.tags:
        draft.put(("tags",), {name: value or "" for name, value in native.tags.items()}, ("tags",))
    draft.leave(("properties",), native.properties, "put into tags what you look for")
    draft.leave(("identity",), native.identity, "the pipeline runs as the managed identity of its compute")
    draft.leave(("services",), native.services, "the pipeline offers none")


def _name(field: str, given: str, draft: Draft) -> None:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", given).lstrip("._-")[:101]
    if (name, field) == (given, "name"):
        draft.put(("name",), name, (field,))
    else:
        why = "what a name may be made of" if field == "name" else "the job had no name, and its experiment has this"
        draft.change(("name",), name, (field,), given, why)


def _task(native: NativeJob, draft: Draft) -> None:
    given, origin = native.data_generation_task_type, ("data_generation_task_type",)
    if given in TASKS:
        draft.change(("task",), TASKS[given], origin, given, "as it is called here")
    else:
        draft.put(("task",), given, origin)
    if given == "conversation":
        why = "as Azure has the teacher answer every assistant turn of a conversation"
        draft.change(("teacher", "turns"), "all", origin, given, why)
    if native.data_generation_type == "data_generation":
        why = "no new prompts are made up, the teacher answers those of training_data as they are"
        draft.note(("data_generation_type",), why, native.data_generation_type)


def _data(native: NativeJob, draft: Draft) -> None:
    for name in ("training_data", "validation_data"):
        given: DataInput = getattr(native, name)
        if given is NO_DATA:
            kept = PrepareConfig.model_fields["validation_fraction"].default
            draft.note((name,), f"not given; prepare.validation_fraction={kept} of the training rows is kept for it")
            continue
        draft.put(("data", name), given.path.removeprefix("file:"), (name, "path"))
        for field in ("mode", "path_on_compute", "datastore"):
            draft.leave((name, field), getattr(given, field), "the pipeline says how a file reaches a step")


def _student(native: NativeJob, draft: Draft) -> None:
    given = native.student_model
    draft.put(("student", "model"), given.path.removeprefix("file:"), ("student_model", "path"))
    draft.note(("student_model",), "all of its weights are trained, where Azure's component trains a LoRA adapter")
    for field in ("mode", "datastore"):
        draft.leave(("student_model", field), getattr(given, field), "the pipeline says how a model reaches a step")


def _training(native: NativeJob, draft: Draft) -> None:
    given = native.hyperparameters
    for ours, names in SYNONYMS.items():
        if name := given.given(names):
            _hyperparameter(ours, name, getattr(given, name), draft)
    unsaid = {ours: LORA_DEFAULTS[ours] for ours, names in SYNONYMS.items() if not given.given(names)}
    if unsaid:
        usual = {ours: TrainConfig.model_fields[ours].default for ours in unsaid}
        text = f"not given: {_listed(usual)}, fit for full fine-tuning; Azure's component has {_listed(unsaid)}"
        draft.note(("hyperparameters",), text)


def _hyperparameter(ours: str, name: str, value: float, draft: Draft) -> None:
    place, origin = ("train", ours), ("hyperparameters", name)
    if name == "learning_rate_multiplier":
        base = TrainConfig.model_fields[ours].default
        why = (
            "it multiplies a rate that Azure's service chooses and doesn't tell, "
            f"here azdistill's default {number(base)}; write the rate itself if you know it"
        )
        draft.change(place, float(number(base * value)), origin, value, why)
    elif ours == "batch_size":
        draft.change(place, value, origin, value, "rows of an average batch, as rows of like length go together")
    else:
        draft.put(place, value, origin)


def _listed(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name}={number(value)}" for name, value in values.items())


def _compute(native: NativeJob, draft: Draft) -> None:
    cluster, resources = (native.compute or "").removeprefix("azureml:"), native.resources
    if cluster and cluster != "serverless":
        draft.put(("compute", "cpu"), cluster, ("compute",))
    if resources.instance_type:
        place, origin = ("compute", "cpu_instance_type"), ("resources", "instance_type")
        draft.put(place, resources.instance_type, origin)
    why = "Azure's SDK sends instance_type only"
    draft.leave(("resources", "instance_count"), resources.instance_count, f"{why}; see compute.teacher_instances")
    draft.leave(("resources", "properties"), resources.properties, why)
    gpu = Compute.model_fields["gpu_instance_type"].default
    text = f"training takes compute.gpu_instance_type={gpu!r}, where Azure's service chooses a machine by itself"
    draft.note(("resources",), text)


def _outputs(native: NativeJob, draft: Draft) -> None:
    given, origin = native.outputs.registered_model, ("outputs", "registered_model")
    if given.name:
        draft.put(("outputs", "registered_model"), given.name, (*origin, "name"))
    else:
        draft.note((*origin, "name"), "not given; the student is registered by the name of the job and -distilled")
    if given.type in MODEL_TYPES:
        draft.put(("outputs", "model_type"), given.type, (*origin, "type"))
    else:
        draft.leave((*origin, "type"), given.type, f"the student is registered as {' or '.join(MODEL_TYPES)}")
    for field in ("version", "mode", "path"):
        draft.leave(
            (*origin, field), getattr(given, field), "the registry counts versions, and the step knows its folder"
        )


def _proof(native: NativeJob, draft: Draft) -> None:
    """What Azure's job has not."""
    gates: Any = EvaluateConfig.model_fields["gates"].default
    draft.note(
        START,
        "the student is tested too, and registered only when it keeps "
        f"{gates.min_retention:.0%} of the teacher's accuracy and is no worse than untouched; "
        "Azure's job registers every student, as evaluate.enforce_gates=false does",
    )
