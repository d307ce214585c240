"""docs/signals.md: the results of the study of the signals, in words that follow rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from azdistill.contracts.results import Interval
from azdistill.evaluation.intervals import PairedBootstrap, Scores

CONFIDENCE, RESAMPLES = 0.95, 10_000
BAR_WIDTH = 50
NO_DIFFERENCE, SEEDS_DISAGREE = "no measurable difference", "depends on the seed"

# Signals by the folder of their job, in the order of the page, and what the student learns from.
SIGNALS = {
    "text": "text alone",
    "top_k": "text + stored log probabilities (`top_k`)",
    "logits": "text + distributions over all tokens (`logits`)",
    "hidden_states": "text + `hidden_states`",
    "attention": "text + `attention`",
    "on_policy": "text, then own answers, scored by a white-box teacher (`on_policy`)",
    "scorer": "text, then own answers, scored by an endpoint (`on_policy`, `scorer`)",
    "self": "text, then own answers, scored by itself with the stored answer (`on_policy`, `teacher: self`)",
}
TEXT = "text"

PAGE = """# What each signal adds

A student can learn from more than the text of the teacher's answers: [training losses](losses.md) has all signals.
This page compares them on one small task, and shows what each adds to text alone. `make bench-signals` measures it
and writes this page; the jobs are in [pipelines/signals](../pipelines/signals/README.md).

**The task** is translation from a small invented language. Most words have two translations, of which one fits the
register of the sentence. A translator chooses it three times of four, so the teacher, which was trained on
{teacher_rows:,} translations, is uncertain at most words. Its answers are sampled at temperature 1: each is one of
many. The student has {student_parameters:,} parameters and starts from random weights, the teacher has
{teacher_parameters:,}. An answer to a held-out row is correct if all its words are those of the register.

All trainings have the same {train_rows} rows with the same answers, the same student, and the same number of updates:
{updates}. Each keeps its weights with the lowest validation loss.

## Results

{table}

Accuracy is the mean of {seeds} seeds on {rows} held-out rows. The interval of the gain has {confidence:.0%}
confidence; it is paired: both students answer the same rows, and a row counts with its mean over the seeds. The
result follows a rule: an interval that includes 0 is called no measurable difference. Of other intervals, those of
trainings whose seeds disagree about the sign of the gain are said to depend on the seed. The time is the processor
time of the training, compared with text alone; that of an endpoint is not in it.

```
{bars}
```

{halfway}

## How many updates

{reached}

| updates | text + `top_k` |
|---|---|
{top_k_rows}

Each line is a training of its own, with a complete schedule of the learning rate.

## Another tokenizer

The log probabilities of an endpoint are those of the teacher's tokens. A student with another tokenizer, here one
with {other_vocabulary} tokens in place of {vocabulary}, learns from those of its tokens that have the same bytes at
the same place: {aligned:.0%} of its target tokens. {other}

## What this page does not say

One task and one pair of small models. The number of updates, the weights of the losses and the layers that attention
compares were chosen in a few trainings whose accuracy on the held-out rows was known, so the gains are rather too large
than too small. The intervals cover the choice of rows, and neither the seeds nor the teacher's sampling. An
endpoint forms its batches by the time at which requests arrive, so its scores differ in the last digits, and with them
the training: two studies gave 52% and 61% for `scorer`.

