"""Sentences of the report, the same in every form."""

from collections.abc import Callable, Mapping
from typing import Any

from azdistill.contracts.results import (
    GateDecision,
    GateResult,
    LogprobsUsage,
    Metrics,
    ModelRole,
    ScorerUsage,
    Usage,
)
from azdistill.contracts.verdicts import HumanAgreement, JudgeResults
from azdistill.engine.problems import format_number
from azdistill.metrics.metric import Metric
from azdistill.metrics.registry import metric_named
from azdistill.reporting.figures import (
    amount,
    count,
    format_metric,
    loss,
    percent,
    percent_interval,
    ratio,
    ratio_interval,
    rows,
    seconds,
    size,
)
from azdistill.reporting.report import AnswerScoreCounts, DataCard, Example, LengthBin, Report, SampleGroup, Trials

# A label and its value.
Fact = tuple[str, str]

SIMULATED = (
    "The teacher was simulated by rules of the task. "
    "Its answers, latency and tokens say nothing about the real teacher."
)


def headline(decision: GateDecision, metrics: Metrics) -> str:
    """The gates' decision and the student's primary metric, in two sentences."""
    opening = {
        "passed": "The student passed its gates." if decision.gates else "No gate was set for the student.",
        "refused": f"The student was refused: {_missed(decision, 'refused')}.",
        "inconclusive": "The test rows cannot decide whether the student is good enough: "
        f"{_missed(decision, 'inconclusive')}.",
    }[decision.decision]
    return f"{opening} {_achieved(metrics)}"


def _achieved(metrics: Metrics) -> str:
    """The student's primary metric, compared with teacher and baseline."""
    metric, rows = metric_named(metrics.primary_metric), f"{metrics.rows:,} held-out rows"
    student, baseline = (
        format_metric(metric, metrics.models[role].value(metric.name)) for role in ("student", "baseline")
    )
    retention = metrics.retention.value
    retained = "" if retention is None else f" ({retention:.3f} of the teacher's {metric.label})"
    if metric.name == "accuracy":
        return f"It answers {student} of {rows} correctly{retained}, the baseline {baseline}."
    return f"Its {metric.label} on {rows} is {student}{retained}, the baseline's {baseline}."


def example_title(example: Example, primary: Metric) -> str:
    """Title of an example row: the student is right or wrong, or its score."""
    if primary.name == "accuracy":
        return "The student is right" if example.correct["student"] else "The student is wrong"
    return f"The student's {primary.label} is {ratio(example.scores.get('student'))}"


def example_mark(example: Example, role: ModelRole, primary: Metric) -> str:
    """Right, wrong, or the score of an answer; empty for a row that does not count."""
    score = example.scores.get(role)
    if primary.name != "accuracy":
        return "" if score is None else ratio(score)
    return {True: "right", False: "wrong", None: ""}[example.correct[role]]


def example_slices(example: Example) -> list[str]:
    """Slices of an example row, such as `topic: billing`."""
    properties = {**example.columns, **({"source": example.source} if example.source else {})}
    return [f"{name}: {value}" for name, value in properties.items()]


def _missed(decision: GateDecision, outcome: str) -> str:
    return " and ".join(gate_result(gate) for gate in decision.gates if gate.outcome == outcome)


def gate_result(gate: GateResult) -> str:
    """The measured value of a gate with its interval, and the required one."""
    return f"{gate_name(gate)} {ratio_interval(gate.interval)}, required {gate_bound(gate)}"


def registration(report: Report) -> str:
    """Sentence about the registration of the student. The register step runs concurrently: its result is not known."""
    name = report.registered_model
    if not report.verdict.register_student:
        return f"Not registered: the register step refuses {name!r} with exit code 3."
    despite = "" if report.verdict.decision == "passed" else ", although its gates did not pass"
    return (
        f"The register step registers the student as {name!r}{despite}; "
        "it writes the version to registration/lineage.json."
    )


