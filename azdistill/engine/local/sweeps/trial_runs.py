"""Run the trials of a sweep node concurrently, each as a separate command node."""

import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path

from azdistill.engine.job_variables import RUN_ID
from azdistill.engine.local.attempts import CODE, Deadline, NodeAttempt
from azdistill.engine.local.commands import run_command
from azdistill.engine.local.processes import Processes, Stopped
from azdistill.engine.local.snapshots import stage
from azdistill.engine.local.storage import engine_folder, remove
from azdistill.engine.local.sweeps.early_termination import trials_to_end
from azdistill.engine.local.sweeps.outcome import describe_trial, finish_sweep
from azdistill.engine.local.sweeps.sampling import sample_trials
from azdistill.engine.local.sweeps.tracking import TrackingFailed, TrialTracker
from azdistill.engine.local.sweeps.trials import SweepTrial, TrialState, load_trials, write_trial
from azdistill.engine.local.variables import TRACKING_URI
from azdistill.engine.pipeline.sweep_checks import TRIALS
from azdistill.engine.pipeline.sweeps import Sweep

POLL_INTERVAL_S = 0.5
_MLFLOW_STATUS = {"completed": "FINISHED", "failed": "FAILED"}


def run_sweep(attempt: NodeAttempt) -> int:
    """Run the trials of a sweep that have not run yet, and return 0 when the outputs of the best one are in place.

    Raises Stopped when the run ends, and OSError. Errors of trials are in the node's log.
    """
    sweep = attempt.node.sweep
    assert sweep is not None
    if sweep.sampling.azure_kind:
        attempt.note(f"values are sampled at random: {sweep.sampling.azure_kind} sampling runs on Azure ML only")
    try:
        tracker = TrialTracker(attempt.variables, attempt.node.name)
        runs = _TrialRuns(attempt, sweep, tracker)
        runs.run()
        return finish_sweep(attempt, sweep, tracker, list(runs.trials.values()))
    except TrackingFailed as error:
        attempt.note(f"the MLflow server of ${TRACKING_URI} failed with {error}; check it and run again to continue")
        return 1


@dataclass(frozen=True)
class _RunningTrial:
    trial: SweepTrial
    processes: Processes
    deadline: Deadline
    started: float


