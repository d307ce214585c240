"""The Python interpreter of a node: the default one, a provided one, or a new virtual environment."""

import logging
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from azdistill.contracts.errors import AzdistillError, InputError, PipelineError
from azdistill.engine.local.environments import COMPLETE_MARKER
from azdistill.engine.local.overlay import OVERLAY
from azdistill.engine.local.requirements import read_requirements
from azdistill.engine.local.results import describe_failure
from azdistill.engine.local.selection import NodeSelection
from azdistill.engine.pipeline.model import Environment
from tests.engine.local.conftest import Project

WHICH = """
jobs:
  plain: {command: "echo $VIRTUAL_ENV; python -c 'import sys; print(sys.prefix)'", environment: "azureml:plain:1"}
  other: {command: "echo $VIRTUAL_ENV; python -c 'import sys; print(sys.prefix)'", environment: "azureml:other:2"}
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment without pip, which is quick to create."""
    folder = tmp_path_factory.mktemp("environments") / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder


@pytest.fixture
def which(project: Project) -> Project:
    project.write("pipeline.yml", WHICH)
    return project


def log_lines(project: Project, node: str) -> list[str]:
    return (project.folder / node / "log.txt").read_text().splitlines()


@pytest.mark.parametrize(
    ("environment", "advice"),
    [
        ("azureml:trees:3", "install the package of lightgbm2 there, or add --env trees=PYTHON"),
        ("{image: python, conda_file: {dependencies: []}}", "there, or add --make-environments"),
        ("{name: mine, image: python, conda_file: {}}", "there, or add --make-environments or add --env mine=PYTHON"),
    ],
)
def test_a_missing_module_names_the_interpreter_and_the_options(
    project: Project, bare: Path, environment: str, advice: str
) -> None:
    """Without it, nothing says that a local run does not have the environment of the node."""
    command = "python -c 'import lightgbm2.basic'"
    project.write("pipeline.yml", f'jobs: {{fit: {{command: "{command}", environment: {environment}}}}}')
    result = project.run()
    last = log_lines(project, "fit")[-1]
    assert f"the node ran in the Python of azdistill, {sys.executable}, not in its environment: install" in last
    assert last.endswith(advice)
    assert last in describe_failure(result.nodes["fit"])
    if environment.startswith("azureml:"):
        project.run(interpreters={"trees": bare})
        assert (
            f"the node ran in {bare}/bin/python: install the package of lightgbm2 there"
            in log_lines(project, "fit")[-1]
        )


@pytest.mark.parametrize("name", ["other", "other:2", "azureml:other:2", "azureml:other"])
@pytest.mark.parametrize("python", ["", "bin/python"])
def test_nodes_of_an_environment_run_in_the_provided_interpreter(
    which: Project, bare: Path, name: str, python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    which.run(interpreters={name: bare / python}).check()
    assert log_lines(which, "other") == [str(bare), str(bare)]
    own = which.folder / "plain" / OVERLAY
    assert log_lines(which, "plain") == [str(own), str(own)]


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
def test_an_environment_is_found_by_its_name(project: Project, bare: Path, definition: str, name: str) -> None:
    project.write("named.yml", "name: mine\nimage: ubuntu\n")
    project.write("unnamed.yml", "image: ubuntu\n")
    command = "python -c 'import sys; print(sys.prefix)'"
    project.write("pipeline.yml", f"""jobs:\n  go:\n    command: {command}\n    environment: {definition}\n""")
    project.run(interpreters={name: bare}).check()
    assert log_lines(project, "go") == [str(bare)]


def test_a_provided_interpreter_counts_for_reuse_and_the_default_one_does_not(which: Project, bare: Path) -> None:
    """A provided interpreter was chosen for its results. An update of the default one must not discard paid results."""
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
        ("other", "nowhere/python", "--env other='nowhere/python': no Python interpreter in this path"),
        (
            "other",
            "@/lib",
            "lib': no Python interpreter in this path; name an interpreter, or the folder of a virtual environment",
        ),
        ("other", "@/broken/bin/python", "cannot be run as a Python interpreter"),
    ],
)
def test_an_invalid_interpreter_is_refused_before_anything_runs(
    which: Project, bare: Path, name: str, path: str, expected: str
) -> None:
    broken = bare / "broken/bin/python"
    broken.parent.mkdir(parents=True, exist_ok=True)
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(InputError) as problem:
        which.run(interpreters={name: Path(path.replace("@", str(bare)))})
    assert expected in str(problem.value)
    assert not which.folder.exists()


def test_an_environment_of_an_unselected_node_is_accepted(which: Project, bare: Path) -> None:
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