def truncation(report: Report) -> str:
    """Sentence about answers of the student that were cut; empty where they are few."""
    truncated = report.models["student"].many_truncated
    if truncated is None:
        return ""
    return (
        f"{percent(truncated)} of the student's answers have no end token within predict.max_new_tokens and were cut: "
        "raise it if right answers are longer. A student that repeats itself needs more training."
    )


def gate_name(gate: GateResult) -> str:
    """The name without min or max, such as `accuracy vs baseline (topic=billing)`."""
    name, bracket, rows = gate.name.removeprefix("min_").removeprefix("max_").partition(" (")
    return f"{spaced(name)}{bracket}{rows}"


def gate_outcome(gate: GateResult) -> str:
    """Facts behind the outcome: the number of rows, and the distance from the bound."""
    facts = [] if gate.rows is None else [f"{gate.rows:,} rows"]
    if gate.value is not None:
        facts.append(f"{abs(gate.value - gate.bound):.3f} {'above' if gate.value >= gate.bound else 'below'} the bound")
    if gate.rows_needed:
        facts.append(f"about {gate.rows_needed:,} rows would decide")
    return ", ".join(facts)


def detectable(report: Report) -> str:
    """Sentence about the smallest gain that the test rows would show; empty where it is not known."""
    if report.detectable_gain is None:
        return ""
    return f"A gain of {report.detectable_gain:.3f} would be shown by {report.test_rows:,} rows in 4 of 5 runs."


def gate_bound(gate: GateResult) -> str:
    return f"{'at most' if gate.name.startswith('max_') else 'at least'} {gate.bound:g}"


def usage_facts(usage: Usage) -> list[Fact]:
    """Requests to the teachers, and their tokens."""
    retries = ", ".join(f"{count:,} for {spaced(reason)}" for reason, count in sorted(usage.retries.items()))
    return [
        ("teacher", f"{usage.teacher} ({usage.route})"),
        *([("model in the replies", ", ".join(usage.reported_models))] if usage.reported_models else []),
        ("rows asked", f"{usage.asked:,}"),
        ("answered", f"{usage.answered:,}"),
        ("rejected", f"{usage.rejected:,}"),
        ("from the store", f"{usage.from_store:,}"),
        ("calls", f"{usage.calls:,}"),
        ("retries", retries or "none"),
        ("prompt tokens", f"{usage.prompt_tokens:,}"),
        ("completion tokens", f"{usage.completion_tokens:,}"),
        *([("log probabilities", _logprobs(usage.logprobs))] if usage.logprobs else []),
    ]


def _logprobs(usage: LogprobsUsage) -> str:
    size_each = "" if usage.bytes_per_token is None else f", {usage.bytes_per_token:.1f} bytes a token"
    text = f"{usage.rows:,} rows of {usage.tokens:,} tokens{size_each}"
    if not usage.without:
        return text
    lacks = reasons({spaced(reason): count for reason, count in sorted(usage.without.items())})
    return f"{text}; {sum(usage.without.values()):,} without: {lacks}"


def judge_facts(judge: JudgeResults, usage: Usage) -> list[Fact]:
    """Facts about the verdicts of the judge, and how far they can be trusted."""
    facts: list[tuple[str, str | None]] = [
        ("judge", f"{judge.model} ({usage.route})"),
        ("rows judged", f"{judge.rows - judge.unjudged:,} of {judge.rows:,}"),
        ("requests", f"{judge.requests:,}, of which {usage.from_store:,} were in the store"),
        ("replies without a verdict", f"{judge.unreadable:,}; no complete reply {judge.unanswered:,}"),
        ("same verdict in both orders", percent_interval(judge.self_agreement) if judge.mode == "pairwise" else None),
        ("agreement with people", _human_agreement(judge.human)),
        ("labels of rows that the data lacks", f"{judge.other_labels:,}" if judge.other_labels else None),
    ]
    return [(label, fact) for label, fact in facts if fact is not None]


