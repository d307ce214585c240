"""A job under way from Azure's form to ours: its values, where each came from, and every difference in words."""

from collections.abc import Iterable
from typing import Any

from azdistill.contracts.findings import Place, may_be_secret, named, number
from azdistill.job.shorthand import Values

START: Place = ("type",)
"""Where is said what belongs to no field."""


class Draft:
    """What a native job becomes. `values` is a job in full with its one teacher, `notes` are place and sentence in
    the native file."""

    def __init__(self) -> None:
        self.values: Values = {"teacher": {"teachers": [{}]}}
        self.notes: list[tuple[Place, str]] = []
        self._origins: dict[Place, Place] = {}

    def put(self, place: Place, value: Any, origin: Place) -> None:
        """Set a field of ours, which says what `origin` said."""
        self._origins[place] = origin
        *folders, name = place
        section: Any = self.values
        for folder in folders:
            section = section[folder] if isinstance(folder, int) else section.setdefault(folder, {})
        section[name] = value

    def change(self, place: Place, value: Any, origin: Place, given: Any, why: str) -> None:
        """Put what isn't quite the same, and say why."""
        self.put(place, value, origin)
        self.note(origin, f"becomes {named(place)}{_shown(place, value)}; {why}", given)

    def assume(self, place: Place, value: Any, origin: Place, why: str) -> None:
        """Put what Azure takes where nothing is said, and say that."""
        self.put(place, value, origin)
        self.note(origin, f"not given; {named(place)}{_shown(place, value)}, {why}")

    def leave(self, origin: Place, given: Any, why: str) -> None:
        """Say that a field is left out, if it was given."""
        if given is not None:
            self.note(origin, f"left out; {why}", given)

    def note(self, origin: Place, text: str, given: Any = None) -> None:
        self.notes.append((origin, f"{named(origin)}{_shown(origin, given)}: {text}"))

    def traced(self, found: Iterable[tuple[Place, str]]) -> list[tuple[Place, str]]:
        """What was found in the values, told of the native fields that they came from."""
        origins = ((self._origin(place), text) for place, text in found)
        return [(origin, f"{named(origin)}: {text}") for origin, text in origins]

    def _origin(self, place: Place) -> Place:
        """Of the field itself, or of the one that has most of its place."""
        nearest = max(self._origins, key=lambda known: _shared(known, place))
        return self._origins[nearest] if _shared(nearest, place) else START


def _shared(known: Place, place: Place) -> int:
    """How many parts two places have in common, from the first on."""
    pairs = enumerate(zip(known, place, strict=False))
    return next((count for count, (one, other) in pairs if one != other), min(len(known), len(place)))


def _shown(place: Place, value: Any) -> str:
    """A scalar that can't be a secret."""
    if value is None or isinstance(value, (dict, list)) or may_be_secret(named(place), value):
        return ""
    return f"={number(value) if isinstance(value, float) else repr(value)}"
