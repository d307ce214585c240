"""The table of measured training memory, `memory_table.json`: student x method x settings, for a batch of any size.

`make memory-table` writes it from steps on fake tensors (azdistill/training/memory.py). At each moment of a step the
memory is linear in the tokens of the batch. The peak is the largest of a few such lines, one for each part of the step
that can be the largest.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

TABLE_FILE = Path(__file__).with_name("memory_table.json")


class Setting(NamedTuple):
    """The settings that a cell was measured with. `weights` is the data type of the student's own weights."""

    method: str
    precision: str
    weights: str
    checkpointing: bool

    def __str__(self) -> str:
        checkpointing = ", checkpointing" if self.checkpointing else ""
        return f"{self.method}, {self.precision}, {self.weights} weights{checkpointing}"


class Line(NamedTuple):
    """Memory during one part of a step, in bytes.

    Activations are constant, per token, and per token and token of a row (the attention mask). Logits are per target
    position, of at most `chunk` positions.
    """

    during: str
    weights: float
    gradients: float
    activations: tuple[float, float, float]
    logits: float

    def parts(self, rows: int, length: int, chunk: int) -> dict[str, float]:
        """Bytes by kind, without the optimizer, for a batch of `rows` rows of `length` tokens."""
        tokens = rows * length
        constant, per_token, per_mask = self.activations
        return {
            "weights": self.weights,
            "gradients": self.gradients,
            "activations": constant + per_token * tokens + per_mask * tokens * length,
            "logits": self.logits * min(tokens, chunk),
        }


class Cell(NamedTuple):
    """Memory of one student in one setting.

    `trained` is the number of trained weights, and `embeddings` that of the embeddings among them. `gradients` and
    `optimizer` are the bytes of their gradients and of the state of AdamW. `chunk` is the number of positions whose
    logits exist at a time.
    """

    trained: int
    embeddings: int
    gradients: int
    optimizer: int
    chunk: int
    lines: tuple[Line, ...]


class Units(NamedTuple):
    """Number of weights that a sharded training gathers together: of the largest layer, and of embeddings and head."""

    layer: int
    ends: int


class MemoryTable(NamedTuple):
    """All cells, by the student's name in the catalog and its setting, and the units of each student.

    `errors` are the largest relative differences between the cells of a student and steps of the complete model.
    """

    as_of: str
    versions: Mapping[str, str]
    lora_rank: int
    cells: Mapping[str, Mapping[str, Cell]]
    units: Mapping[str, Units]
    errors: Mapping[str, float]

    def cell(self, student: str, setting: Setting) -> Cell | None:
        """The cell of a student of the catalog. None if it is not measured."""
        return self.cells.get(student, {}).get(str(setting))


@cache
def memory_table() -> MemoryTable:
    """The table of this version. It is read at the first call."""
    document = json.loads(TABLE_FILE.read_text(encoding="utf-8"))
    students = document["students"]
    errors = {name: entry.pop("error") for name, entry in students.items()}
    units = {name: Units(entry.pop("layer"), entry.pop("ends")) for name, entry in students.items()}
    cells = {name: {setting: _cell(values) for setting, values in entry.items()} for name, entry in students.items()}
    return MemoryTable(document["as_of"], document["versions"], document["lora_rank"], cells, units, errors)


def _cell(values: Mapping[str, Any]) -> Cell:
    lines = tuple(Line(**(line | {"activations": tuple(line["activations"])})) for line in values["lines"])
    return Cell(**(dict(values) | {"lines": lines}))
