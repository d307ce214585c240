"""From an expert's words to a choice on the wire: cut, reasoned and with log probabilities, as the request asks."""

from azdistill.contracts.simulation import Simulation
from azdistill.simulate.draws import draw
from azdistill.simulate.logprobs import logprobs
from azdistill.simulate.wire import ChatRequest, Choice, count_tokens, first_tokens

QUOTED_TOKENS = 24
THINK = "<think>"
CONCLUSIONS = (
    "I look at what was said before, then answer.",
    "Nothing that was said before speaks against it.",
    "I weigh the other answers, and keep the first.",
)


def choice(simulation: Simulation, asked: ChatRequest, answer: str, index: int = 0) -> Choice:
    """Thoughts count as answered, so a low token limit may leave no room for the answer itself."""
    form = simulation.reasoning or ("think" if _told_to_think(asked) else None)
    thoughts = trace(simulation, asked, index) if form else ""
    said = _cut(simulation, asked, answer, count_tokens(thoughts), index)
    content = f"{THINK}\n{thoughts}\n</think>\n\n{said}" if form == "think" else said
    return Choice(
        content=content,
        finish_reason="stop" if said == answer else "length",
        tokens=count_tokens(content) + (count_tokens(thoughts) if form == "reasoning_content" else 0),
        trace=thoughts if form == "reasoning_content" else None,
        trace_tokens=count_tokens(thoughts) if simulation.reasoning else 0,
        logprobs=_logprobs(simulation, asked, content, index) if asked.logprobs else None,
    )


def trace(simulation: Simulation, asked: ChatRequest, index: int) -> str:
    """What a reasoning model might have thought."""
    last = first_tokens(asked.messages[-1].content, QUOTED_TOKENS)
    drawn = int(draw(simulation.seed, "trace", asked.luck(index)) * len(CONCLUSIONS))
    return f"The last turn says: {last}\n{CONCLUSIONS[drawn]}"


def _told_to_think(asked: ChatRequest) -> bool:
    """Whether a system message asks for reasoning before the answer, which any good model then gives."""
    return any(message.role == "system" and THINK in message.content for message in asked.messages)


def _cut(simulation: Simulation, asked: ChatRequest, answer: str, thought: int, index: int) -> str:
    if draw(simulation.seed, "truncated", asked.luck(index)) < simulation.truncated_rate:
        return answer[: len(answer) // 2]
    return answer if asked.token_limit is None else first_tokens(answer, max(asked.token_limit - thought, 0))


def _logprobs(simulation: Simulation, asked: ChatRequest, content: str, index: int) -> dict[str, object]:
    luck = asked.luck(index)
    degenerate = draw(simulation.seed, "degenerate", luck) < simulation.degenerate_rate
    return logprobs(content, asked.top_logprobs, f"{simulation.seed} {luck}", degenerate)
