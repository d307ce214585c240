"""Sections of a job that belong to no single step."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from azdistill.contracts.augment import AugmentSettings
from azdistill.job.catalog import ModelType
from azdistill.job.chat_template import SpecChatTemplate
from azdistill.job.paths import SpecPath
from azdistill.job.run_settings import MAX_TIMEOUT_S


class Section(BaseModel):
    """Base of the sections that belong to no single step."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), defer_build=True)


DataName = Literal["training_data", "validation_data", "test_data"]
DataType = Literal["uri_file", "uri_folder", "mltable"]
ColumnName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]


class DataSection(Section):
    """The user's data files."""

    training_data: SpecPath = Field(
        description="Training rows: a file in JSONL, CSV, Parquet, Arrow or a JSON array, or a folder of such files."
    )
    validation_data: SpecPath | None = Field(
        None, description="Validation rows: a file or folder. Default: a fraction of the training rows."
    )
    test_data: SpecPath | None = Field(
        None, description="Test rows: a file or folder. Default: a fraction of the training rows."
    )
    public_test_sets: SpecPath | None = Field(
        None,
        description="Folder of public test sets, a file each, such as gsm8k.jsonl: the report counts the training rows "
        "that have text of their rows.",
    )
    types: dict[DataName, DataType] = Field(
        {},
        description="Types of registered data assets that are folders, such as {training_data: mltable}. Default: "
        "uri_folder for an address that ends with /, else uri_file.",
    )
    columns: dict[str, str] = Field(
        {},
        description="Columns of the rows by the names of the fields that the task reads, such as {prompt: Frage, "
        "completion: Antwort}.",
    )
    slice_columns: tuple[ColumnName, ...] = Field(
        (),
        description="Columns of the rows by which the evaluation is sliced, such as [topic, language]. Their values "
        "are texts, numbers or booleans.",
    )
    augment: AugmentSettings | None = Field(
        None,
        description="New training prompts that a teacher writes from the training rows, such as {new_prompts: 200}. "
        "Default: none.",
    )


class StudentSection(Section):
    """The student model."""

    model: SpecPath = Field(description="A folder, an azureml: address, or a model of the catalog such as phi-4-mini.")
    weights: Literal["pretrained", "random"] = Field(
        "pretrained", description="random: train from scratch; the folder needs only config and tokenizer."
    )
    chat_template: SpecChatTemplate | None = Field(
        None,
        description="chatml, or the Jinja file of a chat template, in place of the student's own: base models have "
        "none.",
    )
    type: ModelType | None = Field(
        None,
        description="Type with which an azureml: model is registered. Default: that of the catalog, else custom_model.",
    )
    baseline: SpecPath | None = Field(
        None,
        description="Model that the student is compared with, such as the version that is registered now: a folder or "
        "an azureml: address. Default: the student before training.",
    )
    baseline_type: ModelType | None = Field(
        None,
        description="Type with which an azureml: baseline is registered. Default: as type for a model of the "
        "catalog, else outputs.model_type.",
    )


class WhiteBoxModel(Section):
    """A model that is loaded next to the student, for the losses that compare the two."""

    model: SpecPath = Field(description="A folder, or an azureml: address. Its tokenizer is that of the student.")
    weight: float = Field(1.0, gt=0, le=1000, description="Weight of its terms in the loss.")
    type: ModelType = Field("custom_model", description="Type with which an azureml: model is registered.")


class Identity(Section):
    """The identity that the steps run as on Azure ML."""

    type: Literal["managed_identity", "user_identity"] = Field(
        "managed_identity",
        description="managed_identity: of the cluster, or the workspace's user-assigned one on serverless compute. "
        "user_identity: the user who submits the job; for clusters only, without a schedule or CI.",
    )
    client_id: str | None = Field(
        None,
        pattern=r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$",
        description="Client id of a user-assigned identity. Needed where workspace or cluster have several.",
    )

    @model_validator(mode="after")
    def _users_have_no_client_id(self) -> Self:
        if self.type == "user_identity" and self.client_id:
            raise PydanticCustomError(
                "incompatible_fields",
                "user_identity has no client_id",
                {"fix": "remove client_id, or set type to managed_identity"},
            )
        return self


# Steps that continue where their node was taken away: train from a checkpoint, teacher from the response store.
SpotStep = Literal["train", "teacher"]

