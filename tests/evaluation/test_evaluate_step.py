"""The evaluate step: a refused student is a result, a folder that doesn't match is an error."""

import pytest

from azdistill.contracts.files import read_json, read_rows
from azdistill.contracts.manifest import read_manifest
from azdistill.contracts.results import NO_REFERENCES, RowScores
from tests.manifests import rewrite

WRITTEN = ("metrics.json", "gate.json", "scores.jsonl")


def test_a_proven_student_passes(folders, evaluate_step):
    done = evaluate_step(folders(), gates={"min_retention": 0.8, "min_gain": 0.5}, process=True)
    assert (done.code, done.err) == (0, "")
    assert done.out == "accuracy on 200 test rows: teacher 1.000, baseline 0.000, student 0.900; passed\n"
    gate, metrics = (read_json(done.folder / name) for name in WRITTEN[:2][::-1])
    assert (gate["decision"], gate["register"], gate["enforced"]) == ("passed", True, True)
    assert metrics["retention"]["value"] == metrics["gain"]["value"] == 0.9
    assert sum(bool(row.correct("student")) for row in read_rows(done.folder / "scores.jsonl", RowScores)) == 180
    manifest = read_manifest(done.folder)
    assert sorted(manifest.files) == sorted(WRITTEN)
    assert manifest.counts == {"rows": 200, "decision": "passed"}


@pytest.mark.parametrize(("bound", "decision"), [(0.99, "refused"), (0.9, "inconclusive")])
def test_a_student_that_is_not_proven_is_a_result_and_exits_0(folders, evaluate_step, bound, decision):
    done = evaluate_step(folders(), gates={"min_retention": bound})
    assert (done.code, done.err) == (0, "")
    gate = read_json(done.folder / "gate.json")
    assert (gate["decision"], gate["register"]) == (decision, False)
    assert read_manifest(done.folder).counts["decision"] == decision


def test_the_same_seed_writes_the_same_bytes(folders, evaluate_step):
    inputs = folders(rows=40)
    runs = [evaluate_step(inputs, output=f"run-{n}", seed=seed) for n, seed in enumerate((3, 3, 4))]
    first, again, other = ([(run.folder / name).read_bytes() for name in WRITTEN] for run in runs)
    assert first == again
    assert first[0] != other[0]
    assert first[2] == other[2]


def test_no_test_rows_decide_nothing(folders, evaluate_step):
    done = evaluate_step(folders(rows=0))
    assert (done.code, done.err) == (0, "")
    assert done.out == "accuracy on 0 test rows: teacher n/a, baseline n/a, student n/a; inconclusive\n"
    assert read_json(done.folder / "gate.json")["register"] is False


def test_rows_without_references_are_compared_with_the_teacher_and_the_log_tells_what_follows(
    folders, evaluate_step, build
):
    prompts = [build.prompt(number, gold=None) for number in range(1, 41)]
    completions = [build.completion(number, gold=None) for number in range(1, 41)]
    done = evaluate_step(folders(rows=40, prompts=prompts, completions=completions))
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        NO_REFERENCES,
        "accuracy on 40 test rows: teacher 1.000, baseline 0.000, student 0.900; inconclusive",
    ]


def refused(done, *words):
    assert done.code == 2, done.err
    assert done.err.startswith("evaluate: ")
    assert done.err.count("\n") == 1, done.err
    for word in words:
        assert word in done.err, done.err
    assert not (done.folder / "manifest.json").exists()


def test_predictions_of_other_prompts_are_refused_with_a_row_named(folders, evaluate_step, build):
    inputs = folders(rows=3, student=[build.prediction(n) for n in (1, 2, 99)])
    refused(evaluate_step(inputs), "student: no answer to test row '0000000000000003'", "same prompts")


@pytest.mark.parametrize("name", ["prompts", "completions", "student", "baseline"])
def test_a_folder_that_is_not_complete_is_refused(folders, evaluate_step, name):
    inputs = folders(rows=3)
    (inputs[name] / "manifest.json").unlink()
    refused(evaluate_step(inputs), str(inputs[name]), "did not finish")


def test_a_broken_line_is_named(folders, evaluate_step):
    inputs = folders(rows=3)
    rewrite(inputs["student"] / "predictions.jsonl", '{"id": "1"}\n')
    refused(evaluate_step(inputs), "predictions.jsonl:1: not a Prediction")


def test_a_failed_try_takes_the_manifest_of_the_last_one_away(folders, evaluate_step):
    inputs = folders(rows=3)
    assert evaluate_step(inputs).code == 0
    (inputs["baseline"] / "manifest.json").unlink()
    refused(evaluate_step(inputs))


@pytest.mark.parametrize(
    ("flags", "message"),
    [({"resamples": 3}, "resamples='3'"), ({"gates": "absent.json"}, "absent.json"), ({"sead": 1}, "--sead")],
)
def test_wrong_flags_are_refused(folders, evaluate_step, flags, message):
    refused(evaluate_step(folders(rows=3), **flags), message)
