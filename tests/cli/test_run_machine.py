"""azdistill run: local data, components and environments in place of those of a workspace."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from azdistill.cli.main import app
from azdistill.cli.run import continue_command
from tests.cli.conftest import Command, Writer, command, folders


@pytest.fixture
def reads(pipeline: Writer) -> Path:
    show = command(
        "cat ${{inputs.rows}} ${{inputs.more}} > ${{outputs.out}}/all",
        inputs={"rows": "${{parent.inputs.rows}}", "more": "${{parent.inputs.more}}"},
        outputs=folders("out"),
    )
    rows = {"type": "uri_file", "path": "azureml:rows:3"}
    more = {"type": "uri_file", "path": "azureml://datastores/store/paths/raw/2024/a.txt"}
    return pipeline({"show": show}, inputs={"rows": rows, "more": more})


def test_data_is_mapped_by_options_and_files(azdistill: Command, reads: Path) -> None:
    Path("rows.txt").write_text("rows\n")
    Path("raw/2024").mkdir(parents=True)
    Path("raw/2024/a.txt").write_text("more\n")
    Path("copies.yml").write_text("azureml:rows:3: ./nowhere\nazureml://datastores/store/paths/raw/: ./raw\n")
    refused = azdistill("run", reads, "-o", "r", "--data", "copies.yml")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "copies.yml:1: azureml:rows:3='./nowhere': no such file or folder" in refused.err
    Path("copies.yml").write_text("azureml://datastores/store/paths/raw/: ./raw\n")
    arguments = ("run", reads, "-o", "r", "--data", "copies.yml", "--data", "rows=rows.txt")
    assert azdistill(*arguments).code == 0
    assert Path("r/show/out/all").read_text() == "rows\nmore\n"
    assert azdistill(*arguments, "--explain").out == (
        "show  reused\n"
        "      note: input rows is an address: Azure ML assumes that its content is unchanged\n"
        "      note: input more is an address: Azure ML assumes that its content is unchanged\n"
    )


def test_missing_data_is_reported_with_the_options_to_add(azdistill: Command, reads: Path) -> None:
    done = azdistill("run", reads, "-o", "r")
    assert (done.code, done.out) == (2, "")
    rows, more = done.err.splitlines()
    assert rows.endswith(
        "inputs.rows='azureml:rows:3': this machine has no copy of it (local engine); add --data azureml:rows:3=PATH"
    )
    assert more.endswith("or add --data azureml://datastores/store/paths/raw/2024/a.txt=PATH")


def test_a_registered_component_is_read_from_the_home_folder(
    azdistill: Command, pipeline: Writer, folder: Path
) -> None:
    path = pipeline({"say": {"type": "command", "component": "azureml:say@latest"}})
    done = azdistill("run", path, "-o", "r")
    assert done.code == 2
    assert f"save its file as {folder}/home/components/say/1/component.yml, or name its file" in done.err
    component_folder = folder / "home/components/say/1"
    component_folder.mkdir(parents=True)
    (component_folder / "component.yml").write_text("command: echo hello\nenvironment: azureml:any:1\n")
    done = azdistill("run", path, "-o", "r")
    assert done.code == 0
    assert ": warning: jobs.say.component='azureml:say@latest': changes whenever" in done.err.splitlines()[0]
    assert Path("r/say/log.txt").read_text() == "hello\n"
    assert azdistill("run", path, "-o", "r", "--explain").out == "say  reused\n"


def test_an_environment_is_mapped_to_a_python(azdistill: Command, pipeline: Writer, folder: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "venv"], check=True)
    path = pipeline({"say": "python -c 'import sys; print(sys.prefix)'"})
    assert azdistill("run", path, "-o", "r", "--env", "any=venv").code == 0
    assert Path("r/say/log.txt").read_text() == f"{folder}/venv\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--env", "any"), "--env 'any': must be NAME=PYTHON; NAME is an environment's name"),
        (("--env", "many=venv"), "--env 'many': no node has an environment of that name; did you mean 'any'?"),
        (("--data", "rows"), "--data 'rows': must be NAME=PATH, or a YAML file of names and paths"),
        (("--data", "none.yml"), "none.yml: No such file or directory; name the mapping file (YAML)"),
    ],
)
def test_a_wrong_option_is_one_line(
    azdistill: Command, pipeline: Writer, options: tuple[str, str], message: str
) -> None:
    done = azdistill("run", pipeline({"say": "echo hello"}), "-o", "r", *options)
    assert (done.code, done.err.removeprefix("azdistill: ")) == (2, f"{message}\n")


def test_without_pip_packages_no_environment_is_created(azdistill: Command, pipeline: Writer) -> None:
    done = azdistill("run", pipeline({"say": "echo hello"}), "-o", "r", "--make-environments")
    assert done.code == 0
    assert done.err.splitlines()[0] == (
        "environment azureml:any:1: lists no pip packages; its nodes run in this interpreter"
    )


def test_fields_without_effect_on_this_machine_are_one_warning(azdistill: Command, pipeline: Writer) -> None:
    managed = {"identity": {"type": "managed"}, "services": {"tb": {"type": "tensor_board"}}}
    nodes = {name: command("echo hello", queue_settings={"job_tier": "spot"}, **managed) for name in ("one", "two")}
    path = pipeline(nodes, experiment_name="any")
    warnings = [line for line in azdistill("run", path, "-o", "r").err.splitlines() if "warning" in line]
    assert len(warnings) == 1
    assert warnings[0].endswith(
        "warning: jobs.one.identity: has no effect in a local run, nor have queue_settings, services"
    )
    assert "no effect" not in azdistill("validate", path).err


def test_a_compiled_job_has_no_warnings_about_its_pipeline(azdistill: Command, job: Path) -> None:
    assert azdistill("run", job, "--explain").err == ""


def test_rows_of_a_job_are_mapped_too(azdistill: Command, job: Path) -> None:
    job.write_text(job.read_text().replace("./rows.jsonl", "azureml:rows:1").replace("./test.jsonl", "azureml:rows:1"))
    refused = azdistill("run", job, "--explain")
    assert refused.code == 2
    assert refused.err.count("this machine has no copy of it (local engine); add --data azureml:rows:1=PATH") == 2
    assert azdistill("run", job, "--explain", "--data", "rows=rows.jsonl").code == 0


def test_the_command_that_continues_a_run_has_the_options_of_this_machine() -> None:
    options = ("--data", "rows=a b.txt", "--data", "copies.yml", "--env", "any=venv", "--make-environments")
    context = get_command(app).commands["run"].make_context("run", ["p.yml", *options])
    assert continue_command(context, Path("r")) == (
        "azdistill run p.yml -o r --data 'rows=a b.txt' --data copies.yml --env any=venv --make-environments"
    )


def test_a_node_is_preempted_and_starts_again(azdistill: Command, pipeline: Writer) -> None:
    path = pipeline({"slow": "[ -e ../begun ] || { touch ../begun; sleep 60; }"})
    done = azdistill("run", path, "-o", "r", "--preempt", "slow=0.5")
    assert done.code == 0, done.err
    assert "preempted after 0.5 seconds" in Path("r/slow/log.txt").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--preempt", "slow=soon"], "--preempt 'slow=soon': must be NODE or NODE=SECONDS"),
        (["--duplicates", "2"], "--duplicates"),
    ],
)
def test_a_wrong_fault_is_reported(azdistill: Command, pipeline: Writer, options: list[str], message: str) -> None:
    done = azdistill("run", pipeline({"slow": "true"}), *options)
    assert (done.code, message in done.err) == (2, True), done.err
