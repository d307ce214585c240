"""A student that has a name."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Registered:
    """`source` is where its files lie; `registry` is shown without secrets. `baseline` is the reference to the
    untouched student, where there is one."""

    registered_model: str
    version: int
    model_uri: str
    source: str
    run_id: str
    registry: str
    baseline: str | None = None
