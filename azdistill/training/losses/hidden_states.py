"""Hidden states of a student's layers compared with those of a teacher's layers."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from azdistill.contracts.errors import SpecError

# Layers of the teacher by those of the student. Layers are numbered from 1, as in the hidden states of transformers, of
# which the first are the embeddings.
LayerMap = Mapping[int, int]


def layer_map(
    student_layers: int, teacher_layers: int, pairs: LayerMap | None = None, field: tuple[str, ...] = ()
) -> LayerMap:
    """The teacher's layer of each layer of the student that is compared. None compares all, at the same relative depth.

    The default is the uniform map of TinyBERT (Jiao et al. 2020, https://arxiv.org/abs/1909.10351). Raises SpecError,
    for the job's `field`, if a layer does not exist.
    """
    if pairs is None:
        return {n: math.ceil(n * teacher_layers / student_layers) for n in range(1, student_layers + 1)}
    for student_layer, teacher_layer in pairs.items():
        for model, layer, count in (
            ("student", student_layer, student_layers),
            ("teacher", teacher_layer, teacher_layers),
        ):
            if not 1 <= layer <= count:
                raise SpecError(
                    f"the {model} has no layer {layer}: its layers are 1 to {count}",
                    code="unknown_layer",
                    field=field,
                    value=f"{student_layer}: {teacher_layer}",
                    fix="choose layers that both models have, or leave it out to map all layers",
                )
    return dict(pairs)


class HiddenStateProjections(nn.Module):
    """Trained projections of the student's hidden states to the width of the teacher's, one for each pair of layers.

    They start as orthogonal matrices, or the identity if both widths are equal, and are not part of the student.
    """

    def __init__(self, layers: LayerMap, student_width: int, teacher_width: int) -> None:
        super().__init__()
        self.layers = dict(layers)
        projections = {str(layer): nn.Linear(student_width, teacher_width, bias=False) for layer in layers}
        initialise = nn.init.eye_ if student_width == teacher_width else nn.init.orthogonal_
        for projection in projections.values():
            initialise(projection.weight)
        self.projections = nn.ModuleDict(projections)

    def forward(self, layer: int, states: Tensor) -> Tensor:
        """The projected states of one layer of the student."""
        projected: Tensor = self.projections[str(layer)](states)
        return projected


def hidden_state_loss_sum(
    student_states: Sequence[Tensor],
    teacher_states: Sequence[Tensor],
    projections: HiddenStateProjections,
    weights: Tensor,
) -> Tensor:
    """Weighted sum over positions of the squared errors of normalized states, mean over width and layers, float32.

    The states are those that transformers returns with `output_hidden_states`: of the embeddings, then of each layer,
    with shape (rows, length, width), for the same tokens. `weights` has shape (rows, length), and is 0 or False where a
    position does not count. Both states are normalized to mean 0 and variance 1 (a layer norm without weights), so that
    the loss is between 0 and 4 at each position, whatever the width and scale of a model. TinyBERT compares states that
    are not normalized.
    """
    counts = weights != 0
    errors = []
    for student_layer, teacher_layer in projections.layers.items():
        student = _normalized(projections(student_layer, student_states[student_layer][counts]))
        teacher = _normalized(teacher_states[teacher_layer][counts].detach())
        errors.append((student - teacher).square().mean(-1))
    return weights[counts].float() @ torch.stack(errors).mean(0)


def _normalized(states: Tensor) -> Tensor:
    return functional.layer_norm(states.float(), states.shape[-1:])
