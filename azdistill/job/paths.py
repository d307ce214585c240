"""Paths in a spec: local ones are relative to the spec, everything else is left as it is."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, ValidationInfo

from azdistill.contracts.findings import Place, named

if TYPE_CHECKING:
    from azdistill.job.catalog import Catalog
    from azdistill.job.model import DistillationJob

FILES = ("training_data", "validation_data", "test_data")

_REMOTE = re.compile(r"^(azureml:|https?://|wasbs?://|abfss?://)")


def is_remote(path: str) -> bool:
    """True for an Azure ML asset, a datastore URI or a URL."""
    return bool(_REMOTE.match(path))


def resolve(path: str, info: ValidationInfo) -> str:
    """A local path as it is from the current folder."""
    base = (info.context or {}).get("base")
    return path if base is None or is_remote(path) else str(Path(base, path))


SpecPath = Annotated[str, AfterValidator(resolve)]
"""A local path or a remote address. Loading from a file resolves it against the file's folder."""


def missing(job: "DistillationJob") -> Iterator[tuple[Place, str]]:
    """Place and sentence of each local path in the job that doesn't exist."""
    data = job.data.model_dump(include=set(FILES))
    others = {"teacher": {"completions": job.teacher.completions}, "student": {"model": job.student.model}}
    return absent({"task": job.task, "data": data, **others}, job.known, Path())


def absent(values: Mapping[str, Any], known: "Catalog", base: Path) -> Iterator[tuple[Place, str]]:
    """As `missing`, of values in full that may be wrong in other ways; relative paths are looked for in `base`."""
    sections = ("data", "teacher", "student")
    data, teacher, student = (part if isinstance(part := values.get(name), dict) else {} for name in sections)
    files: dict[Place, Any] = {("data", name): data.get(name) for name in FILES}
    files[("teacher", "completions")] = teacher.get("completions")
    task = values.get("task")
    for place, path in {("task",): task if str(task).endswith(".py") else None, **files}.items():
        if isinstance(path, str) and _gone(path, base):
            yield place, f"{named(place)}={path!r}: no such file{_neighbour(path, base)}"
    model = student.get("model")
    if isinstance(model, str) and _gone(known.address(model), base):
        yield ("student", "model"), f"student.model={model!r}: {_no_student(model, known, base)}"


def _gone(path: str, base: Path) -> bool:
    return not is_remote(path) and not Path(base, path).exists()


def _neighbour(path: str, base: Path) -> str:
    """A file of a like name in the same folder, which is what a typo meant."""
    folder = Path(base, path).parent
    if not folder.is_dir():
        return "; paths are relative to the job file"
    close = get_close_matches(Path(path).name, [found.name for found in folder.iterdir()], 1)
    return f"; did you mean {_beside(path, close[0])}?" if close else f" in {folder.name or '.'}/"


def _beside(path: str, name: str) -> str:
    """The path with another last part, written as its author wrote it."""
    return path[: len(path) - len(Path(path).name)] + name


def _no_student(student: str, known: "Catalog", base: Path) -> str:
    facts, name = known.student(student), Path(student).name.casefold()
    if facts and facts.source and name in known.students:
        return f"no Azure registry is known to have it; download {facts.source} from Hugging Face and name the folder"
    if "/" in student and (near := _neighbour(student, base)).startswith("; did"):
        return f"no such folder{near}"
    close = get_close_matches(name, known.students, 1)
    if close:
        return f"no such folder, nor a name of the catalog; did you mean {close[0]}?"
    return "no such folder, nor a name of the catalog; name a folder, an azureml: address or a model of docs/models.md"
