"""The jobs of pipelines/signals, one for each signal of a teacher, and the words of the page that compares them."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from azdistill.contracts.errors import SpecError
from azdistill.engine.yaml_document import read_document
from azdistill.job.bundle import pipeline_document
from azdistill.job.model import DistillationJob
from azdistill.job.plan import plan
from benchmarks.signals_page import NO_DIFFERENCE, SEEDS_DISAGREE, SIGNALS, Study, Trainings, gain, page
from benchmarks.signals_study import PORT
from tests.generated import ROOT

FOLDER = ROOT / "pipelines" / "signals"
FACTS = ("teacher_rows", "train_rows", "student_parameters", "teacher_parameters", "vocabulary", "other_vocabulary")
OWN_SECTIONS = {"description", "white_box", "scorer"}
OWN_TRAIN_FIELDS = {"losses", "on_policy", "layer_map", "attn_implementation"}
ROWS, SEEDS = 200, 3


def read(path: Path) -> DistillationJob:
    return DistillationJob.model_validate(read_document(path, SpecError, "job file").value)


def shared_settings(job: DistillationJob) -> str:
    """All settings but the signal, and what is named after the job."""
    train = job.train.model_copy(update=dict.fromkeys(OWN_TRAIN_FIELDS))
    own = dict.fromkeys(OWN_SECTIONS)
    return repr(job.model_copy(update={"train": train, **own})).replace(job.name, "")


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_job_compiles_and_differs_in_its_signal_only(signal: str) -> None:
    job, text = read(FOLDER / signal / "job.yaml"), read(FOLDER / "text" / "job.yaml")
    assert job.name == f"signals-{signal.replace('_', '-')}"
    assert {"train", "predict_student", "register"} <= pipeline_document(plan(job))["jobs"].keys()
    assert shared_settings(job) == shared_settings(text)
    assert (job.train == text.train) is (signal == "text")


def test_every_job_is_in_the_study_and_in_make_signals() -> None:
    jobs = {path.parent.name for path in FOLDER.glob("*/job.yaml")}
    loop = re.search(r"for signal in (.*); do", (ROOT / "Makefile").read_text())
    assert loop
    assert loop[1].split() == list(SIGNALS)
    assert jobs == set(SIGNALS)
    assert all(f"http://127.0.0.1:{PORT}/v1" in (FOLDER / job / "job.yaml").read_text() for job in jobs)


def test_the_rows_are_the_same_for_a_seed_and_no_sentence_is_in_two_files() -> None:
    files = runpy.run_path(str(FOLDER / "generate.py"))["files"]
    rows = files(7)
    assert rows == files(7) != files(8)
    sentences = [row["messages"][0]["content"] for of_file in rows.values() for row in of_file]
    assert len(sentences) == len(set(sentences))
    assert len({row["gold"] for row in rows["test.jsonl"]}) > 290


def trainings(accuracy: float, updates: int = 100, spread: float = 0.0) -> Trainings:
    """Trainings whose seeds differ by `spread`, on rows of which the first ones are easy."""
    accuracies = [accuracy + spread * (seed - 1) for seed in range(SEEDS)]
    return Trainings(updates, np.array([np.arange(ROWS) < round(share * ROWS) for share in accuracies], float), 1.0)


@pytest.mark.parametrize(
    ("accuracy", "spread", "words"),
    [
        (0.7, 0.0, "adds 20.0 points"),
        (0.3, 0.1, "loses 20.0 points"),
        (0.5, 0.0, NO_DIFFERENCE),
        (0.5, 0.2, NO_DIFFERENCE),
        (0.6, 0.15, SEEDS_DISAGREE),
        (0.4, 0.15, SEEDS_DISAGREE),
    ],
)
def test_the_words_for_a_gain_depend_on_its_interval_and_seeds(accuracy: float, spread: float, words: str) -> None:
    assert gain(trainings(accuracy, spread=spread), trainings(0.5)).verdict == words


@pytest.mark.parametrize(("half", "words"), [(0.6, "with 50 updates, 0.50 of them"), (0.4, "does not reach that")])
def test_the_page_says_with_how_many_updates_top_k_is_as_good(half: float, words: str) -> None:
    """Or that it needs more than text alone has."""
    final = 0.7 if half > 0.5 else 0.45
    study = Study(
        {
            "text": {0.5: trainings(0.2, 50), 1.0: trainings(0.5)},
            "top_k": {0.5: trainings(half, 50), 1.0: trainings(final)},
        },
        {"text": trainings(0.1), "top_k": trainings(0.1)},
        0.4,
        dict.fromkeys(FACTS, 1000),
    )
    text = page(study)
    assert words in " ".join(text.split())
    assert f"{NO_DIFFERENCE}." in text
    assert "text 20%, top_k" in text
