"""Drop and weight rows because of other rows: near duplicates, balance of labels, coverage."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from azdistill.contracts.curate import CurateConfig
from azdistill.contracts.rows import Completion, Reject
from azdistill.data.row_file import RowFile
from azdistill.tasks.task import BadRow, Task
from azdistill.tasks.texts import without_reasoning


def select(outcomes: Iterable[Completion | Reject], config: CurateConfig, task: Task) -> Iterator[Completion | Reject]:
    """The dropped rows, then the others: kept, with their weights, or dropped because of other rows.

    Near duplicates are dropped among all rows, and others among the training rows only.
    """
    with RowFile(Completion) as rows:
        training: list[int] = []
        labels: dict[int, str] = {}
        for outcome in outcomes:
            if isinstance(outcome, Reject):
                yield outcome
                continue
            if outcome.split == "train":
                training.append(len(rows))
                if config.compares_labels:
                    labels[len(rows)] = task.answer(outcome.completion) or ""
            rows.append(outcome)
        yield from _selected(rows, training, labels, config)


def _selected(
    rows: RowFile[Completion], training: Sequence[int], labels: Mapping[int, str], config: CurateConfig
) -> Iterator[Completion | Reject]:
    """`training` are the indices of the training rows, of which `labels` are the answers."""
    faults: dict[int, BadRow] = {}
    if config.near_duplicates is not None:
        faults |= _repeated(rows, training, config.near_duplicates)
    if config.max_label_ratio is not None:
        faults |= _surplus(rows, _without(labels, faults), config.max_label_ratio)
    if config.keep is not None:
        faults |= _not_covering(rows, [index for index in training if index not in faults], config.keep)
    weights = _label_weights(_without(labels, faults)) if config.weight_by_label else {}
    for index, row in enumerate(rows):
        if fault := faults.get(index):
            yield Reject(source=row.source, reason=fault.reason, detail=fault.detail)
        else:
            yield row.model_copy(update={"weight": row.weight * weights.get(index, 1.0)})


def _without(labels: Mapping[int, str], faults: Mapping[int, BadRow]) -> dict[int, str]:
    return {index: label for index, label in labels.items() if index not in faults}


class _Texts:
    """Prompt, without its system turn, and answer, without its reasoning, of rows in a file."""

    def __init__(self, rows: RowFile[Completion], indices: Sequence[int]) -> None:
        self._rows, self._indices = rows, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> tuple[str, str]:
        row = self._rows[self._indices[index]]
        prompt = "\n".join(message.content for message in row.messages if message.role != "system")
        return prompt, without_reasoning(row.completion)


def _repeated(rows: RowFile[Completion], training: Sequence[int], threshold: float) -> dict[int, BadRow]:
    """Validation rows are compared first: a training row that repeats one would make its loss too low."""
    from azdistill.data.near_duplicates import near_duplicates

    order = [*sorted(set(range(len(rows))) - set(training)), *training]
    repeats = near_duplicates(_Texts(rows, order), threshold)
    return {
        order[later]: BadRow("near_duplicate", f"prompt and answer repeat those of {rows[order[earlier]].source}")
        for later, earlier in repeats.items()
    }


def _surplus(rows: RowFile[Completion], labels: Mapping[int, str], max_ratio: float) -> dict[int, BadRow]:
    """Rows of labels with more than `max_ratio` times the rows of the rarest label. Ids, which are hashes, decide."""
    counts = Counter(labels.values())
    most = int(max_ratio * min(counts.values(), default=0))
    surplus: dict[int, BadRow] = {}
    for label in (label for label, count in counts.items() if count > most):
        ordered = sorted((index for index in labels if labels[index] == label), key=lambda index: rows[index].id)
        fault = BadRow("label_surplus", f"{counts[label]} rows have label {label!r}, and at most {most} are kept")
        surplus |= dict.fromkeys(ordered[most:], fault)
    return surplus


def _not_covering(rows: RowFile[Completion], training: Sequence[int], count: int) -> dict[int, BadRow]:
    from azdistill.data.coverage import covering_rows

    selected = {training[index] for index in covering_rows(_Texts(rows, training), count)}
    fault = BadRow("not_selected", f"more similar to other rows than the {count} that are kept")
    return {index: fault for index in training if index not in selected}


def _label_weights(labels: Mapping[int, str]) -> dict[int, float]:
    """Inverse frequency of each row's label, with mean 1."""
    counts = Counter(labels.values())
    return {index: len(labels) / (len(counts) * counts[label]) for index, label in labels.items()}
