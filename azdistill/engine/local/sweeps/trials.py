"""Records of trials: `trials/N/trial.json` for each, and `trials.json` for all of them."""

import math
import shutil
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from azdistill.engine.errors import DataError
from azdistill.engine.files import read_json, write_json
from azdistill.engine.local.storage import engine_file, engine_folder, remove
from azdistill.engine.local.sweeps.early_termination import score
from azdistill.engine.local.sweeps.sampling import Values
from azdistill.engine.pipeline.sweep_checks import TRIALS
from azdistill.engine.pipeline.sweeps import Objective

# `terminated` by the early termination policy, `timed out` by `limits.trial_timeout`, `canceled` by `limits.timeout`.
TrialState = Literal["waiting", "running", "completed", "failed", "terminated", "timed out", "canceled"]

RECORD_FILE, SUMMARY_FILE = "trial.json", "trials.json"
_CUT_SHORT = ("running", "canceled")


@dataclass(frozen=True)
class SweepTrial:
    """One trial, numbered from 1. `run` is the id of its MLflow run, `series` are all logged values of the metric."""

    number: int
    values: Values
    state: TrialState = "waiting"
    run: str = ""
    series: tuple[float, ...] = ()
    seconds: float = 0.0
    exit_code: int | None = None
    reason: str = ""

    @property
    def metric(self) -> float | None:
        """The last logged value, which is the one that counts."""
        return self.series[-1] if self.series else None

    @property
    def is_candidate(self) -> bool:
        """True if the trial can be the best one: completed, with a metric that is a number."""
        return self.state == "completed" and self.metric is not None and not math.isnan(self.metric)

    @property
    def is_cut_short(self) -> bool:
        """True if the trial was interrupted: it continues in its folder and in its MLflow run."""
        return self.state in _CUT_SHORT


def load_trials(folder: Path, samples: Collection[Values]) -> list[SweepTrial]:
    """The trials of a sweep, with the records of an earlier attempt.

    A trial that ended does not run again, unless no trial has a result: then another attempt may have one.
    """
    trials = [_read(folder, number, values) for number, values in enumerate(samples, 1)]
    if any(trial.is_candidate for trial in trials):
        return trials
    return [trial if trial.is_cut_short else SweepTrial(trial.number, trial.values) for trial in trials]


def best_trial(trials: Collection[SweepTrial], objective: Objective) -> SweepTrial | None:
    """The first of the best candidates. None when there is no candidate."""
    candidates = [trial for trial in trials if trial.is_candidate]
    return max(candidates, key=lambda trial: score(objective.goal, trial.series[-1])) if candidates else None


def write_trial(folder: Path, trial: SweepTrial) -> None:
    """Write the record of a trial. Raises OSError."""
    write_json(engine_file(engine_folder(folder / TRIALS) / str(trial.number) / RECORD_FILE), asdict(trial))


def write_summary(folder: Path, trials: Collection[SweepTrial], objective: Objective, best: SweepTrial | None) -> None:
    """Write all trials, without their series, to one file."""
    write_json(
        folder / SUMMARY_FILE,
        {
            "primary_metric": objective.metric,
            "goal": objective.goal,
            "best": best and best.number,
            "trials": [_summarize(trial) for trial in trials],
        },
    )


def table(trials: Collection[SweepTrial], objective: Objective) -> str:
    """A text table with a line for each trial."""
    names = list(dict.fromkeys(name for trial in trials for name in trial.values))
    rows = [["trial", "state", objective.metric, "seconds", *names]]
    for trial in trials:
        metric = "-" if trial.metric is None else f"{trial.metric:.6g}"
        values = (_format(trial.values.get(name, "")) for name in names)
        rows.append([str(trial.number), trial.state, metric, f"{trial.seconds:.1f}", *values])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def copy_output(source: Path, target: Path, *, clear: bool) -> None:
    """Make a trial's output the sweep's, with hard links where the disk supports them.

    Each file is written under a temporary name and renamed. With `clear`, `target` holds nothing else afterwards.
    Raises OSError.
    """
    if clear and target.is_dir():
        remove(target)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, copy_function=_link_or_copy)
    elif source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        _link_or_copy(str(source), str(target))


def _link_or_copy(source: str, target: str) -> None:
    partial = Path(target).with_name(f".{Path(target).name}.partial")
    partial.unlink(missing_ok=True)
    try:
        partial.hardlink_to(source)
    except OSError:  # another disk, or a file system without hard links
        shutil.copy2(source, partial)
    partial.replace(target)


def _read(folder: Path, number: int, values: Values) -> SweepTrial:
    """A recorded trial. A record that is unreadable or has other values is ignored."""
    try:
        raw = read_json(folder / TRIALS / str(number) / RECORD_FILE)
        trial = SweepTrial(**{**raw, "series": tuple(raw["series"])})
    except (DataError, ValueError, TypeError, KeyError):
        return SweepTrial(number, values)
    matches = trial == replace(trial, number=number, values=dict(values))
    return trial if matches and _has_types(trial) else SweepTrial(number, values)


def _has_types(trial: SweepTrial) -> bool:
    numbers = (trial.seconds, *trial.series)
    return (
        trial.state in get_args(TrialState)
        and isinstance(trial.exit_code, int | None)
        and isinstance(trial.run, str)
        and isinstance(trial.reason, str)
        and all(isinstance(number, int | float) for number in numbers)
    )


def _summarize(trial: SweepTrial) -> Mapping[str, Any]:
    """JSON has no NaN: a metric that is not finite becomes null."""
    metric = trial.metric if trial.metric is not None and math.isfinite(trial.metric) else None
    return {**{name: value for name, value in asdict(trial).items() if name != "series"}, "metric": metric}


def _format(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
