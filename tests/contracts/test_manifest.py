"""The manifest says how its folder was made, without secrets, and early reuse of costly steps is not lost."""

from pathlib import Path

import pytest

from azdistill.contracts.curate import CurateConfig
from azdistill.contracts.manifest import (
    Manifest,
    close_folder,
    code_digest,
    open_folder,
    provenance_of,
    read_manifest,
    settings_of,
)
from azdistill.contracts.teacher import TeacherConfig


def teacher(endpoint: str) -> TeacherConfig:
    return TeacherConfig.model_validate({"teachers": [{"model": "m", "endpoint": endpoint}], "temperature": 0.5})


@pytest.mark.parametrize("address", ["https://host/v1?code=hunter2", "https://host/v1#hunter2", "https://host/v1"])
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


def test_a_manifest_without_provenance_can_be_read() -> None:
    assert Manifest.model_validate({"step": "train", "files": {}, "counts": {}}).provenance is None
