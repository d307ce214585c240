"""Step register: register the student in a model registry."""

from typing import Annotated, Literal

from pydantic import Field

from azdistill.contracts.job_facts import JobFacts
from azdistill.contracts.layout import LINEAGE_FILE, MODEL_CARD_FILE
from azdistill.contracts.step import Port, RunInput, Step, StepConfig

# Layouts of students that are registered as mlflow_model, each in a folder named after the digest of its model. The
# path is fixed, so that the step knows the address: no variable of a job names the address of an output. The datastore
# is the default one of the job.
MLFLOW_MODELS_PATH = "azureml://datastores/workspaceblobstore/paths/azdistill/mlflow-models"

REGISTRY_ADDRESS = r"^azureml://registries/[A-Za-z0-9._/-]+$"


class RegisterConfig(StepConfig):
    """Name and type of the registered model, and facts for its lineage and model card."""

    registered_model: Annotated[str, RunInput()] = Field(
        "student", pattern=r"^[A-Za-z0-9._-]+$", max_length=255, description="Name in the model registry."
    )
    model_type: Literal["custom_model", "mlflow_model"] = Field(
        "custom_model",
        description="Type of the model in a workspace. custom_model: a plain folder, which vLLM serves. "
        "mlflow_model: MLflow's layout, with a chat signature.",
    )
    baseline: str | None = Field(
        None,
        pattern=REGISTRY_ADDRESS,
        description="Address of the baseline model, which is registered in the workspace as STUDENT-baseline "
        "without a copy.",
    )
    baseline_type: Literal["custom_model", "mlflow_model"] = Field(
        "custom_model", description="Type of the baseline model in its registry."
    )
    licences_acknowledged: tuple[str, ...] = Field((), description="Acknowledged licences, for the lineage.")
    job_facts: JobFacts = Field(JobFacts(), description="Models, licences and data files, for the model card.")


STEP = Step(
    name="register",
    description="Register the student with its lineage, or refuse with exit code 3 when a gate is not passed.",
    config=RegisterConfig,
    inputs={
        "model": Port("custom_model", "the distilled student"),
        "model_address": Port("custom_model", "address of the same model, which is registered", mode="direct"),
        "prompts": Port("uri_folder", "of step prepare, for the lineage"),
        "augmented": Port("uri_folder", "of step augment, for the lineage", optional=True),
        "completions": Port("uri_folder", "of step teacher, for the lineage"),
        "answer_scores": Port("uri_folder", "of step judge_answers, for the lineage", optional=True),
        "curated": Port("uri_folder", "of step curate, for the lineage"),
        "training": Port("uri_folder", "metrics of step train, for the lineage"),
        "evaluation": Port("uri_folder", "metrics.json and gate.json"),
    },
    outputs={
        "registration": Port("uri_folder", f"{LINEAGE_FILE} and the model card {MODEL_CARD_FILE}"),
        "mlflow_models": Port(
            "uri_folder",
            "layouts of students with model_type mlflow_model, shared by all runs",
            mode="rw_mount",
            path=MLFLOW_MODELS_PATH,
        ),
    },
    deterministic=False,
)
