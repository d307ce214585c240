"""The files of a batch deployment: a pipeline of steps prepare and predict, which a batch endpoint runs on demand.

    endpoint.yml            the endpoint, without a default deployment
    deployment.yml          the deployment of pipeline.yml
    pipeline.yml            pipeline component: reads rows, writes prompts and the student's answers
    components/, environments/, inputs/     as in a bundle

`azdistill run pipeline.yml` runs the same pipeline on this machine. The files depend on the job and the model only.
Source: https://learn.microsoft.com/azure/machine-learning/how-to-use-batch-scoring-pipeline
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from azdistill.azure.deployment.files import (
    CONTENT_DIGITS,
    CONTENT_TAG,
    ENDPOINT_FILE,
    SCHEMAS,
    check_model,
    section_of,
)
from azdistill.contracts.errors import InputError
from azdistill.contracts.layout import INPUTS, PIPELINE_FILE
from azdistill.contracts.problems import Problem
from azdistill.contracts.step import StepConfig
from azdistill.engine.pipeline.emit import to_yaml
from azdistill.job.bundle import Content, node_document, step_files, write_content
from azdistill.job.components import step_of
from azdistill.job.deployment import MAX_NAME_LENGTH, DeploymentSection
from azdistill.job.model import DistillationJob
from azdistill.job.paths import is_remote, missing_files
from azdistill.job.plan import PlannedNode, step_configs
from azdistill.job.run_settings import SERVERLESS
from azdistill.job.task import task_file_problems

DEPLOYMENT_FILE = "deployment.yml"
COMPONENT_NAME = "azdistill_batch"
TASK_FILE = f"{INPUTS}/task_file.py"
MODEL_TAG = "azdistill_model"

# Input of the pipeline, and its outputs.
DATA, PROMPTS, PREDICTIONS = "data", "prompts", "predictions"


@dataclass(frozen=True)
class BatchRelease:
    """A version of a model, and the job that says how it answers a file of rows."""

    job: DistillationJob
    deployment: DeploymentSection
    model: str

    @property
    def endpoint_name(self) -> str:
        return self.deployment.batch_endpoint_name or f"{self.deployment.endpoint_name}-batch"

    @property
    def deployment_name(self) -> str:
        """Name of the deployment: another one for other content, so that an earlier one is never changed."""
        return f"student-{self.content}"

    @cached_property
    def content(self) -> str:
        """Hash of the pipeline with its code and environments."""
        digest = hashlib.sha256(json.dumps(pipeline_component(self)).encode())
        for name, content in self.step_files.items():
            data = content.encode() if isinstance(content, str) else content.read_bytes()
            digest.update(f"{name} {hashlib.sha256(data).hexdigest()}\n".encode())
        return digest.hexdigest()[:CONTENT_DIGITS]

    @cached_property
    def step_files(self) -> Mapping[str, Content]:
        """The files that the pipeline component names."""
        task_file = self.job.task_file
        task_files = {TASK_FILE: Path(task_file)} if task_file and not is_remote(task_file) else {}
        return {**dict(step_files([step_of("prepare"), step_of("predict")])), **task_files}


def batch_release_of(job: DistillationJob, model: str) -> BatchRelease:
    """The batch release of a model by the section `deployment` of a job.

    Raises InputError without a section, for a model without a version, for serverless compute, where the name of the
    endpoint would be too long, and for a task file that is missing or has no task.
    """
    check_model(model)
    release = BatchRelease(job, section_of(job), model)
    if problems := [*_compute_problems(job), *_name_problems(release), *_task_problems(job)]:
        raise InputError(problems=problems)
    return release


def _compute_problems(job: DistillationJob) -> list[Problem]:
    """Source: https://learn.microsoft.com/azure/machine-learning/concept-endpoints-batch."""
    return [
        Problem(
            code="needs_cluster",
            field=("compute", name),
            value=SERVERLESS,
            message="a batch endpoint runs on clusters of the workspace",
            fix="set it to the name of a cluster",
        )
        for name in ("cpu", "gpu")
        if getattr(job.compute, name) == SERVERLESS
    ]


def _name_problems(release: BatchRelease) -> list[Problem]:
    if len(release.endpoint_name) <= MAX_NAME_LENGTH:
        return []
    return [
        Problem(
            code="wrong_length",
            field=("deployment", "batch_endpoint_name"),
            value=release.endpoint_name,
            message=f"is the default and has more than {MAX_NAME_LENGTH} characters",
            fix="set it to a shorter name",
        )
    ]


