"""The real SDK accepts the bundle of any valid job, and sends the values of the job."""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import isodate
from azure.ai.ml import load_job
from azure.ai.ml._restclient.arm_ml_service._utils.model_base import SdkJSONEncoder
from hypothesis import HealthCheck, Phase, given, seed, settings

from azdistill.contracts.gpus import REQUIRED_GPUS
from azdistill.contracts.register import RegisterConfig
from azdistill.contracts.report import ReportConfig
from azdistill.contracts.step import Arguments, StepConfig, flag, parse
from azdistill.engine.pipeline.emit import to_yaml
from azdistill.engine.pipeline.expressions import PipelineInput, reference
from azdistill.job.bundle import compile_job
from azdistill.job.chat_template import chat_template_file
from azdistill.job.components import step_of
from azdistill.job.loading import load_job as load_spec
from azdistill.job.model import DistillationJob
from azdistill.job.paths import is_remote
from azdistill.job.plan import step_configs
from azdistill.job.sections import ComputeSection, Identity
from tests.azure.specs import Values, jobs, write_files

Wire = dict[str, Any]

GPU = ("train", "predict_student", "predict_baseline")
OUTPUTS = {"evaluation", "report", "registration"}


@dataclass(frozen=True)
class Folders:
    """Two folders with the same files, each with the bundle of the latest job."""

    first: Path
    second: Path


def create_folders(folder: Path) -> Folders:
    return Folders(write_files(folder / "first"), write_files(folder / "another one, ünlike it"))


def check_accepted(values: Values, folders: Folders) -> None:
    """Compile a job from its values and from a file in another folder, and compare what the SDK sends with the job.

    Raises AssertionError, or what the SDK raises.
    """
    job = DistillationJob.model_validate(values, context={"base": folders.first})
    bundle = compile_job(job, folders.first / "bundle").parent
    with contextlib.chdir(folders.second):
        Path("job.yaml").write_text(to_yaml(values), encoding="utf-8")
        compile_job(load_spec("job.yaml"), Path("bundle"))
    assert tree(bundle) == tree(folders.second / "bundle")
    sent = serialised(bundle)
    _check_job(sent, job)
    _check_nodes(sent, job, bundle)
    _check_files(sent, job, bundle)


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def serialised(bundle: Path) -> Wire:
    """Properties of a bundle's job as the SDK sends them. Components have their names instead of addresses."""
    job = load_job(bundle / "pipeline.yml")
    result = job._validate()
    assert result.passed, result.error_messages
    rest = job._to_rest_object().properties
    for node in rest.jobs.values():
        node["componentId"] = node["componentId"].display_name
    wire: Wire = json.loads(json.dumps(rest, cls=SdkJSONEncoder, exclude_readonly=True))
    return wire


def _check_job(sent: Wire, job: DistillationJob) -> None:
    assert (sent["displayName"], sent["experimentName"]) == (job.name, job.name)
    assert (sent.get("description", ""), sent.get("tags", {})) == (job.description, job.tags)
    assert sent["identity"] == _identity(job.compute.identity)
    assert sent["outputs"].keys() == OUTPUTS
    datastore, settings = job.compute.default_datastore, sent["settings"]
    assert settings.get("default_datastore") == datastore
    assert settings.get("force_rerun", False) == job.compute.force_rerun
    store = sent["jobs"]["teacher"]["outputs"]["store"]["uri"]
    assert store == f"azureml://datastores/{datastore or 'workspaceblobstore'}/paths/azdistill/store"


def _identity(identity: Identity) -> Wire:
    if identity.type == "user_identity":
        return {"identityType": "UserIdentity"}
    client = {"clientId": identity.client_id} if identity.client_id else {}
    return {"identityType": "Managed", **client}


def _check_nodes(sent: Wire, job: DistillationJob, bundle: Path) -> None:
    """Each node has the configuration and the compute of the job."""
    expected = _configs(job)
    assert list(sent["jobs"]) == list(expected)
    for name, node in sent["jobs"].items():
        config = _arguments(sent, node, bundle).config
        values = expected[name].model_dump(include=set(type(config).model_fields))
        assert config.model_dump() == values, name
        assert _sent_settings(node) == _job_settings(job.compute, name), name


def _configs(job: DistillationJob) -> dict[str, StepConfig]:
    """The config of every node: the job's sections with the fields that all steps share."""
    shared = {
        "task": "own" if job.task_file else job.task,
        "seed": job.seed,
        "weights": job.student.weights,
        "serving_hour_price": job.prices.serving_hour,
    }
    return {
        name: config.model_copy(update={key: shared[key] for key in shared.keys() & type(config).model_fields.keys()})
        if name != "predict_student" and not (name == "predict_baseline" and job.student.baseline)
        else config.model_copy(update={"seed": job.seed, "weights": "pretrained"})
        for name, config in _sections(job).items()
    }


