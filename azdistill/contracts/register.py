"""register: a name for a student that is proven."""

from typing import Literal

from pydantic import Field

from azdistill.contracts.step import Port, Step, StepConfig


class RegisterConfig(StepConfig):
    """Under what name and in what form, and what is told of it."""

    registered_model: str = Field(
        "student", pattern=r"^[A-Za-z0-9._-]+$", max_length=255, description="name in the model registry"
    )
    model_type: Literal["custom_model", "mlflow_model"] = Field(
        "custom_model",
        description="of a model in a workspace; custom_model: the plain folder, which vLLM serves; "
        "mlflow_model: in MLflow's layout, with the signature of a chat",
    )
    baseline: str | None = Field(
        None,
        pattern=r"^azureml://registries/[A-Za-z0-9._/-]+$",
        description="address of the untouched student, which a workspace gets as STUDENT-baseline without a copy",
    )
    licences_acknowledged: tuple[str, ...] = Field((), description="licences that the job keeps to, for the lineage")


STEP = Step(
    name="register",
    description="Register the student with its lineage, or refuse with exit code 3 when a gate is not passed.",
    config=RegisterConfig,
    inputs={
        "model": Port("custom_model", "the distilled student"),
        "completions": Port("uri_folder", "of teacher, for the lineage"),
        "curated": Port("uri_folder", "of curate, for the lineage"),
        "evaluation": Port("uri_folder", "metrics.json and gate.json"),
    },
    outputs={"registration": Port("uri_folder", "lineage.json")},
)
