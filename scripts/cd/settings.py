"""The workspace and registry that a verb is for, and what a verb hands to the following steps of a workflow."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from azdistill.contracts.errors import InputError


@dataclass(frozen=True)
class Target:
    """Address of a workspace, and the registry that its students are promoted to."""

    group: str
    workspace: str
    registry: str = ""
    subscription: str = ""

    @property
    def workspace_options(self) -> tuple[str, ...]:
        """Options of `az ml` commands."""
        return (*self.group_options, "--workspace-name", self.workspace)

    @property
    def group_options(self) -> tuple[str, ...]:
        subscription = ("--subscription", self.subscription) if self.subscription else ()
        return ("--resource-group", self.group, *subscription)

    def as_config(self) -> dict[str, str]:
        """Content of the workspace's config.json."""
        return {
            "subscription_id": self.subscription,
            "resource_group": self.group,
            "workspace_name": self.workspace,
        }

    def require(self, *names: str) -> "Target":
        """This target. Raises InputError where one of its fields is empty."""
        variables = {
            "group": "AZURE_RESOURCE_GROUP",
            "workspace": "AZURE_ML_WORKSPACE",
            "registry": "AZURE_ML_REGISTRY",
            "subscription": "AZURE_SUBSCRIPTION_ID",
        }
        missing = [name for name in names if not getattr(self, name)]
        if missing:
            listed = ", ".join(f"--{name} or ${variables[name]}" for name in missing)
            raise InputError(f"not set: {listed}", subject="target", code="missing_option", fix="set it")
        return self


def write_outputs(values: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> None:
    """Outputs of a step: in $GITHUB_OUTPUT, as variables of Azure Pipelines, and printed."""
    for name, value in values.items():
        line = " ".join(value.split())
        print(f"{name}={line}", flush=True)
        if environ.get("TF_BUILD"):
            print(f"##vso[task.setvariable variable={name};isOutput=true]{line}", flush=True)
        if path := environ.get("GITHUB_OUTPUT"):
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(f"{name}={line}\n")


def annotate(level: str, message: str, environ: Mapping[str, str] = os.environ) -> None:
    """Print a `notice` or `warning`, as an annotation in GitHub Actions and a logged issue in Azure Pipelines."""
    line = " ".join(message.split())
    if environ.get("GITHUB_ACTIONS"):
        print(f"::{level}::{line.replace('%', '%25')}", flush=True)
    elif environ.get("TF_BUILD") and level != "notice":
        print(f"##vso[task.logissue type={level}]{line}", flush=True)
    else:
        print(f"{level}: {line}", flush=True)