def _human_agreement(human: HumanAgreement | None) -> str | None:
    if human is None:
        return None
    return f"kappa {ratio_interval(human.kappa)}, {human.same:,} of {human.labels:,} labels"


def judge_warning(judge: JudgeResults, usage: Usage) -> str | None:
    """Sentence about verdicts of a simulated judge, and about verdicts that are not used."""
    if judge.usable:
        return "The judge was simulated: its verdicts say nothing about the answers." if usage.simulated else None
    return (
        f"{judge.unjudged:,} of {judge.rows:,} rows have no verdict, and judge.max_unjudged allows "
        f"{percent(judge.max_unjudged)}: metric judge is not defined, and a gate on it is inconclusive."
        + (f" {judge.failures}." if judge.failures else "")
    )


def answer_scores(counts: AnswerScoreCounts) -> str:
    """Sentence about the scores of the teacher's answers, and what was done with low ones."""
    text = (
        f"Scores that {counts.judge} gave to the teacher's answers to training and validation rows. Answers below "
        f"{counts.minimum:g}, and those without a score, were dropped unless another reason came first."
    )
    return f"{text} The judge was simulated: its scores say nothing." if counts.route == "simulated" else text


def training_facts(metrics: Mapping[str, Any], scorer: ScorerUsage | None = None) -> list[Fact]:
    """The training metrics that the report shows, in reading order, and the use of a scoring teacher."""
    hidden = OF_SEVERAL_PROCESSES if metrics.get("processes", 1) == 1 else ()
    shown = [row for row in TRAINING if row[0] in metrics and row[0] not in hidden]
    facts = [(label, show(metrics[key])) for key, label, show in shown if key != ALIGNED or metrics[key] is not None]
    rollouts = metrics.get("on_policy") or {}
    facts += [(label, show(rollouts[key])) for key, label, show in ROLLOUTS if rollouts.get(key) is not None]
    return [*facts, ("scoring teacher", _scorer(scorer))] if scorer else facts


def _scorer(usage: ScorerUsage) -> str:
    """The answers that a scoring teacher scored. The test text that was scored before them counts as one."""
    stored = f", {usage.from_store:,} from the response store" if usage.from_store else ""
    return f"{usage.teacher} ({usage.route}): {usage.scored:,} sampled answers, {usage.asked:,} requests{stored}"


LOSS_TERMS = "The training loss is the sum of these terms."

OF_THE_BEST_TRIAL = "Figures and curve of this section are those of this trial."


def trials_sentence(trials: Trials) -> str:
    """The number of trials of a sweep, and which one the student is of."""
    best = trials.best
    if best is None:
        return (
            "The student is that of the best trial of a sweep. MLflow did not have its trials: see the sweep job in "
            "Azure ML studio, or train/trials.json in the folder of a local run."
        )
    return (
        f"The student is that of trial {best.number}, with the lowest validation loss of {len(trials.trials)} trials "
        "of a sweep."
    )


def settings_facts(config: Mapping[str, Any]) -> list[Fact]:
    """A step's config as field paths and values. Fields that are null or empty are left out."""
    return [(path, setting(value)) for path, value in _flatten(config, "")]


def _flatten(value: Any, path: str) -> list[tuple[str, Any]]:
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        return [] if value is None or value == "" else [(path, value)]
    return [fact for name, item in items for fact in _flatten(item, f"{path}.{name}" if path else str(name))]


def setting(value: Any) -> str:
    """A config value in the notation of a job file."""
    if isinstance(value, bool):
        return str(value).lower()
    return format_number(value) if isinstance(value, float) else str(value)


def versions(installed: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in installed.items())


def spaced(name: str) -> str:
    """`content_filter` as words."""
    return name.replace("_", " ")


