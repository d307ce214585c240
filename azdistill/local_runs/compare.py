"""Compare finished local runs."""

from collections.abc import Sequence
from pathlib import Path

from azdistill.contracts.comparison import RunComparison
from azdistill.contracts.errors import InputError
from azdistill.contracts.evaluate import EvaluateConfig
from azdistill.contracts.files import read_rows
from azdistill.contracts.layout import GATE_FILE, METRICS_FILE, RUN_EVALUATION, RUN_REPORT, SCORES_FILE
from azdistill.contracts.manifest import read_manifest
from azdistill.contracts.results import GateDecision, Metrics, ModelMetrics, Result, RowScores, read_result


class _Models(Result):
    student: ModelMetrics


class _Report(Result):
    """The part of report.json that is compared."""

    models: _Models


def compare_runs(folders: Sequence[Path], metric: str | None = None) -> RunComparison:
    """Compare run folders; the first one is the reference. Raises InputError for a run without a report, or with files
    that are not as they were written."""
    from azdistill.evaluation.compare import RunResults, compare
    from azdistill.evaluation.intervals import PairedBootstrap

    def results(folder: Path) -> RunResults:
        evaluation, report = folder / RUN_EVALUATION, folder / RUN_REPORT
        if not report.is_file():
            raise InputError(
                "not a run with a report", file=folder, code="no_report", fix="name the folder of a finished run"
            )
        for complete in (evaluation, report.parent):
            read_manifest(complete)
        return RunResults(
            metrics=read_result(evaluation / METRICS_FILE, Metrics),
            decision=read_result(evaluation / GATE_FILE, GateDecision),
            scores=list(read_rows(evaluation / SCORES_FILE, RowScores)),
            student=read_result(report, _Report).models.student,
        )

    config = EvaluateConfig()
    bootstrap = PairedBootstrap(config.seed, config.resamples, config.confidence)
    return compare({name: results(folder) for name, folder in _named(folders).items()}, bootstrap, metric)


def _named(folders: Sequence[Path]) -> dict[str, Path]:
    """Folders by their names, or by their paths where two have the same name."""
    names = [folder.resolve().name for folder in folders]
    named = dict(zip(names if len(set(names)) == len(names) else map(str, folders), folders, strict=True))
    if len(named) < 2:
        raise InputError("two runs or more are needed", code="too_few_runs", fix="name the folders of several runs")
    return named
