"""`python -m azdistill.steps.register`: register the student with its lineage, or refuse."""

import logging
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from azdistill.azure_rest.identity import ambient_credential
from azdistill.azure_rest.workspace import Workspace, has_workspace
from azdistill.contracts.errors import InputError
from azdistill.contracts.files import write_json
from azdistill.contracts.layout import LINEAGE_FILE
from azdistill.contracts.manifest import close_folder, open_folder, provenance_of, read_manifest
from azdistill.contracts.register import STEP, RegisterConfig
from azdistill.contracts.step import Arguments
from azdistill.steps.runner import run_step

if TYPE_CHECKING:
    from azdistill.registry.lineage import Lineage
    from azdistill.registry.runs import Registration

logger = logging.getLogger("azdistill.steps")


def body(arguments: Arguments[RegisterConfig]) -> None:
    """Write lineage.json. Raises GateRefused before anything is created when the student is not to be registered."""
    from azdistill.registry.gate import read_gate
    from azdistill.registry.lineage import read_lineage

    inputs, config = arguments.inputs, arguments.config
    output = open_folder(arguments.outputs["registration"])
    read_manifest(inputs["evaluation"])
    gate = read_gate(inputs["evaluation"])
    lineage = read_lineage(**inputs, gate=gate, licences_acknowledged=config.licences_acknowledged)
    registration = _register(inputs["model"], lineage, config)
    write_json(output / LINEAGE_FILE, asdict(registration) | lineage.as_json())
    counts = {"registered_model": registration.registered_model, "version": registration.version}
    close_folder(output, STEP.name, counts, provenance_of(config))
    logger.info("registered %s in %s", registration.model_uri, registration.registry)


def _register(model: Path, lineage: "Lineage", config: RegisterConfig) -> "Registration":
    """Inside Azure ML in the job's workspace, elsewhere in the MLflow registry that the environment names."""
    tracking, run_id = os.environ.get("MLFLOW_TRACKING_URI"), os.environ.get("MLFLOW_RUN_ID")
    if not tracking:
        raise InputError(
            "MLFLOW_TRACKING_URI is not set", fix="name a model registry, such as sqlite:////home/me/mlflow.db"
        )
    if has_workspace(os.environ):
        from azdistill.registry.runs import JobRun
        from azdistill.registry.workspace import register_in_workspace

        if not run_id:
            raise InputError(
                "MLFLOW_RUN_ID is not set", fix="run this step in an Azure ML job, which sets it: files go to its run"
            )
        workspace = Workspace(os.environ, ambient_credential())
        return register_in_workspace(model, lineage, config, workspace, JobRun(tracking, run_id))
    from azdistill.registry.student import register_student

    return register_student(model, config.registered_model, lineage, tracking, run_id)


if __name__ == "__main__":
    sys.exit(run_step(STEP, body, sys.argv[1:]))