def test_requirements_are_the_pip_part_of_a_conda_file(tmp_path: Path) -> None:
    (tmp_path / "conda.yml").write_text(CONDA)
    (tmp_path / "more.txt").write_text("b\n")
    requirements = read_requirements(Environment("", conda=tmp_path / "conda.yml"), tmp_path)
    assert requirements is not None
    assert requirements.lines == ("--no-index", "--find-links wheels", "tinything==1.0", "-r more.txt")
    assert requirements.conda_only == ("cudatoolkit=11.8", "conda-forge::numpy")
    assert requirements.text.splitlines()[-1] == f"-r {tmp_path}/more.txt"
    before = requirements.digest
    (tmp_path / "more.txt").write_text("c\n")
    assert requirements.digest != before
    (tmp_path / "more.txt").unlink()
    with pytest.raises(PipelineError, match=r"more.txt: no such file .*; create it, or remove '-r more.txt' from"):
        _ = requirements.digest


@pytest.mark.parametrize(
    ("package", "is_conda_only"),
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
def test_packages_that_only_conda_installs(tmp_path: Path, package: str, is_conda_only: bool) -> None:
    requirements = read_requirements(Environment("", conda={"dependencies": [package, {"pip": ["a"]}]}), tmp_path)
    assert requirements is not None
    assert requirements.conda_only == ((package,) if is_conda_only else ())


def test_requirements_of_a_build_context(tmp_path: Path) -> None:
    assert read_requirements(Environment("", build=tmp_path), tmp_path) is None
    (tmp_path / "requirements.txt").write_text("a\n")
    requirements = read_requirements(Environment("", build=tmp_path), tmp_path)
    assert requirements is not None
    assert requirements.text == f"-r {tmp_path}/requirements.txt\n"
    before = requirements.digest
    (tmp_path / "requirements.txt").write_text("b\n")
    assert requirements.digest != before


def test_an_invalid_conda_file_is_reported_with_its_line(project: Project) -> None:
    project.write("conda.yml", "a: [\n")
    environment = "{image: ubuntu, conda_file: conda.yml}"
    project.write("pipeline.yml", f"jobs: {{go: {{command: 'true', environment: {environment}}}}}")
    assert project.states() == {"go": "completed"}
    with pytest.raises(PipelineError, match=r"conda.yml:\d: not valid YAML"):
        project.run(make_environments=True)


def wheel(folder: Path, name: str, version: str) -> None:
    """Write a wheel with one module."""
    folder.mkdir(parents=True, exist_ok=True)
    about = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}.py", f"version = {version!r}\n")
        file.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{about}/RECORD", "")


INSTALLS = """
jobs:
  install:
    command: >-
      pip install -q --no-index --disable-pip-version-check ${{inputs.wheels}}/*.whl
      && python -c 'import tinything, yaml; print(tinything.version, yaml.__version__)'
    inputs: {wheels: {type: uri_folder, path: ./wheels}}
  other:
    command: python -c 'import importlib.util, yaml; print(importlib.util.find_spec("tinything"), yaml.__version__)'
"""


