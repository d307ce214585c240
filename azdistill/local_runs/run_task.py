"""Task of the rows of a run."""

from pathlib import Path

from azdistill.contracts.errors import InputError
from azdistill.contracts.layout import PIPELINE_FILE
from azdistill.engine.yaml_document import read_document
from azdistill.local_runs.run_folder import PIPELINE_PATH
from azdistill.tasks.registry import task_of
from azdistill.tasks.task import Task


def task_of_run(run: Path) -> tuple[str, Task] | None:
    """Name and task of the job of a run. None for a folder that is no run of a job, or whose pipeline was deleted."""
    try:
        pipeline = run / "bundle" / PIPELINE_FILE
        if not pipeline.is_file():
            pipeline = Path((run / PIPELINE_PATH).read_text(encoding="utf-8").strip())
        document = read_document(pipeline, InputError, PIPELINE_FILE).value
        prepare = document["jobs"]["prepare"]["inputs"]
        file = document["inputs"].get("task_file", {}).get("path")
        return prepare["task"], task_of(
            prepare["task"], pipeline.parent / file if file else None, prepare.get("labels")
        )
    except (OSError, InputError, LookupError, TypeError, AttributeError):
        return None
