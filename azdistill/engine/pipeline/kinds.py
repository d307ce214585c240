"""Kinds of YAML files of Azure ML, recognised by `$schema`, else by `type`, else by the fields.

Source: the published schemas, https://azuremlschemas.azureedge.net/latest/NAME.schema.json, and the entities of
azure-ai-ml 1.35, which reads a job without a type as a command job.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

RunnableKind = Literal["pipeline", "pipeline component", "component", "command job", "sweep job"]


@dataclass(frozen=True)
class OtherKind:
    """A kind of file that only Azure ML reads. `command` is the one that takes it, without the file; empty if none
    does."""

    name: str
    command: str

    def __str__(self) -> str:
        return self.name


def _job(name: str) -> OtherKind:
    return OtherKind(name, "az ml job create")


_AUTOML, _SPARK, _FINE_TUNING = _job("an automated ML job"), _job("a Spark job"), _job("a fine-tuning job")
_IMPORT, _PARALLEL = _job("an import job"), _job("a parallel job outside a pipeline")
_DATA_IMPORT = OtherKind("a data import", "az ml data import")
_SCHEDULE = OtherKind("a schedule", "az ml schedule create")
_ENDPOINT = OtherKind("an online endpoint", "az ml online-endpoint create")
_DEPLOYMENT = OtherKind("an online deployment", "az ml online-deployment create")
_BATCH_ENDPOINT = OtherKind("a batch endpoint", "az ml batch-endpoint create")
_BATCH_DEPLOYMENT = OtherKind("a batch deployment", "az ml batch-deployment create")
_SERVERLESS = OtherKind("a serverless endpoint", "az ml serverless-endpoint create")
_ENVIRONMENT = OtherKind("an environment", "az ml environment create")
_DATA, _MODEL = OtherKind("a data asset", "az ml data create"), OtherKind("a model", "az ml model create")
_COMPUTE, _DATASTORE = (
    OtherKind("a compute", "az ml compute create"),
    OtherKind("a datastore", "az ml datastore create"),
)
_WORKSPACE, _REGISTRY = (
    OtherKind("a workspace", "az ml workspace create"),
    OtherKind("a registry", "az ml registry create"),
)
_CONNECTION = OtherKind("a connection", "az ml connection create")
_COMPONENT = OtherKind("a component of another type", "az ml component create")
_FEATURE_SET = OtherKind("a feature set", "az ml feature-set create")
_FEATURE_STORE = OtherKind("a feature store", "az ml feature-store create")
_FEATURE_ENTITY = OtherKind("a feature store entity", "az ml feature-store-entity create")
_FEATURE_SPECIFICATION = OtherKind("the specification of a feature set", "")
_UNKNOWN = OtherKind("a file of another schema of Azure ML", "")
FLOW = OtherKind("a prompt flow", "")

# By the name of the schema in lower case.
_SCHEMAS: Mapping[str, RunnableKind | OtherKind] = {
    "pipelinejob": "pipeline",
    "pipelinecomponent": "pipeline component",
    "commandcomponent": "component",
    "parallelcomponent": "component",
    "commandjob": "command job",
    "sweepjob": "sweep job",
    "paralleljob": _PARALLEL,
    **dict.fromkeys(("automljob", "automl"), _AUTOML),
    "sparkjob": _SPARK,
    **dict.fromkeys(("finetuningjob", "finetuning"), _FINE_TUNING),
    "importjob": _IMPORT,
    "dataimport": _DATA_IMPORT,
    **dict.fromkeys(("schedule", "monitorschedule", "jobschedule"), _SCHEDULE),
    **dict.fromkeys(("onlineendpoint", "managedonlineendpoint", "kubernetesonlineendpoint"), _ENDPOINT),
    **dict.fromkeys(("onlinedeployment", "managedonlinedeployment", "kubernetesonlinedeployment"), _DEPLOYMENT),
    "batchendpoint": _BATCH_ENDPOINT,
    **dict.fromkeys(("batchdeployment", "modelbatchdeployment", "pipelinecomponentbatchdeployment"), _BATCH_DEPLOYMENT),
    "serverlessendpoint": _SERVERLESS,
    "environment": _ENVIRONMENT,
    "data": _DATA,
    "model": _MODEL,
    **dict.fromkeys(
        ("amlcompute", "computeinstance", "kubernetescompute", "virtualmachinecompute", "synapsesparkcompute"), _COMPUTE
    ),
    "vmcompute": _COMPUTE,
    **dict.fromkeys(
        (f"azure{store}" for store in ("blob", "file", "datalakegen1", "datalakegen2", "storage")), _DATASTORE
    ),
    **dict.fromkeys(
        ("azureblobdatastore", "azurefiledatastore", "azuredatalakegen1datastore", "azuredatalakegen2datastore"),
        _DATASTORE,
    ),
    **dict.fromkeys(("workspace", "hub", "project"), _WORKSPACE),
    "registry": _REGISTRY,
    **dict.fromkeys(("workspaceconnection", "connection"), _CONNECTION),
    **dict.fromkeys(("sparkcomponent", "datatransfercomponent", "importcomponent", "automlcomponent"), _COMPONENT),
    "featureset": _FEATURE_SET,
    "featuresetspec": _FEATURE_SPECIFICATION,
    **dict.fromkeys(("flow", "run"), FLOW),  # a flow, and a run of one: both can be the component of a job
    "featurestore": _FEATURE_STORE,
    "featurestoreentity": _FEATURE_ENTITY,
}

# By the value of `type`, where there is no schema.
_TYPES: Mapping[str, RunnableKind | OtherKind] = {
    "pipeline": "pipeline",
    "sweep": "sweep job",
    "parallel": "component",
    "automl": _AUTOML,
    "spark": _SPARK,
    "finetuning": _FINE_TUNING,
    "import": _IMPORT,
    "data_transfer": _job("a data transfer job"),
    **dict.fromkeys(("uri_file", "uri_folder", "mltable"), _DATA),
    **dict.fromkeys(("custom_model", "mlflow_model", "triton_model"), _MODEL),
    **dict.fromkeys(("amlcompute", "computeinstance", "kubernetes", "virtualmachine", "synapsespark"), _COMPUTE),
    **dict.fromkeys(
        ("azure_blob", "azure_file", "azure_data_lake_gen1", "azure_data_lake_gen2", "one_lake"), _DATASTORE
    ),
}

# Types of a job and of a component, whose file is either of them where it has no schema.
JOB_OR_COMPONENT = ("spark", "data_transfer")

# Fields of which one is in every file of a kind and in no distillation job, where there is neither schema nor type.
_FIELDS: Mapping[str, RunnableKind | OtherKind] = {
    "jobs": "pipeline",
    **dict.fromkeys(("search_space", "trial"), "sweep job"),
    **dict.fromkeys(("create_job", "create_monitor", "import_data"), _SCHEDULE),
    "auth_mode": _ENDPOINT,
    "endpoint_name": _DEPLOYMENT,
    **dict.fromkeys(("conda_file", "image"), _ENVIRONMENT),
}

# Fields that a command job has and a command component has not, and the other way round.
_OF_JOB = frozenset("compute experiment_name services identity parent_job_name".split())
_OF_COMPONENT = frozenset("version is_deterministic".split())
_DECLARATION = frozenset("type description optional default min max enum mode".split())

# As in `latest/pipelineJob.schema.json`, and as in `http://azureml/sdk-2-0/PipelineJob.json`.
_SCHEMA = re.compile(r"([\w-]+)\.schema\.json$|azureml/sdk-[\d-]+/(\w+)\.json$")
_OF_AZURE_ML = re.compile(r"azureml(schemas\.azureedge\.net|sdk2\.blob\.core\.windows\.net|/sdk-)")


def kind_of(fields: Mapping[str, Any]) -> RunnableKind | OtherKind | None:
    """The kind of a file by its fields; None for any other file, such as a distillation job, that of Azure ML too."""
    schema, type = str(fields.get("$schema") or ""), str(fields.get("type") or "").lower()
    match = _SCHEMA.search(schema)
    by_schema = _SCHEMAS.get((match[1] or match[2]).lower()) if match else None
    # Azure ML reads no schema, but only the schema distinguishes a component from a job, and a deployment of
    # `type: pipeline` from a pipeline.
    if by_schema and not _is_job(by_schema):
        return by_schema
    if type == "distillation":
        return None
    if type == "command" and "jobs" not in fields:
        return by_schema if by_schema in ("component", "command job") else _command(fields)
    if type in JOB_OR_COMPONENT and not by_schema and _command(fields) == "component":
        return _COMPONENT
    known = _TYPES.get(type) or ("pipeline" if "jobs" in fields else by_schema or _by_fields(fields))
    return known or (_UNKNOWN if _OF_AZURE_ML.search(schema) else None)


def _is_job(kind: RunnableKind | OtherKind) -> bool:
    return kind.command == "az ml job create" if isinstance(kind, OtherKind) else kind != "pipeline component"


def _by_fields(fields: Mapping[str, Any]) -> RunnableKind | OtherKind | None:
    if isinstance(fields.get("task"), Mapping):
        return "component"
    if "command" in fields and "jobs" not in fields:
        return _command(fields)
    return next((kind for name, kind in _FIELDS.items() if name in fields), None)


def _command(fields: Mapping[str, Any]) -> RunnableKind:
    """Of a file that can be a job or a component: a job gives its inputs values, a component declares them."""
    if fields.keys() & _OF_JOB:
        return "command job"
    if fields.keys() & _OF_COMPONENT:
        return "component"
    inputs = fields.get("inputs")
    values = inputs.values() if isinstance(inputs, Mapping) else ()
    is_declared = all(isinstance(value, Mapping) and value.keys() <= _DECLARATION for value in values)
    return "component" if is_declared and (inputs or "name" in fields) else "command job"
