"""azdistill run --dry-run: the bundle of a production job with inputs that replace everything that costs."""

import json
import logging
import random
from pathlib import Path

import pytest

from azdistill.contracts.errors import InputError
from azdistill.contracts.files import read_json
from azdistill.engine.local.options import RunOptions
from azdistill.job.bundle import compile_job
from azdistill.job.loading import load_job
from azdistill.job.model import DistillationJob
from azdistill.local_runs.dry_run import with_dry_run_inputs
from azdistill.local_runs.request import RunRequest
from azdistill.local_runs.tiny_student import read_architecture, tiny_student
from tests.cli.conftest import Command

PRODUCTION = """\
name: nli-prod
task: nli
data:
  training_data: ./train.jsonl
  test_data: ./test.jsonl
teacher:
  teachers:
    - model: DeepSeek-V3.2
      connection: deepseek-v3
student:
  model: phi-4-mini
train:
  method: qlora
  optimizer: paged_adamw_8bit
  batch_size: 16
evaluate:
  gates: {min_retention: 0.9, min_gain: 0.1}
compute:
  gpu: a-cluster
"""


@pytest.fixture
def production(folder: Path) -> Path:
    """Job file with many rows, a teacher in a workspace, a student in a registry and a GPU cluster."""
    for name, first in (("train", 0), ("test", 1000)):
        rows = [
            {"premise": f"{n} men sit in a room.", "hypothesis": f"There are {n} men.", "label": n % 3}
            for n in range(first, first + 300)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "job.yaml").write_text(PRODUCTION)
    return folder / "job.yaml"


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


REPLACEMENTS = (
    "student  azureml://registries/azureml/models/Phi-4-mini-instruct/versions/1 -> a tiny Phi3ForCausalLM",
    "teacher  DeepSeek-V3.2 -> a simulated teacher on loopback (expert nli)",
    "gates    enforced -> reported",
    "name     nli-prod-distilled -> nli-prod-distilled-dry-run, in a registry of this run",
    "epochs   3 -> 1",
    "method   qlora -> lora, which needs no GPU",
    "optimizer paged_adamw_8bit -> adamw_torch_fused, which needs no GPU",
)


def test_a_dry_run_uses_the_bundle_of_the_real_run(azdistill: Command, production: Path, folder: Path) -> None:
    """Until `curate`: the nodes after it load models. With new prompts."""
    data = "  test_data: ./test.jsonl\n"
    production.write_text(PRODUCTION.replace(data, f"{data}  augment: {{new_prompts: 200}}\n"))
    compile_job(load_job(production), folder / "real")
    command = ("run", production, "--dry-run", "--rows", "20", "--until", "curate")
    done = azdistill(*command)
    assert done.code == 0, done.err
    run = Path("runs/nli-prod-dry-run")
    assert f"curate.curated: {run}/curate/curated" in done.out.splitlines()
    assert all(
        f"  {replacement}" in done.err for replacement in (*REPLACEMENTS, "prompts  200 new ones -> 10 new ones")
    )
    assert content(run / "bundle") == content(folder / "real")
    assert len((run / "prepare/prompts/prompts.jsonl").read_text().splitlines()) == 40
    answered = read_json(run / "teacher/completions/usage.json")["answered"]
    text = (run / "teacher/completions/completions.jsonl").read_text()
    completions = [json.loads(line) for line in text.splitlines()]
    assert answered == len(completions) > 20
    new = [row for row in completions if row["source"].startswith("augment:")]
    assert len(new) == read_json(run / "augment/augmented/manifest.json")["counts"]["new"] == 10
    shown = azdistill("data", "show", run, new[0]["source"])
    assert f"row {new[0]['id']} of {new[0]['source']}" in shown.out
    assert "split: train, a new prompt that DeepSeek-V3.2 wrote from training_data.jsonl:" in shown.out
    assert not (folder / "home").exists()

    again = azdistill(*command, "--explain")
    assert {line.split(maxsplit=1)[1] for line in again.out.splitlines()} == {"reused"}


SWEEP = """\
tuning:
  search_space: {max_length: [500, 600], num_epochs: [1, 2]}
  max_trials: 2
"""

JUDGE = """\
judge:
  judge_model: {model: gpt-5.1, connection: boss, input_price: 2, output_price: 10}
  rubric: The label is right.
  human_labels: ./labels.jsonl
"""

SCORED = "curate: {min_judge_score: 4.5}\n"


