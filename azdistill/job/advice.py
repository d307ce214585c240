"""Warnings about a valid job: settings that differ from best practice. A warning never rejects a job."""

from collections.abc import Iterator
from datetime import date
from typing import Any
from urllib.parse import urlsplit

from azdistill.contracts.chat_url import ONLINE_ENDPOINT_HOSTS, RESOURCE_HOSTS
from azdistill.contracts.problems import FieldPath, Problem, format_number
from azdistill.contracts.requests import Teacher
from azdistill.contracts.train import TrainConfig
from azdistill.engine.pipeline.labels import ASSET_NAME
from azdistill.engine.pipeline.vm_sizes import check_name, vm_size
from azdistill.job.catalog import Facts, TeacherFacts, built_in
from azdistill.job.compute_checks import SIZES
from azdistill.job.gpu_settings import missing_packages
from azdistill.job.memory import (
    gpu_of,
    prediction_gb,
    scorer_gb,
    teachers_of_unknown_size,
    training_of,
    vm_for_prediction,
)
from azdistill.job.model import DistillationJob
from azdistill.job.paths import FILES, is_remote
from azdistill.job.plan import step_configs
from azdistill.job.run_settings import SERVERLESS, train_processes
from azdistill.job.serving import serving_advice
from azdistill.job.student_folder import ignored_weights
from azdistill.job.training_settings import choose_settings, what_would_fit

# Usual minimum and maximum from pretrained weights: for full fine-tuning, and for adapters.
USUAL_EPOCHS = (2, 5)
USUAL_FULL = {"learning_rate": (1e-5, 5e-5), "num_epochs": USUAL_EPOCHS}
USUAL_LORA = {"learning_rate": (1e-4, 5e-4), "num_epochs": USUAL_EPOCHS}

# Fields of section train that have an effect with adapters only, and without adapters only.
LORA_FIELDS = ("lora_rank", "lora_alpha", "lora_dropout", "lora_targets", "use_dora", "use_rslora")
FULL_FIELDS = ("float32_master_weights",)

# Hosts of endpoints of Azure, which all require authentication.
AZURE_HOSTS = (*RESOURCE_HOSTS, *ONLINE_ENDPOINT_HOSTS, ".models.ai.azure.com")

MUTABLE = "azureml://datastores/"
LATEST = ("@latest", "/labels/latest")

MARGIN = "allow a margin, such as {}: the confidence interval of two equal models includes 0"

STUDENT: FieldPath = ("student", "model")
JUDGE: FieldPath = ("judge", "judge_model", "model")
GPU_SIZE: FieldPath = ("compute", "gpu_instance_type")


def advice(job: DistillationJob, today: date | None = None) -> list[Problem]:
    """Warnings about a job; none when it follows best practice.

    Pure: it reads no clock. `today` decides which models are retired, by default the date of the catalog.
    """
    checks = (
        _hyperparameters,
        _unused_settings,
        missing_packages,
        _sharding,
        _random_base,
        _licences,
        _message_api,
        _authentication,
        _unused_weights,
        _untrained_turns,
        _ignored_sampling,
        _contexts,
        _student_size,
        _test_data,
        _related_judge,
        _suite_bounds,
        _mutable_paths,
        _model_name,
        _vm_sizes,
        _gpu_memory,
        _prediction_memory,
        _teacher_memory,
        _scorer_memory,
        _idle_gpus,
        _batch_of_processes,
        serving_advice,
    )
    return [*_retirements(job, today or built_in().as_of), *(problem for check in checks for problem in check(job))]


def _warning(code: str, field: FieldPath, value: Any, message: str, fix: str = "") -> Problem:
    return Problem(code=code, message=message, fix=fix, field=field, value=value, severity="warning")


def _hyperparameters(job: DistillationJob) -> Iterator[Problem]:
    train = _train(job)
    ranges, method = (USUAL_LORA, "LoRA") if train.has_adapters else (USUAL_FULL, "full fine-tuning")
    for name, (minimum, maximum) in ranges.items() if job.student.weights == "pretrained" else ():
        value = getattr(train, name)
        if not minimum <= value <= maximum:
            risk = "the student may learn too little" if value < minimum else "the student may forget what it knew"
            usual = f"use {format_number(minimum)} to {format_number(maximum)} for {method}"
            yield _warning("unusual_hyperparameter", ("train", name), value, f"unusual, {risk}", usual)


