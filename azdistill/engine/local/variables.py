"""The environment variables of a command: those of this process, and those that Azure ML sets in a job.

Sources: azure.ai.ml.entities (AZUREML_PARAMETER_, AZURE_ML_INPUT_), azureml.mlflow (ids, working folder), "Distributed
GPU training guide" (ranks and addresses), DeepSpeed's `in_aml` and Microsoft's examples (AZUREML_CR_NODE_RANK,
AZUREML_NODE_COUNT, AZUREML_ROOT_RUN_ID).
"""

import os
import re
import sys
import uuid
from collections.abc import Mapping
from importlib.util import cache_from_source
from pathlib import Path

import yaml

from azdistill.engine.job_variables import GROUP, RUN_ID, SIMULATED_SUBSCRIPTION, SUBSCRIPTION, WORKSPACE
from azdistill.engine.pipeline.model import Pipeline
from azdistill.engine.pipeline.run_settings import ProcessLayout

LOOPBACK = "127.0.0.1"
WORKING_FOLDER = "AZUREML_CR_EXECUTION_WORKING_DIR_PATH"
TRACKING_URI = "MLFLOW_TRACKING_URI"
# Folder of artifacts in the home folder. MLflow's default is in the current folder of the process that creates an
# experiment, here the code of a node. The variable is one of its server, but MLflow reads it for any database.
ARTIFACTS = "mlruns"
_ARTIFACT_ROOT = "_MLFLOW_SERVER_ARTIFACT_ROOT"

# Variables of the job or of the launcher that this process may run in: a node has its own, or none. The exceptions are
# settings, which users make too.
_OF_THIS_JOB = re.compile(
    r"AZUREML_(?!CURRENT_CLOUD$|ARTIFACTS_).*|AZURE_ML_(INPUT|OUTPUT)_.*|AZ_BATCH.*|MLFLOW_RUN_ID|OMPI_.*|PMIX?_.*"
    r"|(LOCAL_|NODE_|GROUP_)?RANK|(LOCAL_)?WORLD_SIZE|MASTER_(ADDR|PORT)"
)
# The name and the group of a simulated workspace.
_SIMULATED = "simulated"


def inherited_variables(home: Path) -> dict[str, str]:
    """Those of this process, without those of the job if it runs in one. This interpreter's `bin` is first on PATH.

    As on Azure ML, MLFLOW_TRACKING_URI is set: here to a sqlite file in `home`, unless this process has another.
    """
    inherited = {name: value for name, value in os.environ.items() if not _OF_THIS_JOB.fullmatch(name)}
    variables = {TRACKING_URI: database_address(home), _ARTIFACT_ROOT: str(home.absolute() / ARTIFACTS), **inherited}
    return variables | {"PATH": path_variable(), "PYTHONUNBUFFERED": "1", **_bytecode(home)}


def path_variable() -> str:
    """PATH with this interpreter's `bin` first."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


def database_address(home: Path) -> str:
    """The MLflow database that runs share."""
    return f"sqlite:///{home.absolute().as_posix()}/mlflow.db"


def job_variables(pipeline: Pipeline, run: str, job: str, *, simulate_workspace: bool) -> dict[str, str]:
    """Those that identify the job of a node. `job` and `run` name the node's job and that of the pipeline. As on Azure
    ML, ids have no blanks."""
    job, run = (re.sub(r"[^\w.-]", "_", name) for name in (job, run))
    experiment = pipeline.document.value.get("experiment_name") or pipeline.path.resolve().parent.name
    variables = {
        RUN_ID: job,
        "AZUREML_ROOT_RUN_ID": job if pipeline.is_single else run,
        "AZUREML_EXPERIMENT_ID": str(uuid.uuid5(uuid.NAMESPACE_URL, str(experiment))),
        "AZUREML_NODE_COUNT": "1",
        "AZUREML_CR_NODE_RANK": "0",
        "AZ_BATCHAI_JOB_MASTER_NODE_IP": LOOPBACK,
    }
    return variables | (_workspace_variables(str(experiment)) if simulate_workspace else {})


def _workspace_variables(experiment: str) -> dict[str, str]:
    """Those of a workspace that does not exist. There is no address of a service and no token."""
    scope = (
        f"/subscriptions/{SIMULATED_SUBSCRIPTION}/resourceGroups/{_SIMULATED}"
        f"/providers/Microsoft.MachineLearningServices/workspaces/{_SIMULATED}"
    )
    return {
        SUBSCRIPTION: SIMULATED_SUBSCRIPTION,
        GROUP: _SIMULATED,
        WORKSPACE: _SIMULATED,
        "AZUREML_ARM_PROJECT_NAME": experiment,
        "AZUREML_WORKSPACE_ID": SIMULATED_SUBSCRIPTION,
        "AZUREML_WORKSPACE_SCOPE": scope,
        "AZUREML_EXPERIMENT_SCOPE": f"{scope}/experiments/{experiment}",
    }


def port_variables(ports: Mapping[str, str | Path]) -> dict[str, str]:
    """Inputs and outputs by name: AZUREML_PARAMETER_NAME for all, AZURE_ML_INPUT_NAME and AZURE_ML_OUTPUT_NAME for the
    paths of data."""
    variables = {}
    for port, value in ports.items():
        group, _, name = port.partition(".")
        variables[f"AZUREML_PARAMETER_{name}"] = str(value)
        if isinstance(value, Path):
            variables[f"AZURE_ML_{group.upper().removesuffix('S')}_{name}"] = str(value)
    return variables


def rank_variables(processes: ProcessLayout, port: int) -> list[Mapping[str, str]]:
    """Those of each process of a distribution, in the order of ranks."""
    return [_rank_variables(processes, rank, port) for rank in range(processes.size)]


def _rank_variables(processes: ProcessLayout, rank: int, port: int) -> Mapping[str, str]:
    node, local_rank = divmod(rank, processes.per_instance)
    instance = {"AZUREML_NODE_COUNT": str(processes.instances), "AZUREML_CR_NODE_RANK": str(node)}
    if processes.kind == "mpi":
        master = {"AZ_BATCH_MASTER_NODE": f"{LOOPBACK}:{port}"} if processes.instances > 1 else {}
        return {
            **instance,
            **master,
            "OMPI_COMM_WORLD_RANK": str(rank),
            "OMPI_COMM_WORLD_SIZE": str(processes.size),
            "OMPI_COMM_WORLD_LOCAL_RANK": str(local_rank),
            "OMPI_COMM_WORLD_LOCAL_SIZE": str(processes.per_instance),
            "AZ_BATCHAI_MPI_MASTER_NODE": LOOPBACK,
        }
    return {
        **instance,
        "MASTER_ADDR": LOOPBACK,
        "MASTER_PORT": str(port),
        "NODE_RANK": str(node),
        "RANK": str(rank),
        "LOCAL_RANK": str(local_rank),
        "WORLD_SIZE": str(processes.size),
    }


def _bytecode(home: Path) -> Mapping[str, str]:
    """No node writes bytecode next to its code and inputs. pip compiles the packages that it installs and uv does not:
    then the home folder keeps the bytecode, because a node would take long to compile torch whenever it starts."""
    if Path(cache_from_source(yaml.__file__)).is_file():
        return {"PYTHONDONTWRITEBYTECODE": "1"}
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(home.absolute() / "bytecode")}