@pytest.mark.slow
def test_a_dry_run_of_a_production_job_runs_every_node(
    azdistill: Command, production: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = PRODUCTION.replace("evaluate:\n", "evaluate:\n  primary_metric: judge\n") + SCORED + JUDGE
    production.write_text(text.replace("phi-4-mini\n", "phi-4-mini\n  baseline: azureml:nli-prod-distilled:3\n"))
    label = {"id": "gone", "answers": ["neutral", "entailment"], "preference": "tie"}
    (folder / "labels.jsonl").write_text(json.dumps(label))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////nowhere/real-registry.db")
    done = azdistill("run", production, "--dry-run", "--rows", "20")
    assert done.code == 0, done.err
    run = Path("runs/nli-prod-dry-run")
    assert "dry run: 11 nodes work together; no teacher was called, nothing was published" in done.out
    assert read_json(run / "evaluate/evaluation/gate.json")["enforced"] is False
    assert read_json(run / "register/registration/lineage.json")["registered_model"] == "nli-prod-distilled-dry-run"
    assert read_json(run / "train/metrics/metrics.json")["method"] == "lora"
    assert (run / ".dry-run/mlflow.db").is_file()
    summary = read_json(run / "judge/judgements/summary.json")
    assert (summary["rows"], summary["unjudged"], summary["other_labels"]) == (20, 0, 1)
    report = read_json(run / "report/report/report.json")
    assert (report["primary_metric"], report["judge"]["rows"]) == ("judge", 20)
    assert report["judge_usage"]["route"] == "simulated"
    assert report["baseline_name"] == "azureml:nli-prod-distilled:3"
    assert report["costs"]["judge"] > 0
    assert report["costs"]["judge_answers"] > 0
    scores = report["data_card"]["answer_scores"]
    assert (scores["minimum"], scores["route"], scores["unjudged"]) == (1, "simulated", 0)
    # The teacher is nearly always right, and the tiny student hardly ever is.
    assert report["models"]["teacher"]["judge"]["value"] > report["models"]["student"]["judge"]["value"]
    assert read_json(run / "register/registration/lineage.json")["judge"]["model"] == "gpt-5.1"
    assert "judge_answers" in read_json(run / "register/registration/lineage.json")["steps"]
    assert not (folder / "home").exists()

    again = azdistill("run", production, "--dry-run", "--rows", "20", "--explain")
    explained = dict(line.split(maxsplit=1) for line in again.out.splitlines())
    assert explained.pop("register") == "runs: is_deterministic: false"
    assert set(explained.values()) == {"reused"}


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Log of azdistill.local_runs."""
    caplog.set_level(logging.INFO, logger="azdistill.local_runs")
    return caplog


def request(job: Path, **inputs: str) -> tuple[RunRequest, DistillationJob]:
    loaded = load_job(job)
    options = RunOptions(inputs=inputs, home=job.parent / "home")
    return RunRequest(loaded, job.parent / "run", options, dry_run=True), loaded


def test_inputs_that_the_user_sets_are_not_replaced(production: Path, log: pytest.LogCaptureFixture) -> None:
    user_inputs = {"student": "./mine", "weights": "pretrained", "rows": "7", "teacher_route": "endpoint"}
    replaced = with_dry_run_inputs(*request(production, **user_inputs))
    assert replaced.options.inputs == user_inputs | {
        "enforce_gates": "false",
        "registered_model": "nli-prod-distilled-dry-run",
        "num_epochs": "1",
        "max_new_tokens": "32",
    }
    assert replaced.options.home == production.parent / "run/.dry-run"
    assert replaced.options.variables["MLFLOW_TRACKING_URI"] == f"sqlite:///{replaced.options.home}/mlflow.db"
    assert "gates    enforced -> reported" in log.text
    assert "Phi3" not in log.text


def test_a_small_simulated_job_keeps_its_values(production: Path) -> None:
    text = PRODUCTION.replace("  batch_size: 16", "  num_epochs: 0.5") + "prepare: {rows: 10}\n"
    text = text.replace("teacher:\n", "teacher:\n  teacher_route: simulated\n").replace(
        "task: nli", "task: nli\nseed: 3"
    )
    production.write_text(f"{text}predict: {{max_new_tokens: 8}}\n")
    assert with_dry_run_inputs(*request(production, student="./mine")).options.inputs == {
        "student": "./mine",
        "enforce_gates": "false",
        "registered_model": "nli-prod-distilled-dry-run",
    }


def test_every_teacher_is_replaced(production: Path, log: pytest.LogCaptureFixture) -> None:
    second = "connection: deepseek-v3\n    - {model: gpt-4.1, name: mine, connection: openai}"
    production.write_text(PRODUCTION.replace("connection: deepseek-v3", second) + "simulation: {mine: {expert: qa}}\n")
    assert with_dry_run_inputs(*request(production, student="./mine")).options.inputs["teacher_route"] == "simulated"
    replacement = "  teacher  DeepSeek-V3.2, mine -> 2 simulated teachers on loopback (expert nli, expert qa)"
    assert replacement in log.messages


def test_a_judge_is_replaced_and_its_files_have_to_be_local(production: Path, log: pytest.LogCaptureFixture) -> None:
    production.write_text(PRODUCTION + SCORED + JUDGE.replace("./labels.jsonl", "azureml:labels:1"))
    with pytest.raises(InputError, match="human_labels='azureml:labels:1'"):
        with_dry_run_inputs(*request(production, student="./mine"))
    replaced = with_dry_run_inputs(*request(production, student="./mine", human_labels="labels.jsonl"))
    assert replaced.options.inputs["judge_route"] == "simulated"
    assert "  judge    gpt-5.1 -> a simulated judge on loopback" in log.messages
    assert "  scores   at least 4.5 -> at least 1, because the scores of a simulated judge say nothing" in log.messages
    assert replaced.options.inputs["min_judge_score"] == "1"


def test_remote_data_is_an_error_with_the_options_that_provide_local_copies(
    azdistill: Command, production: Path
) -> None:
    remote = PRODUCTION.replace("./train.jsonl", "azureml:train:1").replace("./test.jsonl", "azureml:test:2")
    production.write_text(f"{remote}regressions: [{{name: unsafe, data: 'azureml:unsafe:3', min_gain: -0.02}}]\n")
    done = azdistill("run", production, "--dry-run")
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[-4:] == [
        "a dry run reads its rows on this machine; give a local copy of",
        "  inputs.training_data='azureml:train:1': --data azureml:train:1=FILE",
        "  inputs.test_data='azureml:test:2': --data azureml:test:2=FILE",
        "  inputs.suite_1='azureml:unsafe:3': --data azureml:unsafe:3=FILE",
    ]
    Path("mine").mkdir()
    copies = [f"--data={name}.jsonl" for name in ("azureml:train:1=train", "test=test", "unsafe=test")]
    copies += ["--set", "inputs.student=./mine"]
    assert azdistill("run", production, "--dry-run", "--until", "prepare", *copies).code == 0
    inputs = {"training_data": "train.jsonl", "test_data": "test.jsonl", "suite_1": "test.jsonl", "student": "./mine"}
    assert with_dry_run_inputs(*request(production, **inputs)).options.inputs["training_data"] == "train.jsonl"
    with pytest.raises(InputError, match="test_data='azureml:test:2'"):
        with_dry_run_inputs(*request(production, training_data="train.jsonl"))


def test_half_characters_do_not_end_the_dry_run(production: Path) -> None:
    """The bytes of a CSV file in Latin-1 are half characters, which no tokenizer accepts."""
    Path("train.jsonl").write_text('{"premise": "Sch\\udcf6n", "hypothesis": "Es ist sch\\ud83dn."}\n')
    student = Path(with_dry_run_inputs(*request(production)).options.inputs["student"])
    assert (student / "tokenizer.json").is_file()


def test_an_unknown_architecture_is_replaced_by_a_llama_with_a_notice(
    production: Path, log: pytest.LogCaptureFixture
) -> None:
    (production.parent / "custom").mkdir()
    (production.parent / "custom/config.json").write_text('{"architectures": ["CustomForCausalLM"]}')
    production.write_text(PRODUCTION.replace("phi-4-mini", "./custom"))
    replaced = with_dry_run_inputs(*request(production))
    assert read_architecture(Path(replaced.options.inputs["student"])) == "LlamaForCausalLM"
    assert "a tiny LlamaForCausalLM with random weights, as CustomForCausalLM is not known" in log.text


def test_the_tiny_student_is_reused_for_the_same_rows(production: Path) -> None:
    files = [str(production.with_name("train.jsonl"))]
    home = production.parent / "home"
    first = tiny_student(home, "Phi3ForCausalLM", files, 5)
    written = (first / "config.json").stat().st_mtime_ns
    assert tiny_student(home, "Phi3ForCausalLM", files, 5) == first
    assert (first / "config.json").stat().st_mtime_ns == written
    assert tiny_student(home, "Phi3ForCausalLM", files, 6) != first
    assert {path.name for path in home.iterdir()} == {first.name, tiny_student(home, "Phi3ForCausalLM", files, 6).name}


@pytest.mark.parametrize("swept", [False, True])
def test_rows_that_are_longer_for_the_tiny_tokenizer_are_trained(
    production: Path, log: pytest.LogCaptureFixture, swept: bool
) -> None:
    """A row of 300 different words of 8 characters, which are 8 * 300 / 6 = 400 tokens or more for a real student, and
    a row that is too long for it too."""
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=7)) for _ in range(4000)]
    rows = [{"premise": " ".join(words[:300]), "hypothesis": ""}, {"premise": " ".join(words), "hypothesis": ""}]
    Path("train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = PRODUCTION.replace("train:\n", "train:\n  max_length: 600\n")
    text = text.replace("  teachers:", "  max_tokens: 20\n  teachers:")
    production.write_text(text + (SWEEP if swept else ""))
    inputs = with_dry_run_inputs(*request(production)).options.inputs
    assert ("max_length" in inputs, "num_epochs" in inputs) == (not swept, not swept)
    assert swept or 900 < int(inputs["max_length"]) < 2000
    assert swept or f"length   up to 600 tokens -> up to {inputs['max_length']} tokens" in log.text