def _unused_settings(job: DistillationJob) -> Iterator[Problem]:
    """Settings of section train that the method does not use."""
    train = _train(job)
    unused, other = (FULL_FIELDS, "full") if train.has_adapters else (LORA_FIELDS, "lora")
    for name in unused:
        if name in job.train.model_fields_set:
            message, fix = f"has no effect with method {train.method}", f"remove it, or set method to {other}"
            yield _warning("no_effect", ("train", name), getattr(job.train, name), message, fix)


def _sharding(job: DistillationJob) -> Iterator[Problem]:
    if job.train.is_sharded and train_processes(job.compute) == 1:
        message, fix = "has no effect, because one process trains", "remove it, or set a VM size with several GPUs"
        yield _warning("no_effect", ("train", "sharding"), job.train.sharding, message, fix)


def _random_base(job: DistillationJob) -> Iterator[Problem]:
    if job.student.weights != "random":
        return
    if is_remote(job.student.model):
        yield ignored_weights()
    if job.train.is_self_taught:
        message = "a student that starts with random weights does not understand the stored answer in its prompt"
        fix = "choose a student with weights, or train it on text and distil it in a second job"
        yield _warning("random_base", ("train", "on_policy", "teacher"), "self", message, fix)
    if _train(job).has_adapters:
        message = "adapters of random weights learn little, because the weights stay as they are"
        yield _warning("random_base", ("train", "method"), job.train.method, message, "set method to full")


def _train(job: DistillationJob) -> TrainConfig:
    """The config of step train in the plan of the job."""
    config = step_configs(job)["train"]
    assert isinstance(config, TrainConfig)
    return config


def _known_models(job: DistillationJob) -> Iterator[tuple[FieldPath, str, Facts]]:
    """Field, name as the user gave it and facts of the teachers and the student, as far as the catalog has them."""
    yield from _known_teachers(job)
    if facts := job.known.student(job.student.model):
        yield STUDENT, job.student.model, facts


def _known_teachers(job: DistillationJob) -> Iterator[tuple[FieldPath, str, TeacherFacts]]:
    known = job.known
    for index, teacher in enumerate(job.teacher.teachers):
        if facts := known.teacher(teacher.model):
            yield ("teacher", "teachers", index, "model"), teacher.model, facts


def _known_judge(job: DistillationJob) -> Iterator[tuple[FieldPath, str, TeacherFacts]]:
    """The judge and the scorer, if the catalog has them. No student is trained with their texts."""
    if job.scorer and job.scorer.teacher and (facts := job.known.teacher(job.scorer.teacher.model)):
        yield ("scorer", "teacher", "model"), job.scorer.teacher.model, facts
    if job.judge and (facts := job.known.teacher(job.judge.judge_model.model)):
        yield JUDGE, job.judge.judge_model.model, facts


def _retirements(job: DistillationJob, today: date) -> Iterator[Problem]:
    for field, name, facts in (*_known_models(job), *_known_judge(job)):
        if facts.is_outdated(today):
            state = "was retired" if facts.is_retired(today) else f"is {facts.lifecycle} and will be retired"
            when = f" on {facts.retires}" if facts.retires else ""
            still = "; weights that you have can still be trained" if field == STUDENT else ""
            fix = f"Azure recommends {facts.replacement}" if facts.replacement else ""
            message = f"{facts.name} {state}{when} (as of {built_in().as_of}){still}"
            yield _warning("retired_model", field, name, message, fix)


def _licences(job: DistillationJob) -> Iterator[Problem]:
    for field, name, facts in _known_models(job):
        if facts.duty and facts.licence not in job.licences_acknowledged:
            fix = f"if you comply, add {facts.licence} to licences_acknowledged"
            yield _warning("licence_duty", field, name, f"licence {facts.licence}: {facts.duty}", fix)


