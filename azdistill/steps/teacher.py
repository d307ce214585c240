"""`python -m azdistill.steps.teacher`: prompts to completions, each bought once."""

import sys
from typing import TYPE_CHECKING

from azdistill.contracts.errors import DataError, InputError
from azdistill.contracts.files import read_rows, write_json, write_rows
from azdistill.contracts.manifest import close_folder, open_folder, read_manifest
from azdistill.contracts.rows import Prompt
from azdistill.contracts.step import Arguments
from azdistill.contracts.teacher import STEP, TeacherConfig
from azdistill.steps.runner import run_step

if TYPE_CHECKING:
    from azdistill.teacher.collect import Collected


def body(arguments: Arguments[TeacherConfig]) -> None:
    """Write completions.jsonl, rejects.jsonl and usage.json. Rejects are there also when there are too many."""
    from azdistill.teacher.collect import check_rejects

    config, folder = arguments.config, open_folder(arguments.outputs["completions"])
    prompts = _prompts(arguments)
    collected = _given(prompts, arguments) if config.teacher_route == "completions" else _asked(prompts, arguments)
    write_rows(folder / "rejects.jsonl", collected.rejects)
    check_rejects(collected, len(prompts), config)
    write_rows(folder / "completions.jsonl", collected.completions)
    write_json(folder / "usage.json", collected.usage)
    close_folder(folder, STEP.name, collected.counts())


def _asked(prompts: list[Prompt], arguments: Arguments[TeacherConfig]) -> "Collected":
    from azdistill.teacher.collect import collect
    from azdistill.teacher.endpoint import resolve
    from azdistill.teacher.loop import run
    from azdistill.teacher.store import open_store

    config = arguments.config
    endpoint = resolve(config.teachers[0], config.teacher_route)
    return run(collect(prompts, config, endpoint, open_store(arguments.outputs["store"])))


def _given(prompts: list[Prompt], arguments: Arguments[TeacherConfig]) -> "Collected":
    from azdistill.teacher.given import take

    if "answers" not in arguments.inputs:
        raise InputError("teacher_route='completions': no answers are given; set teacher.completions to a JSONL file")
    return take(prompts, arguments.inputs["answers"], arguments.config)


def _prompts(arguments: Arguments[TeacherConfig]) -> list[Prompt]:
    folder = arguments.inputs["prompts"]
    read_manifest(folder)
    prompts = list(read_rows(folder / "prompts.jsonl", Prompt))
    if not prompts:
        raise DataError(f"{folder / 'prompts.jsonl'}: no prompts; there is nothing to ask")
    return prompts


if __name__ == "__main__":
    sys.exit(run_step(STEP, body, sys.argv[1:]))
