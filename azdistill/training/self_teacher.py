"""The student as its own teacher: it scores the answers that it has sampled, with the stored answer in its prompt."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from azdistill.training.architecture import evaluated, logit_transform
from azdistill.training.batches import IGNORE_INDEX
from azdistill.training.objective import TeacherStates

# File of a checkpoint.
SELF_TEACHER_FILE = "self_teacher.safetensors"


class SelfTeacher:
    """A moving average of the student, which follows it until the first answers are sampled.

    `student` is the causal language model without wrappers. The teacher shares its frozen weights; with `decay` 0 it
    has no weights of its own. It is created before the first step, when both are equal.
    """

    def __init__(self, student: Any, decay: float) -> None:
        self._decay, self._has_sampled = decay, False
        self._trained = {name: weight for name, weight in student.named_parameters() if weight.requires_grad}
        self.model = student if decay == 0 else _copy_of_trained(student)
        of_teacher = dict(self.model.named_parameters())
        self._averages = {name: of_teacher[name] for name in self._trained} if decay else {}

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the student's weights. To be called before the answers of a step are sampled."""
        for name, average in self._averages.items():
            average.lerp_(self._trained[name], 1 - self._decay if self._has_sampled else 1.0)
        self._has_sampled = True

    @torch.no_grad()
    def read(self, batch: Mapping[str, Tensor]) -> TeacherStates:
        """The distributions at the N target tokens of a batch, from their `privileged_ids`.

        They are computed in the arithmetic of the student's forward pass, and are 0 at targets that it has not sampled.
        """
        head, device = self.model.get_output_embeddings(), batch["labels"].device.type
        with evaluated(self.model):
            states = self.model.base_model(input_ids=batch["privileged_ids"], use_cache=False)[0]
        is_target = batch["labels"][:, 1:] != IGNORE_INDEX
        sampled = batch["on_policy"][:, 1:][is_target]
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else head.weight.dtype
        hidden = states.new_zeros(len(sampled), states.shape[-1], dtype=dtype)
        hidden[sampled] = states[:, :-1][batch["privileged_targets"][:, 1:]].to(dtype)
        return TeacherStates(hidden, head, logit_transform(self.model.config), len(head.weight), 1.0)

    def save(self, folder: Path) -> None:
        """Save the average, which exists once answers were sampled."""
        if self._has_sampled and self._averages:
            tensors = {name: weight.detach().to("cpu").contiguous() for name, weight in self._averages.items()}
            save_file(tensors, folder / SELF_TEACHER_FILE)

    @torch.no_grad()
    def load(self, folder: Path) -> None:
        if self._averages and (path := folder / SELF_TEACHER_FILE).is_file():
            tensors = load_file(path)
            for name, average in self._averages.items():
                average.copy_(tensors[name])
            self._has_sampled = True


def _copy_of_trained(student: Any) -> Any:
    """A copy of a model that shares its frozen weights, and has no gradients."""
    frozen = {id(weight): weight for weight in student.parameters() if not weight.requires_grad}
    copied = copy.deepcopy(student, frozen)
    return copied.requires_grad_(False).eval()
