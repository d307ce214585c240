"""One run of a pipeline in a folder: which nodes are reused, which start when, and how each ended."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

from azdistill.engine.errors import Interrupted
from azdistill.engine.local.downloads import download
from azdistill.engine.local.environments import Environments
from azdistill.engine.local.hashing import Hashes
from azdistill.engine.local.inputs import Originals
from azdistill.engine.local.options import RunOptions
from azdistill.engine.local.preemption import preempted
from azdistill.engine.local.processes import Processes, Stopped, variables
from azdistill.engine.local.records import Record, State, differences, read_record, write_record
from azdistill.engine.local.resolve import Produced, Resolved, Resolver
from azdistill.engine.local.results import Event, Explanation, NodeRun, RunResult
from azdistill.engine.local.selection import dependents
from azdistill.engine.local.snapshots import stage
from azdistill.engine.local.task import CODE, LOG, Task, note
from azdistill.engine.local.work import perform
from azdistill.engine.pipeline.checks import execution_order
from azdistill.engine.pipeline.model import Node, Pipeline

TICK_S = 0.2


class Run:
    """One run of a pipeline in a folder."""

    def __init__(
        self,
        pipeline: Pipeline,
        folder: Path,
        options: RunOptions,
        watch: Callable[[Event], None] = lambda event: None,
    ) -> None:
        self.pipeline, self.folder, self.options, self.watch = pipeline, folder, options, watch
        self.forced = dependents(pipeline.nodes, start) if (start := options.selection.start) else frozenset()
        self.hashes = Hashes(folder / ".hashes.json")
        self.environments = Environments(pipeline.nodes, options)
        self.resolver = Resolver(pipeline, folder, options, self.environments, self.hashes)
        own = (folder.absolute(), options.home.absolute())
        self.originals = Originals(self.hashes, self.resolver.shared(), own)
        self.processes = Processes(options.grace)
        self.produced: dict[tuple[str, str], Produced] = {}
        self.nodes = {name: NodeRun(name, "waiting", folder / name / LOG) for name in pipeline.nodes}
        self.running: dict[Future[NodeRun], str] = {}

    def prepare_machine(self) -> None:
        """Fetch and make what nodes need and this machine doesn't have yet. Raises AzdistillError."""
        for address, path in self.resolver.downloads(self.pipeline.nodes.values()).values():
            download(address, path)
        self.environments.make()

    def run(self, interrupted: threading.Event) -> RunResult:
        with ThreadPoolExecutor(self.options.jobs) as pool:
            try:
                self._start_ready(pool)
                while self.running and not interrupted.is_set():
                    self._finish_some(TICK_S)
                    if self._is_over():
                        self._stop()
                    self._start_ready(pool)
                    self.watch(self._event())
            finally:  # nothing is left unless it was interrupted, by a signal or an error
                self._stop()
                self.hashes.save()
        if interrupted.is_set():
            raise Interrupted(f"interrupted; run again with {str(self.folder)!r} to continue")
        self.watch(self._event())
        return RunResult(self.folder, dict(self.nodes), self._outputs())

    def explain(self) -> Iterator[Explanation]:
        for name in execution_order(self.pipeline.nodes):
            node = self.pipeline.nodes[name]
            if before := [up for up in sorted(node.upstream()) if self.nodes[up].state != "reused"]:
                yield Explanation(name, False, tuple(f"{up} runs before it" for up in before))
                continue
            if absent := self.resolver.downloads([node]):
                yield Explanation(name, False, tuple(f"{field} is to be downloaded first" for field in absent))
                continue
            resolved = self.resolver.resolve(node, self.produced)
            reasons = self._reasons_to_run(node, resolved)
            if not reasons:
                self._take_outputs(node, resolved)
            yield Explanation(name, not reasons, tuple(reasons), tuple(self._notes(node, resolved)))

    def _notes(self, node: Node, resolved: Resolved) -> Iterator[str]:
        record = read_record(self.folder / node.name)
        for setting in sorted({*resolved.settings, *(record.settings if record else ())}) if record else ():
            if record and record.settings.get(setting) != resolved.settings.get(setting):
                yield f"{setting} changed: Azure ML runs it again"
        for name in self.resolver.mutable_inputs(node):
            yield f"input {name} is an address: Azure ML takes it as unchanged whatever lies there"

    def _event(self) -> Event:
        return Event(dict(self.nodes))

    def _is_over(self) -> bool:
        """As on Azure ML, a node that fails ends the run, unless the pipeline says to go on."""
        failed = any(node.state == "failed" for node in self.nodes.values())
        return failed and not self.pipeline.continue_on_step_failure

    def _start_ready(self, pool: ThreadPoolExecutor) -> None:
        """Settle every waiting node that can be: skip it, reuse it, or start it when there is room."""
        over = self._is_over()
        progress = True
        while progress:
            progress = False
            for name in [name for name, node in self.nodes.items() if node.state == "waiting"]:
                before = {self.nodes[up].state for up in self.pipeline.nodes[name].upstream()}
                if over or before & {"failed", "skipped", "interrupted"}:
                    self._set(name, "skipped")
                    progress = True
                elif before <= {"completed", "reused"} and len(self.running) < self.options.jobs:
                    progress |= self._settle(pool, name)

    def _settle(self, pool: ThreadPoolExecutor, name: str) -> bool:
        """Reuse or start a node; True when it was reused, so that nodes after it may go too."""
        node = self.pipeline.nodes[name]
        resolved = self.resolver.resolve(node, self.produced)
        if not self._reasons_to_run(node, resolved):
            self._take_outputs(node, resolved)
            return True
        self._prepare(node, resolved)
        self._set(name, "running")
        self.watch(self._event())
        self.running[pool.submit(self._execute, node, resolved)] = name
        return False

    def _reasons_to_run(self, node: Node, resolved: Resolved) -> list[str]:
        record = read_record(self.folder / node.name)
        if record is None:
            return ["it has not run in this folder"]
        if changed := differences(record.key, resolved.key):
            return changed
        if record.state != "completed":
            return [f"its last try was {'cut short' if record.state == 'running' else record.state}"]
        if self.pipeline.force_rerun or not node.component.deterministic:
            return ["settings.force_rerun: true" if self.pipeline.force_rerun else "is_deterministic: false"]
        if node.name in self.forced:
            return [f"from {self.options.selection.start} on all nodes are to run again"]
        return [f"output {name} is not as it was left" for name in self._spoiled(node, resolved, record)]

    def _spoiled(self, node: Node, resolved: Resolved, record: Record) -> list[str]:
        return [
            name
            for name, path in resolved.outputs.items()
            if not path.exists()
            or (not self.resolver.is_shared(node.outputs[name]) and self.hashes.tree(path) != record.outputs.get(name))
        ]

    def _prepare(self, node: Node, resolved: Resolved) -> None:
        """Make the node's folder ready. A try that was cut short keeps the folders it wrote, as a preempted
        job on Azure ML does, so that it can go on from a checkpoint; half a file is of no use."""
        folder = self.folder / node.name
        record = read_record(folder)
        if record is None or record.state == "completed" or differences(record.key, resolved.key):
            _clear(folder)
            for name, path in resolved.outputs.items():
                if not self.resolver.is_shared(node.outputs[name]):
                    _clear(path)
        write_record(folder, Record("running", resolved.key, resolved.settings))
        stage(resolved.code, folder / CODE)
        for name, path in resolved.outputs.items():
            is_file = node.outputs[name].type == "uri_file"
            (path.parent if is_file else path).mkdir(parents=True, exist_ok=True)
            if is_file and not self.resolver.is_shared(node.outputs[name]):
                path.unlink(missing_ok=True)

    def _execute(self, node: Node, resolved: Resolved) -> NodeRun:
        """In a thread of its own: the node's processes, from start to end."""
        folder, started = self.folder / node.name, time.monotonic()
        python = self.environments.interpreter(node.name)
        added = variables(self.options.home, python.variables if python else {}, node.variables, self.options.variables)
        task = Task(node, resolved, folder.absolute(), self.processes, added, self.options)
        code, state = _ended(task, self._work)
        for text in self.originals.changed(resolved.inputs) if state != "interrupted" else ():
            task.note(text)
            state = "failed"
        return NodeRun(node.name, state, folder / LOG, time.monotonic() - started, code)

    def _work(self, task: Task) -> int:
        seconds = self.options.faults.preempt.get(task.node.name)
        if seconds is None:
            return perform(task)
        return preempted(task, perform, seconds, lambda: self._prepare(task.node, task.resolved))

    def _finish_some(self, timeout: float | None) -> None:
        done, _ = wait(self.running, timeout=timeout, return_when=FIRST_COMPLETED)
        for future in done:
            self._finish(future.result(), self.running.pop(future))

    def _stop(self) -> None:
        """End what still runs, and write down how it ended."""
        if self.running:
            self.processes.stop()
        while self.running:
            self._finish_some(None)

    def _finish(self, run: NodeRun, name: str) -> None:
        node = self.pipeline.nodes[name]
        record = read_record(self.folder / name)
        assert record is not None
        if run.state == "completed":
            paths = self.resolver.outputs(node)
            absent = [output for output, path in paths.items() if not self._was_left(node, output, path)]
            for output in absent:
                note(run.log, f"exited with 0 and left nothing in output {output!r} at {paths[output]}")
            if absent:
                run = replace(run, state="failed")
            else:
                self._publish(node, paths)
        outputs = {output: found.digest for (owner, output), found in self.produced.items() if owner == name}
        write_record(
            self.folder / name,
            replace(record, state=run.state, outputs=outputs, exit_code=run.exit_code, seconds=round(run.seconds, 3)),
        )
        self.nodes[name] = run

    def _was_left(self, node: Node, output: str, path: Path) -> bool:
        """An empty folder is nothing where someone reads it: blob storage has no empty folders."""
        if path.is_dir() and self.resolver.is_read(node, output):
            return any(found.is_file() for found in path.rglob("*"))
        return path.exists()

    def _publish(self, node: Node, paths: Mapping[str, Path]) -> None:
        for output, path in paths.items():
            self.produced[node.name, output] = self.resolver.produced(node, output, path)

    def _take_outputs(self, node: Node, resolved: Resolved) -> None:
        self._publish(node, resolved.outputs)
        self._set(node.name, "reused")

    def _set(self, name: str, state: State) -> None:
        self.nodes[name] = replace(self.nodes[name], state=state)

    def _outputs(self) -> dict[tuple[str, str], Path]:
        own = {key: found.path for key, found in self.produced.items()}
        promoted = {
            ("", target): self.produced[node.name, output].path
            for node in self.pipeline.nodes.values()
            for output, target in node.promoted.items()
            if (node.name, output) in self.produced
        }
        return own | promoted


def _clear(folder: Path) -> None:
    if folder.is_dir():
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)


def _ended(task: Task, work: Callable[[Task], int]) -> tuple[int | None, State]:
    """The exit code and state that a node's work ends with."""
    try:
        code = work(task)
    except Stopped:
        return None, "interrupted"
    except OSError as problem:  # no shell, or a command too long for one
        task.note(f"could not be started: {problem.strerror}")
        return None, "failed"
    return code, "failed" if code else "completed"
