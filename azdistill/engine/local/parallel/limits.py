"""How much of a parallel node may fail, and how much has."""

import argparse
from dataclasses import dataclass

from azdistill.engine.errors import InputError
from azdistill.engine.pipeline.model import Parallel

_START_S = 600


@dataclass(frozen=True)
class Limits:
    """What Azure ML takes from a node's fields, and from arguments with names of its own. `batch_percent` is of all
    mini-batches; `start_s` is how long a worker may take to get ready; `header` asks for the columns of a DataFrame."""

    item_errors: int
    batch_errors: int
    batch_percent: int
    start_s: int
    header: bool


def read_limits(work: Parallel, arguments: list[str]) -> Limits:
    """Raises InputError for an argument of Azure ML's own with a value that it doesn't take."""
    parser = argparse.ArgumentParser(allow_abbrev=False, exit_on_error=False, add_help=False)
    parser.add_argument("--error_threshold", type=int, default=work.item_errors)
    parser.add_argument("--allowed_failed_percent", type=int, default=100)
    parser.add_argument("--first_task_creation_timeout", type=int, default=_START_S)
    parser.add_argument("--append_row_dataframe_header", default="False")
    try:
        found, _ = parser.parse_known_args(arguments)
    except argparse.ArgumentError as problem:
        raise InputError(f"program_arguments: {problem}") from None
    return Limits(
        found.error_threshold,
        work.batch_errors,
        found.allowed_failed_percent,
        found.first_task_creation_timeout,
        found.append_row_dataframe_header.lower() == "true",
    )


@dataclass
class Tally:
    """What is done of a node's mini-batches and items. What is delivered a second time does not count."""

    batches: int
    items: int
    done: int = 0
    failed: int = 0
    failed_items: int = 0

    def add(self, items: int, returned: int | None) -> None:
        """A mini-batch of `items`, of which `returned` came back, None when none of its tries went well."""
        self.done += 1
        self.failed += returned is None or returned < items
        self.failed_items += max(items - (returned or 0), 0)

    def excess(self, limits: Limits) -> str | None:
        """Which limit is passed, in words."""
        if limits.item_errors != -1 and self.failed_items > limits.item_errors:
            return f"{self.failed_items} items failed, and error_threshold is {limits.item_errors}"
        if limits.batch_errors != -1 and self.failed > limits.batch_errors:
            return f"{self.failed} mini-batches failed, and mini_batch_error_threshold is {limits.batch_errors}"
        if self.failed * 100 > limits.batch_percent * self.batches:
            share = f"{self.failed} of {self.batches} mini-batches failed"
            return f"{share}, and allowed_failed_percent is {limits.batch_percent}"
        return None

    def __str__(self) -> str:
        text = f"{self.done} of {self.batches} mini-batches"
        lost = f"{self.failed} failed with {self.failed_items} of {self.items} items" if self.failed else "none failed"
        return f"{text}, {lost}"
