"""The environment of a command: its variables, and the virtual environment in the folder of its node or trial."""

from collections.abc import Mapping
from pathlib import Path

from azdistill.engine.local.environments import Environments
from azdistill.engine.local.mlflow_tracking import Tracking
from azdistill.engine.local.options import RunOptions
from azdistill.engine.local.overlay import OVERLAY, create_overlay, overlay_variables, scripts_folder
from azdistill.engine.local.resolve import Resolver
from azdistill.engine.local.variables import inherited_variables, job_variables, path_variable
from azdistill.engine.pipeline.model import Node


class CommandEnvironments:
    """The environments of the commands of one run."""

    def __init__(self, resolver: Resolver, environments: Environments, tracking: Tracking) -> None:
        self._resolver, self._environments, self._tracking = resolver, environments, tracking

    @property
    def _options(self) -> RunOptions:
        return self._resolver.options

    def create(self, node: Node, folder: Path) -> None:
        """Create the virtual environment of a command in `folder`, without the packages of an earlier attempt."""
        if self._environments.has_overlay(node.name):
            base = self._environments.python(node.name)
            create_overlay((folder / OVERLAY).absolute(), base, self._tracking.replacement)

    def variables(self, node: Node, folder: Path) -> dict[str, str]:
        """The variables of a command whose virtual environment is in `folder`. Those that the job's file has replace
        others, and those of the run replace all."""
        variables = inherited_variables(self._options.home) | self._python(node.name, folder)
        variables |= {**self._job(node), **node.variables, **self._options.variables}
        return {**variables, **self._tracking.variables(variables, self._environments.python(node.name))}

    def new(self, node: Node, folder: Path) -> dict[str, str]:
        """Create the virtual environment, and return the variables."""
        self.create(node, folder)
        return self.variables(node, folder)

    def _python(self, node: str, folder: Path) -> dict[str, str]:
        """PATH and VIRTUAL_ENV."""
        interpreter = self._environments.interpreter(node)
        variables = dict(interpreter.variables if interpreter else {"PATH": path_variable()})
        if not self._environments.has_overlay(node):
            return variables
        scripts = scripts_folder(self._options.home, self._environments.python(node))
        return overlay_variables((folder / OVERLAY).absolute(), scripts, variables["PATH"])

    def _job(self, node: Node) -> Mapping[str, str]:
        run, job = self._resolver.run_name, self._resolver.job_name(node)
        return job_variables(self._resolver.pipeline, run, job, simulate_workspace=self._options.simulate_workspace)
