"""Metrics of the three models: the reference of each row, and rows that are not scored."""

import pytest

from azdistill.contracts.evaluate import EvaluateConfig
from azdistill.evaluation.metrics import evaluate

NLI = EvaluateConfig(task="nli", resamples=200)
RIGHT, WRONG, INVALID = "neutral", "entailment", "I can't say"


def accuracies(metrics):
    return {role: model.value("accuracy") for role, model in metrics.models.items()}


def test_all_models_are_compared_with_the_reference_answers(made):
    rows = [made.row(RIGHT, RIGHT, WRONG, RIGHT), made.row(RIGHT, RIGHT, INVALID, WRONG)]
    metrics = evaluate(rows, NLI).metrics
    assert metrics.reference == "gold"
    assert accuracies(metrics) == {"teacher": 1, "baseline": 0, "student": 0.5}
    assert (metrics.retention.value, metrics.gain.value) == (0.5, 0.5)
    assert [model.value("answered") for model in metrics.models.values()] == [2, 1, 2]


def test_a_missing_or_incomplete_answer_is_wrong(made):
    rows = [made.row(RIGHT, None, None, None), made.row(RIGHT, RIGHT, RIGHT, RIGHT)]
    found = evaluate(rows, NLI)
    assert accuracies(found.metrics) == {"teacher": 0.5, "baseline": 0.5, "student": 0.5}
    assert found.scores[0].answers["student"] is None
    assert found.scores[0].scores == {
        "accuracy": {"teacher": False, "baseline": False, "student": False},
        "agreement": {"teacher": None, "baseline": None, "student": None},
    }


def test_without_any_reference_answer_the_teacher_is_the_reference(made):
    rows = [
        made.row(None, RIGHT, WRONG, RIGHT),
        made.row(None, WRONG, WRONG, RIGHT),
        made.row(None, None, WRONG, RIGHT),
    ]
    metrics = evaluate(rows, NLI).metrics
    assert metrics.reference == "teacher"
    assert (metrics.rows, metrics.unscored) == (2, 1)
    assert accuracies(metrics) == {"teacher": 1, "baseline": 0.5, "student": 0.5}
    assert metrics.models["student"].interval("agreement") == metrics.models["student"].interval("accuracy")


@pytest.mark.parametrize("gold", [None, INVALID])
def test_a_row_without_a_valid_reference_is_counted_as_unscored(made, gold):
    rows = [made.row(gold, RIGHT, RIGHT, RIGHT), made.row(RIGHT, RIGHT, RIGHT, WRONG)]
    metrics = evaluate(rows, NLI).metrics
    assert (metrics.rows, metrics.unscored) == (1, 1)
    assert accuracies(metrics)["student"] == 0
    assert metrics.models["student"].value("agreement") == 0.5


def test_agreement_is_with_the_teacher_right_or_wrong(made):
    metrics = evaluate([made.row(RIGHT, WRONG, RIGHT, WRONG)], NLI).metrics
    assert (metrics.models["student"].value("accuracy"), metrics.models["student"].value("agreement")) == (0, 1)
    assert metrics.retention.value is None


def test_bleu_compares_what_was_written_with_the_reference_as_written(made):
    said = "The parcel left us on Monday."
    conversation = EvaluateConfig(task="conversation", resamples=200)
    metrics = evaluate([made.row(said, said.upper(), "No idea at all.", said)], conversation).metrics
    assert accuracies(metrics) == {"teacher": 1, "baseline": 0, "student": 1}
    assert metrics.models["student"].value("bleu") == pytest.approx(100)
    assert metrics.models["teacher"].value("bleu") < 20


def test_metrics_of_no_test_rows_are_undefined():
    metrics = evaluate([], NLI).metrics
    assert (metrics.rows, metrics.unscored) == (0, 0)
    assert accuracies(metrics) == {"teacher": None, "baseline": None, "student": None}
    assert metrics.retention.value is metrics.gain.value is None
