"""The Python that a node runs in: this one, one that stands for its environment, or one made for it."""

import logging
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from azdistill.contracts.errors import AzdistillError, InputError, PipelineError
from azdistill.engine.local.environments import COMPLETE_MARKER
from azdistill.engine.local.requirements import read_requirements
from azdistill.engine.local.selection import NodeSelection
from azdistill.engine.pipeline.model import Environment
from tests.engine.local.conftest import Workshop

WHICH = """
jobs:
  plain: {command: "echo $VIRTUAL_ENV; python -c 'import sys; print(sys.prefix)'", environment: "azureml:plain:1"}
  other: {command: "echo $VIRTUAL_ENV; python -c 'import sys; print(sys.prefix)'", environment: "azureml:other:2"}
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment without pip, which takes no time to make."""
    folder = tmp_path_factory.mktemp("environments") / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder


@pytest.fixture
def which(shop: Workshop) -> Workshop:
    shop.write("pipeline.yml", WHICH)
    return shop


def said(shop: Workshop, node: str) -> list[str]:
    return (shop.folder / node / "log.txt").read_text().splitlines()


@pytest.mark.parametrize("name", ["other", "other:2", "azureml:other:2", "azureml:other"])
@pytest.mark.parametrize("python", ["", "bin/python"])
def test_a_mapped_environment_is_the_interpreter_that_is_given(
    which: Workshop, bare: Path, name: str, python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    which.run(interpreters={name: bare / python}).check()
    assert said(which, "other") == [str(bare), str(bare)]
    assert said(which, "plain") == ["", sys.prefix]


@pytest.mark.parametrize(
    ("definition", "name"),
    [
        ("{name: mine, version: 3, image: ubuntu}", "mine:3"),
        ("{name: mine, image: ubuntu}", "mine"),
        ("file:./named.yml", "mine"),
        ("file:./unnamed.yml", "unnamed"),
        ("azureml://registries/azureml/environments/sklearn-1.5/labels/latest", "sklearn-1.5"),
    ],
)
def test_an_environment_goes_by_its_name(shop: Workshop, bare: Path, definition: str, name: str) -> None:
    shop.write("named.yml", "name: mine\nimage: ubuntu\n")
    shop.write("unnamed.yml", "image: ubuntu\n")
    command = "python -c 'import sys; print(sys.prefix)'"
    shop.write("pipeline.yml", f"""jobs:\n  go:\n    command: {command}\n    environment: {definition}\n""")
    shop.run(interpreters={name: bare}).check()
    assert said(shop, "go") == [str(bare)]


def test_a_given_interpreter_counts_for_reuse_and_this_one_does_not(which: Workshop, bare: Path) -> None:
    """Whoever names another Python wants what it makes. An update of this one would throw away what was paid for."""
    which.run()
    (reason,) = which.explain(interpreters={"other": bare})["other"].reasons
    assert reason == "interpreter added"
    assert which.states(interpreters={"other": bare}) == {"plain": "reused", "other": "completed"}
    assert which.states(interpreters={"other": bare}) == {"plain": "reused", "other": "reused"}
    assert which.explain()["other"].reasons == ("interpreter removed",)


@pytest.mark.parametrize(
    ("name", "path", "expected"),
    [
        ("otter", "@", "--env 'otter': no node has an environment of that name; did you mean 'other'?"),
        ("other", "nowhere/python", "--env other='nowhere/python': there is no python"),
        ("other", "@/lib", "lib': there is no python; name an interpreter, or the folder of a virtual environment"),
        ("other", "@/broken/bin/python", "it does not run as a Python interpreter"),
    ],
)
def test_an_interpreter_that_cannot_be_is_refused_before_anything_runs(
    which: Workshop, bare: Path, name: str, path: str, expected: str
) -> None:
    broken = bare / "broken/bin/python"
    broken.parent.mkdir(parents=True, exist_ok=True)
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(InputError) as problem:
        which.run(interpreters={name: Path(path.replace("@", str(bare)))})
    assert expected in str(problem.value)
    assert not which.folder.exists()


def test_a_name_of_a_node_that_is_left_out_is_no_mistake(which: Workshop, bare: Path) -> None:
    assert which.states(interpreters={"other": bare}, selection=NodeSelection(until="plain")) == {"plain": "completed"}


CONDA = """
name: any
channels: [conda-forge]
dependencies:
  - python
  - pip=24
  - cudatoolkit=11.8
  - conda-forge::numpy
  - pip:
      - --no-index
      - --find-links wheels
      - tinything==1.0
      - -r more.txt
"""


def test_a_recipe_is_the_pip_part_of_a_conda_file(tmp_path: Path) -> None:
    (tmp_path / "conda.yml").write_text(CONDA)
    (tmp_path / "more.txt").write_text("b\n")
    found = read_requirements(Environment("", conda=tmp_path / "conda.yml"), tmp_path)
    assert found is not None
    assert found.lines == ("--no-index", "--find-links wheels", "tinything==1.0", "-r more.txt")
    assert found.conda_only == ("cudatoolkit=11.8", "conda-forge::numpy")
    assert found.text.splitlines()[-1] == f"-r {tmp_path}/more.txt"
    before = found.digest
    (tmp_path / "more.txt").write_text("c\n")
    assert found.digest != before
    (tmp_path / "more.txt").unlink()
    with pytest.raises(PipelineError, match=r"more.txt: no such file; create it, or remove '-r more.txt' from"):
        _ = found.digest


@pytest.mark.parametrize(
    ("package", "left_out"),
    [
        ("python", False),
        (f"python={sys.version_info[0]}.{sys.version_info[1]}", False),
        (f"python=={sys.version_info[0]}.{sys.version_info[1]}.*", False),
        ("python=3.1", True),
        ("python>=3.8", True),
        ("pip", False),
        ("pip=24.0", False),
        ("pipx", True),
    ],
)
def test_what_only_conda_installs_is_known(tmp_path: Path, package: str, left_out: bool) -> None:
    found = read_requirements(Environment("", conda={"dependencies": [package, {"pip": ["a"]}]}), tmp_path)
    assert found is not None
    assert found.conda_only == ((package,) if left_out else ())


def test_a_recipe_is_the_requirements_of_a_build_context(tmp_path: Path) -> None:
    assert read_requirements(Environment("", build=tmp_path), tmp_path) is None
    (tmp_path / "requirements.txt").write_text("a\n")
    found = read_requirements(Environment("", build=tmp_path), tmp_path)
    assert found is not None
    assert found.text == f"-r {tmp_path}/requirements.txt\n"
    before = found.digest
    (tmp_path / "requirements.txt").write_text("b\n")
    assert found.digest != before


def test_a_conda_file_that_is_none_is_said_with_its_line(shop: Workshop) -> None:
    shop.write("conda.yml", "a: [\n")
    environment = "{image: ubuntu, conda_file: conda.yml}"
    shop.write("pipeline.yml", f"jobs: {{go: {{command: 'true', environment: {environment}}}}}")
    assert shop.states() == {"go": "completed"}
    with pytest.raises(PipelineError, match=r"conda.yml:\d: not valid YAML"):
        shop.run(make_environments=True)


def wheel(folder: Path, name: str, version: str) -> None:
    """A package of one module, as pip takes it."""
    folder.mkdir(parents=True, exist_ok=True)
    about = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}.py", f"version = {version!r}\n")
        file.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{about}/RECORD", "")


