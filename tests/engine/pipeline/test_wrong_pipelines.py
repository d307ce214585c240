"""A right pipeline made wrong in one place: what is said, and where."""

import pytest

from azdistill.contracts.errors import PipelineError
from azdistill.engine.pipeline.checks import findings
from azdistill.engine.pipeline.loading import load_pipeline
from azdistill.engine.pipeline.validation import check
from tests.engine.pipeline.conftest import Desk

P, A, B = "pipeline.yml", "prepare.yml", "train.yml"
SEED, RAW, ROWS = "${{parent.inputs.seed}}", "${{parent.inputs.raw}}", "${{parent.jobs.prepare.outputs.rows}}"

ERRORS: dict[str, tuple[str, str, str, str]] = {
    "missing required input": (
        P, "      epochs: 3\n", "", "pipeline.yml:23: jobs.train.inputs.epochs: required, and not given",
    ),
    "unknown input": (
        P, "epochs: 3", "epochs: 3\n      epoch: 3",
        "pipeline.yml:26: jobs.train.inputs.epoch: the component has no such input; did you mean 'epochs'?",
    ),
    "unknown job": (
        P, "jobs.prepare.outputs", "jobs.prepair.outputs",
        ("pipeline.yml:24: jobs.train.inputs.rows='${{parent.jobs.prepair.outputs.rows}}': the pipeline has no job "
        "'prepair'; did you mean 'prepare'?"),
    ),
    "unknown output of a job": (
        P, "outputs.rows}}", "outputs.lines}}",
        ("pipeline.yml:24: jobs.train.inputs.rows='${{parent.jobs.prepare.outputs.lines}}': jobs.prepare has no such "
        "output; it has rows"),
    ),
    "unknown input of the pipeline": (
        P, SEED, "${{parent.inputs.sed}}",
        ("pipeline.yml:16: jobs.prepare.inputs.seed='${{parent.inputs.sed}}': the pipeline has no such input; did you "
        "mean 'seed'?"),
    ),
    "unknown output of the pipeline": (
        P, "${{parent.outputs.model}}", "${{parent.outputs.student}}",
        ("pipeline.yml:28: jobs.train.outputs.model='${{parent.outputs.student}}': the pipeline has no such output; "
        "it has model"),
    ),
    "unknown output of the component": (
        P, "    outputs:\n      model: ${{parent.outputs.model}}", "    outputs: {modle: {mode: upload}}",
        "pipeline.yml:27: jobs.train.outputs.modle: the component has no such output; did you mean 'model'?",
    ),
    "no known expression": (
        P, ROWS, "${{jobs.prepare.outputs.rows}}",
        ("pipeline.yml:24: jobs.train.inputs.rows='${{jobs.prepare.outputs.rows}}': expected "
        "${{parent.inputs.NAME}} or ${{parent.jobs.NODE.outputs.NAME}}, alone"),
    ),
    "expression inside of text": (
        P, SEED, "a-${{parent.inputs.seed}}",
        ("pipeline.yml:16: jobs.prepare.inputs.seed='a-${{parent.inputs.seed}}': expected ${{parent.inputs.NAME}} or "
        "${{parent.jobs.NODE.outputs.NAME}}, alone"),
    ),
    "a file for a folder": (
        A, "rows: {type: uri_folder}", "rows: {type: uri_file}",
        ("pipeline.yml:24: jobs.train.inputs.rows='${{parent.jobs.prepare.outputs.rows}}': that output is of "
        "type uri_file, and the input of type uri_folder"),
    ),
    "an output for a number": (
        P, "epochs: 3", "epochs: ${{parent.jobs.prepare.outputs.rows}}",
        ("pipeline.yml:25: jobs.train.inputs.epochs='${{parent.jobs.prepare.outputs.rows}}': that output is of "
        "type uri_folder, and the input of type integer"),
    ),
    "a number for an integer": (
        P, SEED, "${{parent.inputs.share}}",
        "pipeline.yml:7: inputs.share=0.5: expected integer (jobs.prepare.inputs.seed)",
    ),
    "out of range": (
        P, "epochs: 3", "epochs: 11", "pipeline.yml:25: jobs.train.inputs.epochs=11: expected at most 10",
    ),
    "out of range through the pipeline": (
        B, "max: 10}\n  share: {type: number", "max: 10}\n  share: {type: number, max: 0.2",
        "pipeline.yml:7: inputs.share=0.5: expected at most 0.2 (jobs.train.inputs.share)",
    ),
    "a string for an integer": (
        P, "epochs: 3", 'epochs: "3"',
        "pipeline.yml:25: jobs.train.inputs.epochs='3': expected integer; take the quotes off",
    ),
    "a string for an integer through the pipeline": (
        P, "seed: 7", "seed: many", "pipeline.yml:6: inputs.seed='many': expected integer (jobs.prepare.inputs.seed)",
    ),
    "no choice of the enum": (
        P, "epochs: 3", "epochs: 3\n      mode: fats",
        "pipeline.yml:26: jobs.train.inputs.mode='fats': expected one of fast, exact",
    ),
    "a literal for a folder": (
        P, ROWS, "./rows",
        ("pipeline.yml:24: jobs.train.inputs.rows='./rows': a literal, and the input of type uri_folder; give a "
        "mapping with type and path"),
    ),
    "a cycle": (
        P, RAW, "${{parent.jobs.train.outputs.model}}",
        "pipeline.yml:11: jobs.prepare: a cycle: prepare -> train -> prepare",
    ),
    "shm_size": (
        P, "shm_size: 8g", "shm_size: 8 GB",
        "pipeline.yml:21: jobs.train.resources.shm_size='8 GB': expected a size such as 2g, 512m or 100k",
    ),
    "shm_size without a unit": (
        P, "shm_size: 8g", "shm_size: 8",
        "pipeline.yml:21: jobs.train.resources.shm_size=8: expected a size such as 2g, 512m or 100k",
    ),
    "no compute": (
        P, 'settings: {default_compute: "azureml:cpu"}\n', "",
        ("pipeline.yml:10: jobs.prepare.compute: none given; name one here or in settings.default_compute, such as "
        "serverless"),
    ),
    "missing component file": (
        P, "./train.yml", "./trian.yml",
        ("pipeline.yml:19: jobs.train.component='./trian.yml': trian.yml: No such file or directory; name the "
        "component file (YAML)"),
    ),
    "missing code": (
        A, "code: ./src", "code: ./source", "prepare.yml:8: code='./source': no such folder beside this file",
    ),
    "missing include": (
        A, "code: ./src", "additional_includes: [../none]",
        "prepare.yml:8: additional_includes='../none': no such file or folder",
    ),
    "missing environment": (
        A, "file:./environment.yml", "file:./none.yml",
        ("prepare.yml:9: environment='file:./none.yml': none.yml: No such file or directory; name the "
        "environment file (YAML)"),
    ),
    "no environment": (
        A, "environment: file:./environment.yml\n", "",
        "prepare.yml:1: environment: required on Azure ML, and not given",
    ),
    "a plain environment path": (
        A, "file:./environment.yml", "./environment.yml",
        ("prepare.yml:9: environment='./environment.yml': Azure ML takes the path of an environment as "
        "'file:./environment.yml'"),
    ),
    "missing data": (
        P, "./raw.csv", "./row.csv", "pipeline.yml:5: inputs.raw='./row.csv': no such file or folder in '.'",
    ),
    "a folder for a file": (
        P, "./raw.csv", "./src", "pipeline.yml:5: inputs.raw='./src': a folder, and the input is a uri_file",
    ),
    "unknown name in an optional expression": (
        B, "$[[--mode ${{inputs.mode}}]]", "$[[--mode ${{inputs.mod}}]]",
        "train.yml:11: command: it asks for inputs.mod, which isn't declared; did you mean 'inputs.mode'?",
    ),
    "an optional name outside": (
        B, "$[[--mode ${{inputs.mode}}]]", "--mode ${{inputs.mode}}",
        "pipeline.yml:17: jobs.train: inputs.mode is optional and has no value; put its flag into $[[ ]]",
    ),
    "more processes than GPUs": (
        P, "process_count_per_instance: 1", "process_count_per_instance: 2",
        ("pipeline.yml:22: jobs.train.distribution.process_count_per_instance=2: Standard_NC24ads_A100_v4 has 1 GPU; "
        "give at most 1, or a larger VM"),
    ),
    "no count": (
        P, "process_count_per_instance: 1", "process_count_per_instance: all",
        "pipeline.yml:22: jobs.train.distribution.process_count_per_instance='all': expected an integer of at least 1",
    ),
    "unknown distribution": (
        P, "type: pytorch", "type: torch",
        "pipeline.yml:22: jobs.train.distribution.type='torch': expected one of pytorch, mpi, tensorflow, ray",
    ),
    "a node's name": (
        P, "  train:", "  Train-it:",
        "pipeline.yml:17: jobs.Train-it: a node's name is lower case letters, digits and _, and begins with no digit",
    ),
    "an input's name": (
        A, "  seed: {", "  se-ed: {}\n  seed: {",
        "prepare.yml:5: inputs.se-ed='se-ed': a name is letters, digits and _, and begins with no digit",
    ),
    "unknown type of input": (
        A, "raw: {type: uri_file}", "raw: {type: path}",
        "prepare.yml:4: inputs.raw='path': no such type of input",
    ),
    "a default out of range": (
        B, "max: 10}", "max: 10, default: 20}",
        "train.yml:5: inputs.epochs.default=20: expected at most 10",
    ),
    "unknown type of job": (
        P, "    type: command\n    component: ./train.yml", "    type: comand\n    component: ./train.yml",
        ("pipeline.yml:18: jobs.train.type='comand': no such type of job; expected one of automl, command, "
        "data_transfer, do_while, if_else, import, parallel, pipeline, spark, sweep"),
    ),
    "neither component nor command": (
        P, "    component: ./train.yml\n", "", "pipeline.yml:17: jobs.train: neither a component nor a command given",
    ),
    "component without a command": (
        A, "command: python prepare.py", "comand: python prepare.py", "prepare.yml:1: command: required, and not given",
    ),
    "rw_mount of an input": (
        P, "path: ./raw.csv", "path: ./raw.csv, mode: rw_mount",
        ("pipeline.yml:5: inputs.raw.mode='rw_mount': Azure ML refuses it for an input; take ro_mount or download, or "
        "write to an output"),
    ),
    "a declaration where a job gives a value": (
        P, "share: 0.5", "share: {type: number, default: 0.5}",
        "pipeline.yml:7: inputs.share: Azure ML takes the value itself for an input of a job; write share: 0.5",
    ),
    "mode of an output": (
        P, "model: {type: uri_folder}", "model: {type: uri_folder, mode: ro_mount}",
        "pipeline.yml:9: outputs.model.mode='ro_mount': expected one of rw_mount, upload, mount, direct",
    ),
    "promoted to another type": (
        P, "model: {type: uri_folder}", "model: {type: uri_file}",
        ("pipeline.yml:28: jobs.train.outputs.model='${{parent.outputs.model}}': outputs.model is of "
        "type uri_file, and the component writes a uri_folder"),
    ),
    "no jobs": (
        P, "jobs:", "job:", "pipeline.yml:1: jobs: required, a mapping of node names to jobs",
    ),
    "not a pipeline": (
        P, "type: pipeline", "type: command",
        "pipeline.yml:2: type='command': this file is no pipeline; expected 'pipeline'",
    ),
    "an optional input for a required one": (
        P, "raw: {type: uri_file, path: ./raw.csv}", "raw: {type: uri_file, optional: true}",
        ("pipeline.yml:15: jobs.prepare.inputs.raw='${{parent.inputs.raw}}': inputs.raw is optional, and the input is "
        "not"),
    ),
    "two jobs write one output": (
        P, "    component: ./prepare.yml",
        '    component: ./prepare.yml\n    outputs: {rows: "${{parent.outputs.model}}"}',
        ("pipeline.yml:29: jobs.train.outputs.model: jobs.prepare.outputs.rows writes to outputs.model too; give "
        "each a place of its own"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", ERRORS)
def test_a_wrong_pipeline_is_told_with_its_place(desk: Desk, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file, before, after, expected = ERRORS[what]
    desk.edit(file, before, after)
    told = [line.replace(repr(str(desk.root)), "'.'") for line in desk.told()]
    assert expected in told
    assert all(finding.severity == "error" for finding in desk.findings() if expected.endswith(finding.text))


def test_two_jobs_may_not_write_one_address_unless_it_is_a_mounted_store(desk: Desk) -> None:
    output = "{{type: uri_folder, mode: {}, path: 'azureml://datastores/blob/paths/{}'}}"
    lines = [
        f"    outputs: {{rows: {output.format('MODE', 'PLACE')}}}",
        f"    outputs: {{model: {output.format('MODE', 'PLACE')}}}",
    ]
    desk.edit("pipeline.yml", "    component: ./prepare.yml", f"    component: ./prepare.yml\n{lines[0]}")
    desk.edit("pipeline.yml", "    outputs:\n      model: ${{parent.outputs.model}}", lines[1])
    desk.edit("pipeline.yml", "outputs:\n  model: {type: uri_folder}\n", "")
    written = (desk.root / "pipeline.yml").read_text()
    desk.write("pipeline.yml", written.replace("MODE", "upload").replace("PLACE", "store"))
    assert desk.told() == [
        (
            "pipeline.yml:26: jobs.train.outputs.model: jobs.prepare.outputs.rows writes to "
            "azureml://datastores/blob/paths/store too; give each a place of its own"
        )
    ]
    for mode, place in (("rw_mount", "store"), ("upload", "${{name}}/store")):
        desk.write("pipeline.yml", written.replace("MODE", mode).replace("PLACE", place))
        assert desk.told() == []


WARNINGS: dict[str, tuple[str, str, str, str]] = {
    "unknown field of the pipeline": (
        P, "outputs:\n  model", "output: 1\noutputs:\n  model",
        "pipeline.yml:8: warning: output: unknown field, Azure ML ignores it; did you mean 'outputs'?",
    ),
    "unknown field of a job": (
        P, "    compute: azureml:gpu", "    compute: azureml:gpu\n    shm_size: 2g",
        "pipeline.yml:21: warning: jobs.train.shm_size: unknown field, Azure ML ignores it",
    ),
    "schema of another kind of file": (
        A, "type: command\n", "$schema: ./commandJob.schema.json\n",
        "prepare.yml:1: warning: $schema='./commandJob.schema.json': another kind of file; expected commandComponent",
    ),
    "unknown field of a component": (
        A, "name: prepare", "name: prepare\nmaintainer: me",
        "prepare.yml:3: warning: maintainer: unknown field, Azure ML ignores it",
    ),
    "variables in a component": (
        A, "name: prepare", "name: prepare\nenvironment_variables: {A: b}",
        "prepare.yml:3: warning: environment_variables: Azure ML drops it in a component; set it in the job",
    ),
    "retries of a command": (
        P, "    compute: azureml:gpu", "    compute: azureml:gpu\n    retry_settings: {max_retries: 2}",
        "pipeline.yml:21: warning: jobs.train.retry_settings: Azure ML drops it on a command job; take it out",
    ),
    "latest environment": (
        B, "azureml:gpu-image:4", "azureml:gpu-image@latest",
        ("train.yml:10: warning: environment='azureml:gpu-image@latest': it changes when someone registers a newer "
        "one; name a version"),
    ),
    "latest data": (
        P, "./raw.csv", "azureml:raw@latest",
        ("pipeline.yml:5: warning: inputs.raw.path='azureml:raw@latest': it changes when someone registers newer data; "
        "name a version"),
    ),
    "a number for a string": (
        B, "enum: [fast, exact], optional: true", "default: fast",
        "pipeline.yml:26: warning: jobs.train.inputs.mode=1: the input is a string; put it in quotes",
    ),
    "a number for a string through the pipeline": (
        B, "share: {type: number, default: 0.1}", "share: {type: string}",
        "pipeline.yml:7: warning: inputs.share=0.5: jobs.train.inputs.share is a string; put it in quotes",
    ),
    "an output that nobody writes": (
        P, "    outputs:\n      model: ${{parent.outputs.model}}\n", "",
        "pipeline.yml:9: warning: outputs.model: no job writes it",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WARNINGS)
def test_what_azure_ignores_is_a_warning_and_does_not_stop_a_run(desk: Desk, what: str) -> None:
    file, before, after, expected = WARNINGS[what]
    desk.edit(file, before, after)
    if what == "a number for a string":
        desk.edit(P, "epochs: 3", "epochs: 3\n      mode: 1")
    assert desk.told() == [expected]
    assert [finding.severity for finding in desk.findings()] == ["warning"]
    check(load_pipeline(desk.root / P))


def test_everything_is_told_at_once_by_file_and_line(desk: Desk) -> None:
    for what in ("unknown input", "shm_size", "missing code", "missing data", "a cycle", "no choice of the enum"):
        file, before, after, _ = ERRORS[what]
        desk.edit(file, before, after)
    told = desk.told()
    assert [line.partition(": ")[0] for line in told] == [
        "pipeline.yml:5", "pipeline.yml:11", "pipeline.yml:15", "pipeline.yml:21", "pipeline.yml:26", "pipeline.yml:27",
        "prepare.yml:8",
    ]  # fmt: skip
    with pytest.raises(PipelineError) as problem:
        check(load_pipeline(desk.root / P))
    assert str(problem.value).replace(f"{desk.root}/", "").splitlines() == told


def test_the_latest_of_a_registered_component_is_a_warning(desk: Desk) -> None:
    desk.edit("pipeline.yml", "./train.yml", "azureml:train@latest")
    assert desk.told() == [
        ("pipeline.yml:19: warning: jobs.train.component='azureml:train@latest': it changes when someone registers a "
        "newer one; name a version")
    ]  # fmt: skip


def test_one_mistake_is_one_finding(desk: Desk) -> None:
    """A component that can't be read, or a reference that is of no form, does not drag others along."""
    desk.edit("pipeline.yml", "./prepare.yml", "./nowhere.yml")
    assert len(desk.told()) == 1
    desk.edit("pipeline.yml", "./nowhere.yml", "./prepare.yml")
    desk.edit("pipeline.yml", ROWS, "${{rows}}")
    assert len(desk.told()) == 1


def test_a_component_that_two_jobs_name_is_told_once(desk: Desk) -> None:
    desk.edit("prepare.yml", "code: ./src", "code: ./source")
    desk.edit("pipeline.yml", "jobs:\n", f'jobs:\n  again: {{component: ./prepare.yml, inputs: {{raw: "{RAW}"}}}}\n')
    assert len(desk.told()) == 1


def test_what_only_azure_refuses_does_not_stop_a_local_run(desk: Desk) -> None:
    for what in ("no compute", "rw_mount of an input", "mode of an output", "no environment"):
        file, before, after, _ = ERRORS[what]
        desk.edit(file, before, after)
    assert {finding.scope for finding in desk.findings()} == {"azure"}
    check(load_pipeline(desk.root / P))


def test_as_many_processes_as_a_machine_has_gpus_are_right(desk: Desk) -> None:
    desk.edit(P, "Standard_NC24ads_A100_v4", "Standard_NC48ads_A100_v4")
    desk.edit(P, "process_count_per_instance: 1", "process_count_per_instance: 2")
    assert desk.findings() == []


@pytest.mark.parametrize(
    ("distribution", "why"),
    [
        ("", "no distribution says what each does"),
        ("    distribution: {type: tensorflow, worker_count: 2}\n",
         "distribution.type='tensorflow' is Azure ML's to start"),
    ],
)  # fmt: skip
def test_machines_that_the_local_engine_does_not_start_are_told(desk: Desk, distribution: str, why: str) -> None:
    desk.edit(P, "shm_size: 8g}", "shm_size: 8g, instance_count: 2}")
    desk.edit(P, "    distribution: {type: pytorch, process_count_per_instance: 1}\n", distribution)
    assert desk.told() == []
    pipeline = load_pipeline(desk.root / P)
    assert [(one.severity, one.scope, one.line, one.text) for one in findings(pipeline)] == [
        ("warning", "local", 21, f"jobs.train.resources.instance_count=2: {why}; here it runs as one process")
    ]
    check(pipeline)


TOO_DEEP = "nested too deeply, or an alias contains itself"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "pipeline.yml: not a YAML mapping; a pipeline file is a YAML mapping, one `name: value` a line"),
        ("- a\n", "pipeline.yml: not a YAML mapping; a pipeline file is a YAML mapping, one `name: value` a line"),
        ("jobs: [\n", "pipeline.yml:2: not valid YAML (did not find expected node content)"),
        ("a: 1\na: 2\n", "pipeline.yml:2: not valid YAML (key 'a' comes twice)"),
        ("? [a]\n: 1\n", "pipeline.yml:1: not valid YAML (a key that is no text)"),
        ("a: {<<: b}\n", "pipeline.yml:1: not valid YAML (<< of what is no mapping)"),
        ("a: *b\n", "pipeline.yml:1: not valid YAML (found undefined alias)"),
        ("a: &b [*b]\n", f"pipeline.yml: {TOO_DEEP}"),
        (f"a: {'[' * 5000}{']' * 5000}\n", f"pipeline.yml: {TOO_DEEP}"),
        ("a: !!int x\n", "pipeline.yml: not valid YAML (invalid literal for int() with base 10: 'x')"),
    ],
)
def test_a_file_that_is_no_yaml_is_a_finding_too(desk: Desk, text: str, expected: str) -> None:
    desk.write("pipeline.yml", text)
    assert desk.told() == [expected]


def test_a_file_that_is_not_there_is_a_finding_too(desk: Desk) -> None:
    (desk.root / P).unlink()
    assert desk.told() == ["pipeline.yml: No such file or directory; name the pipeline file (YAML)"]
    desk.root.joinpath(P).write_bytes(b"\xff")
    assert desk.told() == ["pipeline.yml: not UTF-8 (byte 0); save it as UTF-8"]
