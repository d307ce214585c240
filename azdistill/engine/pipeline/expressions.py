"""Azure ML's expressions: `${{ name }}` is replaced by a value; `$[[ text ]]` is removed where an optional input in it
has no value."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from azdistill.engine.pipeline.shell import EXPRESSION, SHELL, ShellPosition

# Without `]]`, the first match is all the rest of the text: else every `$[[` would look for it.
_OPTIONAL = re.compile(r"\$\[\[(.*?)(\]\]|\Z)", re.DOTALL)
_PARENT_INPUT = re.compile(r"parent\.inputs\.(.+)")
_PARENT_OUTPUT = re.compile(r"parent\.outputs\.([^.]+)")
_JOB_OUTPUT = re.compile(r"parent\.jobs\.([^.]+)\.outputs\.([^.]+)")


@dataclass(frozen=True)
class PipelineInput:
    """`${{parent.inputs.NAME}}`"""

    name: str


@dataclass(frozen=True)
class PipelineOutput:
    """`${{parent.outputs.NAME}}`"""

    name: str


@dataclass(frozen=True)
class JobOutput:
    """`${{parent.jobs.NODE.outputs.NAME}}`"""

    node: str
    name: str


@dataclass(frozen=True)
class InputText:
    """Text around one or several `${{parent.inputs.NAME}}`. A part is text, an input, or a value of an input."""

    parts: tuple[object, ...]


Reference = PipelineInput | PipelineOutput | JobOutput


def is_expression(text: str) -> bool:
    """True if the text is exactly one `${{ }}`."""
    return bool(EXPRESSION.fullmatch(text.strip()))


def reference(text: str) -> Reference | None:
    """Reference in a text that is exactly one `${{parent...}}`; None for any other text."""
    expression = EXPRESSION.fullmatch(text.strip())
    inner = expression[1].strip() if expression else ""
    if match := _PARENT_INPUT.fullmatch(inner):
        return PipelineInput(match[1])
    if match := _PARENT_OUTPUT.fullmatch(inner):
        return PipelineOutput(match[1])
    if match := _JOB_OUTPUT.fullmatch(inner):
        return JobOutput(match[1], match[2])
    return None


def input_text(text: str) -> InputText | None:
    """The parts of a text around `${{parent.inputs.NAME}}`; None where it has another expression."""
    parts: list[object] = []
    end = 0
    for match in EXPRESSION.finditer(text):
        target = reference(match[0])
        if not isinstance(target, PipelineInput):
            return None
        parts += [text[end : match.start()], target]
        end = match.end()
    return InputText((*parts, text[end:]))


def in_plain_brackets(command: str) -> Iterator[str]:
    """Names in the expressions of a command that are between `[` and `]`, which Azure ML passes on to the shell."""
    for match in re.finditer(r"(?<![$\[])\[(?!\[)([^\[\]]*)\](?!\])", command):
        yield from names(match[1])


def names(command: str) -> Iterator[str]:
    """Names in the expressions of a command, such as `inputs.rows`."""
    yield from (match[1].strip() for match in EXPRESSION.finditer(command))


def with_group(command: str, old: str, new: str) -> str:
    """The command whose expressions `${{old.NAME}}` are `${{new.NAME}}`."""

    def renamed(match: re.Match[str]) -> str:
        group, _, name = match[1].strip().partition(".")
        return f"${{{{{new}.{name}}}}}" if group == old else match[0]

    return EXPRESSION.sub(renamed, command)


@lru_cache(maxsize=256)
def required_names(command: str) -> frozenset[str]:
    """Names in the expressions outside `$[[ ]]`: the command cannot run without their values.

    They are cached, because many jobs of a pipeline may run the same long command.
    """
    return frozenset(names(_OPTIONAL.sub(lambda match: "" if match[2] else match[0], command)))


def render(command: str, values: Mapping[str, str | Path]) -> str:
    """The command with its expressions replaced by values. A `$[[ ]]` with a name without value is removed.

    Text is inserted unchanged, as Azure ML does. A path is quoted as the position in the shell command requires: a
    local path may contain blanks, a path on Azure does not. Raises KeyError for a name without a value.
    """

    def optional(match: re.Match[str]) -> str:
        if not match[2]:
            return match[0]
        return match[1] if all(name in values for name in names(match[1])) else ""

    position = ShellPosition()

    def shell(match: re.Match[str]) -> str:
        if match[1] is not None:
            value = values[match[1].strip()]
            return value if isinstance(value, str) else position.quoted(value)
        position.read(match)
        return match[0]

    return SHELL.sub(shell, _OPTIONAL.sub(optional, command))
