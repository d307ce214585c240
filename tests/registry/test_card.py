"""The model card: huggingface_hub reads it back, text is escaped, and what is not known is not claimed."""

import json
from pathlib import Path
from typing import Any

import pytest

from azdistill.contracts.job_facts import JobFacts, ModelFacts
from azdistill.contracts.manifest import Provenance, close_folder, open_folder
from azdistill.contracts.register import RegisterConfig
from azdistill.registry.card import LONGEST_DESCRIPTION, description, model_card
from azdistill.registry.gate import read_gate
from azdistill.registry.lineage import read_lineage

LLAMA = ModelFacts(
    name="Llama-3.3-70B-Instruct", licence="llama3.3", duty="begin its name with Llama", acknowledged=True
)
PHI = ModelFacts(name="Phi-4-mini-instruct", source="microsoft/Phi-4-mini-instruct", licence="mit")
FACTS = JobFacts(student=PHI, teachers=(LLAMA,), data={"training_data": "tickets.jsonl"}, language="en")
HOSTILE = "x | y](http://evil) <img src=x onerror=alert(1)>\n---\n# Owned"


def card(inputs: dict[str, Path], **config: Any) -> str:
    folder = open_folder(inputs["prompts"])
    made = Provenance(config={"seed": 7, "task": "conversation"}, data={"training_data": "ab" * 32})
    close_folder(folder, "prepare", {"train": 4000, "test": 500, "reasons": {"broken_json": 2}}, made)
    lineage = read_lineage(**inputs, gate=read_gate(inputs["evaluation"]))
    settings = RegisterConfig.model_validate({"registered_model": "support", "job_facts": FACTS, **config})
    return model_card(lineage, settings, {"train_rows": 4000, "validation_loss": 0.51234})


def test_huggingface_hub_reads_the_card(inputs: dict[str, Path]) -> None:
    from huggingface_hub import ModelCard

    data = ModelCard(card(inputs)).data
    assert (data.base_model, data.license, data.language) == ("microsoft/Phi-4-mini-instruct", "mit", "en")
    assert (data.pipeline_tag, data.datasets, data.model_name) == ("text-generation", ["tickets.jsonl"], "support")
    results = {result.metric_type: result for result in data.eval_results}
    assert results["accuracy"].metric_value == 0.948
    assert results["accuracy"].metric_args == {"low": pytest.approx(0.928), "high": pytest.approx(0.968)}
    assert (results["bleu"].metric_value, results["bleu"].dataset_revision) == (pytest.approx(94.8), "ab" * 32)


def test_the_body_has_data_teacher_results_gates_duties_and_settings(inputs: dict[str, Path]) -> None:
    text = card(inputs)
    for line in (
        "| accuracy | 0.978 [0.958, 0.998] | 0.000 [-0.020, 0.020] | 0.948 [0.928, 0.968] |",
        "| retention (student / teacher) | | | 0.969 [0.951, 0.986] |",
        "| min\\_retention | 0.9 | 0.968 [0.951, 0.986] | passed |",
        f"| tickets.jsonl (training data) | {'ab' * 32} |",
        "- prompts: reasons.broken\\_json 2, test 500, train 4000",
        "| Llama-3.3-70B-Instruct | llama3.3 | begin its name with Llama | yes |",
        "| Phi-4-mini-instruct | mit | none known |  |",
        "The name support does not begin with Llama: rename the model before you distribute it.",
        "- validation loss: 0.5123",
        "| seed | 7 |",
    ):
        assert line in text.splitlines(), line
    assert "**The teacher was simulated by rules of the task" in text


def test_rows_outside_the_task_are_in_the_card(inputs: dict[str, Path]) -> None:
    measured = {"value": 0.9, "low": 0.8, "high": 1.0}
    suite = {"name": "general|", "task": "qa", "metric": "f1", "rows": 1200, "unscored": 0}
    suites = [{**suite, "baseline": measured, "student": measured, "gain": {"value": 0.0, "low": -0.1, "high": 0.1}}]
    folder = open_folder(inputs["evaluation"])
    metrics = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps({**metrics, "regressions": suites}))
    close_folder(folder, "evaluate", {})
    shown = "0.900 [0.800, 1.000]"
    text = card(inputs)
    assert f"| general\\| | f1 | 1,200 | {shown} | {shown} | 0.000 [-0.100, 0.100] |\n\n## Gates\n" in text


def test_what_is_not_known_is_not_claimed(inputs: dict[str, Path]) -> None:
    from huggingface_hub import ModelCard

    text = card(inputs, job_facts=JobFacts(student=ModelFacts(name="mine"), teachers=(ModelFacts(name="big"),)))
    data = ModelCard(text).data
    assert (data.base_model, data.license, data.language, data.datasets) == (None, None, None, None)
    assert "| big | not known | not known |  |" in text.splitlines()
    research = FACTS.model_copy(update={"student": ModelFacts(name="q", licence="qwen-research")})
    data = ModelCard(card(inputs, job_facts=research)).data
    assert (data.license, data.license_name) == ("other", "qwen-research")


def test_text_from_data_is_escaped(inputs: dict[str, Path]) -> None:
    from huggingface_hub import ModelCard

    hostile = ModelFacts(name=HOSTILE, licence=HOSTILE, duty=HOSTILE, source=HOSTILE)
    facts = JobFacts(student=hostile, teachers=(hostile,), data={"training_data": HOSTILE})
    usage = json.loads((inputs["completions"] / "usage.json").read_text())
    usage |= {"teacher": HOSTILE, "reported_models": {HOSTILE: 3}}
    (open_folder(inputs["completions"]) / "usage.json").write_text(json.dumps(usage))
    close_folder(inputs["completions"], "teacher", {})
    text = card(inputs, job_facts=facts)
    body = text.partition("\n---\n\n")[2]
    assert "<img" not in body
    assert "](http" not in body.replace("\\]", "")
    assert "# Owned" not in body.splitlines()
    assert ModelCard(text).data.base_model == HOSTILE
    rows = [line for line in body.splitlines() if line.startswith("|")]
    assert max(line.replace("\\|", "").count("|") for line in rows) == 5


def test_a_description_ends_with_a_complete_section() -> None:
    sections = "".join(f"\n## Section {number}\n\n{'word ' * 150}\n" for number in range(9))
    text = description(f"---\na: b\n---\n\n# support\n{sections}")
    assert text.startswith("# support\n\n## Section 0")
    assert 4000 < len(text) <= LONGEST_DESCRIPTION
    assert text.endswith("README.md of the output `registration` of the job.\n")
    assert description("---\na: b\n---\n\n# support\n") == "# support\n"
