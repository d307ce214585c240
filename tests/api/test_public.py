"""The public names: typed for editors, listed by dir(), and imported no earlier than they are used."""

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

import azdistill
from azdistill.api.public import NAMES
from azdistill.job.snapshot import closure
from tests.azure.tutorial import SNIPPET


def test_the_public_names_are_these() -> None:
    assert sorted(NAMES) == [
        "DistillationClient",
        "DistillationJob",
        "compile_job",
        "fine_tune_student",
        "generate_teacher_responses",
        "generate_teacher_responses_async",
        "load_job",
        "run_pipeline",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_defined_in_its_module_and_documented(name: str) -> None:
    value = getattr(azdistill, name)
    assert value.__module__ == NAMES[name]
    assert value.__doc__


def test_dir_lists_the_public_names() -> None:
    assert set(NAMES) <= set(dir(azdistill))


def test_an_unknown_name_is_an_attribute_error_that_lists_the_public_names() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'distill'; public names: DistillationClient, "):
        azdistill.distill  # type: ignore[attr-defined]  # noqa: B018


def test_the_package_ships_its_types_and_keeps_them_out_of_snapshots() -> None:
    assert files("azdistill").joinpath("py.typed").is_file()
    assert files("azdistill").joinpath("__init__.pyi").is_file()
    assert [path for path in closure("azdistill.steps.train") if path.suffix == ".pyi"] == []


@pytest.mark.slow
def test_a_program_of_a_user_is_type_checked(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """mypy reads the tutorial without an error, knows the class of a job and reports a misspelled attribute."""
    (tmp_path / "program.py").write_text(f"{SNIPPET}\nreveal_type(job)\njob.no_such_attribute\n")
    # Without the sources of other packages, which take minutes to check.
    (tmp_path / "mypy.ini").write_text(
        "[mypy]\nfollow_imports_for_stubs = True\n"
        "[mypy-torch.*,transformers.*,numpy.*,aiohttp.*,azure.*,rich.*,scipy.*,mlflow.*,sacrebleu.*,yaml.*]\n"
        "follow_imports = skip\nignore_missing_imports = True\n"
    )
    assert pytestconfig.cache
    cache = pytestconfig.cache.mkdir("mypy")
    command = [sys.executable, "-m", "mypy", "--hide-error-context", "--cache-dir", str(cache), "program.py"]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240)
    lines = checked.stdout.splitlines()
    assert len(lines) == 3, checked.stdout
    assert lines[0].endswith('note: Revealed type is "azdistill.job.model.DistillationJob"')
    assert lines[1].endswith('error: "DistillationJob" has no attribute "no_such_attribute"  [attr-defined]')


def test_the_functions_import_nothing_heavy_until_they_are_called() -> None:
    program = "import sys; from azdistill import fine_tune_student, generate_teacher_responses; "
    program += "print([name for name in ('torch', 'transformers', 'aiohttp') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
