"""A real student learns: the ready job of SmolLM2-135M, judged by the verifier of reasoning-gym."""

import importlib.util
import itertools
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from azdistill.contracts.files import read_json, read_rows
from azdistill.contracts.rows import Prediction, Prompt
from tests.small_job import AZDISTILL, variables

SMOLLM = Path(__file__).parents[2] / "pipelines" / "smollm"
SEED, COMPARED_ANSWERS = 7, 6

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a complete run of the job. One thread for each node, because some run at the same time."""
    folder = tmp_path_factory.mktemp("smollm")
    job = shutil.copytree(SMOLLM, folder / "job", ignore=shutil.ignore_patterns("data"))
    subprocess.run([sys.executable, SMOLLM / "generate.py", "--out", job / "data", "--seed", str(SEED)], check=True)
    command = [*AZDISTILL, "run", job / "job.yaml", "-o", folder / "run"]
    done = subprocess.run(command, env=variables(folder / "home"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "run"


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("smollm_generate", SMOLLM / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def held_out(run: Path) -> dict[str, Prompt]:
    prompts = read_rows(run / "prepare/prompts/prompts.jsonl", Prompt)
    return {prompt.id: prompt for prompt in prompts if prompt.split == "test"}


def predictions(run: Path, node: str) -> list[Prediction]:
    return list(read_rows(run / node / "predictions/predictions.jsonl", Prediction))


@pytest.mark.timeout(1800)
def test_the_student_gains_by_the_verifier_of_its_rows(run: Path) -> None:
    """The gate asks for a gain, and the verifier finds as many correct answers as the job's own task."""
    report = read_json(run / "report/report/report.json")
    assert read_json(run / "evaluate/evaluation/gate.json")["decision"] == "passed"
    assert report["gain"]["low"] > 0
    assert read_json(run / "train/metrics/metrics.json")["method"] == "lora"
    assert read_json(run / "register/registration/lineage.json")["registered_model"] == "smollm-reversal"
    for role in ("baseline", "student"):
        accuracy = report["models"][role]["accuracy"]["value"]
        assert accuracy == pytest.approx(verified(run, f"predict_{role}"))


def verified(run: Path, node: str) -> float:
    """The fraction of answers that reasoning-gym's verifier accepts."""
    rows = generator().generator(SEED)
    entries, prompts = {row["question"]: row for row in rows}, held_out(run)
    answers = {row.id: row.completion.strip() for row in predictions(run, node)}
    asked = {name: entries[prompt.messages[-1].content] for name, prompt in prompts.items()}
    scores = [rows.score_answer(answers[name], entry) for name, entry in asked.items()]
    return sum(score == 1 for score in scores) / len(scores)


@pytest.mark.timeout(1800)
def test_the_saved_student_answers_the_same_in_plain_transformers(run: Path) -> None:
    torch.set_num_threads(1)  # more threads wait for each other while another test is running
    folder = run / "train" / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    answers = {row.id: row.completion for row in predictions(run, "predict_student")}
    for name, prompt in itertools.islice(held_out(run).items(), COMPARED_ANSWERS):
        turns = [{"role": turn.role, "content": turn.content} for turn in prompt.messages]
        ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        output = model.generate(**ids, max_new_tokens=32)[0, ids["input_ids"].shape[1] :]
        assert tokenizer.decode(output, skip_special_tokens=True).strip() == answers[name].strip()
