"""azdistill convert, and other verbs with Azure's own jobs."""

import shutil
from pathlib import Path

import pytest

from azdistill.job.loading import load_job
from tests.cli.conftest import JOB, Command

PUBLISHED = Path(__file__).parents[1] / "job/native_jobs/nli.yaml"
KEY = "EXAMPLE-KEY-0a1b2c3d"


@pytest.fixture
def native(folder: Path) -> Path:
    """A native job and its rows."""
    rows = '{"messages": [{"role": "user", "content": "Premise: it rains. Hypothesis: it is wet. %d"}]}\n'
    for name, first in (("rows.jsonl", 0), ("test.jsonl", 20)):
        (folder / name).write_text("".join(rows % number for number in range(first, first + 20)))
    return Path(shutil.copy(PUBLISHED, folder)).relative_to(folder)


def test_it_writes_a_valid_job_and_prints_each_difference_with_its_line(
    azdistill: Command, native: Path, folder: Path
) -> None:
    done = azdistill("convert", native, "-o", "jobs/job.yaml")
    assert (done.code, done.out.splitlines()) == (
        0,
        ["wrote jobs/job.yaml; job llama-nli-distillation (nli)", "check it: azdistill validate jobs/job.yaml"],
    )
    assert "nli.yaml:22: warning: teacher_model_endpoint_connection.api_key: dropped, as a job" in done.err
    assert all(line.startswith("nli.yaml:") for line in done.err.splitlines())
    assert azdistill("validate", "jobs/job.yaml").code == 0
    written = (folder / "jobs/job.yaml").read_text()
    assert written.startswith("# yaml-language-server: $schema=./job.schema.json\nname: llama-nli-distillation\n")
    assert (folder / "jobs/job.schema.json").is_file()
    assert KEY not in done.out + done.err + written
    assert Path(load_job("jobs/job.yaml").data.training_data).resolve() == folder / "rows.jsonl"


@pytest.mark.parametrize(
    "command", [("validate",), ("plan",), ("compile", "-o", "bundle"), ("run", "--dry-run", "--explain")]
)
def test_other_verbs_accept_the_native_file_and_print_the_same_differences(
    azdistill: Command, native: Path, folder: Path, command: tuple[str, ...]
) -> None:
    verb, *options = command
    done = azdistill(verb, native, *options)
    assert done.code == 0, done.err
    assert (
        "nli.yaml:22: warning: teacher_model_endpoint_connection.api_key: dropped, as a job holds no keys"
        in done.out + done.err
    )
    assert KEY not in done.out + done.err
    written = (path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != native.name)
    assert not any(KEY.encode() in content for content in written)


def test_a_native_job_and_the_converted_job_give_the_same_bundle(
    azdistill: Command, native: Path, folder: Path
) -> None:
    azdistill("convert", native, "-o", "job.yaml")
    for name in ("nli.yaml", "job.yaml"):
        assert azdistill("compile", name, "-o", f"bundle of {name}").code == 0
    one, other = (
        {path.relative_to(top): path.read_bytes() for path in top.rglob("*") if path.is_file()}
        for top in (folder / "bundle of nli.yaml", folder / "bundle of job.yaml")
    )
    assert one == other


@pytest.mark.parametrize(
    ("file", "output", "words"),
    [
        (
            "job.yaml",
            "new.yaml",
            "job.yaml: type: must be distillation, Azure's own job; other files need no conversion",
        ),
        ("gone.yaml", "new.yaml", "gone.yaml: No such file or directory; name the native job file (YAML)"),
        ("wrong.yaml", "new.yaml", "wrong.yaml:8: data_generation_type='guess': must be 'label_generation' or"),
        ("nli.yaml", "job.yaml", "job.yaml: exists already; give the path of a new file"),
    ],
)
def test_wrong_input_is_one_line_and_nothing_is_written(
    azdistill: Command, native: Path, folder: Path, file: str, output: str, words: str
) -> None:
    (folder / "job.yaml").write_text(JOB)
    (folder / "wrong.yaml").write_text(native.read_text().replace(": label_generation", ": guess"))
    done = azdistill("convert", file, "-o", output)
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert not (folder / "new.yaml").exists()
    assert (folder / "job.yaml").read_text() == JOB
