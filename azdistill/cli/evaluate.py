"""azdistill evaluate: measure one or several models on the rows of a file."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from azdistill.cli.render import print_text
from azdistill.cli.workspace import Config

if TYPE_CHECKING:
    from azdistill.contracts.evaluation import ModelEvaluation
    from azdistill.local_runs.evaluate import EvaluationSettings

MODELS = typer.Option(
    "--model",
    "-m",
    metavar="MODEL",
    help="model folder, run folder or name of a run; registered model NAME, NAME:VERSION or azureml://...; or endpoint "
    "https://... or DEPLOYMENT@https://...; repeatable, to compare with the first one",
)


def evaluate(
    context: typer.Context,
    models: Annotated[list[str], MODELS],
    data: Annotated[
        Path,
        typer.Option(
            "--data", "-d", metavar="FILE", help="JSONL file of rows, or a run folder or name of a run: its test rows"
        ),
    ],
    metrics: Annotated[
        str | None,
        typer.Option(
            "--metrics",
            metavar="NAMES",
            help="names separated by commas, such as accuracy,bleu,latency; a Python file is a metric of your own; "
            "default: those of the task",
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            "--task",
            metavar="TASK",
            help="task of the rows, or its Python file; default: that of the first run among data and models, else "
            "conversation",
        ),
    ] = None,
    labels: Annotated[
        str | None, typer.Option("--labels", metavar="NAMES", help="labels of task nli, in the order of their integers")
    ] = None,
    gold: Annotated[
        Path | None,
        typer.Option(
            "--gold",
            metavar="FILE",
            help='JSONL file of reference answers, {"id": ..., "gold": ...}; without ids in the order of the rows',
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", metavar="MODEL", help="model to compare the others with, such as the untouched one"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="write metrics.json and the answers")
    ] = None,
    max_new_tokens: Annotated[
        int, typer.Option(min=1, metavar="N", help="maximum length of an answer in tokens")
    ] = 256,
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="rows per batch of a model on this machine")] = 32,
    rows: Annotated[int, typer.Option(min=0, metavar="N", help="use only the first N rows; 0 for all")] = 0,
    key_variable: Annotated[
        str | None,
        typer.Option(
            "--key-variable",
            metavar="NAME",
            help="environment variable with the key of the endpoint; default: Entra ID for Azure's own, else no key",
        ),
    ] = None,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the result as JSON")] = False,
) -> None:
    """Measure one or several models on the rows of a file.

    Models in a folder and registered models answer on this machine, each in a process of its own. Answers of an
    endpoint are stored: they are bought once. With several models, each is compared with the first one (or with
    --baseline) on the same rows: a difference whose interval excludes 0 shows a change.

    Example: azdistill evaluate --model runs/quickstart --data test.jsonl --metrics accuracy,latency

    Exit codes: 0 measured, 1 an endpoint or model failed, 2 wrong input, 130 interrupted.
    """
    from dataclasses import replace

    from azdistill.cli.workspace import workspace_client
    from azdistill.contracts.predict import PredictConfig
    from azdistill.local_runs.evaluate import evaluate_models, read_task
    from azdistill.local_runs.models import find_model
    from azdistill.local_runs.run_folder import RUNS

    data = data if data.exists() or not (RUNS / data).is_dir() else RUNS / data
    named = [baseline, *models] if baseline else models
    settings: EvaluationSettings = replace(
        read_task(task or "nli", labels) if task or labels else _recorded_task([str(data), *named]),
        metrics=_names(metrics),
        rows=rows,
        predict=PredictConfig(max_new_tokens=max_new_tokens, batch_size=batch_size),
    )
    selected = [find_model(name, lambda: workspace_client(context, config), key_variable) for name in named]
    evaluation = evaluate_models(selected, data, settings, gold, output)
    if as_json:
        print_text(evaluation.model_dump_json(indent=2))
    else:
        _print_table(evaluation)
    if output is not None:
        print_text(f"metrics and answers: {output}", file=sys.stderr if as_json else sys.stdout)


def _recorded_task(names: Sequence[str]) -> "EvaluationSettings":
    """Task and labels of the first run folder, or name of a run, among `names`; else conversation."""
    from azdistill.local_runs.evaluate import EvaluationSettings, run_settings
    from azdistill.local_runs.run_folder import RUNS

    folders = (folder for name in names for folder in (Path(name), RUNS / name))
    return next(filter(None, map(run_settings, folders)), EvaluationSettings())


def _names(metrics: str | None) -> Sequence[str] | None:
    return None if metrics is None else [name for text in metrics.split(",") if (name := text.strip())]


def _print_table(evaluation: "ModelEvaluation") -> None:
    from azdistill.cli.render import console, framed_table
    from azdistill.reporting.evaluation import evaluation_table, notes

    columns, rows = evaluation_table(evaluation)
    console().print(framed_table(columns, rows))
    for note in notes(evaluation):
        print_text(note)
