"""`python -m azdistill.steps.augment`: let a teacher write new training prompts, and buy each reply once."""

import logging
import math
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from azdistill.contracts.augment import STEP, AugmentConfig, AugmentSettings
from azdistill.contracts.augmenting import MOST_REQUESTS
from azdistill.contracts.errors import AzdistillError, DataError
from azdistill.contracts.files import read_rows, write_json, write_rows
from azdistill.contracts.layout import PROMPTS_FILE, REJECTS_FILE, REQUESTS_FILE, USAGE_FILE
from azdistill.contracts.manifest import close_folder, open_folder, read_manifest, settings_of
from azdistill.contracts.problems import Problem
from azdistill.contracts.rows import Prompt
from azdistill.contracts.step import Arguments
from azdistill.steps.runner import run_step

if TYPE_CHECKING:
    from azdistill.data.augment import NewPrompts, SeededRequest, Seeds
    from azdistill.teacher.collect import Collected

logger = logging.getLogger("azdistill.steps")

# Fields of usage.json that count what a call of the teacher library bought.
BOUGHT = ("calls", "retries", "prompt_tokens", "completion_tokens", "ledger")


def body(arguments: Arguments[AugmentConfig]) -> None:
    """Write the prompts of step prepare and the new ones, rejects.jsonl, requests.jsonl and usage.json.

    Raises DataError if there is no new prompt. Rejects are written also then.
    """
    from azdistill.data.augment import NewPrompts, Seeds

    config, folder = arguments.config, open_folder(arguments.outputs["augmented"])
    read_manifest(arguments.inputs["prompts"])
    prompts = list(read_rows(arguments.inputs["prompts"] / PROMPTS_FILE, Prompt))
    seeds = Seeds(prompts, config, config.seed)
    new = NewPrompts(prompts, seeds.form)
    requests, collected, bought = _write_prompts(new, seeds, arguments)
    accepted = new.accepted[: config.new_prompts]
    write_rows(folder / REJECTS_FILE, [*collected.rejects, *new.rejects])
    _check(accepted, new, collected, config)
    write_rows(folder / PROMPTS_FILE, [*prompts, *accepted])
    by_source = {request.row.source: request for request in requests}
    write_rows(
        folder / REQUESTS_FILE,
        [by_source[row.source].answered(row.teacher, row.key) for row in collected.completions],
    )
    from_store = (
        len(collected.completions) - bought["ledger"]["useful"]["calls"] - bought["ledger"]["unusable"]["calls"]
    )
    usage = {name: value for name, value in collected.usage.items() if name != "teachers"}
    write_json(folder / USAGE_FILE, {**usage, **bought, "from_store": from_store})
    reasons = Counter(reject.reason for reject in (*collected.rejects, *new.rejects))
    counts = {
        "requests": len(requests),
        "new": len(accepted),
        "rejected": len(new.rejects),
        "not_needed": len(new.accepted) - len(accepted),
        "reasons": dict(sorted(reasons.items())),
    }
    close_folder(folder, STEP.name, counts, settings_of(config))
    logger.info("%(new)d new prompts of %(requests)d requests; %(rejected)d rejected", counts)


def _write_prompts(
    new: "NewPrompts", seeds: "Seeds", arguments: Arguments[AugmentConfig]
) -> "tuple[list[SeededRequest], Collected, dict[str, Any]]":
    """Send requests in rounds until there are enough new prompts. Returns the requests, their replies, and what was
    bought in all rounds.

    Each round asks for all requests so far, of which the earlier ones are in the store: so the budget is that of all.
    """
    from azdistill.teacher.usage import add_counts

    config = arguments.config
    limit = MOST_REQUESTS * math.ceil(config.new_prompts / config.per_request)
    requests: list[SeededRequest] = []
    bought: dict[str, Any] = {}
    while True:
        expected = len(new.accepted) / len(requests) if requests else config.per_request
        missing = config.new_prompts - len(new.accepted)
        until = min(len(requests) + math.ceil(missing / max(expected, 1)), limit)
        asked = [seeds.request(number) for number in range(len(requests) + 1, until + 1)]
        requests += asked
        collected = _ask([request.row for request in requests], arguments)
        bought = add_counts(bought, {name: collected.usage[name] for name in BOUGHT})
        replies = {row.source: row.completion for row in collected.completions if row.finish_reason == "stop"}
        new.add((request, replies[request.row.source]) for request in asked if request.row.source in replies)
        if len(new.accepted) >= config.new_prompts or len(requests) == limit:
            return requests, collected, bought


def _ask(rows: Sequence[Prompt], arguments: Arguments[AugmentConfig]) -> "Collected":
    from azdistill.teacher.collect import collect
    from azdistill.teacher.endpoint import resolve_all
    from azdistill.teacher.event_loop import run
    from azdistill.teacher.store import open_store

    config = arguments.config.requests
    endpoints = resolve_all(config, simulation=arguments.inputs.get("simulation"))
    try:
        return run(collect(rows, config, endpoints, open_store(arguments.outputs["store"])))
    except AzdistillError as error:
        raise type(error)(problems=[_of_augment(problem) for problem in error.problems]) from None


def _of_augment(problem: Problem) -> Problem:
    """The problem with the field of data.augment in place of the one of section teacher, if both have it."""
    section, *field = problem.field or ("",)
    is_own = section == "teacher" and field and field[0] in AugmentSettings.model_fields
    return replace(problem, field=("data", "augment", *field)) if is_own else problem


def _check(accepted: Sequence[Prompt], new: "NewPrompts", collected: "Collected", config: AugmentConfig) -> None:
    """Raise DataError without a new prompt. Fewer than the job asks for are a warning."""
    rejects = [*collected.rejects, *new.rejects]
    reasons = Counter(reject.reason for reject in rejects).most_common(3)
    text = ", ".join(f"{reason}: {count}" for reason, count in reasons) or "all replies are cut off: raise max_tokens"
    if not accepted:
        raise DataError(
            f"no new prompt can be used ({text})" + (f"; the last: {rejects[-1].detail}" if rejects else ""),
            code="no_rows",
            field=("data", "augment", "new_prompts"),
            value=config.new_prompts,
            fix="look at rejects.jsonl, raise max_tokens, or choose another teacher",
        )
    if len(accepted) < config.new_prompts:
        logger.warning("%d new prompts instead of %d (%s)", len(accepted), config.new_prompts, text)


if __name__ == "__main__":
    sys.exit(run_step(STEP, body, sys.argv[1:]))
