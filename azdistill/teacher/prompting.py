"""What the teacher sees beside the student's view of a row, and what becomes of the reasoning that it was asked for."""

from azdistill.contracts.rows import Message
from azdistill.contracts.teacher import Prompting, TeacherConfig
from azdistill.teacher.replies import THINK, THOUGHT

NO_TRACE = "no_trace"
"""Reason of a row whose answer came without the reasoning that was asked for."""

CHAIN_OF_THOUGHT = (
    f"Reason before you answer. Begin with {THINK}, work towards the answer step by step and check what you found, "
    f"and end the reasoning with {THOUGHT}. After it write only the answer, in the form that was asked for, and "
    "nothing about how you came to it."
)


def chain_of_density(words: int) -> str:
    """The instruction for five summaries, each denser than the one before, of which the last is the answer.

    Source: Adams et al., From Sparse to Dense: GPT-4 Summarization with Chain of Density Prompting (2023).
    """
    return (
        f"Work towards the summary in five drafts, each as long as the others and of at most {words} words. Begin with "
        f"{THINK} and write the first draft, which names few of the text's particulars. Then do this four times: list "
        "one to three entities that the last draft lacks, and write the next draft, with all that the last one had and "
        "these entities too. An entity is a person, place, thing, number, date or event. It matters to the text, is "
        "specific, is named in five words or fewer, and stands in the text itself. Make room by joining and shortening "
        "sentences and by leaving out empty phrases, never by dropping an entity. Each draft has to be understood by "
        f"someone who doesn't know the text. End the drafts with {THOUGHT}, and after it write only the fifth draft "
        f"again, of at most {words} words, without a heading."
    )


def render(messages: tuple[Message, ...], prompting: Prompting) -> list[dict[str, str]]:
    """The conversation as the teacher sees it, which ends with a user turn.

    The teacher's own system prompt, the row's and the instruction for reasoning are one system turn, in this
    order: many chat templates refuse a second one.
    """
    *before, last = messages
    own = before.pop(0).content if before and before[0].role == "system" else None
    system = [part for part in (prompting.system_prompt, own, _instruction(prompting)) if part is not None]
    turns = [Message(role="system", content="\n\n".join(system))] if system else []
    turns += [*before, _templated(last, prompting.template)]
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def _instruction(prompting: Prompting) -> str | None:
    if prompting.chain_of_density:
        return chain_of_density(prompting.max_len_summary)
    return CHAIN_OF_THOUGHT if prompting.chain_of_thought else None


def _templated(turn: Message, template: str | None) -> Message:
    return turn if template is None else Message(role=turn.role, content=template.replace("{prompt}", turn.content, 1))


def answered(completion: str, trace: str | None, config: TeacherConfig) -> tuple[str, str | None]:
    """Completion and trace of a row whose answer was split into the two: the trace is left out, put back before the
    answer for the student to learn, or kept apart."""
    if config.trace == "keep" and not _is_blank(trace):
        return f"{THINK}\n{trace}\n{THOUGHT}\n\n{completion}", None
    return completion, trace if config.trace == "split" else None


def unreasoned(trace: str | None, prompting: Prompting) -> str | None:
    """What an answer lacks that came without the reasoning it was asked for; None where it has it, or wasn't asked."""
    if not (prompting.chain_of_thought or prompting.chain_of_density) or not _is_blank(trace):
        return None
    asked = "chain_of_density" if prompting.chain_of_density else "chain_of_thought"
    return f"no reasoning in {THINK} before the answer, which teacher.prompting.{asked} asks for; see the answer's text"


def _is_blank(trace: str | None) -> bool:
    return trace is None or not trace.strip()
