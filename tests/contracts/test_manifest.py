"""The manifest says how its folder was made, without secrets, and early reuse of costly steps is not lost."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from azdistill.contracts import manifest
from azdistill.contracts.curate import CurateConfig
from azdistill.contracts.errors import DataError
from azdistill.contracts.files import read_rows
from azdistill.contracts.manifest import (
    Manifest,
    close_folder,
    code_digest,
    open_folder,
    provenance_of,
    read_manifest,
    settings_of,
)
from azdistill.contracts.results import GateDecision, Metrics, Usage, read_result
from azdistill.contracts.rows import Prompt
from azdistill.contracts.teacher import TeacherConfig
from tests.damaged import CONTENTS


def teacher(endpoint: str) -> TeacherConfig:
    return TeacherConfig.model_validate({"teachers": [{"model": "m", "endpoint": endpoint}], "temperature": 0.5})


@pytest.mark.parametrize("address", ["https://host/v1?deployment=hunter2", "https://host/v1"])
def test_no_part_of_an_address_that_may_hold_a_key_is_written(tmp_path: Path, address: str) -> None:
    folder = open_folder(tmp_path)
    close_folder(folder, "teacher", {}, provenance_of(teacher(address)))
    assert b"hunter2" not in (folder / "manifest.json").read_bytes()
    provenance = read_manifest(folder).provenance
    assert provenance is not None
    assert provenance.config["teachers"][0]["endpoint"] == "https://host/v1"
    assert provenance.config["temperature"] == 0.5


def test_complete_provenance_names_code_and_versions() -> None:
    provenance = provenance_of(CurateConfig(), {"student": "abc"})
    assert provenance.code == code_digest()
    assert {"python", "torch", "transformers"} <= provenance.versions.keys()
    assert provenance.data == {"student": "abc"}


def test_a_folder_that_costly_steps_read_does_not_change_with_code_or_versions() -> None:
    settings = settings_of(CurateConfig())
    assert (settings.code, settings.versions) == ("", {})


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_a_damaged_file_of_state_is_one_line(tmp_path: Path, content: bytes) -> None:
    for name, read in READERS.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError) as error:
            read(tmp_path / name)
        (problem,) = error.value.problems
        assert problem.file == tmp_path / name
        assert "\n" not in str(problem)
        assert len(str(problem)) < 2000


READERS: dict[str, Callable[[Path], Any]] = {
    "manifest.json": lambda path: read_manifest(path.parent),
    "gate.json": lambda path: read_result(path, GateDecision),
    "metrics.json": lambda path: read_result(path, Metrics),
    "usage.json": lambda path: read_result(path, Usage),
    "rows.jsonl": lambda path: [*read_rows(path, Prompt), *_no_rows(path)],
}


def _no_rows(path: Path) -> list[str]:
    """An empty file has no rows, which is no damage of its own."""
    if not path.read_bytes():
        raise DataError("empty", file=path)
    return []


def test_a_folder_in_place_of_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "gate.json").mkdir()
    with pytest.raises(DataError) as error:
        read_result(tmp_path / "gate.json", GateDecision)
    assert [problem.code for problem in error.value.problems] == ["unreadable_file"]


def written(folder: Path) -> Path:
    """A complete folder of a small file and one above the limit for samples, which the test sets."""
    open_folder(folder)
    (folder / "small").write_bytes(b"small")
    (folder / "large").write_bytes(bytes(range(256)) * 4)
    close_folder(folder, "train", {"rows": 1})
    return folder


def flip(position: int) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[position] ^= 1
        path.write_bytes(content)

    return change


@pytest.mark.parametrize(
    ("name", "damage", "found", "found_whole"),
    [
        ("small", flip(2), True, True),
        ("small", Path.unlink, True, True),
        ("small", lambda path: (path.unlink(), path.mkdir()), True, True),
        ("large", flip(0), True, True),
        ("large", flip(-1), True, True),
        ("large", lambda path: path.write_bytes(path.read_bytes()[:-1]), True, True),
        ("large", Path.unlink, True, True),
        ("large", flip(40), False, True),  # between two samples
    ],
)
def test_a_file_that_has_changed_is_found_when_its_folder_is_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    damage: Callable[[Path], object],
    found: bool,
    found_whole: bool,
) -> None:
    for constant, value in {"SAMPLED_ABOVE": 100, "SAMPLES": 4, "SAMPLE_BYTES": 16}.items():
        monkeypatch.setattr(manifest, constant, value)
    folder = written(tmp_path / "folder")
    assert read_manifest(folder) == read_manifest(folder, whole=True)
    assert list(read_manifest(folder).samples) == ["large"]
    damage(folder / name)
    for whole, is_found in ((False, found), (True, found_whole)):
        if not is_found:
            assert read_manifest(folder, whole=whole).step == "train"
            continue
        with pytest.raises(DataError) as error:
            read_manifest(folder, whole=whole)
        (problem,) = error.value.problems
        assert (problem.code, problem.file) == ("changed_file", folder / name)


def test_a_manifest_without_provenance_can_be_read() -> None:
    assert Manifest.model_validate({"step": "train", "files": {}, "counts": {}}).provenance is None
