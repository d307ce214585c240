"""What to run on this machine, where, and with which options."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from azdistill.engine.local.options import RunOptions

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob


@dataclass(frozen=True)
class RunRequest:
    """A job or a pipeline file, its run folder, and the options of the engine. Only a job can have a dry run."""

    source: "DistillationJob | Path"
    folder: Path
    options: RunOptions = field(default_factory=RunOptions)
    dry_run: bool = False