class _TrialRuns:
    """The trials of a sweep by number, and those that run. Only the sweep's own thread calls MLflow."""

    def __init__(self, attempt: NodeAttempt, sweep: Sweep, tracker: TrialTracker) -> None:
        self.attempt, self.sweep, self.tracker = attempt, sweep, tracker
        trials = load_trials(attempt.folder, sample_trials(sweep))
        self.trials = {trial.number: trial for trial in trials}
        self.waiting = deque(trial.number for trial in trials if trial.state == "waiting" or trial.is_cut_short)
        self.concurrent = max(min(sweep.limits.concurrent or len(trials), attempt.options.jobs), 1)
        self.deadline = Deadline(sweep.limits.timeout)
        self.running: dict[Future[int | None], _RunningTrial] = {}
        self.sweep_run = ""  # its id
        # State and reason of trials that this sweep ends.
        self.ended: dict[int, tuple[TrialState, str]] = {}

    def run(self) -> None:
        """Run until no trial is waiting or running."""
        if done := len(self.trials) - len(self.waiting):
            self.attempt.note(f"{done} of {len(self.trials)} trials are done since an earlier attempt")
        earlier_runs = [trial.run for trial in self.trials.values() if trial.run]
        self.sweep_run = self.tracker.open_sweep(self.attempt.node.name, earlier_runs)
        self._run_waiting()
        self.tracker.close(self.sweep_run, "FINISHED")

    def _run_waiting(self) -> None:
        with ThreadPoolExecutor(2 * self.concurrent) as pool:  # a thread for each trial, and one that ends it
            try:
                while self.waiting or self.running:
                    self._step(pool)
            finally:  # trials are still running only after an exception
                for running in self.running.values():
                    pool.submit(running.processes.stop)

    def _folder(self, number: int) -> Path:
        return self.attempt.folder / TRIALS / str(number)

    def _step(self, pool: ThreadPoolExecutor) -> None:
        over = self.deadline.passed()
        if over:
            self.waiting.clear()
        while self.waiting and len(self.running) < self.concurrent:
            self._start(pool, self.trials[self.waiting.popleft()])
        timeout = POLL_INTERVAL_S if over else self.deadline.within(POLL_INTERVAL_S)
        done, _ = wait(self.running, timeout=timeout, return_when=FIRST_COMPLETED)
        self.attempt.processes.check()
        for future in done:
            self._finish(self.running.pop(future), future.result())
        self._end_trials(pool)

    def _start(self, pool: ThreadPoolExecutor, trial: SweepTrial) -> None:
        """Start a trial. An interrupted one continues in its folder, as a preempted job does. Others start empty."""
        engine_folder(self._folder(trial.number).parent)
        if trial.state == "waiting":
            remove(self._folder(trial.number))
        run = self.tracker.open(f"{self.attempt.node.name}/{trial.number}", trial.values, trial.run, self.sweep_run)
        trial = replace(trial, state="running", run=run, series=(), reason="")
        write_trial(self.attempt.folder, trial)
        self.trials[trial.number] = trial
        deadline = Deadline(self.sweep.limits.trial_timeout)
        running = _RunningTrial(trial, self.attempt.processes.branch(), deadline, time.monotonic())
        self.running[pool.submit(_run_trial, self._trial_attempt(running))] = running

    def _trial_attempt(self, running: _RunningTrial) -> NodeAttempt:
        """The trial as a command node: with its own folder, values, outputs and MLflow run."""
        folder, resolved = self._folder(running.trial.number), self.attempt.resolved
        outputs = {name: folder.absolute() / name for name in resolved.outputs}
        values = {f"inputs.{name}": str(value) for name, value in running.trial.values.items()}
        ports = {**resolved.ports, **values, **{f"outputs.{name}": path for name, path in outputs.items()}}
        variables = {f"AZUREML_SWEEP_{name.partition('.')[2]}": str(value) for name, value in ports.items()}
        variables |= self.tracker.variables(running.trial.run) | {RUN_ID: running.trial.run}
        settings = {name: value for name, value in self.attempt.node.settings.items() if name != "limits"}
        return replace(
            self.attempt,
            node=replace(self.attempt.node, settings=settings),
            resolved=replace(resolved, ports=ports, outputs=outputs),
            folder=folder,
            processes=running.processes,
            variables={**self.attempt.variables, **variables},
            new_environment=lambda folder: {**self.attempt.new_environment(folder), **variables},
        )

    def _finish(self, running: _RunningTrial, code: int | None) -> None:
        number, run = running.trial.number, running.trial.run
        state, reason = self.ended.get(number, ("completed" if code == 0 else "failed", ""))
        trial = replace(
            running.trial,
            state=state,
            series=self.tracker.series(run, self.sweep.objective.metric),
            seconds=round(running.trial.seconds + time.monotonic() - running.started, 3),
            exit_code=code,
            reason=reason,
        )
        self.trials[number] = trial
        self.tracker.close(run, _MLFLOW_STATUS.get(state, "KILLED"))
        write_trial(self.attempt.folder, trial)
        self.attempt.note(describe_trial(trial, self.sweep.objective.metric))

    def _end_trials(self, pool: ThreadPoolExecutor) -> None:
        """End trials whose time is over and trials that the policy ends."""
        limits = self.sweep.limits
        alive = {run.trial.number: run for run in self.running.values() if run.trial.number not in self.ended}
        ends: dict[int, tuple[TrialState, str]] = {
            number: ("terminated", reason) for number, reason in self._ended_by_policy(alive).items()
        }
        ends |= {
            number: ("timed out", f"limits.trial_timeout={limits.trial_timeout} seconds")
            for number, running in alive.items()
            if running.deadline.passed()
        }
        if self.deadline.passed():
            ends |= dict.fromkeys(alive, ("canceled", f"limits.timeout={limits.timeout} seconds"))
        self.ended |= ends
        for number in ends:
            pool.submit(alive[number].processes.stop)

    def _ended_by_policy(self, alive: dict[int, _RunningTrial]) -> dict[int, str]:
        objective, policy = self.sweep.objective, self.sweep.policy
        if policy is None:
            return {}
        series = {number: trial.series for number, trial in self.trials.items()}
        series |= {number: self.tracker.series(run.trial.run, objective.metric) for number, run in alive.items()}
        return trials_to_end(policy, objective.goal, series, alive)


def _run_trial(attempt: NodeAttempt) -> int | None:
    """Run a trial from start to end, in a separate thread. Returns its exit code; None when it was ended.

    It has a virtual environment of its own: trials that install packages at the same time would damage a common one.
    """
    try:
        attempt = replace(attempt, variables=attempt.new_environment(attempt.folder))
        stage(attempt.resolved.code, attempt.folder / CODE)
        for name, path in attempt.resolved.outputs.items():
            is_file = attempt.node.outputs[name].type == "uri_file"
            (path.parent if is_file else path).mkdir(parents=True, exist_ok=True)
            if is_file:
                path.unlink(missing_ok=True)  # a partial file of an interrupted attempt
        return run_command(attempt)
    except Stopped:
        return None
