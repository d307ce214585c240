"""A sweep node: its trials side by side, and the outputs of the best one as its own."""

import shutil
import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path

from azdistill.engine.local.commands import run_command
from azdistill.engine.local.processes import Processes, Stopped
from azdistill.engine.local.snapshots import stage
from azdistill.engine.local.sweeps.early_termination import to_end
from azdistill.engine.local.sweeps.outcome import conclude, told
from azdistill.engine.local.sweeps.sampling import samples
from azdistill.engine.local.sweeps.tracking import ADDRESS, Tracking, Unreachable
from azdistill.engine.local.sweeps.trials import State, Trial, planned, write_trial
from azdistill.engine.local.task import CODE, Deadline, Task
from azdistill.engine.pipeline.sweep_checks import TRIALS
from azdistill.engine.pipeline.sweeps import Sweep

TICK_S = 0.5
_RUN_STATUS = {"completed": "FINISHED", "failed": "FAILED"}


def run_sweep(task: Task) -> int:
    """Run the trials of a sweep that have not run yet, and return 0 when the outputs of the best one are placed.

    Raises Stopped when the run is being ended, and OSError. What went wrong in a trial is told in the node's log.
    """
    sweep = task.node.sweep
    assert sweep is not None
    if sweep.sampling.azure_kind:
        task.note(f"values are drawn at random here; {sweep.sampling.azure_kind} sampling is Azure ML's own")
    try:
        tracking = Tracking(task.variables, task.node.name)
        trials = _Trials(task, sweep, tracking)
        trials.run()
        return conclude(task, sweep, tracking, list(trials.all.values()))
    except Unreachable as problem:
        task.note(f"MLflow, which {ADDRESS} names, answers with {problem}; look at it, and run again to go on")
        return 1


@dataclass(frozen=True)
class _Try:
    """A trial that runs."""

    trial: Trial
    processes: Processes
    deadline: Deadline
    started: float


