"""Verdicts of a judge become a metric, and its agreement with itself and with people is measured."""

import numpy as np
import pytest

from azdistill.contracts.evaluate import EvaluateConfig, Gates
from azdistill.contracts.files import read_json, write_rows
from azdistill.contracts.manifest import close_folder
from azdistill.contracts.results import write_result
from azdistill.contracts.verdicts import JudgeSummary, Verdict
from azdistill.evaluation.gates import decide
from azdistill.evaluation.intervals import PairedBootstrap
from azdistill.evaluation.judge import judge_results, judge_scores, kappa, weighted_kappa, with_judge_scores
from azdistill.evaluation.metrics import evaluate

BOOTSTRAP = PairedBootstrap(0, 2000, 0.95)
PAIRS = (("student", "teacher"), ("student", "baseline"), ("teacher", "baseline"))


def row(number, *verdicts, readings=None):
    """The verdicts on the three pairs of a row."""
    return [
        Verdict(
            id=f"{number:016x}",
            models=models,
            answers=("a", "b"),
            readings=(verdict, verdict) if readings is None else readings,
            verdict=verdict,
        )
        for models, verdict in zip(PAIRS, verdicts, strict=True)
    ]


def summary(rows, unjudged=0, **changes):
    counts = {"requests": rows * 6, "unanswered": 0, "unreadable": 0, "max_unjudged": 0.1}
    return JudgeSummary(model="judge-1", mode="pairwise", rows=rows, unjudged=unjudged, **{**counts, **changes})


@pytest.mark.parametrize(
    ("verdicts", "scores"),
    [
        (("tie", "first", "first"), (0.75, 0.75, 0.0)),  # as good as the teacher
        (("second", "tie", "first"), (0.25, 1.0, 0.25)),  # as good as before the training
        (("second", "first", "first"), (0.5, 1.0, 0.0)),  # between the two
        (("first", "first", "tie"), (1.0, 0.25, 0.25)),  # better than both
        (("tie", "tie", "tie"), (0.5, 0.5, 0.5)),
        (("first", "second", "first"), (0.5, 0.5, 0.5)),  # a circle
    ],
)
def test_the_score_is_the_mean_of_the_points_against_the_two_others(verdicts, scores):
    expected = dict(zip(("student", "teacher", "baseline"), scores, strict=True))
    assert judge_scores(row(1, *verdicts)) == {f"{1:016x}": expected}


def test_a_row_that_lacks_a_verdict_has_no_score_and_scores_are_mapped_to_0_to_1():
    scored = [Verdict(id="r", models=(m,), answers=("a",), verdict=v) for m, v in (("student", 4.0), ("teacher", 1.0))]
    assert judge_scores([*row(1, "tie", None, "first"), *scored]) == {"r": {"student": 0.75, "teacher": 0.0}}


def evaluated(build, verdicts, counts, gates, rows=40):
    texts = [build.row("neutral", "neutral", "entailment", "neutral", number) for number in range(1, rows + 1)]
    config = EvaluateConfig(task="nli", primary_metric="judge", gates=gates)
    metrics = evaluate(with_judge_scores(texts, verdicts, counts), config).metrics
    return metrics, decide(metrics, config)


def test_the_judge_decides_like_any_other_metric(build):
    verdicts = [verdict for number in range(1, 31) for verdict in row(number, "tie", "first", "first")]
    gates = Gates(min_retention=0.9, min_gain=0.5, metrics={"judge": 0.7})
    metrics, gate = evaluated(build, verdicts, summary(30), gates)
    assert (metrics.primary_metric, metrics.rows, metrics.unscored) == ("judge", 30, 10)
    assert (metrics.retention.value, metrics.gain.value) == (1.0, 0.75)
    assert [model.value("judge") for model in metrics.models.values()] == [0.75, 0.0, 0.75]
    assert gate.decision == "passed"
    worse = [verdict for number in range(1, 31) for verdict in row(number, "second", "tie", "first")]
    metrics, gate = evaluated(build, worse, summary(30), gates)
    assert (metrics.retention.value, metrics.gain.value, gate.decision) == (0.25, 0.0, "refused")


def test_too_many_missing_verdicts_leave_the_metric_undefined_and_no_gate_green(build):
    verdicts = [verdict for number in range(1, 31) for verdict in row(number, "tie", "first", "first")]
    gates = Gates(min_retention=None, min_gain=None, metrics={"judge": 0.1}, accept_inconclusive=True)
    for counts, outcome in ((summary(40, unjudged=4), "passed"), (summary(40, unjudged=5), "inconclusive")):
        metrics, gate = evaluated(build, verdicts, counts, gates)
        assert gate.decision == outcome
        assert gate.register_student is (outcome == "passed")
    assert metrics.models["student"].get("judge").value is None
    assert evaluated(build, [], summary(0), gates)[1].decision == "inconclusive"


