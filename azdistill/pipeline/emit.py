"""Write YAML that every reader of Azure ML pipelines takes the same way."""

import io
import re
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

_NOT_A_STRING_IN_1_1 = re.compile(r"(?i)y|n|yes|no|on|off|true|false|null|~|[-+.]?[0-9].*|[-+]?\.(inf|nan)")
"""Plain words that YAML 1.1 (PyYAML, behind `az ml`) reads as booleans, numbers, dates or null."""


class _Representer(RoundTripRepresenter):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _float(representer: Any, value: float) -> ScalarNode:
    """`2.0e-05`: without the dot, YAML 1.1 reads `2e-05` as a string."""
    text = repr(value)
    if "e" in text and "." not in text:
        text = text.replace("e", ".0e", 1)
    node: ScalarNode = representer.represent_scalar("tag:yaml.org,2002:float", text)
    return node


_Representer.add_representer(float, _float)


def to_yaml(document: Mapping[str, Any]) -> str:
    """The document as block YAML: keys in the order given, no aliases, one line a scalar.

    Read back by a YAML 1.1 or 1.2 reader, every scalar has the type it had.
    """
    yaml = YAML(typ="rt", pure=True)
    yaml.Representer = _Representer
    yaml.width = 1_000_000
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    yaml.dump(_quoted(document), stream)
    return stream.getvalue()


def _quoted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_quoted(key): _quoted(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_quoted(part) for part in value]
    if isinstance(value, str) and (not value or "\x85" in value or _NOT_A_STRING_IN_1_1.fullmatch(value)):
        return DoubleQuotedScalarString(value)
    return value
