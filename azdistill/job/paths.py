"""Paths in a job file: local paths are relative to the file, remote addresses are not changed."""

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, ValidationInfo
from pydantic_core import PydanticCustomError

from azdistill.contracts.problems import SECRET_URL, FieldPath, Problem, close_names

if TYPE_CHECKING:
    from azdistill.job.catalog import Catalog
    from azdistill.job.model import DistillationJob

# The built-in chat template.
CHATML = "chatml"

# Number of levels, and of folders of a level, that `folder_tree` lists.
MAX_LEVELS, MAX_FOLDERS = 6, 300

# A page of the Hugging Face Hub, which is no file of it.
_HUB_PAGE = re.compile(r"^https://(www\.)?huggingface\.co/(?!.*/resolve/)")
MODEL_OF_HUB = (
    "models of the Hub are not downloaded: name a folder that `hf download NAME --local-dir FOLDER` has written"
)

# Fix for an address of a data set on the Hugging Face Hub.
FROM_HUB = "data sets of the Hub are not downloaded: name a local folder with its Parquet files, or of save_to_disk"

# Fix for a path with ~ or a variable of the shell.
NOT_EXPANDED = "~ and variables are not expanded: write the complete path"

FILES = ("training_data", "validation_data", "test_data")

_REMOTE = re.compile(r"^(azureml:|https?://|wasbs?://|abfss?://)")


def is_remote(path: str) -> bool:
    """True if a path is an Azure ML asset, a datastore URI or a URL."""
    return bool(_REMOTE.match(path))


def resolve(path: str, info: ValidationInfo) -> str:
    """Join a local path to the folder of the job file, which is `base` in the context of the validation.

    Raises PydanticCustomError for an address with a secret: the bundle and the job's properties would contain it.
    """
    if is_remote(path) and SECRET_URL.search(path):
        raise PydanticCustomError(
            "secret_in_url",
            "it has a password, or a parameter that authenticates",
            {"fix": "create a datastore for it and write azureml://datastores/NAME/paths/..., or download it"},
        )
    base = (info.context or {}).get("base")
    return path if base is None or is_remote(path) else str(Path(base, path))


# A local path or a remote address. A path in a job file is relative to the file's folder.
SpecPath = Annotated[str, AfterValidator(resolve)]


def is_rubric_file(rubric: str) -> bool:
    """True if a judge's rubric is given as a file: one line that ends in .md or .txt. The file may not exist."""
    return "\n" not in rubric and rubric.endswith((".md", ".txt"))


def missing_files(job: "DistillationJob") -> Iterator[Problem]:
    """The local paths of a job that don't exist, and files without content."""
    data = job.data.model_dump(include={*FILES, "public_test_sets"})
    student = {name: getattr(job.student, name) for name in ("model", "chat_template", "baseline")}
    judge = {"rubric": job.judge.rubric, "human_labels": job.judge.human_labels} if job.judge else {}
    suites = [{"data": suite.data} for suite in job.regressions]
    others = {
        "white_box": [{"model": teacher.model} for teacher in job.white_box],
        "teacher": {"completions": job.teacher.completions},
        "student": student,
        "judge": judge,
        "scorer": {"model": job.scorer.model} if job.scorer else {},
        "regressions": suites,
    }
    return absent({"task": job.task, "metrics": job.metrics, "data": data, **others}, job.known, Path())


def absent(values: Mapping[str, Any], catalog: "Catalog", base: Path) -> Iterator[Problem]:
    """Same as `missing_files`, for values that may be invalid in other ways. `base` is the folder of relative paths."""
    code, files = _code_files(values), _data_files(values, catalog)
    for field, path in {**code, **files}.items():
        if not _exists(path, base):
            yield _missing_file(field, path, base)
        elif field not in code and _is_empty(path, base):
            yield Problem(code="empty_file", message="is empty", fix="write its content", field=field, value=path)
    sets: FieldPath = ("data", "public_test_sets")
    if sets in files and not is_remote(files[sets]) and os.path.isfile(Path(base, files[sets])):
        fix = "name the folder that it is in"
        yield Problem(code="not_a_folder", message="is a file", fix=fix, field=sets, value=files[sets])
    model = _section(values, "student").get("model")
    folders: dict[FieldPath, str] = {("student", "model"): model} if isinstance(model, str) else {}
    for field, path in {**files, **folders}.items():
        if _HUB_PAGE.match(path):
            fix = FROM_HUB if field[0] == "data" else MODEL_OF_HUB
            message = "is a page of the Hugging Face Hub"
            yield Problem(code="hub_page", message=message, fix=fix, field=field, value=path)
    for field, path in {**folders, **files}.items():
        if not is_remote(path):
            yield from _links_outside(Path(base, path), field, path)
    if isinstance(model, str) and not _exists(catalog.address(model), base):
        yield _missing_student(model, catalog, base)


def _code_files(values: Mapping[str, Any]) -> dict[FieldPath, str]:
    """The Python files of a job by field."""
    task, metrics = values.get("task"), values.get("metrics")
    code = {("task",): task if str(task).endswith(".py") else None, ("metrics",): metrics}
    return {field: path for field, path in code.items() if isinstance(path, str)}