The teacher's answers are samples here, for which distributions add most; with answers at temperature 0 there is
less to add. Self-distillation needs a student that uses an answer in its prompt, as models that follow instructions
do. This one starts from random weights: the stored answer is less likely for it with that prompt than without. A
signal that adds nothing here may add something to a large student, and the other way round. Compare the signals on
your rows before you rent GPUs for a long training: copy one of the jobs, and use `azdistill compare`.
"""


@dataclass(frozen=True)
class Trainings:
    """Trainings with the same signal and number of updates, one for each seed.

    `correct` has shape (seeds, rows). `seconds` is the mean processor time.
    """

    updates: int
    correct: Scores
    seconds: float

    @property
    def accuracy(self) -> float:
        return float(self.correct.mean())


@dataclass(frozen=True)
class Gain:
    """Gain in accuracy over other trainings with the same rows: its interval, and the gain of each seed."""

    interval: Interval
    of_seeds: Sequence[float]

    @property
    def verdict(self) -> str:
        """A few words about the gain. Every interval that includes 0 has the same ones."""
        low, value, high = self.interval.low or 0.0, self.interval.value or 0.0, self.interval.high or 0.0
        if low <= 0 <= high:
            return NO_DIFFERENCE
        if min(self.of_seeds) <= 0 <= max(self.of_seeds):
            return SEEDS_DISAGREE
        return f"{'adds' if value > 0 else 'loses'} {_points(abs(value))} points"

    @property
    def text(self) -> str:
        values = (self.interval.value, self.interval.low, self.interval.high)
        value, low, high = (f"{_points(each):+}" for each in values)
        return f"{value} [{low}, {high}]"


@dataclass(frozen=True)
class Study:
    """Results: the trainings of each signal by their share of the updates, those of a student with another tokenizer by
    signal, and facts for the page."""

    trainings: Mapping[str, Mapping[float, Trainings]]
    other_tokenizer: Mapping[str, Trainings]
    aligned_share: float
    facts: Mapping[str, int]

    def final(self, signal: str) -> Trainings:
        return self.trainings[signal][1.0]

    def gain(self, signal: str) -> Gain:
        return gain(self.final(signal), self.final(TEXT))

    @property
    def top_k_updates(self) -> int | None:
        """The smallest measured number of updates with which text + top_k is as accurate as text alone with all."""
        enough = [
            trainings.updates
            for trainings in self.trainings["top_k"].values()
            if trainings.accuracy >= self.final(TEXT).accuracy
        ]
        return min(enough, default=None)


def gain(trainings: Trainings, reference: Trainings) -> Gain:
    bootstrap = PairedBootstrap(0, RESAMPLES, CONFIDENCE)
    interval = bootstrap.gain(trainings.correct.mean(axis=0), reference.correct.mean(axis=0))
    return Gain(interval, [float(each) for each in trainings.correct.mean(axis=1) - reference.correct.mean(axis=1)])


def page(study: Study) -> str:
    final, signals = study.final(TEXT), [signal for signal in SIGNALS if signal in study.trainings]
    seeds, rows = final.correct.shape
    return PAGE.format(
        **study.facts,
        updates=final.updates,
        table=_table(study, signals),
        seeds=seeds,
        rows=rows,
        confidence=CONFIDENCE,
        bars="\n".join(_bar(signal, study.final(signal).accuracy) for signal in signals),
        halfway=_halfway(study, signals),
        reached=_reached(study),
        top_k_rows="\n".join(
            f"| {trainings.updates} | {trainings.accuracy:.1%} |"
            for _, trainings in sorted(study.trainings["top_k"].items())
        ),
        aligned=study.aligned_share,
        other=_other_tokenizer(study.other_tokenizer),
    )


def _table(study: Study, signals: Sequence[str]) -> str:
    header = "| the student learns from | accuracy | gain, points | of the seeds | time | result |"
    lines = [header, "|---|---|---|---|---|---|"]
    for signal in signals:
        trainings = study.final(signal)
        cells = [SIGNALS[signal], f"{trainings.accuracy:.1%}"]
        if signal == TEXT:
            cells += ["", "", "1.0x", ""]
        else:
            difference, time = study.gain(signal), trainings.seconds / study.final(TEXT).seconds
            of_seeds = ", ".join(f"{_points(each):+}" for each in difference.of_seeds)
            cells += [difference.text, of_seeds, f"{time:.1f}x", difference.verdict]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _bar(signal: str, accuracy: float) -> str:
    return f"{signal:<14} {'#' * round(BAR_WIDTH * accuracy):<{BAR_WIDTH}} {accuracy:4.0%}"


def _halfway(study: Study, signals: Sequence[str]) -> str:
    shares = sorted(share for share in study.trainings[TEXT] if share < 1)
    if not shares:
        return ""
    share = shares[-1]
    values = [f"{signal} {study.trainings[signal][share].accuracy:.0%}" for signal in signals]
    return f"Trainings with {study.trainings[TEXT][share].updates} updates: {', '.join(values)}."


def _reached(study: Study) -> str:
    text, enough = study.final(TEXT), study.top_k_updates
    start = f"Text alone has {text.accuracy:.1%} correct answers after {text.updates} updates. Text + `top_k`"
    if enough is None:
        return f"{start} does not reach that with as many updates."
    return (
        f"{start} reaches that with {enough} updates, {enough / text.updates:.2f} of them: the smallest number in the "
        "table with which it does."
    )


def _other_tokenizer(trainings: Mapping[str, Trainings]) -> str:
    text, top_k = trainings[TEXT], trainings["top_k"]
    difference = gain(top_k, text)
    return (
        f"With text alone it has {text.accuracy:.1%} correct answers, with text + `top_k` {top_k.accuracy:.1%}: "
        f"{difference.text} points, {difference.verdict}."
    )


def _points(share: float | None) -> float:
    """Percentage points. No negative zero."""
    return round(100 * (share or 0.0), 1) + 0.0
