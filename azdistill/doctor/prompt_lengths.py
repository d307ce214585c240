"""Prompts that leave no room for an answer, counted with the student's tokenizer before their answers are paid."""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from azdistill.contracts.prepare import PrepareConfig
from azdistill.contracts.problems import Problem
from azdistill.data.cases import read_cases
from azdistill.job.student_folder import context_length, tokenizer_file
from azdistill.job.student_rows import long_rows
from azdistill.tasks.registry import task_of

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob

# The first rows of the file, whose prompts are counted, up to a size: a tokenizer needs some 0.2 s for them.
ROWS, BYTES = 100, 100_000

# Tokens of the shortest answer, and of the chat template, which is not rendered.
FEWEST = 16


def prompts_without_room(job: "DistillationJob", config: PrepareConfig, path: Path) -> Iterator[Problem]:
    """A warning for training prompts with which no row fits `max_length` or the student's context.

    Nothing where the student's tokenizer or the library is not on this machine, and where rows are so long that any
    tokenizer is enough to tell, of which `long_rows` warns.
    """
    file, positions = tokenizer_file(job), context_length(job)
    if file is None or not find_spec("tokenizers") or any(long_rows(job, positions)):
        return
    limit = min(job.train.max_length, positions or job.train.max_length)
    cases, _ = read_cases(path, task_of(config.task, labels=config.labels), ROWS, renames=config.columns or {})
    texts = _first(["\n".join(turn.content for turn in case.case.messages) for case in cases])
    # A token has at least one byte.
    lengths = _tokens(file, [text for text in texts if len(text.encode()) + FEWEST > limit])
    if too_long := sum(length + FEWEST > limit for length in lengths):
        yield Problem(
            code="no_room_for_answers",
            message=f"{too_long} of the first {len(texts)} training prompts leave fewer than {FEWEST} of {limit:,} "
            f"tokens for an answer (the longest has {max(lengths):,}): answers are bought for them and not trained",
            fix="raise train.max_length, choose a student with a longer context, or shorten the rows",
            field=("train", "max_length"),
            value=job.train.max_length,
            severity="warning",
        )


def _first(texts: Sequence[str]) -> list[str]:
    sizes = accumulate(len(text.encode()) for text in texts)
    return [text for text, size in zip(texts, sizes, strict=True) if size <= BYTES]


def _tokens(file: Path, texts: Sequence[str]) -> list[int]:
    """The number of tokens of each text; none with a file that is no tokenizer, which the trainer reports."""
    if not texts:
        return []
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception:  # the library raises no other type
        return []
    return [len(tokenizer.encode(text, add_special_tokens=False)) for text in texts]
