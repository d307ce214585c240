"""Azure ML's expressions: `${{ name }}` stands for a value, `$[[ text ]]` for text that is left out
when an optional input in it has no value."""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_EXPRESSION = re.compile(r"\$\{\{\s*([^{}]*?)\s*\}\}")
_OPTIONAL = re.compile(r"\$\[\[(.*?)\]\]", re.DOTALL)
_PARENT_INPUT = re.compile(r"parent\.inputs\.(.+)")
_SHELL = re.compile(_EXPRESSION.pattern + r"|\\.|['\"]", re.DOTALL)
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


Reference = PipelineInput | PipelineOutput | JobOutput


def is_expression(text: str) -> bool:
    """True when the whole text is one `${{ }}`."""
    return bool(_EXPRESSION.fullmatch(text.strip()))


def reference(text: str) -> Reference | None:
    """What a whole `${{parent...}}` refers to, or None when it is of no known form."""
    found = _EXPRESSION.fullmatch(text.strip())
    inner = found[1] if found else ""
    if match := _PARENT_INPUT.fullmatch(inner):
        return PipelineInput(match[1])
    if match := _PARENT_OUTPUT.fullmatch(inner):
        return PipelineOutput(match[1])
    if match := _JOB_OUTPUT.fullmatch(inner):
        return JobOutput(match[1], match[2])
    return None


def names(command: str) -> Iterator[str]:
    """Every name that a command asks for, such as `inputs.rows`."""
    yield from (match[1] for match in _EXPRESSION.finditer(command))


def required_names(command: str) -> Iterator[str]:
    """The names outside `$[[ ]]`, without which the command has no meaning."""
    yield from names(_OPTIONAL.sub("", command))


def render(command: str, values: Mapping[str, str | Path]) -> str:
    """The command as the shell gets it. A `$[[ ]]` with a name that has no value is left out.

    Text is pasted as it is, as Azure ML does. A path is quoted for the place it stands in: on
    Azure no path has a space in it, here any may. Raises KeyError for a name without a value.
    """

    def optional(match: re.Match[str]) -> str:
        return match[1] if all(name in values for name in names(match[1])) else ""

    quote = ""

    def shell(match: re.Match[str]) -> str:
        nonlocal quote
        if match[1] is not None:
            value = values[match[1]]
            return value if isinstance(value, str) else _quoted(value, quote)
        quote = _quote_after(match[0], quote)
        return match[0]

    return _SHELL.sub(shell, _OPTIONAL.sub(optional, command))


def _quote_after(token: str, quote: str) -> str:
    """The quote that is open after a quote or an escaped character: between single quotes nothing is escaped."""
    if token[0] == "\\" and not (quote == "'" and token[1] == "'"):
        return quote
    if quote:
        return "" if token[-1] == quote else quote
    return token


def _quoted(path: Path, quote: str) -> str:
    if quote == "'":
        return str(path).replace("'", "'\\''")
    if quote == '"':
        return re.sub(r'([\\"$`])', r"\\\1", str(path))
    return shlex.quote(str(path))
