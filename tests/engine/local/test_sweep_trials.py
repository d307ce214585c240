"""Records of trials, the best trial, and its outputs."""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from azdistill.engine.local.processes import Launch, Processes, Stopped
from azdistill.engine.local.sweeps.trials import (
    SweepTrial,
    best_trial,
    copy_output,
    load_trials,
    table,
    write_summary,
    write_trial,
)
from azdistill.engine.pipeline.sweeps import Objective
from tests.damaged import CONTENTS

LOSS = Objective("loss", "minimize")
DONE = SweepTrial(1, {"rate": 0.1}, "completed", "r1", (0.9, 0.5), 1.25, 0)
VALUES: list[dict[str, Any]] = [{"rate": 0.1}, {"rate": 0.2}]


def after(folder: Path, *trials: SweepTrial) -> list[str]:
    """The states that the next try begins with."""
    for trial in trials:
        write_trial(folder, trial)
    return [trial.state for trial in load_trials(folder, VALUES)]


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_trial(tmp_path, DONE)
    assert load_trials(tmp_path, VALUES) == [DONE, SweepTrial(2, {"rate": 0.2})]


@pytest.mark.parametrize("state", ["failed", "terminated", "timed out"])
def test_ended_trials_are_kept_if_one_has_a_result(tmp_path: Path, state: Any) -> None:
    ended = replace(DONE, number=2, values={"rate": 0.2}, state=state)
    assert after(tmp_path / "with", DONE, ended) == ["completed", state]
    assert after(tmp_path / "without", replace(DONE, series=()), ended) == ["waiting", "waiting"]


def test_an_interrupted_trial_continues_in_its_run(tmp_path: Path) -> None:
    cut = replace(DONE, state="running"), replace(DONE, number=2, values={"rate": 0.2}, state="canceled", run="r2")
    assert after(tmp_path, *cut) == ["running", "canceled"]
    assert [trial.run for trial in load_trials(tmp_path, VALUES)] == ["r1", "r2"]


@pytest.mark.parametrize(
    "broken",
    [
        *CONTENTS.values(),
        json.dumps({"series": 3}).encode(),
        *(
            json.dumps({**asdict(DONE), **wrong}).encode()
            for wrong in ({"series": ["a"]}, {"seconds": "now"}, {"exit_code": []}, {"state": {}}, {"run": 3})
        ),
    ],
)
def test_a_damaged_trial_record_is_ignored(tmp_path: Path, broken: bytes) -> None:
    write_trial(tmp_path, DONE)
    (tmp_path / "trials" / "1" / "trial.json").write_bytes(broken)
    assert load_trials(tmp_path, VALUES)[0] == SweepTrial(1, {"rate": 0.1})


def test_a_record_with_other_values_is_ignored(tmp_path: Path) -> None:
    assert after(tmp_path, replace(DONE, values={"rate": 0.3})) == ["waiting", "waiting"]


def test_the_best_is_the_first_with_the_best_last_value() -> None:
    trials = [replace(DONE, number=number, series=(0.0, last)) for number, last in enumerate((0.3, 0.1, 0.1, 0.2), 1)]
    for goal, number in (("minimize", 2), ("maximize", 1)):
        best = best_trial(trials, Objective("loss", goal))  # type: ignore[arg-type]
        assert best is not None
        assert best.number == number


def test_a_failed_trial_or_one_without_a_finite_metric_is_not_the_best() -> None:
    worse = replace(DONE, series=(), number=2), replace(DONE, state="failed"), replace(DONE, series=(math.nan,))
    assert best_trial(worse, LOSS) is None
    assert best_trial([*worse, DONE], LOSS) == DONE


def test_the_summary_is_standard_json(tmp_path: Path) -> None:
    write_summary(tmp_path, [DONE, replace(DONE, number=2, series=(math.inf,))], LOSS, DONE)
    summary = json.loads((tmp_path / "trials.json").read_text(), parse_constant=pytest.fail)
    assert (summary["best"], summary["primary_metric"], summary["goal"]) == (1, "loss", "minimize")
    assert [trial["metric"] for trial in summary["trials"]] == [0.5, None]


def test_the_table_has_a_column_for_each_value() -> None:
    trials = [
        replace(DONE, values={"rate": 1e-05, "kernel": "rbf"}),
        SweepTrial(2, {"rate": 0.123456789, "kernel": "linear"}),
    ]
    assert table(trials, LOSS) == (
        "trial  state      loss  seconds  rate      kernel\n"
        "1      completed  0.5   1.2      1e-05     rbf\n"
        "2      waiting    -     0.0      0.123457  linear"
    )  # fmt: skip


def test_stopped_processes_start_no_command(tmp_path: Path) -> None:
    processes = Processes().branch()
    processes.stop()
    with pytest.raises(Stopped), processes.start(Launch("true", tmp_path, tmp_path / "log.txt", {})):
        pytest.fail("it started")
    assert not (tmp_path / "log.txt").exists()


def test_a_copied_output_replaces_an_earlier_one(tmp_path: Path) -> None:
    source, target = tmp_path / "trial", tmp_path / "node"
    for folder, name in ((source, "a"), (source / "deep", "b"), (target, "old")):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (source / "link").symlink_to("a")
    copy_output(source, target, clear=True)
    copy_output(source, target, clear=True)
    assert sorted(path.relative_to(target).as_posix() for path in target.rglob("*")) == ["a", "deep", "deep/b", "link"]
    assert (target / "a").stat().st_ino == (source / "a").stat().st_ino
    assert (target / "link").readlink() == Path("a")


def test_a_shared_output_keeps_other_files(tmp_path: Path) -> None:
    source, target = tmp_path / "trial", tmp_path / "shared"
    for folder, name, text in ((source, "a", "new"), (target, "a", "old"), (target, "theirs", "x")):
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    copy_output(source, target, clear=False)
    assert {path.name: path.read_text() for path in target.iterdir()} == {"a": "new", "theirs": "x"}


def test_a_file_is_copied_and_a_missing_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "trial").write_text("x")
    copy_output(tmp_path / "trial", tmp_path / "deep" / "node", clear=True)
    copy_output(tmp_path / "none", tmp_path / "other", clear=True)
    assert (tmp_path / "deep" / "node").read_text() == "x"
    assert not (tmp_path / "other").exists()
