"""Plan a job: the graph of nodes that Azure ML runs. The same job gives the same plan."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import BaseModel

from azdistill.contracts.augment import AugmentConfig
from azdistill.contracts.job_facts import JobFacts, ModelFacts
from azdistill.contracts.judge_requests import JudgeSettings
from azdistill.contracts.predict import PredictConfig
from azdistill.contracts.register import RegisterConfig
from azdistill.contracts.regression import SUITE_PORTS, RegressionConfig
from azdistill.contracts.report import ReportConfig
from azdistill.contracts.step import Port, PortType, Step, StepConfig, is_run_input, scalar_type
from azdistill.contracts.suites import Suite, SuiteGate
from azdistill.contracts.task import OWN
from azdistill.contracts.train import WHITE_BOX_PORTS, TrainConfig
from azdistill.contracts.train_scored import MODEL_PORT, ScoredTrainConfig, ScorerConfig
from azdistill.contracts.train_scored import STEP as SCORED_TRAIN
from azdistill.job.catalog import REGISTRIES, Facts, ModelType
from azdistill.job.chat_template import chat_template_file
from azdistill.job.components import STEPS, step_of
from azdistill.job.graph import GRAPH, PUBLISHED, Scalar, Wiring, graph_of
from azdistill.job.model import DistillationJob
from azdistill.job.paths import FILES, is_remote, is_rubric_file
from azdistill.job.run_settings import required_gpus
from azdistill.job.simulation import as_json, judge_as_json
from azdistill.job.training_settings import choose_settings
from azdistill.job.tuning import sweep_of

Fields = TypeVar("Fields", bound=BaseModel)

# Inputs of the pipeline that are rows: files or folders.
ROWS = (*FILES, "completions", *SUITE_PORTS)

# The default datastore of a workspace, in the fixed paths of the steps.
DEFAULT_DATASTORE = "workspaceblobstore"


@dataclass(frozen=True)
class PlannedNode:
    """A node: its step, and its inputs and outputs as Azure ML YAML values: literals, `${{ }}` bindings, mappings.

    `sweep` are the fields that make the node a sweep, whose search space gives the other inputs.
    """

    name: str
    step: Step[Any]
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    sweep: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Text:
    """The content of a text file."""

    text: str


@dataclass(frozen=True)
class PlannedFile:
    """A file or folder that the pipeline reads: `content` is a path or address, a text, or a JSON value."""

    type: PortType | ModelType
    content: str | Text | dict[str, Any] | list[Any]


@dataclass(frozen=True)
class Plan:
    """The content of a bundle.

    `files` are the pipeline inputs that are files: a local path, a remote address,
    or a value that is written as JSON. `scalars` are the other pipeline inputs.
    """

    job: DistillationJob
    files: Mapping[str, PlannedFile]
    scalars: Mapping[str, Scalar]
    nodes: tuple[PlannedNode, ...]


def plan(job: DistillationJob) -> Plan:
    """Plan a job. It reads no file, clock, network or environment, only whether a path of rows is a folder."""
    configs = step_configs(job)
    data = {name: getattr(job.data, name) for name in FILES}
    data |= {
        "public_test_sets": job.data.public_test_sets,
        "task_file": job.task_file,
        "metric_file": job.metrics,
        "completions": job.teacher.completions,
        "chat_template": _template(job),
        "human_labels": job.judge and job.judge.human_labels,
        **suite_files(job),
        **_white_box_models(job),
        MODEL_PORT: job.scorer and job.scorer.model,
    }
    graph = graph_of(configs, has_baseline=bool(job.student.baseline))
    nodes = [
        _node(name, wiring, configs[wiring.step], data, job.compute.default_datastore) for name, wiring in graph.items()
    ]
    types = {name: data_type(job, name, path) for name, path in data.items() if name in ROWS and path is not None}
    nodes = [_with_types(node, GRAPH[node.name], types) for node in nodes]
    searched = job.tuning.search_space if job.tuning else {}
    return Plan(
        job=job,
        files=_data_files(data, types, job)
        | _nested_files(configs)
        | {"simulation": _simulation(job)}
        | _judge_files(job)
        | _suite_gates(job),
        scalars={name: value for name, value in _run_inputs(configs).items() if name not in searched},
        nodes=tuple(_swept(node, job) if node.name == "train" and searched else node for node in nodes),
    )


def suite_files(job: DistillationJob) -> dict[str, str | None]:
    """Pipeline input -> data file of a suite; None for the inputs that the job has no suite for."""
    suites = dict(zip(SUITE_PORTS, job.regressions, strict=False))
    return {port: suites[port].data if port in suites else None for port in SUITE_PORTS}


def _white_box_models(job: DistillationJob) -> dict[str, str | None]:
    """Pipeline input -> model of a white-box teacher; None for the inputs that the job has no teacher for."""
    models = dict(zip(WHITE_BOX_PORTS, job.white_box, strict=False))
    return {port: models[port].model if port in models else None for port in WHITE_BOX_PORTS}


def step_configs(job: DistillationJob) -> dict[str, StepConfig]:
    """The config of every step by step name: the job's section of that name, with the fields that steps share."""
    shared: dict[str, Any] = {
        "task": OWN if job.task_file else job.task,
        "labels": ",".join(job.labels) if job.labels else None,
        "seed": job.seed,
        "pii": job.prepare.pii,
        "weights": job.student.weights,
        "white_box_weights": ",".join(f"{teacher.weight:g}" for teacher in job.white_box) or None,
        "serving_hour_price": job.prices.serving_hour,
        "columns": dict(job.data.columns) or None,
        "slice_columns": ",".join(job.data.slice_columns) or None,
    }
    facts, baseline = _job_facts(job), job.student.baseline or job.student.model
    sections = {name: section for name, section in job if isinstance(section, StepConfig) and name in STEPS}
    sections["train"] = _with_scorer(choose_settings(job).config, job)
    if job.train.loss_weights.top_k:
        sections["teacher"] = job.teacher.model_copy(update={"require_logprobs": True})
    if job.regressions:
        sections["regression"] = RegressionConfig(
            suites=tuple(_as(Suite, suite) for suite in job.regressions),
            rows=job.prepare.rows,
            max_reject_ratio=job.prepare.max_reject_ratio,
        )
    if job.data.augment:
        sections["augment"] = AugmentConfig(
            **dict(job.data.augment),
            teachers=job.teacher.teachers,
            teacher_route=job.teacher.teacher_route,
            max_attempts=job.teacher.max_attempts,
            timeout_s=job.teacher.timeout_s,
        )
    if job.judge and job.curate.min_judge_score is not None:
        sections["judge_answers"] = _as(JudgeSettings, job.judge)
    return {name: _with_shared(section, shared) for name, section in sections.items()} | {
        "report": ReportConfig(
            title=job.name,
            registered_model=job.registered_model,
            training_hour_price=job.prices.training_hour,
            serving_hour_price=job.prices.serving_hour,
            swept_fields=",".join(sorted(job.tuning.search_space)) if job.tuning else None,
            job_facts=facts,
        ),
        "register": RegisterConfig(
            registered_model=job.registered_model,
            model_type=job.outputs.model_type,
            baseline=baseline if baseline.startswith(REGISTRIES) else None,
            baseline_type=job.baseline_type,
            licences_acknowledged=job.licences_acknowledged,
            job_facts=facts,
        ),
    }


