"""Turn an expert's answer into a choice of the response: truncated, with reasoning and with log probabilities."""

from azdistill.contracts.reasoning import END_THINK, THINK
from azdistill.contracts.simulation import Simulation
from azdistill.simulate.logprobs import logprobs
from azdistill.simulate.rng import draw
from azdistill.simulate.wire import ChatRequest, ResponseChoice, count_tokens, first_tokens

QUOTED_TOKENS = 24
CONCLUSIONS = (
    "I look at what was said before, then answer.",
    "Nothing that was said before speaks against it.",
    "I weigh the other answers, and keep the first.",
)


def build_choice(simulation: Simulation, request: ChatRequest, answer: str, index: int = 0) -> ResponseChoice:
    """Build choice `index`. Reasoning counts as completion tokens, so a low limit may leave none for the answer."""
    form = simulation.reasoning or ("think" if _asks_for_reasoning(request) else None)
    trace = reasoning_trace(simulation, request, index) if form else ""
    text = _truncate(simulation, request, answer, count_tokens(trace), index)
    content = f"{THINK}\n{trace}\n{END_THINK}\n\n{text}" if form == "think" else text
    return ResponseChoice(
        content=content,
        finish_reason="stop" if text == answer else "length",
        tokens=count_tokens(content) + (count_tokens(trace) if form == "reasoning_content" else 0),
        trace=trace if form == "reasoning_content" else None,
        trace_tokens=count_tokens(trace) if simulation.reasoning else 0,
        logprobs=_logprobs(simulation, request, content, index) if request.logprobs else None,
    )


def reasoning_trace(simulation: Simulation, request: ChatRequest, index: int) -> str:
    """Reasoning that quotes the last turn."""
    last = first_tokens(request.messages[-1].content, QUOTED_TOKENS)
    conclusion = int(draw(simulation.seed, "trace", request.draw_key(index)) * len(CONCLUSIONS))
    return f"The last turn says: {last}\n{CONCLUSIONS[conclusion]}"


def _asks_for_reasoning(request: ChatRequest) -> bool:
    """True when a system message asks for reasoning before the answer."""
    return any(message.role == "system" and THINK in message.content for message in request.messages)


def _truncate(simulation: Simulation, request: ChatRequest, answer: str, trace_tokens: int, index: int) -> str:
    if draw(simulation.seed, "truncated", request.draw_key(index)) < simulation.truncated_rate:
        return answer[: len(answer) // 2]
    if request.token_limit is None:
        return answer
    return first_tokens(answer, max(request.token_limit - trace_tokens, 0))


def _logprobs(simulation: Simulation, request: ChatRequest, content: str, index: int) -> dict[str, object]:
    key = request.draw_key(index)
    degenerate = draw(simulation.seed, "degenerate", key) < simulation.degenerate_rate
    return logprobs(content, request.top_logprobs, f"{simulation.seed} {key}", degenerate)
