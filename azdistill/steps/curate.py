"""`python -m azdistill.steps.curate`: completions to training rows."""

import logging
import sys
from pathlib import Path

from azdistill.contracts.curate import STEP, CurateConfig
from azdistill.contracts.files import line_of, new_file, read_rows, write_json
from azdistill.contracts.layout import (
    ANSWER_SCORES_FILE,
    COMPLETIONS_FILE,
    DROP_COUNTS_FILE,
    DROPS_FILE,
    TRAIN_FILE,
    USAGE_FILE,
    VALIDATION_FILE,
)
from azdistill.contracts.manifest import close_folder, open_folder, read_manifest, settings_of
from azdistill.contracts.results import Usage, read_result
from azdistill.contracts.rows import Completion, Reject
from azdistill.contracts.step import Arguments
from azdistill.contracts.verdicts import AnswerScore
from azdistill.steps.runner import run_step

logger = logging.getLogger("azdistill.steps")


def body(arguments: Arguments[CurateConfig]) -> None:
    """Write train.jsonl, validation.jsonl and the drops. Drops are written also when there are too many."""
    from azdistill.data.curate import CurateCounts, check_drops, outcomes, train_rows
    from azdistill.data.teacher_check import TeacherCheck

    config, completions = arguments.config, arguments.inputs["completions"]
    folder = open_folder(arguments.outputs["curated"])
    read_manifest(completions)
    task_file = arguments.inputs.get("task_file")
    teacher_check = TeacherCheck(config, task_file)
    rows = teacher_check.observe(read_rows(completions / COMPLETIONS_FILE, Completion))
    counts = CurateCounts()
    with new_file(folder / TRAIN_FILE) as train, new_file(folder / VALIDATION_FILE) as validation:
        with new_file(folder / DROPS_FILE) as drops:
            for outcome in outcomes(rows, config, task_file, _scores(arguments)):
                counts.add(outcome)
                if isinstance(outcome, Reject):
                    drops.write(line_of(outcome))
                else:
                    stream = train if outcome.split == "train" else validation
                    stream.writelines(map(line_of, train_rows(outcome)))
        write_json(folder / DROP_COUNTS_FILE, counts.as_json())
        check_drops(counts, config.max_drop_ratio)
        if not _is_simulated(completions):
            teacher_check.check()
    close_folder(folder, STEP.name, counts.as_json(), settings_of(config))
    logger.info("%s", counts)


def _scores(arguments: Arguments[CurateConfig]) -> dict[str, float | None] | None:
    """The scores of a judge by the key of the completion; None in a job in which it scores no answers."""
    folder = arguments.inputs.get("answer_scores")
    if folder is None:
        return None
    read_manifest(folder)
    return {row.key: row.score for row in read_rows(folder / ANSWER_SCORES_FILE, AnswerScore)}


def _is_simulated(completions: Path) -> bool:
    """True for the answers of simulated teachers, which have the form of the task only."""
    usage = completions / USAGE_FILE
    return usage.is_file() and read_result(usage, Usage).simulated


if __name__ == "__main__":
    sys.exit(run_step(STEP, body, sys.argv[1:]))
