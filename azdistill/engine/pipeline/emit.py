"""Write YAML that YAML 1.1 and 1.2 readers read alike."""

import re
from typing import Any

import yaml

# Plain words that YAML 1.1 (PyYAML, used by `az ml`) reads as booleans, numbers, dates or null.
_NOT_A_STRING_IN_1_1 = re.compile(r"(?i)y|n|yes|no|on|off|true|false|null|~|[-+.]?[0-9].*|[-+]?\.(inf|nan)")


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indent the items of a list deeper than its key."""
        super().increase_indent(flow, indentless=False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    unsafe = not value or "\x85" in value or _NOT_A_STRING_IN_1_1.fullmatch(value)
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"' if unsafe else None)


def _float(dumper: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
    """`2.0e-05`: without the dot, YAML 1.1 reads `2e-05` as a string."""
    text = repr(value)
    if "e" in text and "." not in text:
        text = text.replace("e", ".0e", 1)
    return dumper.represent_scalar("tag:yaml.org,2002:float", text)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(float, _float)


def to_yaml(document: dict[str, Any]) -> str:
    """Block YAML of a document: keys in their order, no aliases, one line per scalar.

    A YAML 1.1 or 1.2 reader gets every scalar with its original type.
    """
    return str(yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000))
