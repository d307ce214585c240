"""What is known of each trial: `trials/N/trial.json`, and `trials.json` over all of them."""

import json
import math
import shutil
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from azdistill.engine.files import write_json
from azdistill.engine.local.sweeps.early_termination import score
from azdistill.engine.local.sweeps.sampling import Values
from azdistill.engine.pipeline.sweep_checks import TRIALS
from azdistill.engine.pipeline.sweeps import Objective

State = Literal["waiting", "running", "completed", "failed", "terminated", "timed out", "canceled"]
"""`terminated` by the policy, `timed out` by `limits.trial_timeout`, `canceled` by `limits.timeout`."""

RECORD, ALL = "trial.json", "trials.json"
_CUT_SHORT = ("running", "canceled")


@dataclass(frozen=True)
class Trial:
    """One trial, counted from 1. `run` is its MLflow run, `series` all that it logged of the metric, in order."""

    number: int
    values: Values
    state: State = "waiting"
    run: str = ""
    series: tuple[float, ...] = ()
    seconds: float = 0.0
    exit_code: int | None = None
    reason: str = ""

    @property
    def metric(self) -> float | None:
        """The value that counts: the last."""
        return self.series[-1] if self.series else None

    @property
    def is_candidate(self) -> bool:
        """Whether its outputs are whole and it told how good they are."""
        return self.state == "completed" and self.metric is not None and not math.isnan(self.metric)

    @property
    def is_cut_short(self) -> bool:
        """It goes on where it was, in its folder and in its run."""
        return self.state in _CUT_SHORT


def planned(folder: Path, samples: Collection[Values]) -> list[Trial]:
    """The trials of a sweep, as far as an earlier try came.

    What ended by itself is not run again; unless no trial has come to a result, when it could be that none will.
    """
    found = [_read(folder, number, values) for number, values in enumerate(samples, 1)]
    if any(trial.is_candidate for trial in found):
        return found
    return [one if one.is_cut_short else Trial(one.number, one.values) for one in found]


def best(trials: Collection[Trial], objective: Objective) -> Trial | None:
    """The first of the best candidates; None when there is no candidate."""
    found = [trial for trial in trials if trial.is_candidate]
    return max(found, key=lambda trial: score(objective.goal, trial.series[-1])) if found else None


def write_trial(folder: Path, trial: Trial) -> None:
    """Raises OSError."""
    write_json(folder / TRIALS / str(trial.number) / RECORD, asdict(trial))


def write_all(folder: Path, trials: Collection[Trial], objective: Objective, chosen: Trial | None) -> None:
    """The trials without their series, for whoever reads the sweep's folder."""
    write_json(
        folder / ALL,
        {
            "primary_metric": objective.metric,
            "goal": objective.goal,
            "best": chosen and chosen.number,
            "trials": [_shown(trial) for trial in trials],
        },
    )


def table(trials: Collection[Trial], objective: Objective) -> str:
    """A line for each trial, in columns."""
    names = list(dict.fromkeys(name for trial in trials for name in trial.values))
    rows = [["trial", "state", objective.metric, "seconds", *names]]
    rows += [
        [str(one.number), one.state, _number(one.metric), f"{one.seconds:.1f}", *(_text(one, name) for name in names)]
        for one in trials
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def place(source: Path, target: Path, *, clear: bool) -> None:
    """Make a trial's output the sweep's, by hard links where the disk allows; every file beside first, then renamed.
    With `clear` nothing else is left in `target`. Raises OSError."""
    if clear and target.is_dir():
        shutil.rmtree(target)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, copy_function=_put)
    elif source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        _put(str(source), str(target))


def _put(source: str, target: str) -> None:
    partial = Path(target).with_name(f".{Path(target).name}.partial")
    partial.unlink(missing_ok=True)
    try:
        partial.hardlink_to(source)
    except OSError:  # another disk, or one without links
        shutil.copy2(source, partial)
    partial.replace(target)


def _read(folder: Path, number: int, values: Values) -> Trial:
    """A record that can't be read, or of other values, is none."""
    try:
        raw = json.loads((folder / TRIALS / str(number) / RECORD).read_text(encoding="utf-8"))
        found = Trial(**{**raw, "series": tuple(raw["series"])})
    except (OSError, ValueError, TypeError, KeyError):
        return Trial(number, values)
    return found if found == replace(found, number=number, values=dict(values)) else Trial(number, values)


def _shown(trial: Trial) -> Mapping[str, Any]:
    """JSON knows no `nan`."""
    metric = trial.metric if trial.metric is not None and math.isfinite(trial.metric) else None
    return {**{name: value for name, value in asdict(trial).items() if name != "series"}, "metric": metric}


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def _text(trial: Trial, name: str) -> str:
    value = trial.values.get(name, "")
    return f"{value:.6g}" if isinstance(value, float) else str(value)