def teacher_agreement(card: DataCard) -> str:
    """Sentence about the teachers' answers that equal a reference; empty where that is not known."""
    if card.correct_answers is None or not card.answers_with_reference:
        return ""
    rows = f"{card.answers_with_reference:,} complete answers to rows with a reference"
    share = percent(card.correct_answers / card.answers_with_reference)
    return f"Of the teacher's {rows}, {share} equal the reference."


def personal_data(card: DataCard) -> str:
    """Sentence about the personal data in the rows; empty without any."""
    return f"Personal data in the rows, by pattern: {reasons(card.personal_data)}." if card.personal_data else ""


def sample_title(group: SampleGroup) -> str:
    """The fate of a group of sampled rows, and their number."""
    fate = f"Removed by step {group.step}: {spaced(group.reason)}" if group.step else "Training rows"
    shown = f", {len(group.samples)} of them at random" if len(group.samples) < group.rows else ""
    return f"{fate} ({group.rows:,}{shown})"


def length_range(group: LengthBin) -> str:
    return f"{group.shortest:,} to {group.longest:,}"


def reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in counts.items())


def cost_facts(report: Report) -> list[Fact]:
    """The costs that the job's prices allow to compute."""
    costs, requests = report.costs, report.costs.break_even_requests
    outcomes = ", ".join(f"{outcome} {amount(cost)}" for outcome, cost in costs.by_outcome.items())
    facts = [
        ("teacher's calls", None if costs.teacher is None else f"{amount(costs.teacher)} ({outcomes})"),
        ("calls for new prompts", _optional_amount(costs.augment)),
        ("judge's calls about the teacher's answers", _optional_amount(costs.judge_answers)),
        ("judge's calls about the test rows", _optional_amount(costs.judge)),
        ("scores of sampled answers", _optional_amount(costs.scorer)),
        ("training", _optional_amount(costs.training)),
        ("1,000 answers of the teacher", _optional_amount(costs.teacher_per_1000)),
        ("1,000 answers of the student", _optional_amount(costs.student_per_1000)),
        ("paid back after", None if requests is None else f"{requests:,} answers"),
    ]
    return [(label, fact) for label, fact in facts if fact is not None]


def _optional_amount(value: float | None) -> str | None:
    return None if value is None else amount(value)


OF_SEVERAL_PROCESSES = ("processes", "sharding")

# Diagnostics of the answers that the student sampled since the last log: key in metrics.json of train, label, format.
ROLLOUTS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("eos_share", "sampled answers that end", percent),
    ("mean_length", "tokens of a sampled answer", lambda value: f"{value:.1f}"),
    ("repeat_rate", "sampled answers that repeat themselves", percent),
    ("overlap", "likeliest tokens in common with the teacher", percent),
    ("shared_mass", "probability of the teacher's likeliest tokens", percent),
    ("teacher_mass", "their probability for the teacher", percent),
    ("generation_share", "time spent in sampling", percent),
    ("scoring_share", "time spent in waiting for scores", percent),
)

# Only trainings with the term top_k have it.
ALIGNED = "aligned_share"
# Key in metrics.json of train, label, format.

TRAINING: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("train_rows", "rows", rows),
    ("epochs", "epochs", lambda value: f"{value:g}"),
    ("steps", "steps", rows),
    ("saved_step", "saved after step", rows),
    ("ended_by", "ended by", str),
    ("supervised_tokens", "target tokens", count),
    ("parameters", "parameters", count),
    ("method", "method", str),
    ("trained_parameters", "trained parameters", count),
    ("device", "device", str),
    ("seconds", "time", seconds),
    ("tokens_per_s", "tokens per second", count),
    ("peak_memory_bytes", "peak memory", size),
    ("processes", "processes", rows),
    ("sharding", "sharding", str),
    ("train_loss", "training loss", loss),
    ("validation_loss", "validation loss", loss),
    (ALIGNED, "target tokens with the teacher's log probabilities", percent),
)