Seconds = Annotated[int, Field(ge=60, le=MAX_TIMEOUT_S)]


class ComputeSection(Section):
    """Compute of the steps on Azure ML. Local runs use only the processes, the time limits, force_rerun and the
    environment variables."""

    cpu: str = Field("serverless", pattern=r"^[A-Za-z0-9-]+$", description="Cluster of the CPU steps, or serverless.")
    gpu: str = Field(
        "serverless", pattern=r"^[A-Za-z0-9-]+$", description="Cluster of the steps train and predict, or serverless."
    )
    cpu_instance_type: str = Field(
        "Standard_E4s_v3", pattern=r"^\w+$", description="VM size of the CPU steps on serverless compute."
    )
    gpu_instance_type: str = Field(
        "Standard_NC24ads_A100_v4",
        pattern=r"^\w+$",
        description="VM size of the steps train and predict on serverless compute.",
    )
    predict_instance_type: str | None = Field(
        None,
        pattern=r"^\w+$",
        description="VM size of the steps predict on serverless compute: one GPU is enough. "
        "Default: gpu_instance_type.",
    )
    teacher_instances: int = Field(
        1, ge=1, le=100, description="Number of nodes of the teacher step. They share the rate limits and the budget."
    )
    train_instances: int = Field(1, ge=1, le=100, description="Number of nodes of the train step.")
    train_processes: int | None = Field(
        None,
        ge=1,
        le=16,
        description="Processes of the train step on each node, one for each GPU. Each trains on other batches, "
        "so an optimizer step has more rows. Default: the number of GPUs of gpu_instance_type, 1 on a cluster.",
    )
    spot: tuple[SpotStep, ...] = Field(
        (),
        description="Steps on spot VMs of serverless compute, which are cheaper and may be taken away: train, "
        "teacher. A step whose VM is taken away continues on another one. A cluster has a fixed tier.",
    )
    shm_size: str | None = Field(
        None,
        pattern=r"^[1-9][0-9]*[bkmgBKMG]$",
        description="Shared memory of the steps train and predict, such as 16g. Default: Azure ML's, 2g.",
    )
    timeout: dict[str, Seconds] = Field(
        default_factory=dict,
        description="Time limits by step, seconds. Default: 86400 (a day) for train, augment, judge_answers and judge, "
        "604800 (a week) for teacher, 21600 (6 hours) for the others. A step that reached its limit continues in the "
        "next run.",
    )
    environment_variables: dict[str, str] = Field(
        default_factory=dict, description="Environment variables of all steps, such as HTTPS_PROXY. Not for secrets."
    )
    default_datastore: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_]+$",
        description="Datastore of the outputs and of the response store. Default: that of the workspace.",
    )
    force_rerun: bool = Field(False, description="Run every step again, even if its inputs and settings are the same.")
    identity: Identity = Field(Identity(), description="The identity that the steps run as.")

    @model_validator(mode="after")
    def _users_need_clusters(self) -> Self:
        """Serverless compute gives a step no token of the user. Source: AzureMLOnBehalfOfCredential in azure-ai-ml."""
        serverless = [name for name in ("cpu", "gpu") if getattr(self, name) == "serverless"]
        if self.identity.type == "user_identity" and serverless:
            raise PydanticCustomError(
                "incompatible_fields",
                "user_identity needs clusters, and {serverless} is serverless",
                {"serverless": " and ".join(serverless), "fix": "name clusters, or remove identity"},
            )
        return self


class OutputsSection(Section):
    """Outputs of the job."""

    registered_model: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        max_length=255,
        description="Name of the student in the model registry. Default: NAME-distilled.",
    )
    model_type: ModelType = Field(
        "custom_model",
        description="Type of the model in a workspace: a plain folder, which vLLM serves, or MLflow's layout.",
    )
    language: str | None = Field(
        None, pattern=r"^[a-z]{2,3}$", description="Language of the rows for the model card, ISO 639, such as en."
    )


class PricesSection(Section):
    """Prices of machines, in the currency of the teachers' prices. The report computes from them what the distillation
    cost, and after how many requests it is paid back."""

    training_hour: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="Price of one hour of all nodes of the train step."
    )
    serving_hour: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description="Price of one hour of the machine that will serve the student. It is assumed to answer as fast as "
        "the machine of step predict.",
    )
