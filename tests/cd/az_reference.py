"""Documented commands and options of the Azure CLI, from scripts/az_commands.yaml, and a check of a command."""

import functools
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "scripts" / "az_commands.yaml"


@dataclass(frozen=True)
class AzCommand:
    """One command: its options, the required ones as groups of aliases, and whether it has positional values."""

    name: str
    source: str
    options: frozenset[str]
    required: tuple[frozenset[str], ...]
    values: bool


@functools.cache
def reference() -> dict[str, Any]:
    """The file."""
    content: dict[str, Any] = yaml.safe_load(REFERENCE.read_text(encoding="utf-8"))
    return content


@functools.cache
def commands() -> dict[str, AzCommand]:
    """Documented commands by name. Options that are listed as unverified are accepted."""
    unverified: dict[str, set[str]] = {}
    for entry in reference()["unverified"]:
        unverified.setdefault(entry["command"], set()).update(entry["option"].split())
    documented = {
        name: AzCommand(
            name,
            reference()["sources"][fields["source"]],
            frozenset({*fields["options"].split(), *reference()["global"].split(), *unverified.get(name, ())}),
            tuple(frozenset(group.split()) for group in fields.get("required", ())),
            bool(fields.get("values")),
        )
        for name, fields in reference()["commands"].items()
    }
    unread = {
        name: AzCommand(name, "", frozenset({*options, *reference()["global"].split()}), (), False)
        for name, options in unverified.items()
        if name not in documented
    }
    return documented | unread


def command_of(arguments: Sequence[str]) -> AzCommand | None:
    """The longest documented command that the arguments start with."""
    words = []
    for argument in arguments:
        if argument.startswith("-"):
            break
        words.append(argument)
    for end in range(len(words), 0, -1):
        if command := commands().get(" ".join(words[:end])):
            return command
    return None


def problem_of(arguments: Sequence[str], *, complete: bool = True) -> str:
    """The error of the Azure CLI's parser for a command, empty for a documented one.

    A text may name a command that is not `complete`, or a group of commands: then only names are checked.
    """
    command = command_of(arguments)
    if command is None and not complete and _is_group(arguments):
        return ""
    if command is None:
        return f"{shlex.join(arguments)}: not a command of scripts/az_commands.yaml"
    rest = arguments[len(command.name.split()) :]
    options = [
        argument.partition("=")[0] for argument in rest if re.fullmatch(r"--?[a-zA-Z][a-zA-Z-]*(=.*)?", argument)
    ]
    if unknown := [option for option in options if option not in command.options]:
        return f"az {command.name}: unrecognized arguments: {' '.join(unknown)}"
    if not complete:
        return ""
    if rest and not rest[0].startswith("-") and not command.values:
        return f"az {command.name}: unrecognized arguments: {rest[0]}"
    missing = [min(group, key=len) for group in command.required if not group.intersection(options)]
    if missing:
        return f"az {command.name}: the following arguments are required: {', '.join(sorted(missing))}"
    return ""


def _is_group(arguments: Sequence[str]) -> bool:
    """True for the first words of commands, such as `ml online-endpoint`."""
    return any(name.split()[: len(arguments)] == list(arguments) for name in commands())


def commands_in_page(text: str) -> Iterator[list[str]]:
    """Arguments of each `az` command in the shell blocks of a Markdown page."""
    for block in re.findall(r"^```(?:sh|bash|console|shell)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        yield from commands_in_shell(block)


def commands_in_text(text: str) -> Iterator[list[str]]:
    """Arguments of each `az` command that a text names between backticks. Such a command may be incomplete."""
    for span in re.findall(r"`(az [^`]+)`", text):
        yield from commands_in_shell(span.replace("\n", " "))


def commands_in_shell(text: str) -> Iterator[list[str]]:
    """Arguments of each `az` command of a shell script, those in $( ) too.

    A quotation without a command becomes the word QUOTED, because it may contain `#`, `|` and `)`.
    """
    text = re.sub(r"\\\n\s*", " ", text)
    text = re.sub(r"(?<!\w)'[^'\n]*'", "QUOTED", text)
    text = re.sub(r"\"[^\"\n]*\"", lambda match: match[0] if "$(" in match[0] else "QUOTED", text)
    while nested := re.search(r"\$\(([^()]*)\)", text):
        yield from commands_in_shell(nested[1])
        text = text.replace(nested[0], "VALUE")
    for line in re.split(r"[\n;&|]+", re.sub(r"(?m)(^| )#.*", "", text)):
        if match := re.search(r"(?:^|[\s(`])az ([^`)]*)", line):
            yield split_arguments(match[1])


def split_arguments(text: str) -> list[str]:
    """Words of a shell command up to the end of the command."""
    try:
        return shlex.split(text)
    except ValueError:  # a quotation that continues in the next line
        return shlex.split(text.replace('"', " ").replace("'", " "))