def _message_api(job: DistillationJob) -> Iterator[Problem]:
    for field, name, facts in (*_known_teachers(job), *_known_judge(job)):
        if facts.route == "messages":
            message = "is served by the Messages API, and azdistill sends chat completions requests"
            yield _warning("unsupported_api", field, name, message, "put a gateway between the two")


def _authentication(job: DistillationJob) -> Iterator[Problem]:
    """Endpoints of Azure without a key or a token. That of a judge is asked when the training is paid."""
    teachers = job.teacher.teachers if job.teacher.teacher_route == "endpoint" else ()
    models: dict[FieldPath, Teacher] = {("teacher", "teachers", n): teacher for n, teacher in enumerate(teachers)}
    if job.judge:
        models[("judge", "judge_model")] = job.judge.judge_model
    if job.scorer and job.scorer.teacher:
        models[("scorer", "teacher")] = job.scorer.teacher
    for field, model in models.items():
        is_keyless = not (model.key_variable or model.connection or model.entra_scope)
        if model.endpoint and is_keyless and (urlsplit(model.endpoint).hostname or "").endswith(AZURE_HOSTS):
            message, fix = "refuses requests without a key or a token", "set connection, key_variable or entra_scope"
            yield _warning("no_authentication", (*field, "endpoint"), model.endpoint, message, fix)


def _unused_weights(job: DistillationJob) -> Iterator[Problem]:
    for index, teacher in enumerate(job.teacher.teachers):
        if teacher.weight != 1 and job.teacher.policy != "route":
            message = f"has no effect with policy {job.teacher.policy}"
            field = ("teacher", "teachers", index, "weight")
            yield _warning("no_effect", field, teacher.weight, message, "only policy route uses weights")


def _untrained_turns(job: DistillationJob) -> Iterator[Problem]:
    if job.teacher.turns == "all" and job.train.train_on == "last":
        message = "the teacher is paid for every turn, and only the last one is trained"
        yield _warning("untrained_turns", ("train", "train_on"), "last", message, "set it to all")


def _ignored_sampling(job: DistillationJob) -> Iterator[Problem]:
    """Sampling parameters that the job sets and a reasoning teacher does not accept, so that they are not sent."""
    reasoning = [teacher.called for teacher in job.teacher.teachers if teacher.reasoning]
    for name in ("temperature", "top_p") if reasoning else ():
        if name in job.teacher.model_fields_set:
            message = f"ignored by reasoning teacher {reasoning[0]!r}, which accepts no {name}"
            fix = "remove it, or set reasoning to false if the teacher accepts it"
            yield _warning("ignored_parameter", ("teacher", name), getattr(job.teacher, name), message, fix)


def _contexts(job: DistillationJob) -> Iterator[Problem]:
    for model_field, _, facts in _known_models(job):
        field: FieldPath = ("train", "max_length") if model_field == STUDENT else ("teacher", "max_tokens")
        tokens = job.train.max_length if model_field == STUDENT else job.teacher.max_tokens
        if facts.context and tokens > facts.context:
            message = f"is longer than the context of {facts.name}"
            yield _warning("exceeds_context", field, tokens, message, f"set at most {facts.context} tokens")


def _student_size(job: DistillationJob) -> Iterator[Problem]:
    student = job.known.student(job.student.model)
    sizes = [facts.parameters for _, _, facts in _known_teachers(job) if facts.parameters]
    if student and student.parameters and sizes and min(sizes) < student.parameters:
        teacher = f"its teacher {sizes[0]:g}" if len(job.teacher.teachers) == 1 else f"a teacher {min(sizes):g}"
        message = f"has {student.parameters:g} billion parameters, and {teacher}"
        yield _warning(
            "large_student", STUDENT, job.student.model, message, "choose a student smaller than its teachers"
        )


def _test_data(job: DistillationJob) -> Iterator[Problem]:
    if job.data.test_data is None:
        message = f"not set, so {job.prepare.test_fraction:.0%} of the training rows are held out for testing"
        fix = "rows that were collected separately are a stronger test"
        yield _warning("no_test_data", ("data", "test_data"), None, message, fix)


