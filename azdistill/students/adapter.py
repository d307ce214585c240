"""Adapters in the format of peft: load one with its base model, and merge it into the weights."""

import warnings
from pathlib import Path
from typing import Any

from peft import PeftModel
from peft.tuners.lora import LoraLayer

from azdistill.contracts.errors import DataError
from azdistill.students import errors
from azdistill.students.folders import ADAPTER_WEIGHTS


def with_adapter(model: Any, folder: Path) -> Any:
    """A base model with the adapter of a folder merged into its weights. Raises DataError if it can't be loaded."""
    if not (folder / ADAPTER_WEIGHTS).is_file():  # peft would load a pickled file instead
        raise DataError(
            f"no {ADAPTER_WEIGHTS}",
            subject=f"student {str(folder)!r}",
            code="no_weights",
            fix="save the adapter as safetensors",
        )
    # peft reads a deprecated property
    with errors.loading(folder, "adapter"), warnings.catch_warnings(category=FutureWarning, action="ignore"):
        return merge(PeftModel.from_pretrained(model, str(folder), local_files_only=True))


def merge(model: Any) -> Any:
    """The causal language model without adapters. Each sum is computed in float32 and rounded once."""
    for layer in model.modules():
        if isinstance(layer, LoraLayer):
            weights = layer.get_base_layer()
            dtype = weights.weight.dtype
            weights.float()
            layer.merge()
            weights.to(dtype)
    return model.unload().eval()
