"""Some of a run's processes, ended by themselves."""

from collections.abc import Iterator
from contextlib import contextmanager

from azdistill.local.processes import Launch, Processes, Running


class TrialProcesses(Processes):
    """The processes of one trial: `stop` ends these alone, and the end of the run ends them too."""

    def __init__(self, run: Processes) -> None:
        super().__init__(run.grace)
        self._run = run

    @contextmanager
    def start(self, launch: Launch) -> Iterator[Running]:
        """As `Processes.start`; raises Stopped when the trial or the run is being ended."""
        self.check()
        with self._run.start(launch) as running:
            with self._lock:
                self.check()
                self._alive.add(running)
            try:
                yield running
            finally:
                with self._lock:
                    self._alive.remove(running)
        self.check()
