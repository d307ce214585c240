"""azdistill run: selected nodes, the first rows, and single components."""

import json
from pathlib import Path

import pytest
from typer.main import get_command

from azdistill.cli.main import app
from azdistill.cli.run import continue_command, read_options
from azdistill.engine.local.options import RunOptions
from tests.cli.conftest import JOB, Command, Writer, command, folders, promoted

LINE = {
    "get": command(
        "seq ${{inputs.rows}} > ${{outputs.out}}/rows",
        inputs={"rows": "${{parent.inputs.rows}}"},
        outputs={"out": {"type": "uri_folder"}},
    ),
    "use": command(
        "cp ${{inputs.in}}/rows ${{outputs.used}}",
        inputs={"in": "${{parent.jobs.get.outputs.out}}"},
        outputs=promoted("used"),
    ),
}


@pytest.fixture
def line(pipeline: Writer) -> Path:
    return pipeline(LINE, inputs={"rows": 3}, outputs=folders("used"))


def test_until_stops_after_a_node_and_prints_the_path_of_its_output(azdistill: Command, line: Path) -> None:
    done = azdistill("run", line, "-o", "r", "--until", "get", "--rows", "2")
    assert (done.code, done.out) == (0, "get.out: r/get/out\n")
    assert Path("r/get/out/rows").read_text() == "1\n2\n"
    assert azdistill("run", line, "-o", "r", "--rows", "2").err.splitlines()[0] == "get: reused"


def test_from_runs_a_node_again_and_explain_gives_the_reason(azdistill: Command, line: Path) -> None:
    azdistill("run", line, "-o", "r")
    explained = azdistill("run", line, "-o", "r", "--from", "use", "--explain").out.splitlines()
    assert explained == ["get  reused", "use  runs: all nodes from use on run again"]
    done = azdistill("run", line, "-o", "r", "--from", "use")
    assert [row.split(" in ")[0] for row in done.err.splitlines()] == ["get: reused", "use: started", "use: completed"]


