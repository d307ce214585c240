"""Failure limits of a parallel node, and the counts that are compared with them."""

import argparse
from dataclasses import dataclass

from azdistill.engine.errors import InputError
from azdistill.engine.pipeline.model import Parallel

_START_TIMEOUT_S = 600


@dataclass(frozen=True)
class ParallelLimits:
    """Limits from a node's fields, and from the arguments that Azure ML reads from the script's.

    `failed_batch_percent` is of all mini-batches. `start_timeout_s` is how long a worker's `init()` may take. `header`
    asks for the column names of a DataFrame.
    """

    failed_items: int
    failed_batches: int
    failed_batch_percent: int
    start_timeout_s: int
    header: bool


def read_limits(parallel: Parallel, arguments: list[str]) -> ParallelLimits:
    """Raises InputError for an argument of Azure ML with a value of the wrong type."""
    parser = argparse.ArgumentParser(allow_abbrev=False, exit_on_error=False, add_help=False)
    parser.add_argument("--error_threshold", type=int, default=parallel.item_errors)
    parser.add_argument("--allowed_failed_percent", type=int, default=100)
    parser.add_argument("--first_task_creation_timeout", type=int, default=_START_TIMEOUT_S)
    parser.add_argument("--append_row_dataframe_header", default="False")
    try:
        parsed, _ = parser.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise InputError(str(error), subject="program_arguments") from None
    return ParallelLimits(
        parsed.error_threshold,
        parallel.batch_errors,
        parsed.allowed_failed_percent,
        parsed.first_task_creation_timeout,
        parsed.append_row_dataframe_header.lower() == "true",
    )


@dataclass
class BatchCounts:
    """Finished and failed mini-batches and items of a node. A second delivery does not count."""

    batches: int
    items: int
    done: int = 0
    failed: int = 0
    failed_items: int = 0

    def add(self, items: int, returned: int | None) -> None:
        """Count a mini-batch of `items`, for which `run()` returned `returned` rows; None when every try failed."""
        self.done += 1
        self.failed += returned is None or returned < items
        self.failed_items += max(items - (returned or 0), 0)

    def exceeded(self, limits: ParallelLimits) -> str | None:
        """Describe the limit that is exceeded, if one is."""
        if limits.failed_items != -1 and self.failed_items > limits.failed_items:
            return f"{self.failed_items} items failed, more than error_threshold={limits.failed_items}"
        if limits.failed_batches != -1 and self.failed > limits.failed_batches:
            return f"{self.failed} mini-batches failed, more than mini_batch_error_threshold={limits.failed_batches}"
        if self.failed * 100 > limits.failed_batch_percent * self.batches:
            percent = limits.failed_batch_percent
            return f"{self.failed} of {self.batches} mini-batches failed, more than allowed_failed_percent={percent}"
        return None

    def __str__(self) -> str:
        done = f"{self.done} of {self.batches} mini-batches done"
        items = f"{self.failed_items} of {self.items} items"
        return f"{done}, {f'{self.failed} failed with {items}' if self.failed else 'none failed'}"
