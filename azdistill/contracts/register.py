"""register: register the student in the model registry when its gates allow it."""

from typing import Literal

from pydantic import Field

from azdistill.contracts.step import Port, Step, StepConfig


class RegisterConfig(StepConfig):
    """Name, format and lineage of the registered student."""

    registered_model: str = Field(
        "student", pattern=r"^[A-Za-z0-9._-]+$", max_length=255, description="name in the model registry"
    )
    model_type: Literal["custom_model", "mlflow_model"] = Field(
        "custom_model",
        description="type of the model in a workspace; custom_model: the plain folder, which vLLM serves; "
        "mlflow_model: MLflow's layout with a chat signature",
    )
    baseline: str | None = Field(
        None,
        pattern=r"^azureml://registries/[A-Za-z0-9._/-]+$",
        description="registry address of the student before training, which a workspace registers as STUDENT-baseline "
        "without a copy",
    )
    licences_acknowledged: tuple[str, ...] = Field(
        (), description="licences that the job complies with, for the lineage"
    )


STEP = Step(
    name="register",
    description="Register the student with its lineage, or refuse with exit code 3 when a gate is not passed.",
    config=RegisterConfig,
    inputs={
        "model": Port("custom_model", "the distilled student"),
        "prompts": Port("uri_folder", "of prepare, for the lineage"),
        "completions": Port("uri_folder", "of teacher, for the lineage"),
        "curated": Port("uri_folder", "of curate, for the lineage"),
        "training": Port("uri_folder", "metrics of train, for the lineage"),
        "evaluation": Port("uri_folder", "metrics.json and gate.json"),
    },
    outputs={"registration": Port("uri_folder", "lineage.json")},
)
