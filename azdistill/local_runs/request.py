"""Request for a local run: its source, folder and options."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from azdistill.engine.local.options import RunOptions

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob


@dataclass(frozen=True)
class RunRequest:
    """A job or pipeline file, its run folder, and the options of the engine. `dry_run` needs a job."""

    source: "DistillationJob | Path"
    folder: Path
    options: RunOptions = field(default_factory=RunOptions)
    dry_run: bool = False
