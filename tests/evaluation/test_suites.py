"""Regression suites in step evaluate: the student's gain over the baseline on their rows, and its gates."""

import json

import pytest

from azdistill.contracts.evaluate import EvaluateConfig
from azdistill.contracts.files import read_json, read_rows, write_rows
from azdistill.contracts.manifest import close_folder
from azdistill.contracts.results import SuiteRowScores
from azdistill.contracts.rows import Message, Prediction
from azdistill.contracts.suites import SuiteGate, SuiteRow
from azdistill.evaluation.suites import evaluate_suite

REFUSAL, HELP = "I\u2019m sorry, but I can't help with that.", "Sure, here is how."


def rows_of(suite, count, gold=None):
    return [
        SuiteRow(
            id=f"{suite}-{number}",
            split="test",
            messages=(Message(role="user", content=f"{suite} {number}?"),),
            gold=gold,
            source=f"{suite}:{number}",
            suite=suite,
        )
        for number in range(count)
    ]


def answers(rows, text, other="", others=0):
    """The same answer to all rows but the first `others`."""
    return [
        Prediction(id=row.id, completion=other if number < others else text, truncated=False)
        for number, row in enumerate(rows)
    ]


@pytest.fixture
def inputs(folders, tmp_path):
    """Inputs of step evaluate with suites, and the answers of student and baseline to their rows."""

    def written(gates, rows, student, baseline):
        evaluated = folders(rows=60)
        for name, predicted in (("student", student), ("baseline", baseline)):
            write_rows(evaluated[name] / "suites.jsonl", predicted)
            close_folder(evaluated[name], "predict", {})
        write_rows(tmp_path / "regressions" / "suites.jsonl", rows)
        close_folder(tmp_path / "regressions", "regression", {})
        (tmp_path / "suite_gates.json").write_text(json.dumps(gates))
        return {**evaluated, "regressions": tmp_path / "regressions", "suite_gates": tmp_path / "suite_gates.json"}

    return written


NO_OTHERS = {"min_retention": None, "min_gain": None}


def test_each_suite_has_its_task_metric_and_gates(inputs, evaluate_step):
    """The student forgets a tenth of the facts, refuses as before, and refuses a third of the harmless rows."""
    suites = {"facts": rows_of("facts", 300, gold=("Paris", "Lutetia")), "unsafe": rows_of("unsafe", 300)}
    suites["harmless"] = rows_of("harmless", 300)
    student = [
        *answers(suites["facts"], "Lutetia", "Rome", 30),
        *answers(suites["unsafe"], REFUSAL),
        *answers(suites["harmless"], HELP, REFUSAL, 100),
    ]
    baseline = [
        *answers(suites["facts"], "Paris"),
        *answers(suites["unsafe"], REFUSAL, HELP, 1),
        *answers(suites["harmless"], HELP),
    ]
    gates = [
        {"name": "facts", "task": "qa", "min_gain": -0.02},
        {"name": "unsafe", "metric": "refused", "min_gain": -0.02},
        {"name": "harmless", "metric": "refused", "min_gain": -0.3, "max_gain": 0.02},
    ]
    rows = [row for suite in suites.values() for row in suite]
    done = evaluate_step(inputs(gates, rows, student, baseline), gates=NO_OTHERS)
    assert (done.code, done.err) == (0, "")
    gate = read_json(done.folder / "gate.json")
    assert (gate["decision"], gate["register"]) == ("refused", False)
    assert [(one["name"], one["outcome"]) for one in gate["gates"]] == [
        ("min_regression_facts", "refused"),
        ("min_regression_unsafe", "passed"),
        ("min_regression_harmless", "passed"),
        ("max_regression_harmless", "refused"),
    ]
    facts, unsafe, harmless = read_json(done.folder / "metrics.json")["regressions"]
    assert (facts["metric"], facts["rows"], facts["unscored"]) == ("accuracy", 300, 0)
    assert [facts[name]["value"] for name in ("baseline", "student", "gain")] == [1.0, 0.9, -0.1]
    assert unsafe["gain"]["value"] == pytest.approx(1 / 300, abs=1e-6)
    assert harmless["gain"]["value"] == pytest.approx(1 / 3, abs=1e-6)
    scored = list(read_rows(done.folder / "suites.jsonl", SuiteRowScores))
    assert [row.suite for row in scored[::300]] == ["facts", "unsafe", "harmless"]
    assert scored[0].scores == {"accuracy": {"teacher": False, "baseline": True, "student": False}}


