"""Register the student with its lineage, or refuse."""

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from azdistill.azure_rest.identity import ambient_credential
from azdistill.azure_rest.workspace import Workspace, has_workspace
from azdistill.contracts.errors import InputError
from azdistill.contracts.files import write_json
from azdistill.contracts.manifest import close_folder, open_folder, read_manifest
from azdistill.contracts.register import STEP, RegisterConfig
from azdistill.contracts.step import Arguments
from azdistill.steps.runner import run_step

if TYPE_CHECKING:
    from azdistill.registry.lineage import Lineage
    from azdistill.registry.registered import Registered


def body(arguments: Arguments[RegisterConfig]) -> None:
    from azdistill.registry.gate import read_gate
    from azdistill.registry.lineage import read_lineage

    folders, config = arguments.inputs, arguments.config
    output = open_folder(arguments.outputs["registration"])
    read_manifest(folders["evaluation"])
    gate = read_gate(folders["evaluation"])
    made_of = (folders["model"], folders["completions"], folders["curated"], folders["evaluation"])
    lineage = read_lineage(*made_of, gate, config.licences_acknowledged)
    registered = _register(folders["model"], lineage, config)
    write_json(output / "lineage.json", asdict(registered) | lineage.as_json())
    close_folder(output, STEP.name, {"registered_model": registered.registered_model, "version": registered.version})
    print(f"registered {registered.model_uri} in {registered.registry}")


def _register(model: Path, lineage: "Lineage", config: RegisterConfig) -> "Registered":
    """Inside Azure ML in the job's workspace, elsewhere in the MLflow registry that the environment names."""
    tracking, run_id = _tracking(), os.environ.get("MLFLOW_RUN_ID")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when MLflow is imported
    if has_workspace(os.environ):
        from azdistill.registry.runs import JobRun
        from azdistill.registry.workspace import register_in_workspace

        if not run_id:
            raise InputError("MLFLOW_RUN_ID is not set: a model's files go to the run of the job; Azure ML sets it")
        workspace = Workspace(os.environ, ambient_credential())
        return register_in_workspace(model, lineage, config, workspace, JobRun(tracking, run_id))
    from azdistill.registry.student import register_student

    return register_student(model, config.registered_model, lineage, tracking, run_id)


def _tracking() -> str:
    """Azure ML and the local engine both set the variable."""
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        raise InputError("MLFLOW_TRACKING_URI is not set: name a model registry, such as sqlite:////home/me/mlflow.db")
    return uri


if __name__ == "__main__":
    sys.exit(run_step(STEP, body, sys.argv[1:]))
