"""Apply `teacher.trace` to the reasoning in a teacher's answers. See docs/prompting.md."""

from azdistill.contracts.reasoning import END_THINK, THINK
from azdistill.contracts.requests import Prompting, RequestConfig

# Reject reason of a row whose answer lacks the reasoning that the job asks for.
NO_TRACE = "no_trace"


def apply_trace(completion: str, trace: str | None, config: RequestConfig) -> tuple[str, str | None]:
    """Completion and trace of a row by `teacher.trace`: strip the reasoning, keep it in the completion, or split it."""
    if config.trace == "keep" and not _is_blank(trace):
        return f"{THINK}\n{trace}\n{END_THINK}\n\n{completion}", None
    return completion, trace if config.trace == "split" else None


def missing_reasoning(trace: str | None, prompting: Prompting) -> str | None:
    """The reject detail of an answer without the reasoning that the job asks for. None if nothing is missing."""
    if not (prompting.chain_of_thought or prompting.chain_of_density) or not _is_blank(trace):
        return None
    field = "chain_of_density" if prompting.chain_of_density else "chain_of_thought"
    return f"no reasoning in {THINK} before the answer, although teacher.prompting.{field} asks for it"


def _is_blank(trace: str | None) -> bool:
    return trace is None or not trace.strip()