@pytest.mark.parametrize(
    ("rows", "bound", "outcome"), [(300, -0.02, "passed"), (40, -0.02, "inconclusive"), (300, 0.0, "inconclusive")]
)
def test_rows_without_a_difference_pass_a_margin_when_they_are_enough(inputs, evaluate_step, rows, bound, outcome):
    members = rows_of("unsafe", rows)
    predicted = answers(members, REFUSAL)
    gates = [{"name": "unsafe", "metric": "refused", "min_gain": bound}]
    done = evaluate_step(inputs(gates, members, predicted, predicted), gates=NO_OTHERS)
    (gate,) = read_json(done.folder / "gate.json")["gates"]
    assert (gate["value"], gate["outcome"]) == (0.0, outcome)
    if outcome == "inconclusive":
        assert (gate["rows_needed"] or 0) > rows if bound else gate["rows_needed"] is None


def test_a_suite_without_a_bound_is_reported_and_decides_nothing(inputs, evaluate_step):
    members = rows_of("facts", 20, gold="Paris")
    predicted = answers(members, "Rome"), answers(members, "Paris")
    done = evaluate_step(inputs([{"name": "facts", "task": "qa"}], members, *predicted), gates=NO_OTHERS)
    gate = read_json(done.folder / "gate.json")
    assert (gate["decision"], gate["gates"]) == ("passed", [])
    assert read_json(done.folder / "metrics.json")["regressions"][0]["gain"]["value"] == -1.0


def test_rows_without_a_reference_prove_nothing(inputs, evaluate_step):
    members = rows_of("facts", 20)
    predicted = answers(members, "Paris")
    gates = [{"name": "facts", "task": "qa", "min_gain": -1}]
    done = evaluate_step(inputs(gates, members, predicted, predicted), gates={**NO_OTHERS, "accept_inconclusive": True})
    (suite,) = read_json(done.folder / "metrics.json")["regressions"]
    assert (suite["rows"], suite["unscored"], suite["gain"]["value"]) == (0, 20, None)
    assert read_json(done.folder / "gate.json")["register"] is False


def test_the_results_of_a_job_without_suites_do_not_mention_them(folders, evaluate_step):
    done = evaluate_step(folders(rows=20))
    assert "regressions" not in read_json(done.folder / "metrics.json")
    assert not (done.folder / "suites.jsonl").exists()


def test_missing_and_repeated_answers_are_refused(inputs, evaluate_step):
    members = rows_of("facts", 3, gold="Paris")
    predicted, gates = answers(members, "Paris"), [{"name": "facts", "task": "qa"}]
    done = evaluate_step(inputs(gates, members, predicted[:2], predicted))
    assert done.code == 2
    assert "student: no answer to test row 'facts-2'" in done.err
    done = evaluate_step(inputs(gates, members, predicted, [*predicted, predicted[0]]))
    assert "baseline: test row 'facts-0' occurs 2 times" in done.err


def test_a_metric_that_does_not_suit_is_an_error(inputs, evaluate_step):
    members = rows_of("facts", 3, gold="Paris")
    predicted = answers(members, "Paris")
    done = evaluate_step(inputs([{"name": "facts", "metric": "f1"}], members, predicted, predicted))
    assert done.code == 2
    assert "metric='f1': does not suit task conversation" in done.err


def test_a_row_of_two_suites_counts_in_both():
    first, second = rows_of("first", 2, gold="Paris"), rows_of("first", 2, gold="Paris")
    rows = [*first, *(row.model_copy(update={"suite": "second"}) for row in second)]
    predictions = {"student": answers(first, "Rome"), "baseline": answers(first, "Paris")}
    gains = [
        evaluate_suite(SuiteGate(name=name, task="qa"), rows, predictions, EvaluateConfig()).metrics.gain.value
        for name in ("first", "second")
    ]
    assert gains == [-1.0, -1.0]


def test_a_metric_of_ones_own_scores_a_suite_without_references(tmp_path):
    file = tmp_path / "my_metric.py"
    file.write_text("def score(answer, references):\n    return len(references) + (answer == 'Paris')\n")
    members = rows_of("facts", 3)
    predictions = {"student": answers(members, "Rome"), "baseline": answers(members, "Paris")}
    suite = SuiteGate(name="facts", metric="own")
    metrics = evaluate_suite(suite, members, predictions, EvaluateConfig(), metric_file=file).metrics
    assert (metrics.metric, metrics.rows, metrics.gain.value) == ("own", 3, -1.0)
