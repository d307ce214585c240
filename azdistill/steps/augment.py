"""`python -m azdistill.steps.augment`: let a teacher write new training prompts, and buy each reply once."""

import logging
import math
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azdistill.contracts.augment import STEP, AugmentConfig, AugmentSettings
from azdistill.contracts.augmenting import MOST_REQUESTS, AnsweredRequest
from azdistill.contracts.errors import DataError
from azdistill.contracts.files import read_rows, write_json, write_rows
from azdistill.contracts.layout import PROMPTS_FILE, REJECTS_FILE, REQUESTS_FILE, USAGE_FILE
from azdistill.contracts.manifest import close_folder, open_folder, read_manifest, settings_of
from azdistill.contracts.rows import Prompt, Reject
from azdistill.contracts.step import Arguments
from azdistill.steps.runner import run_step
from azdistill.steps.teacher_errors import in_section

if TYPE_CHECKING:
    from azdistill.data.augment import SeededRequest, Seeds
    from azdistill.data.new_prompts import NewPrompts
    from azdistill.teacher.collect import Collected

logger = logging.getLogger("azdistill.steps")

# Fields of usage.json that count what a call of the teacher library bought.
BOUGHT = ("calls", "retries", "prompt_tokens", "completion_tokens", "ledger")


@dataclass(frozen=True)
class Asked:
    """All requests, what the teacher library returned for them, and what was bought in all rounds."""

    requests: "list[SeededRequest]"
    collected: "Collected"
    bought: dict[str, Any]


def body(arguments: Arguments[AugmentConfig]) -> None:
    """Write the prompts of step prepare and the new ones, rejects.jsonl, requests.jsonl and usage.json.

    Raises DataError if there is no new prompt. Rejects are written also then.
    """
    from azdistill.data.augment import Seeds

    config, folder = arguments.config, open_folder(arguments.outputs["augmented"])
    read_manifest(arguments.inputs["prompts"])
    prompts = list(read_rows(arguments.inputs["prompts"] / PROMPTS_FILE, Prompt))
    seeds = Seeds(prompts, config, config.seed)
    new = _new_prompts(prompts, seeds, arguments)
    asked = _ask_until_enough(new, seeds, arguments)
    write_rows(folder / REJECTS_FILE, [*asked.collected.rejects, *new.unusable_replies, *new.rejects])
    accepted = _accepted(new, asked, config)
    write_rows(folder / PROMPTS_FILE, [*prompts, *accepted])
    write_rows(folder / REQUESTS_FILE, _answered(asked))
    write_json(folder / USAGE_FILE, _usage(asked))
    counts = _counts(new, asked, len(accepted), config)
    close_folder(folder, STEP.name, counts, settings_of(config))
    logger.info("%(new)d new prompts of %(requests)d requests; %(rejected)d rejected", counts)


def _new_prompts(prompts: Sequence[Prompt], seeds: "Seeds", arguments: Arguments[AugmentConfig]) -> "NewPrompts":
    from azdistill.data.new_prompts import NewPrompts
    from azdistill.data.public_test_sets import PublicTestSets

    folder = arguments.inputs.get("public_test_sets")
    test_sets = PublicTestSets(folder, (seed.text for seed in seeds.seeds)) if folder else None
    return NewPrompts(prompts, seeds.form, arguments.config.pii, test_sets)


