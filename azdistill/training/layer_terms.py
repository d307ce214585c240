"""Terms of the training loss that compare layers: hidden states and attention of the student and white-box teachers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from azdistill.contracts.train import UNIFORM, TrainConfig
from azdistill.training.architecture import without_adapters
from azdistill.training.batches import IGNORE_INDEX
from azdistill.training.losses.attention import attention_loss_sum
from azdistill.training.losses.hidden_states import HiddenStateProjections, LayerMap, hidden_state_loss_sum, layer_map
from azdistill.training.white_box import WhiteBoxTeacher

# File of a checkpoint.
PROJECTIONS_FILE = "projections.safetensors"

# Name of the projections in the student while it is trained.
ATTRIBUTE = "white_box_projections"


class Projections(nn.ModuleList):
    """The projections for all teachers. A submodule of the student while it is trained, so that Trainer optimizes them,
    but not a part of its weights: they are in no state dict, and a checkpoint has them in a separate file."""

    def state_dict(self, *arguments: Any, destination: Any = None, **options: Any) -> Any:
        return {} if destination is None else destination

    def __iter__(self) -> Iterator[HiddenStateProjections]:
        return super().__iter__()  # type: ignore[return-value]

    def save(self, folder: Path) -> None:
        tensors = {name: weight.detach().to("cpu").contiguous() for name, weight in self.named_parameters()}
        save_file(tensors, folder / PROJECTIONS_FILE)

    @torch.no_grad()
    def load(self, folder: Path) -> None:
        tensors = load_file(folder / PROJECTIONS_FILE)
        for name, weight in self.named_parameters():
            weight.copy_(tensors[name])


@dataclass(frozen=True)
class LayerTerms:
    """Computes the terms `hidden_states` and `attention`: weighted sums over positions, each multiplied by its weight.

    `maps` are the compared layers of each teacher.
    """

    config: TrainConfig
    teachers: Sequence[WhiteBoxTeacher] = ()
    maps: Sequence[LayerMap] = ()
    projections: Projections | None = None

    @property
    def options(self) -> dict[str, bool]:
        """Options of transformers, for the outputs that are compared."""
        losses = self.config.loss_weights
        outputs = {"output_hidden_states": losses.hidden_states, "output_attentions": losses.attention}
        return {name: True for name, weight in outputs.items() if weight}

    def __call__(self, student: Any, of_teachers: Sequence[Any], weights: Tensor) -> dict[str, Tensor]:
        """The terms for the outputs of the models. `weights` has shape (rows, length): see `target_weights`."""
        losses, terms = self.config.loss_weights, {}
        if losses.hidden_states and self.projections is not None:
            sums = [
                hidden_state_loss_sum(student.hidden_states, teacher.hidden_states, projections, weights) * weight
                for teacher, projections, weight in zip(of_teachers, self.projections, self._weights, strict=True)
            ]
            terms["hidden_states"] = torch.stack(sums).sum() * losses.hidden_states
        if losses.attention:
            sums = [
                attention_loss_sum(student.attentions, teacher.attentions, layers, weights) * weight
                for teacher, layers, weight in zip(of_teachers, self.maps, self._weights, strict=True)
            ]
            terms["attention"] = torch.stack(sums).sum() * losses.attention
        return terms

    @property
    def _weights(self) -> list[float]:
        return [teacher.weight for teacher in self.teachers]


NO_LAYERS = LayerTerms(TrainConfig())


def target_weights(labels: Tensor, row_weights: Tensor | None) -> Tensor:
    """Weights of the positions that predict target tokens, those of their rows, and 0 elsewhere. Shape of `labels`."""
    following = _next(labels != IGNORE_INDEX)
    return following.float() if row_weights is None else following * _next(row_weights)


def _next(values: Tensor) -> Tensor:
    """The values of the next positions, 0 at the last one."""
    return torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], -1)


@contextmanager
def layer_terms(model: Any, teachers: Sequence[WhiteBoxTeacher], config: TrainConfig) -> Iterator[LayerTerms]:
    """The terms of a training, whose projections are a part of `model` inside the block. Raises SpecError for a layer
    map with layers that a model does not have."""
    maps = [_layer_map(model, teacher.model, config) for teacher in teachers]
    if not config.loss_weights.hidden_states:
        yield LayerTerms(config, teachers, maps)
        return
    student = without_adapters(model)
    of_teachers = [
        HiddenStateProjections(layers, _width(student), _width(teacher.model))
        for layers, teacher in zip(maps, teachers, strict=True)
    ]
    projections = Projections(of_teachers).to(student.device)
    setattr(student, ATTRIBUTE, projections)
    try:
        yield LayerTerms(config, teachers, maps, projections)
    finally:
        delattr(student, ATTRIBUTE)


def projections_of(model: Any) -> Projections | None:
    """The projections that are trained with a student."""
    student = without_adapters(model)
    projections: Projections | None = getattr(student, ATTRIBUTE, None)
    return projections


def _layer_map(student: Any, teacher: Any, config: TrainConfig) -> LayerMap:
    pairs = None if config.layer_map == UNIFORM else parse_layer_map(config.layer_map)
    student_layers, teacher_layers = (model.config.get_text_config().num_hidden_layers for model in (student, teacher))
    return layer_map(student_layers, teacher_layers, pairs, field=("train", "layer_map"))


def parse_layer_map(text: str) -> Mapping[int, int]:
    """`{1: 4, 2: 8}` for `1:4,2:8`."""
    pairs = (pair.split(":") for pair in text.split(","))
    return {int(student): int(teacher) for student, teacher in pairs}


def _width(model: Any) -> int:
    width: int = model.config.get_text_config().hidden_size
    return width
