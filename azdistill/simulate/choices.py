"""From an expert's words to a choice on the wire: cut, reasoned and with log probabilities, as the request asks."""

from azdistill.contracts.teacher import Simulation
from azdistill.simulate.draws import draw
from azdistill.simulate.logprobs import logprobs
from azdistill.simulate.wire import ChatRequest, Choice, count_tokens, first_tokens

QUOTED_TOKENS = 24


def choice(simulation: Simulation, asked: ChatRequest, answer: str, index: int = 0) -> Choice:
    """Thoughts count as answered, so a low token limit may leave no room for the answer itself."""
    thoughts = trace(asked) if simulation.reasoning else ""
    said = _cut(simulation, asked, answer, count_tokens(thoughts))
    return Choice(
        content=f"<think>\n{thoughts}\n</think>\n\n{said}" if simulation.reasoning == "think" else said,
        finish_reason="stop" if said == answer else "length",
        tokens=count_tokens(thoughts) + count_tokens(said),
        trace=thoughts if simulation.reasoning == "reasoning_content" else None,
        trace_tokens=count_tokens(thoughts),
        logprobs=_logprobs(simulation, asked, said, index) if asked.logprobs else None,
    )


def trace(asked: ChatRequest) -> str:
    """What a reasoning model might have thought."""
    last = first_tokens(asked.messages[-1].content, QUOTED_TOKENS)
    return f"The last turn says: {last}\nI look at what was said before, then answer."


def _cut(simulation: Simulation, asked: ChatRequest, answer: str, thought: int) -> str:
    if draw(simulation.seed, "truncated", asked.conversation) < simulation.truncated_rate:
        return answer[: len(answer) // 2]
    return answer if asked.token_limit is None else first_tokens(answer, max(asked.token_limit - thought, 0))


def _logprobs(simulation: Simulation, asked: ChatRequest, said: str, index: int) -> dict[str, object]:
    degenerate = draw(simulation.seed, "degenerate", asked.conversation) < simulation.degenerate_rate
    return logprobs(said, asked.top_logprobs, f"{simulation.seed} {index} {asked.conversation}", degenerate)
