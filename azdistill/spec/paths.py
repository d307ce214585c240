"""Paths in a spec: local ones are relative to the spec, everything else is left as it is."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, ValidationInfo

from azdistill.contracts.findings import Place, named
from azdistill.spec.catalog import STUDENTS

if TYPE_CHECKING:
    from azdistill.spec.job import DistillationJob

_REMOTE = re.compile(r"^(azureml:|https?://|wasbs?://|abfss?://)")


def is_remote(path: str) -> bool:
    """True for an Azure ML asset, a datastore URI or a URL."""
    return bool(_REMOTE.match(path))


def _resolve(path: str, info: ValidationInfo) -> str:
    base = (info.context or {}).get("base")
    return path if base is None or is_remote(path) else str(Path(base, path))


SpecPath = Annotated[str, AfterValidator(_resolve)]
"""A local path or a remote address. Loading from a file resolves it against the file's folder."""


def missing(job: "DistillationJob") -> Iterator[tuple[Place, str]]:
    """Place and sentence of each local path in the job that doesn't exist."""
    files = {("data", name): getattr(job.data, name) for name in ("training_data", "validation_data", "test_data")}
    for place, path in {**files, ("student", "model"): job.student.model}.items():
        if path and not is_remote(path) and not Path(path).exists():
            known = "" if place[0] == "data" else f", nor one of the names {', '.join(STUDENTS)}"
            yield place, f"{named(place)}={path!r}: no such file or folder{known}"
