"""One run of a pipeline in a folder: reuse or start each node when its inputs are ready, and record its result."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from azdistill.engine.errors import Interrupted
from azdistill.engine.folders import HASHES
from azdistill.engine.local.attempts import CODE, LOG, LOGS_OF_PROCESSES, NodeAttempt, append_note
from azdistill.engine.local.command_environments import CommandEnvironments
from azdistill.engine.local.downloads import download
from azdistill.engine.local.environments import Environments
from azdistill.engine.local.executors import execute
from azdistill.engine.local.hashing import FileHashes
from azdistill.engine.local.mlflow_tracking import Tracking
from azdistill.engine.local.options import RunOptions
from azdistill.engine.local.processes import Processes, Stopped
from azdistill.engine.local.pythons import describe_python
from azdistill.engine.local.read_only import ReadOnlyInputs
from azdistill.engine.local.records import (
    RECORD_FILE,
    NodeRecord,
    NodeState,
    differences,
    has_damaged_record,
    read_record,
    write_record,
)
from azdistill.engine.local.resolve import HashedPath, ResolvedNode, Resolver
from azdistill.engine.local.results import Event, Explanation, NodeRun, RunResult, last_lines
from azdistill.engine.local.selection import dependents
from azdistill.engine.local.snapshots import large_snapshot, stage
from azdistill.engine.local.storage import remove
from azdistill.engine.pipeline.checks import execution_order
from azdistill.engine.pipeline.model import Node, Pipeline

logger = logging.getLogger("azdistill.engine")

POLL_INTERVAL_S = 0.2


class Run:
    """One run of a pipeline in a folder."""

    def __init__(
        self, pipeline: Pipeline, folder: Path, options: RunOptions, watch: Callable[[Event], None] = lambda event: None
    ) -> None:
        """Raises PipelineError for an input that this machine does not have or an output with an unsafe path."""
        self.pipeline, self.folder, self.options, self.watch = pipeline, folder, options, watch
        self.forced = dependents(pipeline.nodes, start) if (start := options.selection.start) else frozenset()
        engine_folders = (folder.absolute(), options.home.absolute())
        self.hashes = FileHashes(folder / HASHES, engine_folders)
        self.environments = Environments(pipeline.nodes, options)
        self.resolver = Resolver(pipeline, folder, options, self.environments, self.hashes)
        self.resolver.check()
        self.read_only = ReadOnlyInputs(self.hashes, self.resolver.shared_outputs(), engine_folders)
        self.processes = Processes(options.grace)
        self.produced: dict[tuple[str, str], HashedPath] = {}
        self.upstream = {name: node.upstream() for name, node in pipeline.nodes.items()}
        self.nodes = {name: NodeRun(name, "waiting", folder / name / LOG) for name in pipeline.nodes}
        self.running: dict[Future[NodeRun], ResolvedNode] = {}

    def prepare_machine(self) -> None:
        """Download inputs and create virtual environments. Raises AzdistillError when one fails."""
        for address, path in self.resolver.downloads(self.pipeline.nodes.values()).values():
            download(address, path)
        self.environments.create()

    def run(self, interrupted: threading.Event) -> RunResult:
        """Run all nodes. Raises Interrupted when the event is set."""
        tracking = Tracking(self.options.home, describe_python(None))
        with ThreadPoolExecutor(self.options.jobs) as pool, closing(tracking):
            self.commands = CommandEnvironments(self.resolver, self.environments, tracking)
            try:
                self._start_ready(pool)
                while self.running and not interrupted.is_set():
                    self._finish_some(POLL_INTERVAL_S)
                    if self._is_over():
                        self._stop()
                    self._start_ready(pool)
                    self.watch(self._event())
            finally:  # nodes are still running only after a signal or an exception
                self._stop()
                self.processes.close()
                self.hashes.save()
        if interrupted.is_set():
            raise Interrupted(f"interrupted; run again with {str(self.folder)!r} to continue")
        self.watch(self._event())
        return RunResult(self.folder, dict(self.nodes), self._outputs())

    def explain(self) -> Iterator[Explanation]:
        """Predict for each node, in the order of the run, whether it would be reused. Runs and writes nothing."""
        for name in execution_order(self.pipeline.nodes):
            node = self.pipeline.nodes[name]
            if upstream := [up for up in sorted(self.upstream[name]) if self.nodes[up].state != "reused"]:
                yield Explanation(name, False, tuple(f"{up} runs before it" for up in upstream))
                continue
            if fields := self.resolver.downloads([node]):
                yield Explanation(name, False, tuple(f"{field} must be downloaded first" for field in fields))
                continue
            resolved = self.resolver.resolve(node, self.produced)
            reasons = self._reasons_to_run(node, resolved)
            if not reasons:
                self._reuse(node, resolved)
            yield Explanation(name, not reasons, tuple(reasons), tuple(self._notes(node, resolved)))

    def _notes(self, node: Node, resolved: ResolvedNode) -> Iterator[str]:
        if record := read_record(self.folder / node.name):
            for setting in sorted({*resolved.settings, *record.settings}):
                if record.settings.get(setting) != resolved.settings.get(setting):
                    yield f"{setting} changed: Azure ML runs it again"
        for name in self.resolver.remote_inputs(node):
            yield f"input {name} is an address: Azure ML assumes that its content is unchanged"

    def _event(self) -> Event:
        return Event(dict(self.nodes))

    def _is_over(self) -> bool:
        """True if a failed node ends the run, as on Azure ML: the pipeline does not continue on failure."""
        return not self.pipeline.continue_on_step_failure and any(
            node.state == "failed" for node in self.nodes.values()
        )

    def _start_ready(self, pool: ThreadPoolExecutor) -> None:
        """Skip, reuse or start waiting nodes whose upstream nodes have ended. At most `options.jobs` nodes run."""
        over = self._is_over()
        progress = True
        while progress:
            progress = False
            for name in [name for name, node in self.nodes.items() if node.state == "waiting"]:
                upstream = {self.nodes[up].state for up in self.upstream[name]}
                if over or upstream & {"failed", "skipped", "interrupted"}:
                    self._set(name, "skipped")
                    progress = True
                elif upstream <= {"completed", "reused"} and len(self.running) < self.options.jobs:
                    progress |= self._reuse_or_start(pool, name)

    def _reuse_or_start(self, pool: ThreadPoolExecutor, name: str) -> bool:
        """Reuse or start a node. True when it was reused: nodes that depend on it may then be ready too."""
        node = self.pipeline.nodes[name]
        resolved = self.resolver.resolve(node, self.produced)
        if not self._reasons_to_run(node, resolved):
            self._reuse(node, resolved)
            return True
        self._prepare(node, resolved)
        self._set(name, "running")
        self.watch(self._event())
        self.running[pool.submit(self._execute, node, resolved)] = resolved
        return False

    def _reasons_to_run(self, node: Node, resolved: ResolvedNode) -> list[str]:
        record = read_record(self.folder / node.name)
        if record is None:
            return [
                f"its {RECORD_FILE} is damaged"
                if has_damaged_record(self.folder / node.name)
                else "it has not run in this folder"
            ]
        if changed := differences(record.key, resolved.key):
            return changed
        if record.state != "completed":
            return ["its last attempt " + ("failed" if record.state == "failed" else "was interrupted")]
        if self.pipeline.force_rerun or not node.component.deterministic:
            return ["settings.force_rerun: true" if self.pipeline.force_rerun else "is_deterministic: false"]
        if node.name in self.forced:
            return [f"all nodes from {self.options.selection.start} on run again"]
        return [f"output {name} was changed" for name in self._changed_outputs(node, resolved, record)]

    def _changed_outputs(self, node: Node, resolved: ResolvedNode, record: NodeRecord) -> list[str]:
        return [
            name
            for name, path in resolved.outputs.items()
            if not path.exists()
            or (not self.resolver.is_shared(node, name) and self.hashes.tree(path) != record.outputs.get(name))
        ]

    def _prepare(self, node: Node, resolved: ResolvedNode) -> None:
        """Prepare the node's folder and outputs.

        A failed or interrupted attempt keeps the folders that it wrote, as a preempted job on Azure ML does, so that
        the next one can continue from a checkpoint. A partial file is deleted, and so is the log of a failed attempt.
        """
        folder = self.folder / node.name
        record = read_record(folder)
        if record is None or record.state == "completed" or differences(record.key, resolved.key):
            remove(folder)
            for name, path in resolved.outputs.items():
                if not self.resolver.is_shared(node, name):
                    remove(path)
        elif record.state == "failed":
            for log in (folder / LOG, *folder.glob(LOGS_OF_PROCESSES)):
                remove(log)
        write_record(folder, NodeRecord("running", resolved.key, resolved.settings))
        if warning := large_snapshot(resolved.code.files):
            logger.warning(f"{node.name}: warning: {warning}")
        stage(resolved.code, folder / CODE)
        self.commands.create(node, folder)
        for name, path in resolved.outputs.items():
            is_file = node.outputs[name].type == "uri_file"
            if not self.resolver.is_shared(node, name) and (is_file or path.is_symlink() or path.is_file()):
                remove(path)
            (path.parent if is_file else path).mkdir(parents=True, exist_ok=True)

    def _execute(self, node: Node, resolved: ResolvedNode) -> NodeRun:
        """Run a node from start to end, in a separate thread."""
        folder, started = self.folder / node.name, time.monotonic()
        variables, new = self.commands.variables(node, folder), partial(self.commands.new, node)
        attempt = NodeAttempt(node, resolved, folder.absolute(), self.processes, variables, self.options, new)
        code: int | None = None
        try:
            code = execute(attempt, lambda: self._prepare(node, resolved))
            state: NodeState = "failed" if code else "completed"
            if code and (advice := self.environments.missing_module(node, last_lines(attempt.log))):
                attempt.note(advice)
        except Stopped:
            state = "interrupted"
        except OSError as error:  # bash is missing, the command is too long, or the node's folder was removed
            attempt.note(f"could not be started: {error.strerror or error}")
            state = "failed"
        for change in self.read_only.changes(resolved.inputs) if state != "interrupted" else ():
            attempt.note(change)
            state = "failed"
        return NodeRun(node.name, state, folder / LOG, time.monotonic() - started, code)

    def _finish_some(self, timeout: float | None) -> None:
        done, _ = wait(self.running, timeout=timeout, return_when=FIRST_COMPLETED)
        for future in done:
            self._finish(future.result(), self.running.pop(future))

    def _stop(self) -> None:
        """End the running nodes and record their results."""
        if self.running:
            self.processes.stop()
        while self.running:
            self._finish_some(None)

    def _finish(self, run: NodeRun, resolved: ResolvedNode) -> None:
        node = self.pipeline.nodes[run.name]
        record = read_record(self.folder / run.name)
        if record is None:  # the node's folder was removed
            record = NodeRecord("running", resolved.key, resolved.settings)
        if run.state == "completed":
            missing = [name for name, path in resolved.outputs.items() if not self._is_written(node, name, path)]
            for name in missing:
                append_note(run.log, f"exited with 0 but wrote nothing to output {name!r} at {resolved.outputs[name]}")
            if missing:
                run = replace(run, state="failed")
            else:
                self._publish(node, resolved)
        digests = {name: output.digest for (owner, name), output in self.produced.items() if owner == run.name}
        write_record(
            self.folder / run.name,
            replace(record, state=run.state, outputs=digests, exit_code=run.exit_code, seconds=round(run.seconds, 3)),
        )
        self.nodes[run.name] = run

    def _is_written(self, node: Node, output: str, path: Path) -> bool:
        """True if an output exists. A folder that a node reads must have a file: blob storage has no empty folders."""
        if path.is_dir() and self.resolver.is_read(node, output):
            return any(file.is_file() for file in path.rglob("*"))
        return path.exists()

    def _publish(self, node: Node, resolved: ResolvedNode) -> None:
        for output, path in resolved.outputs.items():
            self.produced[node.name, output] = self.resolver.hash_output(node, output, path)

    def _reuse(self, node: Node, resolved: ResolvedNode) -> None:
        self._publish(node, resolved)
        self._set(node.name, "reused")

    def _set(self, name: str, state: NodeState) -> None:
        self.nodes[name] = replace(self.nodes[name], state=state)

    def _outputs(self) -> dict[tuple[str, str], Path]:
        paths = {key: output.path for key, output in self.produced.items()}
        promoted = {
            ("", target): self.produced[node.name, output].path
            for node in self.pipeline.nodes.values()
            for output, target in node.promoted.items()
            if (node.name, output) in self.produced
        }
        return paths | promoted
