"""Tables as cells, so that every form of the report shows the same values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from azdistill.contracts.results import MODEL_ROLES, ModelMetrics, SuiteMetrics, TeacherUsage, Usage
from azdistill.contracts.verdicts import JudgeResults
from azdistill.metrics.metric import CorpusMetric, Metric, RowMetric
from azdistill.metrics.registry import METRICS, metric_named
from azdistill.reporting.figures import UNKNOWN, format_metric, loss, percent, ratio, ratio_interval, times
from azdistill.reporting.messages import gate_bound, reasons, spaced
from azdistill.reporting.report import Report, Trials


@dataclass(frozen=True)
class MetricRow:
    """One metric: a cell for teacher, baseline and student, and the student divided by one of them."""

    name: str
    label: str
    cells: tuple[str, ...]
    compared: str
    on_console: bool


def comparison(report: Report) -> list[MetricRow]:
    """A row for each metric of the task that some model has, and for the primary metric."""
    return [
        _row(metric, report)
        for metric in shown_metrics(report)
        if metric.name == report.primary_metric or any(_has(model, metric) for model in report.models.values())
    ]


def _has(model: ModelMetrics, metric: Metric) -> bool:
    value = model.get(metric.name)
    return isinstance(value, str) or model.value(metric.name) is not None


def shown_metrics(report: Report) -> list[Metric]:
    """Metrics of the task, and other row metrics that were computed because a gate or the primary metric needs them."""
    values = report.models["student"].root
    return [
        metric
        for metric in METRICS
        if metric.in_report and (metric.suits(report.task) or (isinstance(metric, RowMetric) and metric.name in values))
    ]


def _row(metric: Metric, report: Report) -> MetricRow:
    cells = tuple(format_metric(metric, report.models[role].get(metric.name)) for role in MODEL_ROLES)
    compared = ""
    if role := metric.compared_with:
        label = "simulated teacher" if role == "teacher" and report.usage.simulated else role
        compared = times(report.models["student"].value(metric.name), report.models[role].value(metric.name), label)
    on_console = metric.on_console or metric.name == report.primary_metric
    return MetricRow(metric.name, metric.label, cells, compared, on_console)


def metric_details(report: Report) -> list[tuple[str, str]]:
    """Label and text of the details of corpus metrics, such as the signature of BLEU."""
    values = report.models["student"].root
    return [
        (metric.label, str(values[f"{metric.name}_{detail}"]))
        for metric in shown_metrics(report)
        if isinstance(metric, CorpusMetric)
        for detail in metric.details
        if f"{metric.name}_{detail}" in values
    ]


@dataclass(frozen=True)
class Table:
    """Cells as texts. `best` is the index of a row to emphasize."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: int | None = None


def trial_table(trials: Trials | None) -> Table | None:
    """A row for each trial of a sweep, in the order of their start."""
    if trials is None or not trials.trials:
        return None
    columns = ("trial", "state", "validation loss", *trials.fields)
    rows = tuple(
        (
            f"{trial.number} (best)" if trial.is_best else str(trial.number),
            trial.state,
            loss(trial.objective),
            *(_short_number(trial.values[field]) for field in trials.fields),
        )
        for trial in trials.trials
    )
    return Table(columns, rows, next((index for index, trial in enumerate(trials.trials) if trial.is_best), None))


def _short_number(value: str) -> str:
    """A sampled value: numbers with three digits."""
    try:
        return value if value.isdigit() else f"{float(value):.3g}"
    except ValueError:
        return value


def teacher_table(usage: Usage) -> Table | None:
    """Usage of each teacher; None for a single teacher, whose usage is the total. Cost is shown when there is any."""
    if len(usage.answered_by) < 2:
        return None
    teachers = {name: usage.teachers.get(name, TeacherUsage()) for name in usage.answered_by}
    columns = ["teacher", "rows answered", "calls", "prompt tokens", "completion tokens"]
    rows = [
        [name, *map("{:,}".format, (rows, used.calls, used.prompt_tokens, used.completion_tokens))]
        for (name, used), rows in zip(teachers.items(), usage.answered_by.values(), strict=True)
    ]
    if any(used.cost for used in teachers.values()):
        columns.append("cost")
        for row, used in zip(rows, teachers.values(), strict=True):
            row.append(f"{used.cost:,.2f}")
    return Table(tuple(columns), tuple(map(tuple, rows)))


def judge_table(judge: JudgeResults | None) -> Table | None:
    """Wins, ties and losses of each pair of models; None without comparisons."""
    if judge is None or not judge.comparisons:
        return None
    columns = ("answer of", "against", "better", "equal", "worse")
    rows = tuple(
        (pair.model, pair.against, *map("{:,}".format, (pair.wins, pair.ties, pair.losses)))
        for pair in judge.comparisons
    )
    return Table(columns, rows)


def length_table(report: Report) -> Table | None:
    """Test rows by the length of the student's answer; None where all answers are of one length."""
    if not report.lengths:
        return None
    metric = metric_named(report.primary_metric)
    rows = tuple(
        (
            f"{group.shortest:,} to {group.longest:,}",
            f"{group.rows:,}",
            *(format_metric(metric, group.means[role]) for role in MODEL_ROLES),
        )
        for group in report.lengths
    )
    return Table(("characters of the student's answer", "rows", *MODEL_ROLES), rows)


def data_table(report: Report) -> Table | None:
    """A row for each split of the prompts."""
    if not report.data:
        return None
    rows = tuple(
        (
            split.name,
            f"{split.rows:,}",
            f"{split.with_reference:,}",
            f"{split.median_length:,}",
            f"{split.longest:,}",
            f"{split.most_turns:,}",
            ", ".join(f"{file} {count:,}" for file, count in split.files.items()),
        )
        for split in report.data
    )
    columns = ("split", "rows", "with a reference", "characters, median", "longest", "user turns, most", "files")
    return Table(columns, rows)


