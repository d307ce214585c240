"""The tiny student of a dry run: of the architecture of the real one, made for the rows at hand."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from azdistill.job.samples import first_rows, said

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob


def architecture_of(job: "DistillationJob") -> str | None:
    """As the student's own folder has it, else as the catalog does."""
    found = sorted(Path(job.student.model).rglob("config.json"), key=lambda path: len(path.parts))
    facts = job.known.student(job.student.model)
    return (architecture_in(found[0].parent) if found else None) or (facts.architecture if facts else None)


def architecture_in(student: Path) -> str | None:
    """The architecture that a folder's config.json names."""
    try:
        names = json.loads((student / "config.json").read_text(encoding="utf-8")).get("architectures")
    except (OSError, ValueError, AttributeError):
        return None
    return str(names[0]) if isinstance(names, list) and names else None


def tiny_student(home: Path, architecture: str | None, files: Iterable[str], rows: int) -> Path:
    """Its folder in `home`, made once for an architecture and the first rows of files: whole or not there."""
    there = [Path(path) for path in files if Path(path).is_file()]
    texts = [text for path in there for row in first_rows(path, rows or None) for text in said(row)]
    digest = hashlib.sha256("\0".join([str(architecture), *texts]).encode(errors="replace")).hexdigest()[:12]
    folder = home / f"student-{digest}"
    if not folder.is_dir():
        from azdistill.students.tiny import write_tiny_student

        partial = home / f".student-{os.getpid()}"
        write_tiny_student(partial, architecture, texts)
        partial.rename(folder)
    return folder
