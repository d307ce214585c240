"""`python -m azdistill.steps.register`: register the student with its lineage, or refuse."""

import logging
import os
import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from azdistill.azure_rest.cloud import CLOUD_VARIABLE, cloud_of
from azdistill.azure_rest.identity import ambient_credential
from azdistill.azure_rest.workspace import Workspace, has_workspace, workspace_of_tracking_uri
from azdistill.contracts.azure_ml import azure_ml_job
from azdistill.contracts.errors import InputError
from azdistill.contracts.files import read_json, write_json, write_text
from azdistill.contracts.layout import LINEAGE_FILE, MODEL_CARD_FILE, TRAINING_METRICS_FILE
from azdistill.contracts.manifest import close_folder, open_folder, provenance_of, read_manifest
from azdistill.contracts.register import STEP, RegisterConfig
from azdistill.contracts.step import Arguments
from azdistill.engine.job_variables import TRACKING_DATABASE
from azdistill.steps.runner import run_step

if TYPE_CHECKING:
    from azdistill.registry.lineage import Lineage
    from azdistill.registry.runs import Registration

logger = logging.getLogger("azdistill.steps")


def body(arguments: Arguments[RegisterConfig]) -> None:
    """Write lineage.json and the model card.

    Raises GateRefused before anything is created when the student is not to be registered.
    """
    from azdistill.registry.card import model_card
    from azdistill.registry.gate import read_gate
    from azdistill.registry.lineage import read_lineage

    inputs, config = arguments.inputs, arguments.config
    output = open_folder(arguments.outputs["registration"])
    read_manifest(inputs["evaluation"])
    gate = read_gate(inputs["evaluation"])
    lineage = read_lineage(**inputs, gate=gate, licences_acknowledged=config.licences_acknowledged)
    card = model_card(lineage, config, read_json(inputs["training"] / TRAINING_METRICS_FILE))
    registration = _register(arguments, lineage, card)
    write_text(output / MODEL_CARD_FILE, card)
    write_json(output / LINEAGE_FILE, asdict(registration) | lineage.as_json())
    counts = {"registered_model": registration.registered_model, "version": registration.version}
    close_folder(output, STEP.name, counts, provenance_of(config))
    logger.info("registered %s in %s", registration.model_uri, registration.registry)


def _register(arguments: Arguments[RegisterConfig], lineage: "Lineage", card: str) -> "Registration":
    """Register the model in the workspace of the job, in that of MLFLOW_TRACKING_URI, or in its MLflow registry.

    The address of the model is a path in a local run, also in one on a machine of a workspace.
    """
    model, config, address = arguments.inputs["model"], arguments.config, arguments.addresses["model_address"]
    tracking, run_id = os.environ.get("MLFLOW_TRACKING_URI", ""), os.environ.get("MLFLOW_RUN_ID")
    job = azure_ml_job()
    if "://" in address and job and has_workspace(os.environ):
        from azdistill.registry.runs import TrackedRun
        from azdistill.registry.workspace import StoredModel, register_in_workspace

        workspace = Workspace(os.environ, ambient_credential())
        stored = StoredModel(model, address, arguments.outputs["mlflow_models"])
        return register_in_workspace(stored, lineage, config, workspace, TrackedRun(job, tracking), card)
    if variables := workspace_of_tracking_uri(tracking):
        from azdistill.registry.runs import TrackedRun
        from azdistill.registry.workspace import LocalModel, register_in_workspace

        # Otherwise MLflow's plugin asks the public cloud for the list of clouds.
        os.environ.setdefault(CLOUD_VARIABLE, cloud_of(os.environ).name)
        workspace = Workspace({**os.environ, **variables}, ambient_credential())
        local = LocalModel(model, workspace)
        return register_in_workspace(local, lineage, config, workspace, TrackedRun(run_id, tracking), card)
    from azdistill.registry.student import register_student

    if not tracking:
        raise InputError(
            "MLFLOW_TRACKING_URI is not set", fix="name a model registry, such as sqlite:////home/me/mlflow.db"
        )
    registration = register_student(model, config.registered_model, lineage, tracking, card, run_id)
    return replace(registration, registry=os.environ.get(TRACKING_DATABASE, registration.registry))


if __name__ == "__main__":
    sys.exit(run_step(STEP, body, sys.argv[1:]))