def label_table(report: Report) -> Table | None:
    """A row for each label before and after curation; None for tasks without a few labels. The share of the weights is
    shown if labels have different weights."""
    labels = report.data_card.labels
    if not labels:
        return None
    answers, rows = _with_shares([row.answers for row in labels]), _with_shares([row.training_rows for row in labels])
    cells = [(row.label, *before, *after) for row, before, after in zip(labels, answers, rows, strict=True)]
    columns = ("label", "teacher's answers", "share", "training rows", "share")
    weights = {round(row.weight / row.training_rows, 6) for row in labels if row.training_rows}
    if len(weights) < 2:
        return Table(columns, tuple(cells))
    shares = (share for _, share in _with_shares([row.weight for row in labels]))
    return Table(
        (*columns, "share of the weights"), tuple((*row, share) for row, share in zip(cells, shares, strict=True))
    )


def loss_table(report: Report) -> Table | None:
    """A row for each term of the training loss: its first and last value; None for a loss of one term."""
    points = [point.terms for point in report.curve if len(point.terms) > 1]
    if not points:
        return None
    rows = tuple((name, loss(_first_value(points, name)), loss(value)) for name, value in points[-1].items())
    return Table(("term, times its weight", "first", "last"), rows)


def _first_value(points: Sequence[Mapping[str, float]], term: str) -> float | None:
    """The first value of a term that is not 0: terms of sampled answers begin after a part of the training."""
    return next((point[term] for point in points if point.get(term)), None)


def language_table(report: Report) -> Table | None:
    """A row for each language of the sampled training rows; None where no text has a recognised one."""
    languages = report.data_card.languages
    if not any(row.language for row in languages):
        return None
    rows = tuple((row.language or "too short or unclear", f"{row.prompts:,}", f"{row.answers:,}") for row in languages)
    return Table(("language", "last user turns", "answers"), rows)


def public_test_set_table(report: Report) -> Table | None:
    """A row for each public test set that the training rows were compared with."""
    if not report.data_card.public_test_sets:
        return None
    rows = tuple((row.name, f"{row.rows:,}", f"{row.prompts:,}") for row in report.data_card.public_test_sets)
    return Table(("test set", "its rows", "training and validation rows with their text"), rows)


def new_prompt_table(report: Report) -> Table | None:
    """Counts of the prompts that a teacher wrote, by outcome; None in a job without data.augment."""
    new = report.data_card.new_prompts
    if new is None:
        return None
    counts = {
        "requests": new.requests,
        **{f"requests without prompts: {spaced(reason)}": count for reason, count in new.without_prompts.items()},
        "prompts written": new.written,
        "kept": new.kept,
        "not needed": new.not_needed,
        **{f"rejected: {spaced(reason)}": count for reason, count in new.rejected.items()},
    }
    return Table(("new prompts", "number"), tuple((name, f"{count:,}") for name, count in counts.items()))


def answer_score_table(report: Report) -> Table | None:
    """A row for each score that a judge gave to the teacher's answers, the best first; None without a judge of them."""
    counts = report.data_card.answer_scores
    if counts is None:
        return None
    scores = dict(sorted(counts.scores.items(), key=lambda item: -float(item[0])))
    scores |= {"none": counts.unjudged} if counts.unjudged else {}
    shares = _with_shares(list(scores.values()))
    return Table(("score", "answers", "share"), tuple((score, *row) for score, row in zip(scores, shares, strict=True)))


def _with_shares(counts: Sequence[float]) -> list[tuple[str, str]]:
    total = sum(counts)
    return [(f"{count:,.0f}", percent(count / total) if total else UNKNOWN) for count in counts]


def slice_table(report: Report) -> list[tuple[str, ...]]:
    """Slice, rows, mean score of each model, the student's gain over the baseline, and the gain that could be shown."""
    metric = metric_named(report.primary_metric)
    return [
        (
            f"{group.name} {group.value}",
            f"{group.rows:,}",
            *(format_metric(metric, group.means[role]) for role in MODEL_ROLES),
            ratio_interval(group.gain),
            ratio(group.detectable_gain),
        )
        for group in report.slices
    ]


def suite_table(report: Report) -> Table | None:
    """A row for each regression suite; None in a job without one. A row that does not count has no score."""
    if not report.regressions:
        return None
    columns = ("suite", "metric", "rows", "baseline", "student", "gain", "gate")
    return Table(columns, tuple(_suite_row(suite, report) for suite in report.regressions))


def _suite_row(suite: SuiteMetrics, report: Report) -> tuple[str, ...]:
    metric = metric_named(suite.metric)
    gates = [gate for gate in report.verdict.gates if gate.name.partition("_")[2] == f"regression_{suite.name}"]
    unscored = f" ({suite.unscored:,} more do not count)" if suite.unscored else ""
    return (
        suite.name,
        f"{metric.label} ({suite.task})",
        f"{suite.rows:,}{unscored}",
        format_metric(metric, suite.baseline),
        format_metric(metric, suite.student),
        ratio_interval(suite.gain),
        "; ".join(f"{gate_bound(gate)}: {gate.outcome}" for gate in gates) or "none",
    )


def rows_left_out_of_suites(report: Report) -> str:
    """Counts of the rows that step regression left out, by reason; empty without any."""
    counts = report.steps["regression"].counts if "regression" in report.steps else {}
    kinds = {"leaked": "also in the training data", "duplicates": "duplicate", "rejected": "rejected"}
    return reasons({label: counts[kind] for kind, label in kinds.items() if counts.get(kind)})