def _related_judge(job: DistillationJob) -> Iterator[Problem]:
    """A judge prefers the texts of its own model and family. Source: Panickssery et al. (2024)."""
    if job.judge is None:
        return
    known, judge = job.known, job.judge.judge_model.model
    judged = {f"teacher {teacher.called!r}": teacher.model for teacher in job.teacher.teachers}
    for name, model in (judged | {"the student": job.student.model}).items():
        families = sorted(known.families(judge) & known.families(model))
        if judge == model or families:
            relation = "is the same model as" if judge == model else f"is of family {families[0]}, as is"
            message = f"{relation} {name}: a judge prefers answers in its own style"
            yield _warning("related_judge", JUDGE, judge, message, "choose a judge of another family")


def _suite_bounds(job: DistillationJob) -> Iterator[Problem]:
    """Suites without a bound, and bounds that a student as good as the baseline does not meet."""
    for index, suite in enumerate(job.regressions):
        field: FieldPath = ("regressions", index)
        if not {"min_gain", "max_gain"} & suite.model_fields_set:
            message, fix = "gates nothing", "set min_gain or max_gain, or min_gain: null if it is only reported"
            yield _warning("no_bound", (*field, "min_gain"), None, message, fix)
        message = "passes only if the student differs measurably from the baseline"
        if suite.min_gain is not None and suite.min_gain >= 0:
            yield _warning("strict_bound", (*field, "min_gain"), suite.min_gain, message, MARGIN.format("-0.02"))
        if suite.max_gain is not None and suite.max_gain <= 0:
            yield _warning("strict_bound", (*field, "max_gain"), suite.max_gain, message, MARGIN.format("0.02"))


def _mutable_paths(job: DistillationJob) -> Iterator[Problem]:
    paths: dict[FieldPath, str] = {("data", name): getattr(job.data, name) or "" for name in FILES}
    paths |= {("regressions", index, "data"): suite.data for index, suite in enumerate(job.regressions)}
    paths |= {("white_box", index, "model"): teacher.model for index, teacher in enumerate(job.white_box)}
    paths[("scorer", "model")] = (job.scorer and job.scorer.model) or ""
    paths[STUDENT] = job.student.model
    paths[("student", "baseline")] = job.student.baseline or ""
    for field, path in paths.items():
        if path.startswith(MUTABLE) and not job.compute.force_rerun:
            message = "Azure ML reuses results while this path is unchanged, even if its content changes"
            yield _warning("mutable_path", field, path, message, "name a data asset with a version")
        if path.startswith("azureml:") and path.endswith(LATEST):
            message = "the latest version changes without a change of the job"
            yield _warning("mutable_path", field, path, message, "name a version")


def _model_name(job: DistillationJob) -> Iterator[Problem]:
    """A name that Azure ML's REST specification does not allow for a model of a workspace: the others have dots."""
    name = job.outputs.registered_model
    if name and not ASSET_NAME.fullmatch(name):
        message = "Azure ML's REST specification allows no '.' in the name of a workspace's model"
        fix = f"use {name.replace('.', '-')}; a local registry and registries of Azure ML accept it"
        yield _warning("model_name", ("outputs", "registered_model"), name, message, fix)


def _vm_sizes(job: DistillationJob) -> Iterator[Problem]:
    """VM sizes that are unknown or retired. Misspelt ones are errors."""
    for field, target in SIZES.items():
        name = getattr(job.compute, field) if getattr(job.compute, target) == SERVERLESS else None
        if name and (problem := check_name(name)):
            yield _warning(problem.code, ("compute", field), name, problem.message, problem.fix)


def _gpu_memory(job: DistillationJob) -> Iterator[Problem]:
    training = training_of(job)
    if training is None:
        return
    training = training.with_settings(**dict(choose_settings(job).config))
    memory, gpu = training.memory(), training.gpu
    if memory and gpu and not training.fits():
        batch = f"for {training.rows} rows of {training.config.max_length:,} tokens"
        extent = "before activations" if memory.is_rough else batch
        needed = f"training {training.student.name} (method {training.config.method}) needs {memory.total_gb:,.0f} GB"
        fix = ", or ".join(what_would_fit(training)) or "choose a smaller student"
        message = f"{needed} {extent}, and a GPU of this size has {gpu.gpu_memory_gb}"
        yield _warning("exceeds_gpu_memory", GPU_SIZE, job.compute.gpu_instance_type, message, fix)


