"""`python -m azdistill.steps.prepare`: the user's files to prompts."""

import sys

from azdistill.contracts.files import write_rows
from azdistill.contracts.manifest import close_folder, open_folder
from azdistill.contracts.prepare import STEP, PrepareConfig
from azdistill.contracts.rows import Split
from azdistill.contracts.step import Arguments
from azdistill.steps.runner import run_step

FILES: dict[str, Split] = {"training_data": "train", "validation_data": "validation", "test_data": "test"}


def body(arguments: Arguments[PrepareConfig]) -> None:
    """Write prompts.jsonl and rejects.jsonl. Rejects are there also when there are too many."""
    from azdistill.data.prepare import counts, prepare, read_files

    config, folder = arguments.config, open_folder(arguments.outputs["prompts"])
    files = {split: arguments.inputs[port] for port, split in FILES.items() if port in arguments.inputs}
    read = read_files(files, config, arguments.inputs.get("task_file"))
    write_rows(folder / "rejects.jsonl", read.rejects)
    splits = prepare(read, config)
    write_rows(folder / "prompts.jsonl", splits.prompts)
    found = counts(read, splits)
    close_folder(folder, STEP.name, found)
    print("{train} train, {validation} validation, {test} test rows".format_map(found), end="; ")
    print("{rejected} kept aside, {duplicates} duplicates, {leaked} leaked".format_map(found))


if __name__ == "__main__":
    sys.exit(run_step(STEP, body, sys.argv[1:]))
