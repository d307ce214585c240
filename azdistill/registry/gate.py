"""The gate in front of the registry: an unproven student is refused before anything is created."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from azdistill.contracts.errors import GateRefused
from azdistill.contracts.files import read_json

UNDEFINED = "undefined"
"""Retention, for one, of a teacher that is never right."""


def read_gate(evaluation: Path) -> dict[str, Any]:
    """The gate.json of an evaluation folder. Raises GateRefused, with the figures, when it says not to register."""
    gate: dict[str, Any] = read_json(evaluation / "gate.json")
    if not gate["register"]:
        raise GateRefused(_refusal(gate))
    return gate


def _refusal(gate: Mapping[str, Any]) -> str:
    failing = "; ".join(_figures(found) for found in gate["gates"] if found["outcome"] != "passed")
    return (
        f"the student is {gate['decision']}, so it gets no name: {failing}; "
        "see the report, then train on more rows or for longer, or change evaluation.gates"
    )


def _figures(found: Mapping[str, Any]) -> str:
    value, low, high = (UNDEFINED if found[key] is None else f"{found[key]:.3f}" for key in ("value", "low", "high"))
    return f"gate {found['name']}={found['bound']:g} {found['outcome']} at {value} [{low}, {high}]"