def _prediction_memory(job: DistillationJob) -> Iterator[Problem]:
    """A student that is trained on this GPU, by QLoRA or divided, or on another one, and does not fit it in predict."""
    predict_size = job.compute.predict_instance_type
    name = predict_size or job.compute.gpu_instance_type
    student, gpu = job.known.student(job.student.model), vm_size(name) if job.compute.gpu == SERVERLESS else None
    needed = prediction_gb(student, gpu) if student and gpu else None
    if student and gpu and needed and needed > gpu.gpu_memory_gb:
        dtype = "bfloat16" if gpu.bfloat16 else "float32"
        message = (
            f"the steps predict need at least {needed:,.0f} GB for the weights of {student.name} in {dtype}, and a GPU "
            f"of this size has {gpu.gpu_memory_gb}"
        )
        larger = vm_for_prediction(student)
        fix = f"set compute.predict_instance_type to {larger}" if larger else "choose a smaller student"
        field = ("compute", "predict_instance_type") if predict_size else GPU_SIZE
        yield _warning("exceeds_gpu_memory", field, name, message, fix)


def _teacher_memory(job: DistillationJob) -> Iterator[Problem]:
    for index, model in teachers_of_unknown_size(job):
        message = "its size is unknown, so its GPU memory is not counted"
        fix = "add it to catalog.students with its parameters"
        yield _warning("unknown_size", ("white_box", index, "model"), model, message, fix)


def _scorer_memory(job: DistillationJob) -> Iterator[Problem]:
    """A served scoring teacher whose weights do not fit its share of the GPU, or whose size is unknown."""
    scorer, gpu, needed = job.scorer, gpu_of(job), scorer_gb(job)
    if scorer is None or scorer.model is None:
        return
    if needed is None:
        message, fix = "its size is unknown, so it may not fit", "add it to catalog.students with its parameters"
        yield _warning("unknown_size", ("scorer", "model"), scorer.model, message, fix)
    elif gpu and gpu.gpu_memory_gb and needed > scorer.gpu_memory * gpu.gpu_memory_gb:
        message = f"{scorer.gpu_memory * gpu.gpu_memory_gb:,.0f} GB, and the weights of the scorer have {needed:,.0f}"
        fix = "raise it, or choose a larger VM size or an endpoint"
        yield _warning("exceeds_gpu_memory", ("scorer", "gpu_memory"), scorer.gpu_memory, message, fix)


def _idle_gpus(job: DistillationJob) -> Iterator[Problem]:
    """GPUs that are rented and not used: of train with fewer processes, and of predict, which uses one."""
    compute, size = job.compute, gpu_of(job)
    predict = vm_size(compute.predict_instance_type or "") if compute.gpu == SERVERLESS else None
    if size and compute.train_processes and compute.train_processes < size.gpus:
        idle = size.gpus - compute.train_processes
        message = f"{idle} of {size.gpus} GPUs of {compute.gpu_instance_type} are idle in step train"
        field: FieldPath = ("compute", "train_processes")
        yield _warning("idle_gpus", field, compute.train_processes, message, f"set {size.gpus}, or a smaller VM")
    used, field = (predict, ("compute", "predict_instance_type")) if predict else (size, GPU_SIZE)
    if used and used.gpus > 1:
        message = f"{used.gpus - 1} of {used.gpus} GPUs are idle in the steps predict, which use one"
        fix = "set compute.predict_instance_type to a size with one GPU"
        yield _warning("idle_gpus", field, getattr(compute, str(field[-1])), message, fix)


def _batch_of_processes(job: DistillationJob) -> Iterator[Problem]:
    """Each of several processes trains on its own batch, so an optimizer step has more rows than train.batch_size."""
    processes = train_processes(job.compute)
    if processes > 1:
        batch_size = choose_settings(job).config.batch_size
        rows = f"{processes} x {batch_size} = {processes * batch_size}"
        message = f"{processes} processes train together, so an optimizer step has {rows} rows"
        fix = f"for as many rows as one process has, divide it by {processes}"
        yield _warning("several_processes", ("train", "batch_size"), batch_size, message, fix)
