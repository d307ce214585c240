"""Tiny student of a dry run: the architecture of the real student, and a tokenizer made from the rows of the job."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.job.samples import first_rows, row_texts
from azdistill.job.student_rows import MOST_CHARACTERS

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob


def student_architecture(job: "DistillationJob") -> str | None:
    """Architecture of a job's student, from its config.json or else from the catalog. None if unknown."""
    configs = sorted(Path(job.student.model).rglob("config.json"), key=lambda path: len(path.parts))
    facts = job.known.student(job.student.model)
    return (read_architecture(configs[0].parent) if configs else None) or (facts.architecture if facts else None)


def read_architecture(student: Path) -> str | None:
    """Architecture in the config.json of a model folder, such as `Phi3ForCausalLM`. None if it names none."""
    try:
        names = json.loads((student / "config.json").read_text(encoding="utf-8")).get("architectures")
    except (OSError, ValueError, AttributeError):
        return None
    return str(names[0]) if isinstance(names, list) and names else None


def tiny_student(home: Path, architecture: str | None, files: Iterable[str], rows: int) -> Path:
    """Write a tiny student for the first `rows` rows of files (0: all rows), and return its folder in `home`.

    Reuses the folder of an earlier call with the same architecture and rows. Files that do not exist are ignored.
    """
    texts = [_valid_unicode(text) for row in _existing_rows(files, rows) for text in row_texts(row)]
    digest = hashlib.sha256("\0".join([str(architecture), *texts]).encode()).hexdigest()[:12]
    folder = home / f"student-{digest}"
    if not folder.is_dir():
        from azdistill.students.tiny import write_tiny_student

        partial = home / f".student-{os.getpid()}"  # renamed at the end, so that the folder is never incomplete
        write_tiny_student(partial, architecture, texts)
        partial.rename(folder)
    return folder


def required_length(student: Path, files: Iterable[str], rows: int, limit: int) -> int:
    """The most tokens of a row for a tiny student, of those that may have at most `limit` tokens for the real one.

    The tokenizer of a tiny student is small, and needs more tokens for a text than that of the real student.
    """
    from tokenizers import Tokenizer

    texts = [_valid_unicode(" ".join(row_texts(row))) for row in _existing_rows(files, rows)]
    texts = [text for text in texts if len(text) <= limit * MOST_CHARACTERS]
    return max(map(len, Tokenizer.from_file(str(student / "tokenizer.json")).encode_batch(texts)), default=0)


def _existing_rows(files: Iterable[str], rows: int) -> Iterator[Any]:
    for path in map(Path, files):
        if path.exists():
            yield from first_rows(path, rows or None)


def _valid_unicode(text: str) -> str:
    """The text with `?` for half characters, which no tokenizer accepts. Step prepare rejects their rows."""
    return text.encode(errors="replace").decode()


def tiny_baseline(student: Path) -> Path:
    """Write the tiny student with random weights, as a baseline that was trained before, and return its folder."""
    folder = student.with_name(student.name.replace("student", "baseline"))
    if not folder.is_dir():
        from azdistill.students.loading import load_student

        partial = student.with_name(f".baseline-{os.getpid()}")
        load_student(student, weights="random").save(partial, "float32")
        partial.rename(folder)
    return folder
