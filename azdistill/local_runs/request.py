"""What is asked of a run on this machine."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from azdistill.engine.local.options import RunOptions

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob

INPUTS = "inputs."


@dataclass(frozen=True)
class Request:
    """A job or a pipeline file, the folder to run it in, and the options of the run. A dry run needs a job. `path` is
    the path that the user named."""

    path: Path
    what: "DistillationJob | Path"
    folder: Path
    options: RunOptions = field(default_factory=RunOptions)
    dry: bool = False

    @property
    def command(self) -> str:
        """The command line that asks for the same again, and for no faults."""
        return shlex.join(["azdistill", "run", str(self.path), "-o", str(self.folder), *self._options()])

    def _options(self) -> Iterator[str]:
        selection = self.options.selection
        for name, value in self.options.inputs.items():
            yield from ("--set", f"{INPUTS}{name}={value}")
        for option, node in (("--until", selection.until), ("--from", selection.start)):
            yield from (option, node) if node is not None else ()
        for option, paths in (("--data", self.options.data), ("--env", self.options.interpreters)):
            for name, path in paths.items():
                yield from (option, f"{name}={path}")
        yield from ["--make-environments"] if self.options.make_environments else []
        yield from ["--dry-run"] if self.dry else []
