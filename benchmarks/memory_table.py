"""Write azdistill/job/memory_table.json: the memory of training each student of the catalog, for a batch of any size.

`make memory-table` runs it, which takes about half an hour. Each cell of the table is fitted to steps on fake tensors
with two and with three layers: memory is linear in the number of layers and, within one part of a step, in the tokens
of the batch. `error` of a student is the largest difference between its cells and steps of the complete model.
"""

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from importlib.metadata import version
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from azdistill.contracts.errors import SpecError
from azdistill.contracts.train import TrainConfig
from azdistill.engine.yaml_document import read_document
from azdistill.job.memory_table import TABLE_FILE, Cell, Line, Setting
from azdistill.training.losses.chunks import CHUNK_BYTES
from azdistill.training.memory import Peaks, decoder_layers, peak_bytes, step_memory

CONFIGS_FILE = TABLE_FILE.with_name("student_configs.yaml")


class Shape(NamedTuple):
    """A batch."""

    rows: int
    length: int

    @property
    def tokens(self) -> int:
        return self.rows * self.length


# Numbers of layers that a cell is fitted to. Layers of several types repeat after 6 of them (Gemma 3).
DEPTHS, DEPTHS_OF_TYPES = (2, 3), (6, 12)

# Tokens of the smallest batch: enough for a complete chunk of logits of each vocabulary.
TOKENS = 4096

# Batch that the error is measured at.
CHECKED = Shape(16, 2048)

# Bytes per weight of a linear layer in 4 bits (NF4 with double quantization): scales of 8 bits for 64 weights, and of
# 32 bits for 256 of these. Source: arXiv:2305.14314, section 3.
BYTES_4BIT = 0.5 + (1 + 4 / 256) / 64

SETTINGS = tuple(
    Setting(method, precision, weights, checkpointing)
    for (method, precision, weights), checkpointing in product(
        (
            ("full", "bfloat16", "float32"),
            ("full", "bfloat16", "bfloat16"),
            ("full", "float32", "float32"),
            ("lora", "bfloat16", "bfloat16"),
            ("lora", "float32", "float32"),
        ),
        (False, True),
    )
)

# The setting whose cell is compared with a step of the complete model.
COMPARED = Setting("full", "bfloat16", "float32", True)

# Weights in linear layers of the students that are measured in float32. A GPU without bfloat16 has 16 or 32 GB.
LARGEST_IN_FLOAT32 = 2e9

NAMES = {
    "forward, embeddings": "forward pass of the embeddings",
    "forward, first layer": "forward pass of the first layer",
    "forward, last layer": "forward pass of the last layer",
    "forward, loss": "loss",
    "backward, loss": "backward pass of the loss",
    "backward, last layer": "backward pass of the last layer",
    "backward, first layer": "backward pass of the first layer",
    "gradient clipping": "gradient clipping",
    "optimizer": "optimizer step",
}


def main(students: Sequence[str]) -> None:
    """Measure these students, or all, and write the table after each."""
    configs = student_configs()
    entries = json.loads(TABLE_FILE.read_text(encoding="utf-8"))["students"] if TABLE_FILE.exists() else {}
    for name in students or configs:
        entries[name] = student_entry(name, configs[name])
        write_table({name: entries[name] for name in configs if name in entries})


def write_table(entries: Mapping[str, Any]) -> None:
    """Write the table with one line for each cell."""
    head = {
        "as_of": date.today().isoformat(),
        "versions": {package: version(package) for package in ("torch", "transformers", "peft")},
        "lora_rank": TrainConfig().lora_rank,
    }
    students = (
        f"  {json.dumps(name)}: {{\n"
        + ",\n".join(f"   {json.dumps(key)}: {json.dumps(value)}" for key, value in entry.items())
        + "\n  }"
        for name, entry in entries.items()
    )
    lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()]
    text = ",\n".join([*lines, ' "students": {\n' + ",\n".join(students) + "\n }"])
    TABLE_FILE.write_text(f"{{\n{text}\n}}\n", encoding="utf-8")


def student_configs() -> dict[str, dict[str, Any]]:
    """The architectures of the catalog's students, by name."""
    return read_document(CONFIGS_FILE, SpecError, "configs").value


