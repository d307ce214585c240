"""Output at the end of a run with a report of azdistill."""

from pathlib import Path
from typing import Any

import pytest

from azdistill.contracts.files import write_json
from azdistill.contracts.results import GateDecision, Interval, ModelMetrics, Usage
from azdistill.reporting.report import Report
from tests.cli.conftest import Command, Writer, command, folders, promoted


def interval(value: float) -> Interval:
    return Interval(value=value, low=value, high=value)


def metrics(accuracy: float) -> ModelMetrics:
    both = {"accuracy": interval(accuracy), "agreement": interval(accuracy)}
    return ModelMetrics({**both, "bleu": 50.0, "bleu_signature": "nrefs:1", "answered": 40})


def report(decision: Any) -> Report:
    passed = decision == "passed"
    return Report(
        title="small",
        registered_model="small-distilled",
        baseline_name="the student before training",
        task="conversation",
        test_rows=40,
        reference="gold",
        headline=f"The student {decision}. It is right on 95.0% of 40 held-out rows.",
        verdict=GateDecision(decision=decision, enforced=True, register_student=passed, gates=()),
        models={"teacher": metrics(0.98), "baseline": metrics(0.0), "student": metrics(0.95)},
        retention=interval(0.97),
        gain=interval(0.95),
        stages=(),
        usage=Usage(
            teacher="DeepSeek-V3.2",
            route="simulated",
            asked=40,
            answered=40,
            rejected=0,
            from_store=0,
            calls=40,
            retries={},
            prompt_tokens=1,
            completion_tokens=1,
        ),
        training={},
        curve=(),
        examples=(),
    )


def reporting(folder: Path, name: str) -> dict[str, Any]:
    """A node that writes the file `name` as report.json of the pipeline's report."""
    return command(
        "cp ${{inputs.json}} ${{outputs.report}}/report.json",
        inputs={"json": {"type": "uri_file", "path": f"./{name}"}},
        outputs=promoted("report"),
    )


def test_the_summary_is_printed_with_the_path_of_the_report_and_the_chat_command(
    azdistill: Command, pipeline: Writer, folder: Path
) -> None:
    write_json(folder / "found.json", report("passed").model_dump(mode="json"))
    write_json(folder / "lineage.json", {"model_uri": "azureml:support:1", "registry": "workspace 'w'"})
    register = command(
        "cp ${{inputs.lineage}} ${{outputs.registration}}/lineage.json",
        inputs={"lineage": {"type": "uri_file", "path": "./lineage.json"}},
        outputs=promoted("registration"),
    )
    nodes = {"report": reporting(folder, "found.json"), "register": register}
    path = pipeline(nodes, outputs=folders("report", "registration"))
    first, again = azdistill("run", path, "-o", "a run"), azdistill("run", path, "-o", "a run")
    assert (first.code, again.code) == (0, 0)
    assert first.out == again.out
    lines = first.out.splitlines()
    assert lines[0] == "The student passed. It is right on 95.0% of 40 held-out rows."
    assert any("accuracy" in line and "98.0%" in line and "95.0%" in line for line in lines)
    assert lines[-3:] == [
        "registered:             azureml:support:1 in workspace 'w'",
        "report:                 a run/report/report/report.html",
        "chat with the student:  azdistill chat 'a run'",
    ]


def test_a_refused_student_has_a_report_too(azdistill: Command, pipeline: Writer, folder: Path) -> None:
    write_json(folder / "found.json", report("refused").model_dump(mode="json"))
    write_json(folder / "gate.json", {"register": False})
    judge = command(
        "cp ${{inputs.gate}} ${{outputs.evaluation}}/gate.json",
        inputs={"gate": {"type": "uri_file", "path": "./gate.json"}},
        outputs=promoted("evaluation"),
    )
    register = command(
        "cat ${{inputs.evaluation}}/gate.json; echo; echo 'register: the student is refused: .7 is below .9'; exit 3",
        inputs={"evaluation": "${{parent.jobs.judge.outputs.evaluation}}"},
    )
    nodes = {"judge": judge, "register": register, "report": reporting(folder, "found.json")}
    goes_on = {"continue_on_step_failure": True}  # as in our bundles: the report may end after the refusal
    done = azdistill("run", pipeline(nodes, outputs=folders("evaluation", "report"), settings=goes_on))
    assert done.code == 3
    assert done.out.startswith("The student refused.")
    assert done.err.splitlines()[-1] == "azdistill: register: the student is refused: .7 is below .9"


@pytest.mark.parametrize("content", ['{"rows": 3}', "[]", "not JSON"])
def test_a_report_of_another_program_is_printed_as_an_output(
    azdistill: Command, pipeline: Writer, folder: Path, content: str
) -> None:
    (folder / "theirs.json").write_text(content)
    path = pipeline({"report": reporting(folder, "theirs.json")}, outputs=folders("report"))
    done = azdistill("run", path, "-o", "r")
    assert (done.code, done.out) == (0, "report: r/report/report\n")
