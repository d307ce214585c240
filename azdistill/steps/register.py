"""Register the student with its lineage, or refuse."""

import os
import sys
from dataclasses import asdict

from azdistill.contracts.errors import InputError
from azdistill.contracts.files import write_json
from azdistill.contracts.manifest import close_folder, open_folder, read_manifest
from azdistill.contracts.register import STEP, RegisterConfig
from azdistill.contracts.step import Arguments
from azdistill.steps.runner import run_step


def body(arguments: Arguments[RegisterConfig]) -> None:
    from azdistill.registry.gate import read_gate
    from azdistill.registry.lineage import read_lineage

    folders, config = arguments.inputs, arguments.config
    output = open_folder(arguments.outputs["registration"])
    read_manifest(folders["evaluation"])
    gate = read_gate(folders["evaluation"])
    made_of = (folders["model"], folders["completions"], folders["curated"], folders["evaluation"])
    lineage = read_lineage(*made_of, gate, config.licences_acknowledged)
    registry = _registry()

    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when MLflow is imported
    from azdistill.registry.student import register_student

    name, run_id = config.registered_model, os.environ.get("MLFLOW_RUN_ID")
    registered = register_student(folders["model"], name, lineage, registry, run_id)
    write_json(output / "lineage.json", asdict(registered) | asdict(lineage))
    close_folder(output, STEP.name, {"registered_model": registered.registered_model, "version": registered.version})
    print(f"registered {registered.model_uri} in {registered.registry}")


def _registry() -> str:
    """Azure ML and the local engine both set the variable."""
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        raise InputError("MLFLOW_TRACKING_URI is not set: name a model registry, such as sqlite:////home/me/mlflow.db")
    return uri


if __name__ == "__main__":
    sys.exit(run_step(STEP, body, sys.argv[1:]))
