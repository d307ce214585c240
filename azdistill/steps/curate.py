"""`python -m azdistill.steps.curate`: completions to training rows."""

import sys

from azdistill.contracts.curate import STEP, CurateConfig
from azdistill.contracts.files import read_rows, write_json, write_rows
from azdistill.contracts.manifest import close_folder, open_folder, read_manifest, settings_of
from azdistill.contracts.rows import Completion
from azdistill.contracts.step import Arguments
from azdistill.steps.runner import run_step


def body(arguments: Arguments[CurateConfig]) -> None:
    """Write train.jsonl, validation.jsonl and the drops. Drops are written also when there are too many."""
    from azdistill.data.curate import check_drops, curate

    config, completions = arguments.config, arguments.inputs["completions"]
    folder = open_folder(arguments.outputs["curated"])
    read_manifest(completions)
    rows = read_rows(completions / "completions.jsonl", Completion)
    curated = curate(rows, config, arguments.inputs.get("task_file"))
    write_rows(folder / "drops.jsonl", curated.drops)
    write_json(folder / "drops.json", curated.counts())
    check_drops(curated, config.max_drop_ratio)
    write_rows(folder / "train.jsonl", curated.train)
    write_rows(folder / "validation.jsonl", curated.validation)
    close_folder(folder, STEP.name, curated.counts(), settings_of(config))
    traces = f" ({curated.traces} of them traces)" if curated.traces else ""
    print(
        f"{len(curated.train)} train{traces}, {len(curated.validation)} validation rows; {len(curated.drops)} dropped"
    )


if __name__ == "__main__":
    sys.exit(run_step(STEP, body, sys.argv[1:]))
