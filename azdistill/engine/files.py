"""Write text and JSON files to a temporary file that is renamed: a file is complete or absent."""

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from azdistill.engine.errors import DataError


def write_text(path: Path, text: str) -> None:
    """Write `text` durably: the file is complete or absent, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write JSON with sorted keys: the same value gives the same bytes."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises DataError where it is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        fix = "did the step that writes it finish?"
        raise DataError("no such file", code="missing_file", fix=fix, file=path) from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"not JSON ({error})", code="invalid_json", file=path) from None
