"""Step train with a scoring teacher over real HTTP: the loss, diagnostics, faults, and that no score is paid twice."""

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch
from safetensors.torch import load_file

from azdistill.contracts.files import read_json, write_rows
from azdistill.contracts.manifest import close_folder, read_manifest
from azdistill.contracts.results import ScorerUsage, read_result
from azdistill.contracts.simulation import Simulation
from azdistill.contracts.train_scored import STEP
from azdistill.simulate.model.teacher import ModelTeacher
from azdistill.steps.runner import run_step
from azdistill.steps.train_scored import body
from azdistill.students.loading import load_student
from azdistill.students.tiny import byte_level_tokenizer
from tests.students import tiny
from tests.teacher.conftest import serving
from tests.training.conftest import rows

FLAGS = {"seed": 5, "learning_rate": 3e-3, "batch_size": 8, "num_epochs": 1, "max_length": 128, "warmup_ratio": 0.0}
ON_POLICY = {"share": 1.0, "max_new_tokens": 12, "start_fraction": 0.0}
TOP = 8


@pytest.fixture(scope="module")
def curated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("curated")
    write_rows(folder / "train.jsonl", rows(40))
    write_rows(folder / "validation.jsonl", [])
    close_folder(folder, "curate", {})
    return folder


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("student"), "smollm")


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("other"), "llama", seed=9)


@pytest.fixture
def serve():
    """Serve the model of a folder; returns the teacher, its URL and a function that stops the server."""
    with contextlib.ExitStack() as ending:

        def start(folder, port=0):
            teacher = ModelTeacher(Simulation(latency_ms=0), load_student(folder), "m")
            server = ending.enter_context(contextlib.ExitStack())
            ending.callback(teacher.stop)
            return teacher, server.enter_context(serving(teacher, port)), server.close

        yield start


@pytest.fixture
def train(curated, tmp_path):
    """Run the step against an endpoint, in a folder of the test; all runs have one response store."""

    def run(url, student, run="run", *, teacher=None, execute=in_this_process, **flags):
        entry = {"model": "m", "endpoint": url, "input_price": 1e6, "output_price": 0.0, **(teacher or {})}
        scorer = {"teacher": url and entry, "top_k": TOP, "timeout_s": 10}
        settings = {
            "scorer": scorer | flags.pop("scorer", {}),
            "on_policy": ON_POLICY | flags.pop("on_policy", {}),
            "losses": flags.pop("losses", {"text": 1}),
        }
        for name, content in settings.items():
            (tmp_path / f"{name}.json").write_text(json.dumps(content))
        outputs = {name: tmp_path / run / name for name in STEP.outputs} | {"store": tmp_path / "store"}
        files = {name: tmp_path / f"{name}.json" for name in settings}
        values = {"curated": curated, "student": student, **outputs, **files, **FLAGS, **flags}
        return execute([text for name, value in values.items() for text in (flag(name), str(value))]), tmp_path / run

    return run


def in_this_process(arguments):
    """The exit code of the step."""
    return run_step(STEP, body, arguments)


def flag(name):
    return f"--{name.replace('_', '-')}"


def metrics_of(folder):
    return read_json(folder / "metrics" / "metrics.json")


def usage_of(folder):
    return read_result(folder / "metrics" / "usage.json", ScorerUsage)


@pytest.mark.parametrize("divergence", ["reverse_kl", "jsd", "forward_kl"])
def test_a_teacher_that_is_the_student_has_no_loss_and_another_one_has(serve, train, student, other, divergence):
    flags = {"learning_rate": 1e-9, "on_policy": {"divergence": divergence}}
    folders = [train(serve(folder)[1], student, folder.name, **flags)[1] for folder in (student, other)]
    own, others = map(metrics_of, folders)
    assert abs(own["loss_terms"]["on_policy"]) < 1e-6
    assert own["on_policy"]["overlap"] > 0.99
    assert others["loss_terms"]["on_policy"] > 0.02
    assert others["on_policy"]["overlap"] < 0.5


def test_the_report_gets_diagnostics_and_usage_and_stored_rows_keep_their_losses(serve, train, student, other):
    teacher, url, _ = serve(other)
    code, folder = train(url, student, on_policy={"share": 0.5})
    assert code == 0
    metrics, usage = metrics_of(folder), usage_of(folder)
    assert set(metrics["loss_terms"]) == {"text", "on_policy"}
    assert all(metrics["loss_terms"].values())
    shares = ("overlap", "shared_mass", "teacher_mass", "eos_share", "generation_share", "scoring_share")
    assert all(0 <= metrics["on_policy"][name] <= 1 for name in shares)
    assert 0 < metrics["on_policy"]["teacher_mass"] < 1
    assert usage.asked == usage.answered == len(teacher.bought)
    assert usage.spent == usage.cost == usage.prompt_tokens > 0


@contextlib.contextmanager
def stopped_after(teacher, stop, sequences):
    """Stop a server when it has scored a number of sequences."""

    def wait():
        while len(teacher.bought) < sequences and not ended.wait(0.001):
            pass
        stop()

    ended, thread = threading.Event(), threading.Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("fault", ["server", "budget"])
