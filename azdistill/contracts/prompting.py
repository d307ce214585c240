"""Render prompts for the teacher as `teacher.prompting` asks. See docs/prompting.md."""

from azdistill.contracts.reasoning import END_THINK, THINK
from azdistill.contracts.requests import Prompting
from azdistill.contracts.rows import Message

# The texts below are part of the store keys: another wording would buy all answers again.
CHAIN_OF_THOUGHT = (
    f"Reason before you answer. Begin with {THINK}, work towards the answer step by step and check what you found, "
    f"and end the reasoning with {END_THINK}. After it write only the answer, in the form that was asked for, and "
    "nothing about how you came to it."
)


def chain_of_density(words: int) -> str:
    """Instruction for five summaries, each denser than the last one. The fifth is the answer.

    Source: Adams et al., From Sparse to Dense: GPT-4 Summarization with Chain of Density Prompting (2023).
    """
    return (
        f"Work towards the summary in five drafts, each as long as the others and of at most {words} words. Begin with "
        f"{THINK} and write the first draft, which names few of the text's particulars. Then do this four times: list "
        "one to three entities that the last draft lacks, and write the next draft, with all that the last one had and "
        "these entities too. An entity is a person, place, thing, number, date or event. It matters to the text, is "
        "specific, is named in five words or fewer, and stands in the text itself. Make room by joining and shortening "
        "sentences and by leaving out empty phrases, never by dropping an entity. Each draft has to be understood by "
        f"someone who doesn't know the text. End the drafts with {END_THINK}, and after it write only the fifth draft "
        f"again, of at most {words} words, without a heading."
    )


def render(messages: tuple[Message, ...], prompting: Prompting) -> list[dict[str, str]]:
    """Render a conversation that ends with a user turn as the messages of a request to the teacher.

    The job's system prompt, that of the row and the instruction for reasoning become one system message, in this
    order: many chat templates reject a second one.
    """
    *history, last = messages
    row_system = history.pop(0).content if history and history[0].role == "system" else None
    system = [text for text in (prompting.system_prompt, row_system, _instruction(prompting)) if text is not None]
    turns = [Message(role="system", content="\n\n".join(system))] if system else []
    turns += [*history, _apply_template(last, prompting.template)]
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def _instruction(prompting: Prompting) -> str | None:
    if prompting.chain_of_density:
        return chain_of_density(prompting.max_len_summary)
    return CHAIN_OF_THOUGHT if prompting.chain_of_thought else None


def _apply_template(turn: Message, template: str | None) -> Message:
    if template is None:
        return turn
    return Message(role=turn.role, content=template.replace("{prompt}", turn.content, 1))
