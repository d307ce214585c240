"""How a sweep ended: the table of its trials, the best one's outputs, or why there is none."""

from collections.abc import Sequence
from itertools import chain

from azdistill.engine.local.results import NodeRun, describe_failure
from azdistill.engine.local.sweeps.tracking import Tracking
from azdistill.engine.local.sweeps.trials import Trial, best, place, table, write_all
from azdistill.engine.local.task import TIMED_OUT, Task
from azdistill.engine.pipeline.sweep_checks import TRIALS
from azdistill.engine.pipeline.sweeps import Sweep

_TAIL_LINES = 8


def conclude(task: Task, sweep: Sweep, tracking: Tracking, trials: Sequence[Trial]) -> int:
    """Tell how the trials ended, make the best one's outputs the node's, and return the node's exit code."""
    chosen = best(trials, sweep.objective)
    write_all(task.folder, trials, sweep.objective, chosen)
    with task.log.open("a", encoding="utf-8") as stream:
        stream.write(table(trials, sweep.objective) + "\n")
    cut = [trial for trial in trials if trial.state in ("canceled", "waiting")]
    if cut:
        done = len(trials) - len(cut)
        task.note(
            f"ended after limits.timeout={sweep.limits.timeout} seconds, with {done} of {len(trials)} trials done"
        )
    if chosen is None:
        return _without_result(task, sweep.objective.metric, tracking, trials) or (TIMED_OUT if cut else 1)
    task.note(f"trial {chosen.number} is the best of {len(trials)}: {sweep.objective.metric}={chosen.metric:.6g}")
    for name, path in task.resolved.outputs.items():
        is_own = path.is_relative_to(task.folder.absolute())
        place((task.folder / TRIALS / str(chosen.number) / name).absolute(), path, clear=is_own)
    return 0


def told(trial: Trial, metric: str) -> str:
    """One line about a trial that ended."""
    values = " ".join(f"{name}={value}" for name, value in trial.values.items())
    end = f" with {trial.exit_code}" if trial.state == "failed" else ""
    shown = f"{metric}={trial.metric:.6g}" if trial.metric is not None else f"no {metric}"
    reason = f" ({trial.reason})" if trial.reason else ""
    return f"trial {trial.number} {trial.state}{end} after {trial.seconds:.1f} s: {values}: {shown}{reason}"


def _without_result(task: Task, metric: str, tracking: Tracking, trials: Sequence[Trial]) -> int | None:
    """Say why no trial is a candidate; the exit code of the first that failed, where none came to its end."""
    completed = [trial for trial in trials if trial.state == "completed"]
    failed = next((trial for trial in trials if trial.state == "failed"), None)
    if completed:
        task.note(_without_metric(metric, tracking, completed))
    elif failed:
        task.note(f"no trial came to its end; the first that failed:\n{_failure(task, failed)}")
        return failed.exit_code
    else:
        task.note("no trial came to its end, so none is the best; raise the limits, or loosen early_termination")
    return None


def _without_metric(metric: str, tracking: Tracking, completed: Sequence[Trial]) -> str:
    if any(trial.series for trial in completed):
        return f"every {metric!r} that was logged last is no number, so no trial is the best"
    logged = sorted(set(chain.from_iterable(tracking.logged(trial.run) for trial in completed)))
    return (
        f"logged: {', '.join(logged) or 'nothing'}, none of them {metric!r}; log it in the trial with "
        f"mlflow.log_metric({metric!r}, ...), or name another in objective.primary_metric"
    )


def _failure(task: Task, trial: Trial) -> str:
    """As a node's: the last lines of its log, and where the rest is."""
    log = task.folder / TRIALS / str(trial.number) / task.log.name
    name = f"{task.node.name}/{TRIALS}/{trial.number}"
    return describe_failure(NodeRun(name, "failed", log, trial.seconds, trial.exit_code), _TAIL_LINES)
