"""The names of the package, and that asking for one brings only what it needs."""

import subprocess
import sys

import pytest

import azdistill
from azdistill.api.public import NAMES


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
def test_a_public_name_is_what_its_module_defines(name: str) -> None:
    found = getattr(azdistill, name)
    assert found.__module__ == NAMES[name]
    assert found.__doc__


def test_another_name_is_none_of_them() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'distill'; public: DistillationClient, "):
        azdistill.distill  # noqa: B018


def test_the_stages_import_nothing_heavy_until_they_are_called() -> None:
    program = "import sys; from azdistill import fine_tune_student, generate_teacher_responses; "
    program += "print([name for name in ('torch', 'transformers', 'aiohttp') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