def _sections(job: DistillationJob) -> dict[str, StepConfig]:
    baseline = job.student.baseline or job.student.model
    facts = step_configs(job)["register"].job_facts  # of the catalog
    name = job.outputs.registered_model or f"{job.name.replace('.', '-')}-distilled"
    return {
        "prepare": job.prepare,
        **({"augment": step_configs(job)["augment"]} if job.data.augment else {}),
        "teacher": job.teacher.model_copy(
            update={"require_logprobs": job.teacher.require_logprobs or job.train.loss_weights.top_k > 0}
        ),
        "curate": job.curate,
        "train": step_configs(job)["train"],  # with the settings that the memory plan chooses
        "predict_student": job.predict,
        "predict_baseline": job.predict,
        "evaluate": job.evaluate,
        "report": ReportConfig(
            title=job.name,
            registered_model=name,
            training_hour_price=job.prices.training_hour,
            serving_hour_price=job.prices.serving_hour,
            job_facts=facts,
        ),
        "register": RegisterConfig(
            registered_model=name,
            model_type=job.outputs.model_type,
            baseline=baseline if baseline.startswith("azureml://registries/") else None,
            baseline_type=job.baseline_type,
            licences_acknowledged=job.licences_acknowledged,
            job_facts=facts,
        ),
    }


def _arguments(sent: Wire, node: Wire, bundle: Path) -> Arguments[Any]:
    """Parse the command line that Azure ML makes of a node's inputs."""
    step = step_of(node["componentId"].removeprefix("azdistill "))
    argv = [argument for name, port in node["inputs"].items() for argument in (flag(name), _text(sent, port, bundle))]
    return parse(step, [*argv, *(argument for name in step.outputs for argument in (flag(name), "somewhere"))])


def _text(sent: Wire, port: Wire, bundle: Path) -> str:
    source = reference(port["value"])
    node_input: Wire = sent["inputs"][source.name] if isinstance(source, PipelineInput) else port
    return str(bundle / node_input["uri"]) if "uri" in node_input else str(node_input["value"])


def _job_settings(compute: ComputeSection, name: str) -> Wire:
    gpu, step = name in GPU, name.partition("_")[0]
    cluster = compute.gpu if gpu else compute.cpu
    size = compute.gpu_instance_type if gpu else compute.cpu_instance_type
    if step == "predict" and compute.predict_instance_type:
        size = compute.predict_instance_type
    instances = {"teacher": compute.teacher_instances, "train": compute.train_instances}.get(step, 1)
    gpus = {"Standard_NC96ads_A100_v4": 4}.get(size, 1) if cluster == "serverless" else 1
    processes = (compute.train_processes or gpus) if step == "train" else 1
    return {
        "compute": cluster,
        "size": size if cluster == "serverless" else None,
        "instances": instances,
        "processes": processes if instances * processes > 1 else None,
        "shm_size": compute.shm_size if gpu else None,
        "spot": step in compute.spot,
        "seconds": compute.timeout.get(
            step, {"augment": 86_400, "teacher": 604_800, "train": 86_400}.get(step, 21_600)
        ),
        "variables": compute.environment_variables,
    }


def _sent_settings(node: Wire) -> Wire:
    resources, distribution = node.get("resources", {}), node.get("distribution", {})
    assert distribution.get("distribution_type") in (None, "PyTorch")
    variables: dict[str, str] = node.get("environment_variables", {})
    return {
        "compute": node["computeId"].removeprefix("azureml:"),
        "size": resources.get("instance_type"),
        "instances": resources.get("instance_count", 1),
        "processes": distribution.get("process_count_per_instance"),
        "shm_size": resources.get("shm_size"),
        "spot": node.get("queue_settings", {}).get("job_tier") == "Spot",
        "seconds": isodate.parse_duration(node["limits"]["timeout"]).total_seconds(),
        "variables": {name: value for name, value in variables.items() if name != REQUIRED_GPUS},
    }


def _check_files(sent: Wire, job: DistillationJob, bundle: Path) -> None:
    """Inputs with remote data have its address; the others have a copy of the local files in the bundle."""
    template = job.student.chat_template and chat_template_file(job.student.chat_template)
    values = {**job.data.model_dump(), "task_file": job.task_file, "completions": job.teacher.completions}
    values["chat_template"] = template
    names = ("training_data", "validation_data", "test_data", "task_file", "completions", "chat_template")
    paths = {name: values[name] for name in names if values[name] is not None} | {"student": job.student.model}
    assert {name for name in (*names, "student") if name in sent["inputs"]} == set(paths)
    for name, path in paths.items():
        uri = sent["inputs"][name]["uri"]
        if is_remote(path):  # the client looks up registered data by its bare name
            assert uri == (path if "://" in path else path.removeprefix("azureml:")), name
        else:
            assert _content(bundle / uri) == _content(Path(path)), name


def _content(path: Path) -> dict[str, bytes] | bytes:
    return tree(path) if path.is_dir() else path.read_bytes()


def check_specs(number: int, examples: int, folder: Path) -> int:
    """Check `examples` random jobs and return their number. `number` is the random seed.

    The first failure is raised without shrinking it, which would take minutes.
    """
    folders, accepted = create_folders(folder), 0

    @seed(number)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(values=jobs())
    def each(values: Values) -> None:
        nonlocal accepted
        check_accepted(values, folders)
        accepted += 1

    each()
    return accepted


def test_the_sdk_accepts_any_valid_job_and_sends_what_it_says(tmp_path: Path) -> None:
    """`make bench-azure` checks 1,000."""
    assert check_specs(0, 4, tmp_path) == 4