def _data_files(values: Mapping[str, Any], catalog: "Catalog") -> dict[FieldPath, str]:
    """The other files and folders of a job by field, except for the student's model. Values that are no paths are left
    out."""
    student, judge = _section(values, "student"), _section(values, "judge")
    files: dict[FieldPath, Any] = {
        ("data", name): _section(values, "data").get(name) for name in (*FILES, "public_test_sets")
    }
    for index, suite in enumerate(_list(values, "regressions")):
        files["regressions", index, "data"] = suite.get("data")
    models: dict[FieldPath, Mapping[str, Any]] = {("scorer",): _section(values, "scorer")}
    models |= {("white_box", index): model for index, model in enumerate(_list(values, "white_box"))}
    for field, model in models.items():
        address = model.get("model")
        is_name = isinstance(address, str) and catalog.address(address) != address
        files[(*field, "model")] = None if is_name else address
    files["teacher", "completions"] = _section(values, "teacher").get("completions")
    if (template := student.get("chat_template")) != CHATML:
        files["student", "chat_template"] = template
    files["student", "baseline"] = student.get("baseline")
    files["judge", "human_labels"] = judge.get("human_labels")
    if isinstance(rubric := judge.get("rubric"), str) and is_rubric_file(rubric):
        files["judge", "rubric"] = rubric
    return {field: path for field, path in files.items() if isinstance(path, str)}


def _section(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A section of a job; empty for one that is absent or of another type."""
    section = values.get(name)
    return section if isinstance(section, dict) else {}


def _list(values: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The sections in a list of a job, with an empty one in place of another value."""
    sections = values.get(name)
    return [item if isinstance(item, dict) else {} for item in sections] if isinstance(sections, list) else []


def _missing_file(field: FieldPath, path: str, base: Path) -> Problem:
    command = _generator(path, base) if field[0] == "data" else ""
    fix = "generate it" if command else _similar(path, base) or "paths are relative to the job file"
    fix = FROM_HUB if path.startswith("hf://") else fix
    return Problem(
        code="file_not_found",
        message="no such folder" if field[-1] == "model" else "no such file",
        fix=NOT_EXPANDED if path.startswith(("~", "$")) else fix,
        field=field,
        value=path,
        command=command,
    )


def files_of(folder: Path) -> Iterator[Path]:
    """The files of a folder that a bundle contains, sorted: none that is hidden, such as .git and .env, and no link to
    a file outside of the folder."""
    for path in sorted(folder.rglob("*")):
        is_hidden = any(name.startswith(".") for name in path.relative_to(folder).parts)
        if path.is_file() and not is_hidden and not _leads_outside(path, folder):
            yield path


def _leads_outside(path: Path, folder: Path) -> bool:
    """True for a file that is elsewhere. The files of a Hugging Face cache are links to its folder `blobs`."""
    root, target = folder.resolve(), path.resolve()
    blobs = root.parent.parent / "blobs"
    return not target.is_relative_to(root) and not (root.parent.name == "snapshots" and target.is_relative_to(blobs))


def _links_outside(folder: Path, field: FieldPath, value: str) -> Iterator[Problem]:
    for path in (path for inner in folder_tree(folder) for path in _entries(inner)):
        if path.is_symlink() and path.is_file() and not path.name.startswith(".") and _leads_outside(path, folder):
            message = f"{path.relative_to(folder)} is a link to a file outside of the folder, which is not copied"
            yield Problem(code="link_outside", message=message, fix="replace it by a copy", field=field, value=value)


def folder_tree(folder: Path) -> Iterator[Path]:
    """A folder and the folders below it, level by level, none of them behind a link. Not all of a very large tree:
    the folder of a student may be any folder by mistake."""
    level = [folder]
    for _ in range(MAX_LEVELS):
        yield from level
        inner = (path for parent in level for path in _entries(parent) if os.path.isdir(path) and not path.is_symlink())
        level = list(islice(inner, MAX_FOLDERS))


def _entries(folder: Path) -> list[Path]:
    """The files and folders in a folder, sorted; none of one that is absent or cannot be read."""
    try:
        return sorted(folder.iterdir())
    except (OSError, ValueError):
        return []


def _exists(path: str, base: Path) -> bool:
    return is_remote(path) or os.path.exists(Path(base, path))


def _is_empty(path: str, base: Path) -> bool:
    return not is_remote(path) and os.path.isfile(file := Path(base, path)) and not file.stat().st_size


def _generator(path: str, base: Path) -> str:
    """The command that generates a missing data folder, if generate.py is next to the folder, as in the quickstart."""
    folder = Path(os.path.normpath(Path(base, path).parent))
    generator = folder.parent / "generate.py"
    if os.path.isdir(folder) or not os.path.isfile(generator):
        return ""
    return shlex.join(["python", str(generator), "--out", str(folder)])


def _similar(path: str, base: Path) -> str:
    """Suggest a file with a similar name in the same folder, with the folder as the user wrote it."""
    folder = Path(base, path).parent
    names = os.listdir(folder) if os.path.isdir(folder) and os.access(folder, os.R_OK) else []
    close = close_names(Path(path).name, names)
    return f"did you mean {path[: len(path) - len(Path(path).name)]}{close[0]}?" if close else ""


def _missing_student(student: str, catalog: "Catalog", base: Path) -> Problem:
    """The problem of a student that is neither a folder nor in a registry."""
    problem = Problem(
        code="student_not_found",
        message="no such folder, and no model of the catalog",
        fix="name a folder, an azureml: address or a model that `azdistill models` lists",
        field=("student", "model"),
        value=student,
    )
    if student.startswith(("~", "$")):
        return replace(problem, message="no such folder", fix=NOT_EXPANDED)
    facts, name = catalog.student(student), Path(student).name.casefold()
    if facts and facts.source and name in catalog.students:
        return replace(
            problem,
            message="in no Azure ML registry, only on Hugging Face",
            fix=f"download it and name its folder ./{name}",
            command=shlex.join(["hf", "download", facts.source, "--local-dir", name]),
        )
    if "/" in student and (fix := _similar(student, base)):
        return replace(problem, message="no such folder", fix=fix)
    if close := close_names(name, catalog.students):
        return replace(problem, fix=f"did you mean {close[0]}?")
    return problem
