"""Watch a run: rewrite a page about it until it ends."""

import re
import shlex
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from azdistill.contracts.errors import AzdistillError, InputError
from azdistill.contracts.files import write_text
from azdistill.contracts.layout import REPORT_HTML_FILE, RUN_REPORT
from azdistill.engine.local.attempts import LOG
from azdistill.engine.local.records import RECORD_FILE
from azdistill.engine.pipeline.flatten import flatten
from azdistill.engine.pipeline.loading import load_pipeline
from azdistill.local_runs.run_folder import LOCK, PIPELINE_PATH, REPORTED, RUNS, RunFolder, find_run, read_run

if TYPE_CHECKING:
    from azdistill.reporting.report import CurvePoint
    from azdistill.reporting.watch import WatchedNode, WatchedRun

PAGE = "watch.html"

# Seconds between two pages.
PERIOD_S = 1.0

# Of a log: its last lines for the page, the bytes that are read for them, and those that are read for the losses.
LINES, TAIL_BYTES, LOSS_BYTES = 20, 1 << 15, 1 << 22

# A line of the training's progress: `train: 104/1266 (17.1/s, 68 s left) loss 3.163`.
LOSS_LINE = re.compile(r"^train: (?P<step>\d+)/\d+ \(.*\) loss (?P<loss>\d+\.\d+)$", re.MULTILINE)


def report_of(run: Path) -> Path:
    """The HTML report of a finished run. Raises InputError for a run without one, with its state."""
    recorded = find_run(run)
    path = recorded.path / RUN_REPORT.with_name(REPORT_HTML_FILE)
    if not path.is_file():
        raise InputError(
            f"{recorded.state}, without a report",
            file=recorded.path,
            code="no_report",
            fix="watch it" if recorded.in_use else "see its logs",
            command=shlex.join(
                ["azdistill", *(["report", "--watch"] if recorded.in_use else ["logs"]), str(run)],
            ),
        )
    return path


def watch(run: Path, page: Path | None = None, wait: Callable[[float], None] = time.sleep) -> Iterator[Path]:
    """Rewrite the page of a run every second until it ends. Yields the page after each change.

    The last page is the report of the run, if it has one. Raises InputError for a folder without a run.
    """
    path = _find(run)
    page = page or path / PAGE
    try:
        while _write(path, page):
            yield page
            wait(PERIOD_S)
    except KeyboardInterrupt:
        _write(path, page, refreshing=False)
        raise
    yield page


def _find(run: Path) -> Path:
    """The folder of a run, also of one whose first node has not started. Raises InputError if there is none."""
    started = (path for path in (run, RUNS / run) if (path / LOCK).is_file() and RunFolder(path, {}).in_use)
    return next(started, None) or find_run(run).path


def _write(path: Path, page: Path, *, refreshing: bool = True) -> bool:
    """Write the page. Returns True while the run is in progress: only then the page may be `refreshing`."""
    from azdistill.reporting.watch import watch_page

    run = read_run(path) or RunFolder(path, {})
    report = run.path / RUN_REPORT.with_name(REPORT_HTML_FILE)
    if run.state in REPORTED and report.is_file():
        page.parent.mkdir(parents=True, exist_ok=True)
        partial = page.with_name(f".{page.name}")
        shutil.copy(report, partial)
        partial.replace(page)
    else:
        write_text(page, watch_page(_watched(run), refreshing=refreshing and run.in_use))
    return run.in_use


def _watched(run: RunFolder) -> "WatchedRun":
    from azdistill.reporting.watch import WatchedRun

    needs = _needs(run)
    return WatchedRun(
        name=run.path.resolve().name,
        state=run.state,
        updated=datetime.now().strftime("%H:%M:%S"),
        nodes=[_node(run, name, needs[name]) for name in needs],
        losses=next(filter(None, (_losses(run.path / name / LOG) for name in run.records)), []),
    )


def _needs(run: RunFolder) -> Mapping[str, Sequence[str]]:
    """Names of the nodes, and of those that each one reads from; only the started nodes if the pipeline is gone."""
    started: dict[str, Sequence[str]] = dict.fromkeys(run.records, ())
    try:
        path = (run.path / PIPELINE_PATH).read_text(encoding="utf-8").strip()
        nodes = flatten(load_pipeline(Path(path))).nodes
    except (AzdistillError, OSError):
        return started
    return {name: sorted(node.upstream(), key=list(nodes).index) for name, node in nodes.items()} | {
        name: needs for name, needs in started.items() if name not in nodes
    }


def _node(run: RunFolder, name: str, needs: Sequence[str]) -> "WatchedNode":
    from azdistill.reporting.watch import WatchedNode

    record = run.records.get(name)
    if record is None:
        return WatchedNode(name, "waiting" if run.in_use else "not run", needs=tuple(needs))
    state = run.node_state(name)
    seconds = record.seconds
    if state == "running":
        seconds = time.time() - (run.path / name / RECORD_FILE).stat().st_mtime
    return WatchedNode(name, state, max(seconds, 0.0), tuple(needs), tuple(_tail(run.path / name / LOG)))


def _tail(log: Path) -> list[str]:
    """The last lines of a log, without characters that are not printable."""
    lines = _end_of(log, TAIL_BYTES).expandtabs().splitlines()[-LINES:]
    return ["".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line) for line in lines]


def _losses(log: Path) -> "list[CurvePoint]":
    """The losses in the log of a training. The line of a step repeats the last loss, which counts once."""
    from azdistill.reporting.report import CurvePoint

    points: list[CurvePoint] = []
    for match in LOSS_LINE.finditer(_end_of(log, LOSS_BYTES)):
        step, loss = int(match["step"]), float(match["loss"])
        if not points or (step > points[-1].step and loss != points[-1].loss):
            points.append(CurvePoint(step=step, loss=loss))
    return points


def _end_of(log: Path, size: int) -> str:
    try:
        with log.open("rb") as stream:
            stream.seek(max(log.stat().st_size - size, 0))
            return stream.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