def _with_scorer(config: TrainConfig, job: DistillationJob) -> TrainConfig:
    """The config of step train in its variant with a scoring teacher, if the job has one."""
    if job.scorer is None:
        return config
    scorer = ScorerConfig.model_validate({name: getattr(job.scorer, name) for name in ScorerConfig.model_fields})
    return ScoredTrainConfig.model_validate({**dict(config), "scorer": scorer, "scorer_route": job.scorer.scorer_route})


def _job_facts(job: DistillationJob) -> JobFacts:
    """Models, licences and names of data files. A path or address is reduced to its last part."""
    files = {name: getattr(job.data, name) for name in FILES}
    student = _model_facts(job, _last_part(job.student.model), job.known.student(job.student.model))
    return JobFacts(
        student=student,
        teachers=tuple(
            _model_facts(job, teacher.model, job.known.teacher(teacher.model)) for teacher in job.teacher.teachers
        ),
        baseline=_last_part(job.student.baseline) if job.student.baseline else None,
        data={name: _last_part(path) for name, path in files.items() if path is not None},
        language=job.outputs.language,
    )


def _model_facts(job: DistillationJob, name: str, facts: Facts | None) -> ModelFacts:
    if facts is None:
        return ModelFacts(name=name)
    return ModelFacts(
        name=facts.name or name,
        source=facts.source,
        licence=facts.licence,
        duty=facts.duty,
        acknowledged=facts.licence in job.licences_acknowledged,
    )