def _task_problems(job: DistillationJob) -> list[Problem]:
    missing = [problem for problem in missing_files(job) if problem.field == ("task",)]
    return [*missing, *task_file_problems(job.task)]


def write_batch_files(release: BatchRelease, folder: Path) -> list[Path]:
    """Write the files of a batch deployment into `folder`. Returns the paths of those at its top."""
    documents = {
        ENDPOINT_FILE: endpoint_document(release),
        DEPLOYMENT_FILE: deployment_document(release),
        PIPELINE_FILE: {**pipeline_component(release), "version": release.content},
    }
    texts = {name: to_yaml(document) for name, document in documents.items()}
    for name, content in {**release.step_files, **texts}.items():
        write_content(folder / name, content)
    return [folder / name for name in documents]


def endpoint_document(release: BatchRelease) -> dict[str, Any]:
    """The endpoint. Its requests need a token of Microsoft Entra."""
    return {
        "$schema": f"{SCHEMAS}/batchEndpoint.schema.json",
        "name": release.endpoint_name,
        **({"description": release.job.description} if release.job.description else {}),
        "auth_mode": "aad_token",
        "tags": {"azdistill_job": release.job.name, **release.job.tags},
    }


def deployment_document(release: BatchRelease) -> dict[str, Any]:
    """The deployment of the pipeline component. Jobs of the endpoint run on the clusters of the job's steps."""
    tags = {"azdistill_job": release.job.name, MODEL_TAG: release.model, CONTENT_TAG: release.content}
    return {
        "$schema": f"{SCHEMAS}/pipelineComponentBatchDeployment.schema.json",
        "name": release.deployment_name,
        "endpoint_name": release.endpoint_name,
        "type": "pipeline",
        "component": f"azureml:{COMPONENT_NAME}:{release.content}",
        "settings": {"continue_on_step_failure": False, "default_compute": release.job.compute.cpu},
        "tags": {**release.job.tags, **tags},
    }


def pipeline_component(release: BatchRelease) -> dict[str, Any]:
    """Pipeline component without its version: step prepare reads the rows of a file, and step predict answers them."""
    job = release.job
    tags = {"tags": dict(sorted(job.tags.items()))} if job.tags else {}
    # Without `optional`, the client makes it optional, because test_data of step prepare is.
    data = {
        "type": "uri_file",
        "description": "JSONL file of rows, as training data without answers",
        "optional": False,
    }
    folder = {"type": "uri_folder", "mode": "rw_mount"}
    return {
        "$schema": f"{SCHEMAS}/pipelineComponent.schema.json",
        "type": "pipeline",
        "name": COMPONENT_NAME,
        "display_name": f"{job.name} batch",
        "inputs": {DATA: data},
        "outputs": {PROMPTS: folder, PREDICTIONS: folder},
        "jobs": {node.name: node_document(node, job.compute, tags) for node in _nodes(job, release.model)},
    }


def _nodes(job: DistillationJob, model: str) -> list[PlannedNode]:
    """All rows are test rows, whose answers step predict generates as in the evaluation, without measurements."""
    configs = step_configs(job)
    prepare = {
        "test_data": f"${{{{parent.inputs.{DATA}}}}}",
        **_task_file(job),
        **_scalars(configs["prepare"], rows=0, slice_columns=None),
    }
    predict = {
        "model": {"type": job.outputs.model_type, "path": model},
        "prompts": f"${{{{parent.jobs.prepare.outputs.{PROMPTS}}}}}",
        **_scalars(configs["predict"], weights="pretrained", latency_rows=0, latency_concurrency=1),
    }
    return [
        PlannedNode(step, step_of(step), inputs, {port: f"${{{{parent.outputs.{port}}}}}"})
        for step, inputs, port in (("prepare", prepare, PROMPTS), ("predict", predict, PREDICTIONS))
    ]


def _task_file(job: DistillationJob) -> dict[str, Any]:
    """The port of step prepare for a custom task."""
    if job.task_file is None:
        return {}
    path = job.task_file if is_remote(job.task_file) else f"./{TASK_FILE}"
    return {"task_file": {"type": "uri_file", "path": path}}


def _scalars(config: StepConfig, **changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**config.model_dump(), **changes}.items() if value is not None}