def _ask_until_enough(new: "NewPrompts", seeds: "Seeds", arguments: Arguments[AugmentConfig]) -> Asked:
    """Send requests in rounds until there are enough new prompts.

    Each round asks for all requests so far, of which the earlier ones are in the store: so the budget is that of all.
    """
    from azdistill.data.new_prompts import Reply
    from azdistill.teacher.usage import add_counts

    config = arguments.config
    limit = MOST_REQUESTS * math.ceil(config.new_prompts / config.per_request)
    requests: list[SeededRequest] = []
    bought: dict[str, Any] = {}
    while True:
        expected = len(new.accepted) / len(requests) if requests else config.per_request
        missing = config.new_prompts - len(new.accepted)
        until = min(len(requests) + math.ceil(missing / max(expected, 1)), limit)
        further = {request.row.source: request for request in map(seeds.request, range(len(requests) + 1, until + 1))}
        requests += further.values()
        collected = _ask([request.row for request in requests], arguments)
        bought = add_counts(bought, {name: collected.usage[name] for name in BOUGHT})
        new.add(
            Reply(further[row.source], row.completion, row.finish_reason)
            for row in collected.completions
            if row.source in further
        )
        if len(new.accepted) >= config.new_prompts or len(requests) == limit:
            return Asked(requests, collected, bought)


def _ask(rows: Sequence[Prompt], arguments: Arguments[AugmentConfig]) -> "Collected":
    from azdistill.teacher.collect import collect
    from azdistill.teacher.endpoint import resolve_all
    from azdistill.teacher.event_loop import run
    from azdistill.teacher.store import open_store

    config = arguments.config.requests
    endpoints = resolve_all(config, simulation=arguments.inputs.get("simulation"))
    with in_section("data", "augment", fields=AugmentSettings.model_fields):
        return run(collect(rows, config, endpoints, open_store(arguments.outputs["store"])))


def _accepted(new: "NewPrompts", asked: Asked, config: AugmentConfig) -> Sequence[Prompt]:
    """The new prompts that the job asks for. Fewer are a warning. Raises DataError without one."""
    rejects = [*asked.collected.rejects, *new.unusable_replies, *new.rejects]
    reasons = ", ".join(f"{reason}: {count}" for reason, count in _by_reason(rejects).most_common(3))
    if not new.accepted:
        raise DataError(
            f"no new prompt can be used ({reasons}); the last: {rejects[-1].detail}",
            code="no_rows",
            field=("data", "augment", "new_prompts"),
            value=config.new_prompts,
            fix="look at rejects.jsonl, raise max_tokens, or choose another teacher",
        )
    if len(new.accepted) < config.new_prompts:
        logger.warning("%d new prompts instead of %d (%s)", len(new.accepted), config.new_prompts, reasons)
    return new.accepted[: config.new_prompts]


def _answered(asked: Asked) -> list[AnsweredRequest]:
    by_source = {request.row.source: request for request in asked.requests}
    return [by_source[row.source].answered(row.teacher, row.key) for row in asked.collected.completions]


def _usage(asked: Asked) -> dict[str, Any]:
    """The content of usage.json: what all rounds bought, and how many replies were in the store before."""
    ledger = asked.bought["ledger"]
    from_store = len(asked.collected.completions) - ledger["useful"]["calls"] - ledger["unusable"]["calls"]
    usage = {name: value for name, value in asked.collected.usage.items() if name != "teachers"}
    return {**usage, **asked.bought, "from_store": from_store}


def _counts(new: "NewPrompts", asked: Asked, accepted: int, config: AugmentConfig) -> dict[str, Any]:
    """The counts of the manifest: of requests, and of the prompts in the replies to them."""
    counts = {
        "requests": len(asked.requests),
        "without_prompts": dict(sorted(_by_reason([*asked.collected.rejects, *new.unusable_replies]).items())),
        "written": new.written,
        "new": accepted,
        "not_needed": len(new.accepted) - accepted,
        "rejected": len(new.rejects),
        "reasons": dict(sorted(_by_reason(new.rejects).items())),
    }
    if config.pii == "off":
        return counts
    values = dict(sorted(new.personal_data.items()))
    return {**counts, "personal_data": {"action": config.pii, "values": values}}


def _by_reason(rejects: Iterable[Reject]) -> Counter[str]:
    return Counter(reject.reason for reject in rejects)


if __name__ == "__main__":
    sys.exit(run_step(STEP, body, sys.argv[1:]))
