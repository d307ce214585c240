"""Requests to a judge, for the steps that ask one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from azdistill.contracts.judge_requests import JudgeSettings
from azdistill.contracts.rows import Prompt
from azdistill.contracts.step import Arguments
from azdistill.steps.teacher_errors import in_section

if TYPE_CHECKING:
    from azdistill.teacher.collect import Collected

SettingsType = TypeVar("SettingsType", bound=JudgeSettings)


def ask_judge(questions: Sequence[Prompt], arguments: Arguments[SettingsType], spent: float = 0.0) -> "Collected":
    """Ask the judge of a step. `spent` is what other steps have spent of the budget. Errors name section judge."""
    from azdistill.teacher.collect import collect
    from azdistill.teacher.endpoint import resolve_all
    from azdistill.teacher.event_loop import run
    from azdistill.teacher.store import open_store

    config = arguments.config.requests
    endpoints = resolve_all(config, simulation=arguments.inputs.get("judge_simulation"))
    with in_section("judge"):
        return run(collect(questions, config, endpoints, open_store(arguments.outputs["store"]), spent=spent))


def complete_replies(collected: "Collected") -> dict[str, str]:
    """The complete replies by the id of their question."""
    return {row.id: row.completion for row in collected.completions if row.finish_reason == "stop"}
