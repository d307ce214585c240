"""The figures: what is right, what is held against what, and what is left out."""

import pytest

from azdistill.contracts.evaluate import EvaluateConfig
from azdistill.evaluation.metrics import evaluate

NLI = EvaluateConfig(task="nli", resamples=200)
RIGHT, WRONG, MUMBLED = "neutral", "entailment", "I can't say"


def accuracies(metrics):
    return {who: model.value("accuracy") for who, model in metrics.models.items()}


def test_all_three_are_held_against_the_reference_answers(made):
    rows = [made.row(RIGHT, RIGHT, WRONG, RIGHT), made.row(RIGHT, RIGHT, MUMBLED, WRONG)]
    metrics = evaluate(rows, NLI).metrics
    assert metrics.reference == "gold"
    assert accuracies(metrics) == {"teacher": 1, "baseline": 0, "student": 0.5}
    assert (metrics.retention.value, metrics.gain.value) == (0.5, 0.5)
    assert [model.value("answered") for model in metrics.models.values()] == [2, 1, 2]


def test_an_answer_that_was_cut_off_or_never_came_is_wrong(made):
    rows = [made.row(RIGHT, None, None, None), made.row(RIGHT, RIGHT, RIGHT, RIGHT)]
    found = evaluate(rows, NLI)
    assert accuracies(found.metrics) == {"teacher": 0.5, "baseline": 0.5, "student": 0.5}
    assert found.scores[0].answers["student"] is None
    assert found.scores[0].scores == {
        "accuracy": {"teacher": False, "baseline": False, "student": False},
        "agreement": {"teacher": None, "baseline": None, "student": None},
    }


def test_without_a_single_reference_answer_the_teacher_is_the_reference(made):
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


@pytest.mark.parametrize("gold", [None, MUMBLED])
def test_a_row_that_has_nothing_to_be_held_against_is_left_out_and_counted(made, gold):
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


def test_no_test_rows_give_no_figures():
    metrics = evaluate([], NLI).metrics
    assert (metrics.rows, metrics.unscored) == (0, 0)
    assert accuracies(metrics) == {"teacher": None, "baseline": None, "student": None}
    assert metrics.retention.value is metrics.gain.value is None