MAKES = """
jobs:
  use:
    command: python -c 'import tinything, sys; print(tinything.version, sys.prefix)'; echo $VIRTUAL_ENV
    environment: {name: tiny, image: ubuntu, conda_file: conda.yml}
  name: {command: "python -c 'import sys; print(sys.prefix)'", environment: "azureml:other:2"}
"""


def test_an_existing_environment_is_used(shop: Workshop, bare: Path, caplog: pytest.LogCaptureFixture) -> None:
    shop.write("pipeline.yml", MAKES)
    shop.write("conda.yml", "dependencies: [{pip: [tinything]}]\n")
    found = read_requirements(Environment("", conda=shop.root / "conda.yml"), shop.root)
    assert found is not None
    folder = shop.home / "environments" / found.digest
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/*/site-packages")
    (site / "tinything.py").write_text("version = 'mine'\n")
    (folder / COMPLETE_MARKER).touch()
    caplog.set_level("INFO", "azdistill")
    shop.run(make_environments=True, interpreters={"other": bare}).check()
    assert said(shop, "use") == [f"mine {folder}", str(folder)]
    assert caplog.messages == []


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workshop, list[str]]:
    """A run that created its environment, and the messages that it logged."""
    shop = Workshop(tmp_path_factory.mktemp("made"))
    shop.write("pipeline.yml", MAKES)
    shop.write("conda.yml", CONDA)
    shop.write("more.txt", "another\n")
    wheel(shop.root / "wheels", "tinything", "1.0")
    wheel(shop.root / "wheels", "another", "2.0")
    logged: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: logged.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("azdistill.engine")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    shop.run(make_environments=True).check()
    logger.removeHandler(handler)
    return shop, logged


@pytest.mark.slow
def test_an_environment_is_made_of_its_pip_packages(made: tuple[Workshop, list[str]]) -> None:
    shop, logged = made
    (folder,) = [path for path in (shop.home / "environments").iterdir() if path.is_dir()]
    assert said(shop, "use") == [f"1.0 {folder}", str(folder)]
    assert said(shop, "name") == [sys.prefix]
    assert logged == [
        "environment azureml:other:2: no pip packages to make it from; it is this interpreter",
        "environment tiny: warning: only conda has cudatoolkit=11.8, conda-forge::numpy; it is made without",
        f"environment tiny: making it in {folder}",
    ]


@pytest.mark.slow
def test_an_environment_is_made_once(made: tuple[Workshop, list[str]], caplog: pytest.LogCaptureFixture) -> None:
    shop, _ = made
    caplog.set_level("INFO", "azdistill")
    states = shop.states(make_environments=True)
    assert states == {"use": "reused", "name": "reused"}
    assert len(caplog.messages) == 1
    assert shop.explain()["use"].reasons == ("interpreter removed",)


@pytest.mark.slow
def test_an_environment_that_was_cut_short_is_made_again(made: tuple[Workshop, list[str]]) -> None:
    shop, _ = made
    (mark,) = (shop.home / "environments").glob(f"*/{COMPLETE_MARKER}")
    mark.unlink()
    (shop.root / "wheels/another-2.0-py3-none-any.whl").unlink()
    with pytest.raises(AzdistillError) as problem:
        shop.run(make_environments=True)
    assert str(problem.value).startswith("environment tiny: can't be made: ERROR: Could not find a version")
    assert f"see {mark.parent}.log, or give --env tiny=PYTHON" in str(problem.value)
    assert not mark.exists()
