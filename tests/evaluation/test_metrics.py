"""Metrics of the three models: the reference of each row, and rows that are not scored."""

import pytest

from azdistill.contracts.evaluate import EvaluateConfig
from azdistill.evaluation.metrics import evaluate

NLI = EvaluateConfig(task="nli", resamples=200)
RIGHT, WRONG, INVALID = "neutral", "entailment", "I can't say"


def accuracies(metrics):
    return {role: model.value("accuracy") for role, model in metrics.models.items()}


def test_all_models_are_compared_with_the_reference_answers(build):
    rows = [build.row(RIGHT, RIGHT, WRONG, RIGHT), build.row(RIGHT, RIGHT, INVALID, WRONG)]
    metrics = evaluate(rows, NLI).metrics
    assert metrics.reference == "gold"
    assert accuracies(metrics) == {"teacher": 1, "baseline": 0, "student": 0.5}
    assert (metrics.retention.value, metrics.gain.value) == (0.5, 0.5)
    assert [model.value("answered") for model in metrics.models.values()] == [2, 1, 2]


def test_a_missing_or_incomplete_answer_is_wrong(build):
    rows = [build.row(RIGHT, None, None, None), build.row(RIGHT, RIGHT, RIGHT, RIGHT)]
    evaluation = evaluate(rows, NLI)
    assert accuracies(evaluation.metrics) == {"teacher": 0.5, "baseline": 0.5, "student": 0.5}
    assert evaluation.scores[0].answers["student"] is None
    assert evaluation.scores[0].scores == {
        "accuracy": {"teacher": False, "baseline": False, "student": False},
        "agreement": {"teacher": None, "baseline": None, "student": None},
        "ended": {"teacher": False, "baseline": False, "student": False},
        "unparseable": {"teacher": None, "baseline": None, "student": None},
    }


def test_without_any_reference_answer_the_teacher_is_the_reference(build):
    rows = [
        build.row(None, RIGHT, WRONG, RIGHT),
        build.row(None, WRONG, WRONG, RIGHT),
        build.row(None, None, WRONG, RIGHT),
    ]
    metrics = evaluate(rows, NLI).metrics
    assert metrics.reference == "teacher"
    assert (metrics.rows, metrics.unscored) == (2, 1)
    assert accuracies(metrics) == {"teacher": 1, "baseline": 0.5, "student": 0.5}
    assert metrics.models["student"].interval("agreement") == metrics.models["student"].interval("accuracy")


@pytest.mark.parametrize("gold", [None, INVALID])
def test_a_row_without_a_valid_reference_is_counted_as_unscored(build, gold):
    rows = [build.row(gold, RIGHT, RIGHT, RIGHT), build.row(RIGHT, RIGHT, RIGHT, WRONG)]
    metrics = evaluate(rows, NLI).metrics
    assert (metrics.rows, metrics.unscored) == (1, 1)
    assert accuracies(metrics)["student"] == 0
    assert metrics.models["student"].value("agreement") == 0.5


def test_an_answer_is_right_by_any_of_several_references(build):
    qa = EvaluateConfig(task="qa", resamples=200)
    rows = [
        build.row(("Paris", "the City of Light"), "Paris.", "Lyon", "City of Light"),
        build.row("no answer", "", "x", ""),
    ]
    evaluation = evaluate(rows, qa)
    assert accuracies(evaluation.metrics) == {"teacher": 1, "baseline": 0, "student": 1}
    assert evaluation.scores[0].gold == ("paris", "city of light")
    partial = evaluate([build.row(("Paris", "City of Light"), "", "light", "the city of lights")], qa).metrics
    f1 = {role: model.value("f1") for role, model in partial.models.items()}
    assert f1 == {"teacher": 0, "baseline": 0.5, "student": pytest.approx(2 / 3, abs=1e-6)}
    assert evaluate([build.row(("a b c d", "w x y z"), "a b c d", "", "w x y z")], qa).metrics.models["student"].value(
        "bleu"
    ) == pytest.approx(100)


def test_agreement_is_with_the_teacher_right_or_wrong(build):
    metrics = evaluate([build.row(RIGHT, WRONG, RIGHT, WRONG)], NLI).metrics
    assert (metrics.models["student"].value("accuracy"), metrics.models["student"].value("agreement")) == (0, 1)
    assert metrics.retention.value is None


def test_bleu_compares_the_unnormalized_texts(build):
    text = "The parcel left us on Monday."
    conversation = EvaluateConfig(task="conversation", resamples=200)
    metrics = evaluate([build.row(text, text.upper(), "No idea at all.", text)], conversation).metrics
    assert accuracies(metrics) == {"teacher": 1, "baseline": 0, "student": 1}
    assert metrics.models["student"].value("bleu") == pytest.approx(100)
    assert metrics.models["teacher"].value("bleu") < 20


def test_metrics_of_no_test_rows_are_undefined():
    metrics = evaluate([], NLI).metrics
    assert (metrics.rows, metrics.unscored) == (0, 0)
    assert accuracies(metrics) == {"teacher": None, "baseline": None, "student": None}
    assert metrics.retention.value is metrics.gain.value is None
