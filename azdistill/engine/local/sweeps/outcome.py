"""Finish a sweep: write the table of trials, and use the best trial's outputs or explain why no trial is the best."""

from collections.abc import Sequence
from itertools import chain

from azdistill.engine.local.attempts import TIMED_OUT, NodeAttempt
from azdistill.engine.local.results import NodeRun, describe_failure
from azdistill.engine.local.sweeps.tracking import TrialTracker
from azdistill.engine.local.sweeps.trials import SweepTrial, best_trial, copy_output, table, write_summary
from azdistill.engine.pipeline.sweep_checks import TRIALS
from azdistill.engine.pipeline.sweeps import Sweep

_LOG_LINES = 8


def finish_sweep(attempt: NodeAttempt, sweep: Sweep, tracker: TrialTracker, trials: Sequence[SweepTrial]) -> int:
    """Log the results of the trials, copy the outputs of the best one to the node, and return the node's exit code."""
    best = best_trial(trials, sweep.objective)
    write_summary(attempt.folder, trials, sweep.objective, best)
    with attempt.log.open("a", encoding="utf-8") as stream:
        stream.write(table(trials, sweep.objective) + "\n")
    not_done = [trial for trial in trials if trial.state in ("canceled", "waiting")]
    if not_done:
        done = f"{len(trials) - len(not_done)} of {len(trials)} trials done"
        attempt.note(f"ended after limits.timeout={sweep.limits.timeout} seconds, with {done}")
    if best is None:
        code = _explain_no_result(attempt, sweep.objective.metric, tracker, trials)
        return code or (TIMED_OUT if not_done else 1)
    attempt.note(f"trial {best.number} is the best of {len(trials)}: {sweep.objective.metric}={best.metric:.6g}")
    for name, path in attempt.resolved.outputs.items():
        is_own = path.is_relative_to(attempt.folder.absolute())
        copy_output((attempt.folder / TRIALS / str(best.number) / name).absolute(), path, clear=is_own)
    return 0


def describe_trial(trial: SweepTrial, metric: str) -> str:
    """One line about a trial that ended."""
    values = " ".join(f"{name}={value}" for name, value in trial.values.items())
    code = f" with {trial.exit_code}" if trial.state == "failed" else ""
    shown = f"{metric}={trial.metric:.6g}" if trial.metric is not None else f"no {metric}"
    reason = f" ({trial.reason})" if trial.reason else ""
    return f"trial {trial.number} {trial.state}{code} after {trial.seconds:.1f} s: {values}: {shown}{reason}"


def _explain_no_result(
    attempt: NodeAttempt, metric: str, tracker: TrialTracker, trials: Sequence[SweepTrial]
) -> int | None:
    """Log why no trial is a candidate. Returns the exit code of the first failed trial when none completed."""
    completed = [trial for trial in trials if trial.state == "completed"]
    failed = next((trial for trial in trials if trial.state == "failed"), None)
    if completed:
        attempt.note(_explain_no_metric(metric, tracker, completed))
    elif failed:
        log = attempt.folder / TRIALS / str(failed.number) / attempt.log.name
        name = f"{attempt.node.name}/{TRIALS}/{failed.number}"
        run = NodeRun(name, "failed", log, failed.seconds, failed.exit_code)
        attempt.note(f"no trial completed; the first that failed:\n{describe_failure(run, _LOG_LINES)}")
        return failed.exit_code
    else:
        attempt.note("no trial completed; raise the limits, or make early_termination less strict")
    return None


def _explain_no_metric(metric: str, tracker: TrialTracker, completed: Sequence[SweepTrial]) -> str:
    if any(trial.series for trial in completed):
        return f"the last {metric!r} of every trial is not a number, so no trial is the best"
    logged = sorted(set(chain.from_iterable(tracker.logged_metrics(trial.run) for trial in completed)))
    return (
        f"no trial logged {metric!r}; logged: {', '.join(logged) or 'nothing'}; call "
        f"mlflow.log_metric({metric!r}, ...) in the trial, or set objective.primary_metric to another metric"
    )