def student_entry(name: str, architecture: Mapping[str, Any]) -> dict[str, Any]:
    """The cells of a student, and their error."""
    settings = [setting for setting in SETTINGS if setting.precision == "bfloat16" or _is_small(architecture)]
    cells = {setting: cell(architecture, setting) for setting in settings}
    error = _error(architecture, COMPARED, cells[COMPARED])
    print(f"{name}: error {error:.1%}", file=sys.stderr, flush=True)
    cells |= {qlora.setting: qlora.cell for qlora in _qlora(architecture, cells)}
    cells_as_json = {str(setting): _as_json(value) for setting, value in cells.items()}
    return {"error": round(error, 4)} | units(architecture) | cells_as_json


def units(architecture: Mapping[str, Any]) -> dict[str, int]:
    """Number of weights that a sharded training gathers together: of the largest layer, and of embeddings and head."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**architecture))
    ends = {model.get_input_embeddings().weight, model.get_output_embeddings().weight}  # one weight if they are tied
    sizes = [sum(weight.numel() for weight in layer.parameters()) for layer in decoder_layers(model)]
    return {"layer": max(sizes), "ends": sum(weight.numel() for weight in ends)}


def _is_small(architecture: Mapping[str, Any]) -> bool:
    return sum(_linear_sizes(architecture)) < LARGEST_IN_FLOAT32


def cell(architecture: Mapping[str, Any], setting: Setting) -> Cell:
    """A cell, fitted to steps with few layers."""
    shapes = _shapes(architecture)
    steps = [_complete(architecture, setting, shape) for shape in shapes]
    config = AutoConfig.for_model(**architecture)
    lines = [_line(name, [step[name] for step in steps], shapes, config.vocab_size) for name in steps[0]]
    optimizer = steps[0]["optimizer"]
    is_full = setting.method == "full"
    item_size = 4 if setting.weights == "float32" or not is_full else 2
    return Cell(
        trained=round(optimizer["gradients"] / item_size),
        embeddings=config.vocab_size * config.hidden_size if is_full else 0,
        gradients=round(optimizer["gradients"]),
        optimizer=round(optimizer["optimizer"]),
        chunk=_chunk(config.vocab_size),
        lines=tuple(_largest(lines, _chunk(config.vocab_size))),
    )


def _shapes(architecture: Mapping[str, Any]) -> list[Shape]:
    """Batches with other numbers of tokens and, where there is a mask for a sliding window, of other lengths that are
    longer than the window."""
    window = architecture.get("sliding_window") or architecture["max_position_embeddings"]
    length = TOKENS if TOKENS > window > TOKENS // 4 else TOKENS // 4
    rows = TOKENS // length
    shapes = [Shape(rows, length), Shape(2 * rows, length)]
    return [*shapes, Shape(rows, 2 * length)] if window < TOKENS else shapes


def _complete(architecture: Mapping[str, Any], setting: Setting, shape: Shape) -> dict[str, dict[str, float]]:
    """Bytes by part of the step and by kind for all layers, extrapolated from steps with a few."""
    types = getattr(AutoConfig.for_model(**architecture), "layer_types", None) or ["same"]
    fewer, more = DEPTHS if len(set(types)) == 1 else DEPTHS_OF_TYPES
    low, high = (
        _named(step_memory(_with_layers(architecture, layers), train_config(setting), *shape), layers)
        for layers in (fewer, more)
    )
    factor = (architecture["num_hidden_layers"] - more) / (more - fewer)
    return {
        name: {kind: size + factor * (size - low[name][kind]) for kind, size in kinds.items()}
        for name, kinds in high.items()
    }


def _with_layers(architecture: Mapping[str, Any], layers: int) -> dict[str, Any]:
    return {**architecture, "num_hidden_layers": layers}


def train_config(setting: Setting) -> TrainConfig:
    """The settings of the trainer."""
    return TrainConfig(
        method=setting.method,
        precision=setting.precision,
        float32_master_weights=setting.weights == "float32",
        gradient_checkpointing=setting.checkpointing,
    )


def _named(peaks: Peaks, layers: int) -> dict[str, Mapping[str, float]]:
    """Parts of the step with the first and the last layer by these names. The layers between them are left out."""
    ends = {"layer 1": "first layer", f"layer {layers}": "last layer"}
    renamed = {}
    for name, kinds in peaks.items():
        phase, _, layer = name.partition(", ")
        if layer in ends or not layer.startswith("layer"):
            renamed[f"{phase}, {ends.get(layer, layer)}" if layer else phase] = kinds
    return renamed


def _line(name: str, kinds: Sequence[Mapping[str, float]], shapes: Sequence[Shape], vocabulary: int) -> Line:
    """The line through the memory of three batches."""
    features = [[1, rows * length, rows * length * length][: len(shapes)] for rows, length in shapes]
    activations = np.linalg.solve(np.array(features, float), [kind["activations"] for kind in kinds])
    logits = max(kind["logits"] / _held(shape, vocabulary) for kind, shape in zip(kinds, shapes, strict=True))
    weights, gradients = (max(kind[part] for kind in kinds) for part in ("weights", "gradients"))
    constant, per_token, per_pair = map(_rounded, [*activations, 0.0][:3])
    return Line(NAMES[name], _rounded(weights), _rounded(gradients), (constant, per_token, per_pair), _rounded(logits))


def _chunk(vocabulary: int) -> int:
    """The most positions whose logits exist at a time on a GPU."""
    return CHUNK_BYTES["cuda"] // (4 * vocabulary)


def _held(shape: Shape, vocabulary: int) -> int:
    """Positions whose logits exist at a time for a batch, which is divided into chunks of equal size."""
    targets = shape.rows * (shape.length - 1)
    return math.ceil(targets / math.ceil(targets / _chunk(vocabulary)))


def _largest(lines: Sequence[Line], chunk: int) -> Iterator[Line]:
    """The lines that are the largest for some batch."""
    batches = product([2**power for power in range(10)], [2**power for power in range(5, 18)])
    used = {
        max(range(len(lines)), key=lambda index: sum(lines[index].parts(rows, length, chunk).values()))
        for rows, length in batches
    }
    return (lines[index] for index in sorted(used))


def _error(architecture: Mapping[str, Any], setting: Setting, fitted: Cell) -> float:
    """The relative difference between a cell and a step of the complete model."""
    measured = peak_bytes(step_memory(architecture, train_config(setting), *CHECKED))
    estimated = max(sum(line.parts(*CHECKED, fitted.chunk).values()) for line in fitted.lines) + fitted.optimizer
    return abs(estimated / measured - 1)


class _QLoRA(NamedTuple):
    setting: Setting
    cell: Cell


def _qlora(architecture: Mapping[str, Any], cells: Mapping[Setting, Cell]) -> Iterator[_QLoRA]:
    """Cells of QLoRA, computed from those of LoRA: bitsandbytes has no operators for fake tensors.

    The weights of the linear layers have 4 bits, and one layer at a time is copied to bfloat16.
    """
    sizes = _linear_sizes(architecture)
    saved, largest = sum(sizes) * (2 - BYTES_4BIT), 2 * max(sizes)
    for setting, lora in cells.items():
        if (setting.method, setting.precision) == ("lora", "bfloat16"):
            lines = tuple(_in_4_bits(line, saved, largest) for line in lora.lines)
            yield _QLoRA(setting._replace(method="qlora", weights="4-bit"), lora._replace(lines=lines))


def _in_4_bits(line: Line, saved: float, largest: float) -> Line:
    constant, per_token, per_pair = line.activations
    activations = (_rounded(constant + largest), per_token, per_pair)
    return line._replace(weights=_rounded(line.weights - saved), activations=activations)


def _linear_sizes(architecture: Mapping[str, Any]) -> list[int]:
    """Weights of the linear layers, without the output head, which keeps its type."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**architecture))
    head = model.get_output_embeddings()
    return [
        module.weight.numel()
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    ]


def _rounded(value: float) -> float:
    """Six digits are enough, and read well in a diff."""
    return float(f"{value:.6g}")


def _as_json(value: Cell) -> dict[str, Any]:
    return value._asdict() | {"lines": [line._asdict() for line in value.lines]}


if __name__ == "__main__":
    main(sys.argv[1:])