def test_packages_that_a_command_installs_are_for_its_node_only(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    project.write("pipeline.yml", INSTALLS)
    wheel(project.root / "wheels", "tinything", "1.0")
    wheel(project.root / "wheels", "PyYAML", "0.1")
    with zipfile.ZipFile(project.root / "wheels/PyYAML-0.1-py3-none-any.whl", "a") as file:
        file.writestr("yaml.py", "__version__ = '0.1'\n")
    project.run().check()
    assert log_lines(project, "install")[-1] == "1.0 0.1"
    assert log_lines(project, "other") == [f"None {yaml.__version__}"]
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning.startswith("install: warning: its command installs packages; they are for this node only")


SCRIPTS = """
jobs:
  own:
    command: >-
      pip install -q --no-index --disable-pip-version-check wheels/tinything-1.0-py3-none-any.whl && which-version
    code: ./src
    environment: "azureml:own:1"
  pinned:
    command: pip%s install -q --no-index --disable-pip-version-check wheels/*.whl; python -m pip uninstall -qy pyyaml;
      python -c 'import tinything, yaml; print(tinything.version)'
    code: ./src
"""


def test_scripts_and_every_pip_run_in_the_environment_of_the_node(project: Project, bare: Path) -> None:
    """The first line of a script names its interpreter, which does not see what the command of a node installs."""
    before = {path.name for path in bare.rglob("*")}
    script = bare / "bin/which-version"
    script.write_text(f"#!{bare}/bin/python\nimport tinything\nprint(tinything.version)\n")
    script.chmod(0o755)
    project.write("pipeline.yml", SCRIPTS % f"{sys.version_info[0]}.{sys.version_info[1]}")
    wheel(project.root / "src/wheels", "tinything", "1.0")
    project.run(interpreters={"own": bare}).check()
    assert log_lines(project, "own")[-1] == "1.0"
    assert log_lines(project, "pinned")[-1] == "1.0"
    script.unlink()
    assert {path.name for path in bare.rglob("*")} == before


@pytest.mark.parametrize(
    ("command", "warning"),
    [
        ("pip -q install x", "installs packages; they are for this node only, in .environment of its folder"),
        ("conda install -y x", "calls conda, which this machine does not have; run its environment with --env or"),
        ("apt-get -y install x", "calls apt-get: on Azure ML it changes the node's container, here this machine, and"),
        ("echo pip list && conda --version", ""),
    ],
)
def test_a_command_that_installs_something_is_a_warning(
    project: Project, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, command: str, warning: str
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    project.write("pipeline.yml", f"jobs: {{go: {{command: '{command} --help >/dev/null || true'}}}}")
    project.run().check()
    shown = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [text.startswith(f"go: warning: its command {warning}") for text in shown] == [True] * bool(warning)


def test_conda_changes_no_environment_of_this_machine_by_chance(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    conda = project.write("tools/conda", '#!/bin/sh\necho "conda $*"\n')
    conda.chmod(0o755)
    monkeypatch.setenv("PATH", f"{conda.parent}:/usr/bin:/bin")
    command = "conda list; conda install -y -n own x; conda install -y x || echo $?"
    project.write("pipeline.yml", f"jobs: {{go: {{command: {command!r}}}}}")
    project.run().check()
    assert log_lines(project, "go") == [
        "conda list",
        "conda install -y -n own x",
        "azdistill: conda would change an environment of this machine: name one with -n, or use pip",
        "1",
    ]


MAKES = """
jobs:
  use:
    command: python -c 'import tinything, sys; print(tinything.version, sys.prefix)'; echo $VIRTUAL_ENV
    environment: {name: tiny, image: ubuntu, conda_file: conda.yml}
  name: {command: "python -c 'import sys; print(sys.prefix)'", environment: "azureml:other:2"}
"""


def test_an_existing_environment_is_used(project: Project, bare: Path, caplog: pytest.LogCaptureFixture) -> None:
    project.write("pipeline.yml", MAKES)
    project.write("conda.yml", "dependencies: [{pip: [tinything]}]\n")
    requirements = read_requirements(Environment("", conda=project.root / "conda.yml"), project.root)
    assert requirements is not None
    folder = project.home / "environments" / requirements.digest
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/*/site-packages")
    (site / "tinything.py").write_text("version = 'mine'\n")
    (folder / COMPLETE_MARKER).touch()
    caplog.set_level("INFO", "azdistill")
    project.run(make_environments=True, interpreters={"other": bare}).check()
    assert log_lines(project, "use") == [f"mine {folder}", str(folder)]
    assert caplog.messages == []


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, list[str]]:
    """A run that created its environment, and the messages that it logged."""
    project = Project(tmp_path_factory.mktemp("made"))
    project.write("pipeline.yml", MAKES)
    project.write("conda.yml", CONDA)
    project.write("more.txt", "another\n")
    wheel(project.root / "wheels", "tinything", "1.0")
    wheel(project.root / "wheels", "another", "2.0")
    logged: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: logged.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("azdistill.engine")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    project.run(make_environments=True).check()
    logger.removeHandler(handler)
    logger.setLevel(level)
    return project, logged


@pytest.mark.slow
def test_an_environment_is_created_from_its_pip_packages(made: tuple[Project, list[str]]) -> None:
    project, logged = made
    (folder,) = [path for path in (project.home / "environments").iterdir() if path.is_dir()]
    assert log_lines(project, "use") == [f"1.0 {folder}", str(folder)]
    assert log_lines(project, "name") == [str(project.folder / "name" / OVERLAY)]
    assert logged == [
        "environment azureml:other:2: lists no pip packages; its nodes run in this interpreter",
        "environment tiny: warning: pip cannot install cudatoolkit=11.8, conda-forge::numpy; not installed",
        f"environment tiny: creating a virtual environment in {folder}",
    ]


@pytest.mark.slow
def test_an_environment_is_created_once(made: tuple[Project, list[str]], caplog: pytest.LogCaptureFixture) -> None:
    project, _ = made
    caplog.set_level("INFO", "azdistill")
    states = project.states(make_environments=True)
    assert states == {"use": "reused", "name": "reused"}
    assert len(caplog.messages) == 1
    assert project.explain()["use"].reasons == ("interpreter removed",)


@pytest.mark.slow
def test_an_incomplete_environment_is_created_again(made: tuple[Project, list[str]]) -> None:
    project, _ = made
    (mark,) = (project.home / "environments").glob(f"*/{COMPLETE_MARKER}")
    mark.unlink()
    (project.root / "wheels/another-2.0-py3-none-any.whl").unlink()
    with pytest.raises(AzdistillError) as problem:
        project.run(make_environments=True)
    assert str(problem.value).startswith("environment tiny: cannot be created: ERROR: Could not find a version")
    assert f"see {mark.parent}.log, or add --env tiny=PYTHON" in str(problem.value)
    assert not mark.exists()