def test_a_run_that_ends_during_rollouts_is_continued_and_pays_nothing_twice(
    serve, train, student, other, fault, capfd, monkeypatch
):
    monkeypatch.setattr("azdistill.teacher.retries.FIRST_WAIT_S", 0.01)
    first, url, stop = serve(other)
    after = 24 if fault == "server" else 1000
    cheap = {"budget": 1500} if fault == "budget" else {"max_attempts": 2}
    with stopped_after(first, stop, after):
        code, folder = train(url, student, scorer=cheap)
    error = capfd.readouterr().err
    assert (code, error.count("\n")) == (1, 1)
    assert ("scorer.budget=1500" in error) if fault == "budget" else ("scorer 'm' at" in error)
    (checkpoint,) = folder.glob("checkpoints/*/*/checkpoint-*")
    assert not (folder / "model" / "manifest.json").exists()
    second, url, _ = serve(other, int(url.rpartition(":")[2]))
    assert train(url, student)[0] == 0
    assert metrics_of(folder)["resumed_from_step"] == int(checkpoint.name.rpartition("-")[2]) > 0
    assert not first.bought.keys() & second.bought.keys()
    undisturbed = train(url, student, "undisturbed")[1]
    assert usage_of(folder).spent == pytest.approx(usage_of(undisturbed).spent)
    assert usage_of(folder).scored == usage_of(undisturbed).scored
    assert usage_of(undisturbed).asked == 0
    weights = [load_file(run / "model" / "model.safetensors") for run in (folder, undisturbed)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.slow
def test_a_model_is_served_next_to_the_training_and_a_dry_run_serves_the_student(train, student, other, tmp_path):
    """By the simulated teacher, as vLLM is not installed. The store knows the model again at another port."""
    folders = [train(None, student, run, scorer_model=other)[1] for run in ("first", "again")]
    assert usage_of(folders[0]).route == "served"
    assert (usage_of(folders[0]).from_store, usage_of(folders[1]).asked) == (0, 0)
    assert read_manifest(folders[0] / "metrics").provenance.data.keys() == {"student", "scorer"}
    bare = tiny.write(tmp_path / "bare", weights=False)
    flags = {"scorer_route": "simulated", "weights": "random", "learning_rate": 1e-9}
    code, dry = train("https://big.inference.ml.azure.com/v1", bare, "dry", **flags)
    assert code == 0
    assert metrics_of(dry)["on_policy"]["overlap"] > 0.9


def test_a_white_box_teacher_next_to_a_scorer_is_for_stored_text_alone(serve, train, student, other):
    _, url, _ = serve(student)
    losses = {"text": 1, "logits": 1}
    flags = {"learning_rate": 1e-9, "on_policy": {"share": 0.5}, "losses": losses, "white_box_1": other}
    terms = metrics_of(train(url, student, **flags)[1])["loss_terms"]
    assert terms["logits"] > 0.1
    assert abs(terms["on_policy"]) < 1e-6


@pytest.mark.slow
def test_a_training_that_is_killed_resumes_to_the_same_weights(serve, train, student, other):
    """Of the scores that it bought, at most those in flight are bought again."""
    teacher, url, _ = serve(other)

    def kill_during_rollouts(arguments):
        with subprocess.Popen([sys.executable, "-m", STEP.module, *arguments]) as process:
            while len(teacher.bought) < 30:
                assert process.poll() is None
                time.sleep(0.001)
            process.kill()
        return process.returncode

    code, folder = train(url, student, checkpoint_steps=2, execute=kill_during_rollouts)
    assert code == -signal.SIGKILL
    assert train(url, student, checkpoint_steps=2)[0] == 0
    assert metrics_of(folder)["resumed_from_step"] > 0
    paid_again = sum(teacher.bought.values()) - len(teacher.bought)
    assert paid_again <= 12, "rollouts of a step, whose batch has more than 8 rows if they are short"
    unstopped = train(url, student, "unstopped")[1]
    assert usage_of(unstopped).asked == 0
    assert usage_of(unstopped).spent == pytest.approx(usage_of(folder).spent)
    weights = [(run / "model" / "model.safetensors").read_bytes() for run in (folder, unstopped)]
    assert weights[0] == weights[1]


def test_a_context_that_is_too_short_is_refused_before_the_first_paid_sequence(serve, train, student, tmp_path, capfd):
    teacher, url, _ = serve(tiny.write(tmp_path / "teacher", max_position_embeddings=100))
    code, _ = train(url, student)
    assert code == 1
    assert "its context has 100 tokens, and 128 are needed" in capfd.readouterr().err
    assert not teacher.bought


def test_another_tokenizer_is_refused_before_the_first_paid_sequence(serve, train, student, tmp_path, capfd):
    folder = tiny.write(tmp_path / "teacher", vocab_size=300)
    byte_level_tokenizer(["the quick brown fox"] * 3, 300).save_pretrained(folder)
    teacher, url, _ = serve(folder)
    code, _ = train(url, student)
    assert code == 1
    assert "its tokenizer is not the student's" in capfd.readouterr().err
    assert not teacher.bought