def _last_part(address: str) -> str:
    """`rows.jsonl` of a path or URL, without a query, which may hold a key; `Phi-4` of an address with a version."""
    path = address.partition("?")[0].partition("/versions/")[0]
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _as(base: type[Fields], section: BaseModel) -> Fields:
    """The fields of a section or suite that a step reads, so that no other field changes what it reuses."""
    return base.model_validate({name: getattr(section, name) for name in base.model_fields})


def _with_shared(section: StepConfig, shared: Mapping[str, Any]) -> StepConfig:
    fields = type(section).model_fields
    return section.model_copy(update={name: value for name, value in shared.items() if name in fields})


def data_type(job: DistillationJob, name: str, path: str) -> PortType:
    """Type of an input of rows: `data.types`, else a folder for an address that ends with `/` or a local folder."""
    if name in job.data.types:
        return job.data.types[name]
    is_folder = path.endswith("/") if is_remote(path) else os.path.isdir(path)
    return "uri_folder" if is_folder else "uri_file"


def _with_types(node: PlannedNode, wiring: Wiring, types: Mapping[str, PortType]) -> PlannedNode:
    """The node with ports of the types of the job's rows: an input of Azure ML accepts a file or a folder, not both."""
    changed = {
        port: replace(node.step.inputs[port], type=types[source])
        for port, source in wiring.ports.items()
        if source in types
    }
    return replace(node, step=replace(node.step, inputs={**node.step.inputs, **changed})) if changed else node


def _data_files(
    data: Mapping[str, str | None], types: Mapping[str, PortType], job: DistillationJob
) -> dict[str, PlannedFile]:
    models = {port: teacher.type for port, teacher in zip(WHITE_BOX_PORTS, job.white_box, strict=False)}
    if job.scorer:
        models[MODEL_PORT] = job.scorer.type
    kinds: dict[str, PortType | ModelType] = {"public_test_sets": "uri_folder", **types, **models}
    files = {name: PlannedFile(kinds.get(name, "uri_file"), path) for name, path in data.items() if path is not None}
    if job.student.baseline:
        files["baseline"] = PlannedFile(job.baseline_type, job.student.baseline)
    return files | {"student": PlannedFile(job.student_type, job.student.model)}


def _template(job: DistillationJob) -> str | None:
    """Path of the chat template's file."""
    return chat_template_file(job.student.chat_template) if job.student.chat_template else None


def _simulation(job: DistillationJob) -> PlannedFile:
    """Settings of the simulated teachers. Empty for a real job, so that these settings never change its hash."""
    return PlannedFile("uri_file", as_json(job) if job.teacher.teacher_route == "simulated" else [])


def _judge_files(job: DistillationJob) -> dict[str, PlannedFile]:
    """Rubric and simulation of a judge."""
    if job.judge is None:
        return {}
    rubric, is_simulated = job.judge.rubric, job.judge.judge_route == "simulated"
    return {
        "rubric": PlannedFile("uri_file", rubric if is_rubric_file(rubric) else Text(rubric)),
        "judge_simulation": PlannedFile("uri_file", judge_as_json(job) if is_simulated else []),
    }


def _suite_gates(job: DistillationJob) -> dict[str, PlannedFile]:
    """Metrics and bounds of the suites, which only evaluate reads."""
    gates = [_as(SuiteGate, suite).model_dump(mode="json") for suite in job.regressions]
    return {"suite_gates": PlannedFile("uri_file", gates)} if gates else {}