def test_gates_count_the_rows_that_were_judged_and_slices_are_of_these(folders, evaluate_step, tmp_path):
    verdicts = [verdict for number in range(1, 31) for verdict in row(number, "tie", "first", "first")]
    bounds = [
        {"metric": "judge", "at_least": 0.5, "compared_with": "baseline"},
        {"metric": "judge", "at_least": 0.5, "slice": "worst"},
    ]
    gates = {"min_retention": None, "min_gain": None, "metrics": {"judge": 0.7}, "bounds": bounds}
    inputs = folders(rows=60)
    judged = {**inputs, "judgements": written(tmp_path / "judgements", verdicts, [], summary(30))}
    results = read_json(evaluate_step(judged, gates=gates).folder / "gate.json")["gates"]
    assert [(gate["rows"], gate["outcome"]) for gate in results[:2]] == [(30, "passed")] * 2
    assert results[2]["rows"] <= 30
    # Without verdicts, a gate on them is not passed.
    results = read_json(evaluate_step(inputs, gates=gates, output="other").folder / "gate.json")
    assert {gate["outcome"] for gate in results["gates"]} == {"inconclusive"}


def written(folder, verdicts, labels, counts):
    """The output of step judge."""
    write_rows(folder / "verdicts.jsonl", verdicts)
    write_rows(folder / "labels.jsonl", labels)
    write_result(folder / "summary.json", counts)
    close_folder(folder, "judge", {})
    return folder


def test_a_job_without_a_judge_has_no_such_metric(build):
    metrics = evaluate([build.row("neutral", "neutral", "neutral", "neutral")], EvaluateConfig(task="nli")).metrics
    assert "judge" not in metrics.models["student"].root


def test_wins_and_agreement_of_the_judge_with_itself():
    verdicts = [
        *row(1, "first", "first", "first"),
        *row(2, "tie", "tie", "tie", readings=("first", "second")),
        *row(3, "tie", "tie", "tie", readings=()),
        *row(4, None, None, None, readings=("first", None)),
    ]
    results = judge_results(summary(4, unjudged=1), verdicts, [], BOOTSTRAP)
    first = results.comparisons[0]
    assert (first.model, first.against, first.wins, first.ties, first.losses) == ("student", "teacher", 1, 2, 0)
    assert results.self_agreement.value == 0.5  # of rows 1 and 2
    assert results.human is None


# Source: Cohen (1968), table 1, of 200 diagnoses; the weights are those of its text.
COHEN = [[0.44, 0.05, 0.01], [0.07, 0.20, 0.03], [0.09, 0.05, 0.06]]
PUBLISHED = [(COHEN, 1 - np.eye(3), 0.492), (COHEN, [[0, 1, 3], [1, 0, 6], [3, 6, 0]], 0.348)]


@pytest.mark.parametrize(("table", "disagreement", "published"), PUBLISHED)
def test_kappa_is_as_published(table, disagreement, published):
    proportions = np.array(table, dtype=float) / np.sum(table)
    assert float(weighted_kappa(proportions, np.array(disagreement, dtype=float))) == pytest.approx(published, abs=6e-4)


def test_kappa_of_pairs_with_its_interval():
    counts = {("first", "first"): 20, ("first", "tie"): 5, ("tie", "first"): 10, ("tie", "tie"): 15}
    pairs = [pair for pair, count in counts.items() for _ in range(count)]
    measured = kappa(pairs, BOOTSTRAP)
    assert measured.value == pytest.approx(0.4)
    # The large-sample standard error of this table is 0.127.
    assert (measured.low, measured.high) == pytest.approx((0.4 - 1.96 * 0.127, 0.4 + 1.96 * 0.127), abs=0.03)


@pytest.mark.parametrize("pairs", [[], [("tie", "tie")] * 9, [(3.0, 3.0)]])
def test_kappa_is_not_defined_where_all_verdicts_are_one(pairs):
    assert kappa(pairs, BOOTSTRAP).value is None


def test_scores_that_are_nearly_the_same_agree_more_than_those_that_are_far_apart():
    near = [(1.0, 2.0), (2.0, 1.0), (5.0, 4.0), (4.0, 5.0), (3.0, 3.0)]
    far = [(1.0, 5.0), (2.0, 1.0), (5.0, 1.0), (4.0, 5.0), (3.0, 3.0)]
    assert kappa(near, BOOTSTRAP).value == pytest.approx(0.8)
    assert kappa(far, BOOTSTRAP).value < 0
    agreed = kappa([("first", "first"), ("second", "second")] * 6, BOOTSTRAP)
    assert (agreed.value, agreed.high) == (1.0, 1.0)
    assert 0.5 < agreed.low < 1  # a dozen labels prove no perfect agreement


def test_the_step_writes_what_the_verdicts_say(folders, evaluate_step, tmp_path):
    verdicts = [verdict for number in range(1, 51) for verdict in row(number, "tie", "first", "first")]
    labels = [
        verdict.model_copy(update={"human": human, "models": ()})
        for verdict, human in zip(verdicts[:6], ["tie", "first"] * 3, strict=True)
    ]
    judgements = written(tmp_path / "judgements", verdicts, labels, summary(50))
    done = evaluate_step({**folders(rows=60), "judgements": judgements}, primary_metric="judge")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("judge on 50 test rows: teacher 0.750, baseline 0.000, student 0.750; passed")
    results = read_json(done.folder / "judge.json")
    assert (results["human"]["labels"], results["human"]["same"]) == (6, 3)
    assert results["self_agreement"]["value"] == 1.0
    assert [pair["wins"] for pair in results["comparisons"]] == [0, 50, 50]
