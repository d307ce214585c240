"""azdistill run on someone else's pipeline: outcomes, exit codes, settings, and what would run."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from azdistill.cli.options import without_secret
from tests.cli.conftest import Command, Writer, command, folders, promoted

TWICE = {
    "write": command(
        "for i in $(seq ${{inputs.times}}); do echo ${{inputs.word}} >> ${{outputs.text}}/words.txt; done",
        inputs={"times": "${{parent.inputs.times}}", "word": "${{parent.inputs.word}}"},
        outputs={"text": {"type": "uri_folder"}},
    ),
    "copy": command(
        "cp ${{inputs.text}}/words.txt ${{outputs.copied}}; echo copied",
        inputs={"text": "${{parent.jobs.write.outputs.text}}"},
        outputs=promoted("copied"),
    ),
}


@pytest.fixture
def copying(pipeline: Writer) -> Path:
    return pipeline(TWICE, inputs={"times": 2, "word": "hello"}, outputs=folders("copied"))


def test_it_prints_the_paths_of_the_outputs_and_one_line_for_each_state(azdistill: Command, copying: Path) -> None:
    done = azdistill("run", copying, "-o", "here")
    assert (done.code, done.out) == (0, "copied: here/copy/copied\n")
    assert Path("here/copy/copied/words.txt").read_text() == "hello\nhello\n"
    lines = done.err.splitlines()
    assert [line.split(" in ")[0] for line in lines] == [
        "write: started",
        "write: completed",
        "copy: started",
        "copy: copied",  # the last line of its log
        "copy: completed",
    ]


def test_what_has_not_changed_is_reused(azdistill: Command, copying: Path) -> None:
    azdistill("run", copying)
    done = azdistill("run", copying)
    assert (done.code, done.err) == (0, "write: reused\ncopy: reused\n")


def test_a_pipeline_without_outputs_prints_those_of_its_nodes(azdistill: Command, pipeline: Writer) -> None:
    touch = command("touch ${{outputs.file}}/x", outputs={"file": {"type": "uri_folder"}})
    assert azdistill("run", pipeline({"touch": touch}), "-o", "r").out == "touch.file: r/touch/file\n"


def test_files_in_outputs_and_logs_are_kept_and_named(azdistill: Command, pipeline: Writer) -> None:
    write = command("mkdir outputs/deep; echo a | tee outputs/deep/a > outputs/b; [ -d logs ]")
    named = "write, 2 files: r/write/.code/outputs\n"
    path = pipeline({"write": write})
    assert azdistill("run", path, "-o", "r").out == named
    assert azdistill("run", path, "-o", "r").out == named
    assert Path("r/write/.code/outputs/deep/a").read_text() == "a\n"


@pytest.mark.parametrize(("file", "name"), [("hello.yml", "hello"), ("greet/pipeline.yml", "greet")])
def test_the_run_folder_is_named_after_the_file(azdistill: Command, pipeline: Writer, file: str, name: str) -> None:
    assert azdistill("run", pipeline({"say": "echo hello"}, file=file)).code == 0
    assert Path("runs", name, "say/log.txt").read_text() == "hello\n"


def test_a_bundle_is_run_from_its_folder(azdistill: Command, copying: Path) -> None:
    assert azdistill("run", copying.parent, "-o", "r").out == "copied: r/copy/copied\n"


def test_set_converts_a_value_to_the_type_of_the_input(azdistill: Command, copying: Path) -> None:
    done = azdistill("run", copying, "-o", "r", "--set", "inputs.times=1", "--set", "inputs.word=a=b")
    assert done.code == 0
    assert Path("r/copy/copied/words.txt").read_text() == "a=b\n"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("inputs.times=two", "--set: inputs.times='two': must be an integer"),
        ("inputs.rows=3", "--set: inputs.rows='3': the pipeline has no such input (local engine); it has"),
        ("times=3", "--set 'times=3': must be inputs.NAME=VALUE"),
        ("inputs.times", "--set 'inputs.times': must be inputs.NAME=VALUE"),
        ("settings.force_rerun=true", "only pipeline inputs can be set"),
    ],
)
def test_a_wrong_setting_is_one_line_and_nothing_runs(
    azdistill: Command, copying: Path, setting: str, message: str
) -> None:
    done = azdistill("run", copying, "-o", "r", "--set", setting)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert done.err.count("\n") == 1
    assert not Path("r/write").exists()


def test_a_run_folder_that_is_a_file_is_one_line(azdistill: Command, copying: Path) -> None:
    done = azdistill("run", copying, "-o", copying)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert done.err.startswith(f"azdistill: run folder {str(copying)!r}: it, or a folder above it, is a file")


def test_explain_prints_which_nodes_would_run_and_why_and_runs_none(azdistill: Command, copying: Path) -> None:
    first = azdistill("run", copying, "-o", "r", "--explain")
    assert (first.code, first.err) == (0, "")
    assert first.out == "write  runs: it has not run in this folder\ncopy   runs: write runs before it\n"
    assert not Path("r").exists()
    azdistill("run", copying, "-o", "r")
    assert azdistill("run", copying, "-o", "r", "--explain").out == "write  reused\ncopy   reused\n"
    changed = azdistill("run", copying, "-o", "r", "--explain", "--set", "inputs.times=3").out
    assert changed.startswith("write  runs: parameter times: 2 -> 3\n")


def test_explain_compiles_a_job_and_leaves_no_trace(azdistill: Command, job: Path) -> None:
    done = azdistill("run", job, "--explain")
    assert done.code == 0
    assert done.out.startswith("prepare           runs: it has not run in this folder\n")
    assert not Path("runs").exists()


def test_a_failed_node_is_named_with_its_last_lines_and_its_log(azdistill: Command, pipeline: Writer) -> None:
    after = command("cat ${{inputs.x}}/x", inputs={"x": "${{parent.jobs.bad.outputs.x}}"})
    bad = command("echo the reason >&2; exit 7", outputs={"x": {"type": "uri_folder"}})
    path = pipeline({"bad": bad, "after": after, "good": "echo fine"}, settings={"continue_on_step_failure": True})
    done = azdistill("run", path, "-o", "r")
    assert (done.code, done.out) == (1, "")
    assert "node bad exited with 7" in done.err
    assert "the reason" in done.err
    assert "r/bad/log.txt" in done.err
    assert "after: skipped, because a node failed" in done.err
    assert "good: completed" in done.err
    assert "Traceback" not in done.err


def test_a_distributed_node_is_all_its_processes(azdistill: Command, pipeline: Writer) -> None:
    distribution = {"type": "pytorch", "process_count_per_instance": 1}
    distributed = {"resources": {"instance_count": 3}, "distribution": distribution}
    line = "echo $RANK > ${{outputs.ranks}}/$RANK"
    done = azdistill("run", pipeline({"say": command(line, outputs=folders("ranks"), **distributed)}), "-o", "r")
    assert (done.code, done.err.splitlines()[0]) == (0, "say: started")
    assert sorted(path.name for path in Path("r/say/ranks").iterdir()) == ["0", "1", "2"]


def test_warnings_are_printed_before_the_run(azdistill: Command, pipeline: Writer) -> None:
    done = azdistill("run", pipeline({"say": "echo hello"}, outputs=folders("unused")))
    assert done.code == 0
    assert ": warning: outputs.unused: no job writes this output" in done.err.splitlines()[0]


def test_errors_of_azure_alone_are_passed_with_force(azdistill: Command, pipeline: Writer) -> None:
    path = pipeline({"a": command("echo hi", limits={"timeoutt": 3})})
    refused, advice = azdistill("run", path).err.splitlines()
    assert "jobs.a.limits.timeoutt: unknown field" in refused
    run = f"azdistill run {path} -o {Path('runs', path.parent.name)}"
    assert advice == f"A local run can ignore these errors: {run} --force"
    assert azdistill("validate", path).err.endswith(f"these errors: azdistill run {path} --force\n")
    done = azdistill("run", path, "--force")
    assert (done.code, done.err.splitlines()[0]) == (0, refused.replace(": jobs.a", ": warning: jobs.a"))


def test_validate_advises_no_run_of_what_cannot_run_here(azdistill: Command, pipeline: Writer) -> None:
    registered = {"type": "command", "component": "azureml:none:1", "limits": {"timeoutt": 3}}
    done = azdistill("validate", pipeline({"a": registered}))
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "timeoutt" in done.err


def test_a_cycle_cannot_be_forced(azdistill: Command, pipeline: Writer) -> None:
    reads, writes = {"x": "${{parent.jobs.a.outputs.y}}"}, {"y": {"type": "uri_file"}}
    done = azdistill("run", pipeline({"a": command("true", inputs=reads, outputs=writes)}), "--force")
    assert done.code == 2
    assert all("cycle" in line for line in done.err.splitlines())


def test_the_errors_of_a_job_cannot_be_forced(azdistill: Command, job: Path) -> None:
    done = azdistill("run", job, "--force")
    assert (done.code, done.err.startswith("azdistill: --force")) == (2, True)


def gate(folder: Path, text: str) -> dict[str, Any]:
    """A node whose output `evaluation` has `text` as its gate.json."""
    (folder / "gate.json").write_text(text)
    return command(
        "cp ${{inputs.gate}} ${{outputs.evaluation}}/gate.json",
        inputs={"gate": {"type": "uri_file", "path": "./gate.json"}},
        outputs=promoted("evaluation"),
    )


@pytest.mark.parametrize(
    ("text", "exit_code", "code"),
    [
        (json.dumps({"register": False}), 3, 3),
        (json.dumps({"register": True}), 3, 1),
        (json.dumps({"register": False}), 1, 1),
        ("[]", 3, 1),
        ("{", 3, 1),
    ],
)
def test_only_a_gate_that_refused_reads_as_a_refusal(
    azdistill: Command, pipeline: Writer, folder: Path, text: str, exit_code: int, code: int
) -> None:
    line = f"cat ${{{{inputs.evaluation}}}}/gate.json; echo; echo 'register: refused, .7 is below .9'; exit {exit_code}"
    register = command(line, inputs={"evaluation": "${{parent.jobs.judge.outputs.evaluation}}"})
    nodes = {"judge": gate(folder, text), "register": register}
    done = azdistill("run", pipeline(nodes, outputs=folders("evaluation")))
    assert done.code == code
    sentence = "azdistill: register: refused, .7 is below .9"
    assert (done.err.splitlines()[-1] == sentence) == (code == 3)


def test_a_second_failure_with_the_refusal_is_a_failure(azdistill: Command, pipeline: Writer, folder: Path) -> None:
    nodes = {"judge": gate(folder, '{"register": false}'), "register": "exit 3", "other": "exit 1"}
    path = pipeline(nodes, outputs=folders("evaluation"), settings={"continue_on_step_failure": True})
    assert azdistill("run", path).code == 1


def test_a_reader_that_leaves_early_gets_no_traceback(copying: Path, start: Any) -> None:
    process: subprocess.Popen[str] = start("run", copying)
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert "Traceback" not in err


def test_set_replaces_a_field_of_a_job(azdistill: Command, job: Path) -> None:
    wrong = azdistill("run", job, "--set", "train.learning_rate=7", "--explain")
    assert (wrong.code, wrong.err) == (
        2,
        "azdistill: --set: train.learning_rate='7': must be at most 0.01; did you mean 2e-5?\n",
    )
    azdistill("run", job, "-o", "r", "--set", "train.learning_rate=3e-5", "--until", "prepare")
    assert "learning_rate: 3.0e-05" in Path("r/bundle/pipeline.yml").read_text()


@pytest.mark.parametrize(
    ("setting", "shown"),
    [
        ("inputs.hf_token=hf_abc", "inputs.hf_token=[key]"),
        ("inputs.rows=https://h/rows?sig=abc", "inputs.rows=[key]"),
        ("train.learning_rate=1e-5", "train.learning_rate=1e-5"),
        ("inputs.hf_token", "inputs.hf_token"),
        ("sk-live-123", "[key]"),
    ],
)
def test_the_command_that_continues_a_run_has_no_secret(setting: str, shown: str) -> None:
    assert without_secret(setting) == shown