def _nested_files(configs: Mapping[str, StepConfig]) -> dict[str, PlannedFile]:
    """Fields that do not fit a command line, as JSON files named after the field."""
    return {
        name: PlannedFile("uri_file", _plain(getattr(configs[wiring.step], name)))
        for wiring in graph_of(configs).values()
        for name, info in _step(wiring.step, configs[wiring.step]).config.model_fields.items()
        if scalar_type(info) is None and getattr(configs[wiring.step], name) is not None
    }


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _run_inputs(configs: Mapping[str, StepConfig]) -> dict[str, Scalar]:
    """The scalar inputs of the pipeline: every field that is marked as one and has a value. Fields that steps share
    have one input."""
    return {
        name: value
        for wiring in graph_of(configs).values()
        for name, info in _step(wiring.step, configs[wiring.step]).config.model_fields.items()
        if is_run_input(info) and (value := getattr(configs[wiring.step], name)) is not None
    }


def _node(
    name: str, wiring: Wiring, config: StepConfig, data: Mapping[str, str | None], datastore: str | None
) -> PlannedNode:
    step = _step(wiring.step, config)
    ports = {
        port: _bound_port(step.inputs[port], source)
        for port, source in wiring.ports.items()
        if source not in data or data[source] is not None
    }
    fields = {field: _field(config, field, wiring) for field in step.config.model_fields}
    inputs = {**ports, **{field: value for field, value in fields.items() if value is not None}}
    outputs = {port: _output(name, port, step.outputs[port], datastore) for port in step.outputs}
    return PlannedNode(name, step, inputs, outputs)


def _step(name: str, config: StepConfig) -> Step[Any]:
    """The step of a node. Predict with vLLM, and train with a teacher that vLLM serves, run in the environment that
    has it."""
    step = SCORED_TRAIN if isinstance(config, ScoredTrainConfig) else step_of(name)
    uses_vllm = isinstance(config, PredictConfig) and config.engine == "vllm"
    serves = isinstance(config, ScoredTrainConfig) and config.scorer.teacher is None
    return replace(step, environment="vllm") if uses_vllm or serves else step


def _swept(node: PlannedNode, job: DistillationJob) -> PlannedNode:
    """The node as a sweep, whose search space gives the inputs in it.

    Its trials get the number of GPUs as an input, because Azure ML gives them no environment variables.
    """
    sweep, gpus = sweep_of(job) or {}, required_gpus(node.step, job.compute)
    inputs = {name: value for name, value in node.inputs.items() if name not in sweep["search_space"]}
    inputs = {"required_gpus": gpus} | inputs if gpus else inputs
    return replace(node, inputs=inputs, sweep=sweep)


def _bound_port(port: Port, source: str) -> Any:
    """The binding of an input port. Its mode is Azure ML's default unless the port declares one."""
    return {"path": _binding(source), "mode": port.mode} if port.mode else _binding(source)


def _binding(source: str) -> str:
    node, _, port = source.rpartition(".")
    return f"${{{{parent.jobs.{node}.outputs.{port}}}}}" if node else f"${{{{parent.inputs.{port}}}}}"


def _field(config: StepConfig, name: str, wiring: Wiring) -> Scalar | None:
    if name in wiring.fixed:
        return wiring.fixed[name]
    info = type(config).model_fields[name]
    value: Scalar | None = getattr(config, name)
    is_input = is_run_input(info) or scalar_type(info) is None
    return _binding(name) if is_input and value is not None else value


def _output(node: str, port_name: str, port: Port, datastore: str | None) -> Any:
    """An output as a YAML value. A fixed path, such as that of the response store, is in the job's datastore."""
    published = next((name for name, source in PUBLISHED.items() if source == f"{node}.{port_name}"), None)
    if published:
        return f"${{{{parent.outputs.{published}}}}}"
    path = port.path and (port.path.replace(DEFAULT_DATASTORE, datastore, 1) if datastore else port.path)
    return {"type": port.type} | ({"mode": port.mode} if port.mode else {}) | ({"path": path} if path else {})