def test_a_job_names_the_home_folder_of_its_answers(
    azdistill: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of AZDISTILL_HOME, else the one above the job file, also where the job is started in another folder."""
    (folder / "project" / ".azdistill").mkdir(parents=True)
    (folder / "project" / "job").mkdir()
    (folder / "project" / "job" / "job.yaml").write_text(JOB.replace("./student", "phi-4-mini"))
    for name in ("rows.jsonl", "test.jsonl"):
        (folder / "project" / "job" / name).write_text('{"messages": [{"role": "user", "content": "Hi"}]}\n')
    arguments = ("run", "project/job", "-o", "r", "--until", "prepare")
    assert "answers and models: home" in azdistill(*arguments).err.splitlines()
    monkeypatch.delenv("AZDISTILL_HOME")
    assert "answers and models: project/.azdistill" in azdistill(*arguments).err.splitlines()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--until", "usee"], "--until 'usee': no such node is selected; did you mean 'use'?"),
        (
            ["--from", "use"],
            "--from 'use': it depends on get, which cannot be reused (it has not run in this folder)",
        ),
        (["--dry-run"], "a dry run needs a job file; give the job file"),
    ],
)
def test_a_wrong_selection_is_one_line_and_nothing_runs(
    azdistill: Command, line: Path, options: list[str], message: str
) -> None:
    done = azdistill("run", line, "-o", "r", *options)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert message in done.err
    assert not Path("r/get").exists()


def test_rows_of_a_pipeline_without_rows_are_refused(azdistill: Command, pipeline: Writer) -> None:
    done = azdistill("run", pipeline({"say": "echo hello"}), "--rows", "2")
    assert done.code == 2
    assert "--set: inputs.rows='2': the pipeline has no such input" in done.err


def test_the_command_that_continues_a_run_has_the_same_options() -> None:
    once = ("--preempt", "use=5", "--duplicates", "0.5", "--explain")
    options = ("--rows", "2", "--until", "use", "--from", "get", "--dry-run", "--jobs", "3")
    context = get_command(app).commands["run"].make_context("run", ["p.yml", *once, *options])
    expected = "azdistill run p.yml -o r --rows 2 --until use --from get --dry-run --jobs 3"
    assert continue_command(context, Path("r")) == expected


def test_a_parameter_named_as_an_option_of_the_engine_sets_it() -> None:
    """A new option is declared in the verb and in RunOptions, and nowhere else."""
    unset = dict.fromkeys(("settings", "rows", "data", "interpreters", "preempt", "until", "start"))
    options = read_options({**unset, "duplicates": 0.0, "grace": 3.5, "jobs": None, "make_environments": True})
    assert (options.grace, options.jobs, options.make_environments) == (3.5, RunOptions().jobs, True)


def test_a_component_of_another_project_runs_alone(azdistill: Command, folder: Path) -> None:
    component = {
        "$schema": "https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json",
        "name": "greet",
        "inputs": {"names": {"type": "uri_file"}, "word": {"type": "string"}},
        "outputs": {"said": {"type": "uri_file"}},
        "environment": "azureml:any:1",
        "command": "sed 's/^/${{inputs.word}} /' ${{inputs.names}} > ${{outputs.said}}",
    }
    (folder / "greet").mkdir()
    (folder / "greet/component.yml").write_text(json.dumps(component, indent=1))
    (folder / "names.txt").write_text("Ann\nBob\n")
    missing = azdistill("run", "greet/component.yml")
    assert missing.code == 2
    assert [name in missing.err for name in ("inputs.names=VALUE", "inputs.word=VALUE")] == [True, True]
    done = azdistill("run", "greet/component.yml", "--set", "inputs.names=names.txt", "--set", "inputs.word=Hi")
    assert (done.code, done.out) == (0, "greet.said: runs/greet/greet/said\n")
    assert Path("runs/greet/greet/said").read_text() == "Hi Ann\nHi Bob\n"


def test_a_component_of_azdistill_runs_alone(azdistill: Command, folder: Path) -> None:
    (folder / "rows.jsonl").write_text("".join(f'{{"question": "Is it {n}?", "answer": "yes"}}\n' for n in range(50)))
    component = Path(__file__).parents[2] / "components/prepare/component.yml"
    settings = ("--set", "inputs.training_data=rows.jsonl", "--set", "inputs.task=qa", "--rows", "40")
    done = azdistill("run", component, "-o", "r", *settings)
    assert (done.code, done.out) == (0, "azdistill_prepare.prompts: r/azdistill_prepare/prompts\n")
    assert len(Path("r/azdistill_prepare/prompts/prompts.jsonl").read_text().splitlines()) == 40


def test_a_component_is_validated(azdistill: Command, folder: Path) -> None:
    component = Path(__file__).parents[2] / "components/train/component.yml"
    assert azdistill("validate", component).code == 0
    (folder / "component.yml").write_text("command: echo ${{inputs.gone}}\nenvironment: azureml:any:1\n")
    done = azdistill("validate", "component.yml")
    assert (done.code, "uses undeclared inputs.gone" in done.err) == (2, True)


def test_a_job_with_completions_sends_no_request(azdistill: Command, job: Path, folder: Path) -> None:
    talks = [[{"role": "user", "content": f"Question {number}?"}] for number in range(20)]
    (folder / "rows.jsonl").write_text("".join(json.dumps({"messages": talk}) + "\n" for talk in talks))
    answers = ({"messages": [*talk, {"role": "assistant", "content": "Yes."}]} for talk in talks[1:])
    (folder / "answers.jsonl").write_text("".join(json.dumps(answer) + "\n" for answer in answers))
    head, _, tail = job.read_text().partition("teacher:")
    section = "teacher:\n  completions: ./answers.jsonl\n  max_reject_ratio: 0.1\nstudent:"
    job.write_text(head.replace("  test_data: ./test.jsonl\n", "") + section + tail.partition("student:")[2])
    done = azdistill("run", job, "-o", "r", "--until", "curate")
    assert done.code == 0, done.err
    rejected = [json.loads(row) for row in Path("r/teacher/completions/rejects.jsonl").read_text().splitlines()]
    assert [(row["source"], row["reason"]) for row in rejected] == [("training_data.jsonl:1", "no_completion")]
    train_rows = [json.loads(row) for row in Path("r/curate/curated/train.jsonl").read_text().splitlines()]
    assert {row["messages"][-1]["content"] for row in train_rows} == {"Yes."}


def test_a_missing_key_of_the_judge_is_reported_before_the_teacher_is_paid(
    azdistill: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("rows.jsonl", "test.jsonl"):
        (folder / name).write_text(json.dumps({"messages": [{"role": "user", "content": name}]}))
    judge = {"judge_model": {"model": "gpt", "endpoint": "http://127.0.0.1:9/v1", "key_variable": "JUDGE_KEY"}}
    text = JOB.replace("./student", "phi-4-mini")
    (folder / "job.yaml").write_text(
        f"{text}curate: {{min_judge_score: 3}}\njudge: {json.dumps({**judge, 'rubric': 'It is right.'})}\n"
    )
    arguments = ("run", "job.yaml", "-o", "r", "--until", "judge_answers")
    done = azdistill(*arguments)
    assert done.code == 2
    assert "judge.judge_model.key_variable: variable JUDGE_KEY is not set in the environment" in done.err
    assert "read -rs JUDGE_KEY && export JUDGE_KEY" in done.err
    assert not (folder / "r" / "prepare").exists()
    assert azdistill("run", "job.yaml", "-o", "r", "--until", "prepare").code == 0
    assert "JUDGE_KEY" not in azdistill(*arguments, "--set", "inputs.judge_route=simulated").err
    monkeypatch.setenv("JUDGE_KEY", "key")
    assert "JUDGE_KEY is not set" not in azdistill(*arguments).err
