"""Facts about the rows and answers behind a student, for the report's data card."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from azdistill.contracts.files import read_rows
from azdistill.contracts.layout import COMPLETIONS_FILE, PROMPTS_FILE, TRAIN_FILE
from azdistill.contracts.rows import TRACE, Completion, Prompt, TrainRow, gold_texts
from azdistill.contracts.task import OWN, SENTENCE_TASKS, TaskChoice
from azdistill.reporting.report import DataCard, LabelCount, LanguageCount, LengthBin
from azdistill.reporting.row_samples import RowSamples
from azdistill.tasks.languages import LanguageDetector
from azdistill.tasks.registry import task_of
from azdistill.tasks.task import Task, valid_answers

# Ends of the groups of lengths: 10, 15, 20, 30, 50, 70, 100, ... characters.
EDGES = tuple(step * 10**power for power in range(7) for step in (10, 15, 20, 30, 50, 70))

# A task with more different answers has no labels.
MOST_LABELS = 20
# Characters of a label that are shown.
LONGEST_LABEL = 60


def data_card(
    prompts: Path, completions: Path, curated: Path, task_name: TaskChoice, labels: str | None = None, seed: int = 0
) -> DataCard:
    """The card of a run, from the folders of three steps. `seed` chooses the sampled rows.

    Keeps numbers of all rows, and texts of the sampled rows only.
    """
    samples = RowSamples(prompts, completions, curated, seed)
    prompt_lengths, answer_lengths = Counter[int](), Counter[int]()
    for prompt in read_rows(prompts / PROMPTS_FILE, Prompt):
        prompt_lengths[sum(len(message.content) for message in prompt.messages)] += 1
        samples.add_prompt(prompt)
    task = None if task_name == OWN else task_of(task_name, None, labels)
    label_counts, agreement = _Labels(task), _Agreement(None if task_name in SENTENCE_TASKS else task)
    for row in read_rows(completions / COMPLETIONS_FILE, Completion):
        samples.add_completion(row)
        agreement.add(row)
        if row.split != "test" and row.finish_reason == "stop":
            answer_lengths[len(row.completion)] += 1
        if row.split == "train" and row.finish_reason == "stop":
            label_counts.add_answer(row.completion)
    for trained in read_rows(curated / TRAIN_FILE, TrainRow):
        label_counts.add_training_row(trained)
    return DataCard(
        lengths=tuple(_bins(prompt_lengths, answer_lengths)),
        labels=label_counts.counts(),
        languages=tuple(_languages(samples.trained.rows)),
        answers_with_reference=agreement.rows,
        correct_answers=agreement.correct,
        samples=samples.groups(),
    )


class _Labels:
    """Counts of the different answers, given up when there are more than MOST_LABELS."""

    def __init__(self, task: Task | None) -> None:
        self._read: Callable[[str], str | None] = task.answer if task else str.strip
        self._answers, self._rows = Counter[str](), Counter[str]()
        self._weights: dict[str, float] = defaultdict(float)

    @property
    def _has_labels(self) -> bool:
        return len(self._answers) <= MOST_LABELS and len(self._rows) <= MOST_LABELS

    def add_answer(self, text: str) -> None:
        if self._has_labels and (label := self._read(text)):
            self._answers[label] += 1

    def add_training_row(self, row: TrainRow) -> None:
        """Count a target. Rows whose target is a trace have another id than their prompt."""
        if self._has_labels and not row.id.endswith(TRACE) and (label := self._read(row.messages[-1].content)):
            self._rows[label] += 1
            self._weights[label] += row.weight

    def counts(self) -> tuple[LabelCount, ...]:
        """The most frequent label first. Empty for fewer than two labels, or too many."""
        names = sorted(self._answers | self._rows, key=lambda name: (-self._answers[name], name))
        if not self._has_labels or len(names) < 2:
            return ()
        return tuple(
            LabelCount(
                label=name[:LONGEST_LABEL],
                answers=self._answers[name],
                training_rows=self._rows[name],
                weight=round(self._weights[name], 6),
            )
            for name in names
        )


class _Agreement:
    """Complete answers to rows with a reference, and how many of them are right. Not counted without a task."""

    def __init__(self, task: Task | None) -> None:
        self._task = task
        self.rows = 0
        self.correct: int | None = 0 if task else None

    def add(self, row: Completion) -> None:
        if self._task is None or self.correct is None or row.gold is None or row.finish_reason != "stop":
            return
        golds = valid_answers(self._task, gold_texts(row.gold))
        answer = self._task.answer(row.completion)
        self.rows += bool(golds)
        self.correct += answer is not None and any(self._task.correct(answer, gold) for gold in golds)


def _languages(rows: Sequence[TrainRow]) -> Iterable[LanguageCount]:
    """Languages of the last user turns and the targets, the most frequent one first."""
    if not rows or not find_spec("py3langid"):
        return
    detect = LanguageDetector().detect
    prompts = Counter(detect(row.messages[-2].content) or "" for row in rows)
    answers = Counter(detect(row.messages[-1].content) or "" for row in rows)
    for language in sorted(prompts | answers, key=lambda name: (name == "", -answers[name] - prompts[name], name)):
        yield LanguageCount(language=language, prompts=prompts[language], answers=answers[language])


def _bins(prompts: Mapping[int, int], answers: Mapping[int, int]) -> Iterable[LengthBin]:
    """Groups of lengths from the shortest to the longest text; groups between them may be empty."""
    counts = [_by_edge(lengths) for lengths in (prompts, answers)]
    used = sorted(counts[0] | counts[1])
    for index in range(used[0], used[-1] + 1) if used else ():
        shortest = EDGES[index - 1] + 1 if index else 0
        yield LengthBin(shortest=shortest, longest=EDGES[index], prompts=counts[0][index], answers=counts[1][index])


def _by_edge(lengths: Mapping[int, int]) -> Counter[int]:
    counts = Counter[int]()
    for length, rows in lengths.items():
        counts[min(bisect_left(EDGES, length), len(EDGES) - 1)] += rows
    return counts
