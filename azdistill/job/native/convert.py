"""Convert a native job (Azure's own format) to a job of azdistill, and note every difference."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from azdistill.contracts.evaluate import EvaluateConfig
from azdistill.contracts.prepare import PrepareConfig
from azdistill.contracts.problems import format_number
from azdistill.contracts.train import LEARNING_RATES, TrainConfig
from azdistill.job.model import DistillationJob
from azdistill.job.native.draft import START, Draft
from azdistill.job.native.job import NO_DATA, SYNONYMS, DataInput, NativeJob
from azdistill.job.native.teacher import teacher
from azdistill.job.paths import FILES, is_remote
from azdistill.job.sections import ComputeSection
from azdistill.job.shorthand import Values

# Tasks that have another name in Azure.
TASKS = {"nlu_qa": "qa"}

# Types of models that the pipeline reads and registers.
MODEL_TYPES = ("custom_model", "mlflow_model")

# Azure's component trains LoRA adapters, with these defaults.
METHOD = "lora"
LORA_DEFAULTS = {"learning_rate": 3e-4, "num_epochs": 1, "batch_size": 1}


def converted(native: NativeJob) -> Draft:
    """Convert a native job. Its paths stay relative to the native file, and its key is dropped."""
    draft = Draft()
    for convert in (_names, _task, _data, teacher, _student, _training, _compute, _outputs, _proof):
        convert(native, draft)
    order = list(DistillationJob.model_fields)
    draft.values = dict(sorted(draft.values.items(), key=lambda item: order.index(item[0])))
    return draft


def moved(values: Values, source: Path, target: Path) -> Values:
    """The values for a job file in folder `target`: paths relative to `source` become relative to `target`."""
    move = _mover(source, target)
    data = {name: move(value) if name in FILES else value for name, value in values["data"].items()}
    student = {**values["student"], "model": move(values["student"]["model"])}
    return {**values, "data": data, "student": student}


def _mover(source: Path, target: Path) -> Callable[[str], str]:
    def move(path: str) -> str:
        if is_remote(path) or Path(path).is_absolute():
            return path
        relative = Path(os.path.relpath(source / path, target)).as_posix()
        return relative if relative.startswith("..") else f"./{relative}"

    return move


def _names(native: NativeJob, draft: Draft) -> None:
    field = "name" if native.name else "experiment_name"
    if name := native.name or native.experiment_name:
        _name(field, name, draft)
    else:
        default = DistillationJob.model_fields["name"].default
        draft.note(("name",), f"not set; the job is named {default!r}, where Azure generates a name")
    if native.name and native.experiment_name != native.name:
        draft.drop(("experiment_name",), native.experiment_name, "the experiment has the name of the job")
    if native.description:
        draft.put(("description",), native.description, ("description",))
        draft.drop(("display_name",), native.display_name, "a job has a name and a description only")
    elif native.display_name:
        draft.change(
            ("description",), native.display_name, ("display_name",), native.display_name, "a job has no display name"
        )
    if native.tags:
        draft.put(("tags",), {name: value or "" for name, value in native.tags.items()}, ("tags",))
    draft.drop(("properties",), native.properties, "use tags to find jobs")
    _identity(native.identity, draft)
    draft.drop(("services",), native.services, "the pipeline has no services")


def _identity(native: Any, draft: Draft) -> None:
    """A client id is kept. Whether a user can be kept depends on the compute, which a native job does not name."""
    client_id = native.get("client_id") if isinstance(native, dict) else None
    if client_id is not None:
        draft.put(("compute", "identity", "client_id"), client_id, ("identity", "client_id"))
    else:
        draft.drop(("identity",), native, "the pipeline runs as a managed identity; see compute.identity")


def _name(field: str, native_name: str, draft: Draft) -> None:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", native_name).lstrip("._-")[:101]
    if (name, field) == (native_name, "name"):
        draft.put(("name",), name, (field,))
    else:
        why = "a valid job name" if field == "name" else "the job has no name, so the name of its experiment is used"
        draft.change(("name",), name, (field,), native_name, why)


def _task(native: NativeJob, draft: Draft) -> None:
    task, origin = native.data_generation_task_type, ("data_generation_task_type",)
    if task in TASKS:
        draft.change(("task",), TASKS[task], origin, task, "the name of the task in azdistill")
    else:
        draft.put(("task",), task, origin)
    if task == "conversation":
        why = "on Azure the teacher answers every assistant turn of a conversation"
        draft.change(("teacher", "turns"), "all", origin, task, why)
        draft.change(("train", "train_on"), "all", origin, task, "every turn that the teacher answers is trained")
    if native.data_generation_type == "data_generation":
        why = "no new prompts are generated; the teacher answers the prompts of training_data"
        draft.note(("data_generation_type",), why, native.data_generation_type)


def _data(native: NativeJob, draft: Draft) -> None:
    for name in ("training_data", "validation_data"):
        data: DataInput = getattr(native, name)
        if data is NO_DATA:
            fraction = PrepareConfig.model_fields["validation_fraction"].default
            draft.note(
                (name,), f"not set; prepare.validation_fraction={fraction} of the training rows is used for validation"
            )
            continue
        draft.put(("data", name), data.path.removeprefix("file:"), (name, "path"))
        for field in ("mode", "path_on_compute", "datastore"):
            draft.drop((name, field), getattr(data, field), "the pipeline sets how a step gets its files")


def _student(native: NativeJob, draft: Draft) -> None:
    student = native.student_model
    draft.put(("student", "model"), student.path.removeprefix("file:"), ("student_model", "path"))
    if student.type in MODEL_TYPES:
        draft.put(("student", "type"), student.type, ("student_model", "type"))
    for field in ("mode", "datastore"):
        draft.drop(("student_model", field), getattr(student, field), "the pipeline sets how a step gets its model")


def _training(native: NativeJob, draft: Draft) -> None:
    hyperparameters = native.hyperparameters
    draft.put(("train", "method"), METHOD, ("hyperparameters",))
    for field, names in SYNONYMS.items():
        if native_name := hyperparameters.first_set(names):
            _hyperparameter(field, native_name, getattr(hyperparameters, native_name), draft)
    unset = {field: LORA_DEFAULTS[field] for field, names in SYNONYMS.items() if not hyperparameters.first_set(names)}
    if unset:
        defaults = {field: getattr(TrainConfig(method=METHOD).resolved(), field) for field in unset}
        text = f"not set: {_listed(defaults)} is used; Azure's component has {_listed(unset)}"
        draft.note(("hyperparameters",), text)


def _hyperparameter(name: str, native_name: str, value: float, draft: Draft) -> None:
    field, origin = ("train", name), ("hyperparameters", native_name)
    if native_name == "learning_rate_multiplier":
        base = LEARNING_RATES[METHOD]
        why = (
            "it multiplies a learning rate that Azure's service does not publish; "
            f"here it multiplies azdistill's default {format_number(base)}; set the learning rate itself if you know it"
        )
        draft.change(field, float(format_number(base * value)), origin, value, why)
    elif name == "batch_size":
        why = "mean number of rows in a batch, as rows of similar length are batched together"
        draft.change(field, value, origin, value, why)
    else:
        draft.put(field, value, origin)


def _listed(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name}={format_number(value)}" for name, value in values.items())


def _compute(native: NativeJob, draft: Draft) -> None:
    cluster, resources = (native.compute or "").removeprefix("azureml:"), native.resources
    if cluster and cluster != "serverless":
        draft.put(("compute", "cpu"), cluster, ("compute",))
    if resources.instance_type:
        field, origin = ("compute", "cpu_instance_type"), ("resources", "instance_type")
        draft.put(field, resources.instance_type, origin)
    why = "Azure's SDK sends instance_type only"
    draft.drop(("resources", "instance_count"), resources.instance_count, f"{why}; see compute.teacher_instances")
    draft.drop(("resources", "properties"), resources.properties, why)
    gpu = ComputeSection.model_fields["gpu_instance_type"].default
    text = f"training runs on compute.gpu_instance_type={gpu!r}, where Azure's service chooses a VM"
    draft.note(("resources",), text)


def _outputs(native: NativeJob, draft: Draft) -> None:
    model, origin = native.outputs.registered_model, ("outputs", "registered_model")
    if model.name:
        draft.put(("outputs", "registered_model"), model.name, (*origin, "name"))
    else:
        draft.note((*origin, "name"), "not set; the student is registered as the name of the job with -distilled")
    if model.type in MODEL_TYPES:
        draft.put(("outputs", "model_type"), model.type, (*origin, "type"))
    else:
        draft.drop((*origin, "type"), model.type, f"the student can be registered as {' or '.join(MODEL_TYPES)}")
    for field in ("version", "mode", "path"):
        draft.drop((*origin, field), getattr(model, field), "the registry assigns versions, and the step sets the path")


def _proof(native: NativeJob, draft: Draft) -> None:
    """Note the evaluation and the gates, which native jobs don't have."""
    gates: Any = EvaluateConfig.model_fields["gates"].default
    draft.note(
        START,
        "the student is also evaluated, and registered only if it keeps "
        f"{gates.min_retention:.0%} of the teacher's score and is no worse than the baseline; "
        "Azure's job registers every student, as with evaluate.enforce_gates=false",
    )