class _Trials:
    """The trials of a sweep, and which of them run. Only the sweep's own thread asks MLflow."""

    def __init__(self, task: Task, sweep: Sweep, tracking: Tracking) -> None:
        self.task, self.sweep, self.tracking = task, sweep, tracking
        found = planned(task.folder, samples(sweep))
        self.all = {trial.number: trial for trial in found}
        self.waiting = deque(one.number for one in found if one.state == "waiting" or one.is_cut_short)
        self.side_by_side = max(min(sweep.limits.concurrent or len(found), task.options.jobs), 1)
        self.limit = Deadline(sweep.limits.timeout)
        self.running: dict[Future[int | None], _Try] = {}
        self.ended: dict[int, tuple[State, str]] = {}

    def run(self) -> None:
        if left := len(self.all) - len(self.waiting):
            self.task.note(f"{left} of {len(self.all)} trials are done, from an earlier try")
        with ThreadPoolExecutor(2 * self.side_by_side) as pool:  # each trial, and whoever waits for it to end
            try:
                while self.waiting or self.running:
                    self._step(pool)
            finally:  # none is left unless something raised
                for one in self.running.values():
                    pool.submit(one.processes.stop)

    def folder(self, number: int) -> Path:
        return self.task.folder / TRIALS / str(number)

    def _step(self, pool: ThreadPoolExecutor) -> None:
        over = self.limit.passed()
        if over:
            self.waiting.clear()
        while self.waiting and len(self.running) < self.side_by_side:
            self._start(pool, self.all[self.waiting.popleft()])
        done, _ = wait(self.running, timeout=TICK_S if over else self.limit.within(TICK_S), return_when=FIRST_COMPLETED)
        self.task.processes.check()
        for future in done:
            self._finish(self.running.pop(future), future.result())
        self._end_some(pool)

    def _start(self, pool: ThreadPoolExecutor, trial: Trial) -> None:
        """A trial that was cut short goes on in its folder, as a preempted job does; any other begins afresh."""
        if trial.state == "waiting":
            _clear(self.folder(trial.number))
        run = self.tracking.open(f"{self.task.node.name}/{trial.number}", trial.values, trial.run)
        trial = replace(trial, state="running", run=run, series=(), reason="")
        write_trial(self.task.folder, trial)
        self.all[trial.number] = trial
        limit = Deadline(self.sweep.limits.trial_timeout)
        started = _Try(trial, self.task.processes.branch(), limit, time.monotonic())
        self.running[pool.submit(_work, self._task(started))] = started

    def _task(self, one: _Try) -> Task:
        """The trial as a command node of its own: in its folder, with its values, its outputs and its run."""
        folder, resolved = self.folder(one.trial.number), self.task.resolved
        outputs = {name: folder.absolute() / name for name in resolved.outputs}
        values = {f"inputs.{name}": str(value) for name, value in one.trial.values.items()}
        ports = {**resolved.ports, **values, **{f"outputs.{name}": path for name, path in outputs.items()}}
        seen = {f"AZUREML_SWEEP_{name.partition('.')[2]}": str(value) for name, value in ports.items()}
        own = seen | self.tracking.variables(one.trial.run)
        settings = {name: value for name, value in self.task.node.settings.items() if name != "limits"}
        return replace(
            self.task,
            node=replace(self.task.node, settings=settings),
            resolved=replace(resolved, ports=ports, outputs=outputs),
            folder=folder,
            processes=one.processes,
            variables={**self.task.variables, **own},
        )

    def _finish(self, one: _Try, code: int | None) -> None:
        number, run = one.trial.number, one.trial.run
        state, reason = self.ended.get(number, ("completed" if code == 0 else "failed", ""))
        trial = replace(
            one.trial,
            state=state,
            series=self.tracking.series(run, self.sweep.objective.metric),
            seconds=round(one.trial.seconds + time.monotonic() - one.started, 3),
            exit_code=code,
            reason=reason,
        )
        self.all[number] = trial
        self.tracking.close(run, _RUN_STATUS.get(state, "KILLED"))
        write_trial(self.task.folder, trial)
        self.task.note(told(trial, self.sweep.objective.metric))

    def _end_some(self, pool: ThreadPoolExecutor) -> None:
        """Ask trials to end that are over their time, or that the policy gives up."""
        limits = self.sweep.limits
        alive = {one.trial.number: one for one in self.running.values() if one.trial.number not in self.ended}
        why: dict[int, tuple[State, str]] = {n: ("terminated", reason) for n, reason in self._given_up(alive).items()}
        why |= {
            number: ("timed out", f"limits.trial_timeout={limits.trial_timeout} seconds")
            for number, one in alive.items()
            if one.deadline.passed()
        }
        if self.limit.passed():
            why |= dict.fromkeys(alive, ("canceled", f"limits.timeout={limits.timeout} seconds"))
        self.ended |= why
        for number in why:
            pool.submit(alive[number].processes.stop)

    def _given_up(self, alive: dict[int, _Try]) -> dict[int, str]:
        objective, policy = self.sweep.objective, self.sweep.policy
        if policy is None:
            return {}
        series = {number: trial.series for number, trial in self.all.items()}
        series |= {number: self.tracking.series(one.trial.run, objective.metric) for number, one in alive.items()}
        return to_end(policy, objective.goal, series, alive)


def _work(task: Task) -> int | None:
    """In a thread of its own: a trial from start to end. None when it was asked to end."""
    try:
        stage(task.resolved.code, task.folder / CODE)
        for name, path in task.resolved.outputs.items():
            is_file = task.node.outputs[name].type == "uri_file"
            (path.parent if is_file else path).mkdir(parents=True, exist_ok=True)
            if is_file:
                path.unlink(missing_ok=True)  # half a file of a try that was cut short
        return run_command(task)
    except Stopped:
        return None


def _clear(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
