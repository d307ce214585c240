"""What is asked of a run on this machine."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from azdistill.engine.local.faults import NO_FAULTS, Faults
from azdistill.engine.local.part import WHOLE, Part

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob

INPUTS = "inputs."


@dataclass(frozen=True)
class Request:
    """A job or a pipeline file, the folder to run it in, inputs to set, what of it to run, the home of what runs
    share, and variables for the nodes' processes. A dry run takes a job. `path` is what the user named. `data`,
    `interpreters` and `faults` are what `run_pipeline` takes."""

    path: Path
    what: "DistillationJob | Path"
    folder: Path
    inputs: Mapping[str, str]
    home: Path
    part: Part = WHOLE
    dry: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, Path] = field(default_factory=dict)
    interpreters: Mapping[str, Path] = field(default_factory=dict)
    make_environments: bool = False
    faults: Faults = NO_FAULTS

    @property
    def command(self) -> str:
        """The command line that asks for the same again, and for no faults."""
        return shlex.join(["azdistill", "run", str(self.path), "-o", str(self.folder), *self._options()])

    def _options(self) -> Iterator[str]:
        for name, value in self.inputs.items():
            yield from ("--set", f"{INPUTS}{name}={value}")
        for option, node in (("--until", self.part.until), ("--from", self.part.start)):
            yield from (option, node) if node is not None else ()
        for option, paths in (("--data", self.data), ("--env", self.interpreters)):
            for name, path in paths.items():
                yield from (option, f"{name}={path}")
        yield from ["--make-environments"] if self.make_environments else []
        yield from ["--dry-run"] if self.dry else []
