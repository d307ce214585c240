"""Memory of live tensors by kind, counted while operators run. It works on torch's fake tensors, which have no data."""

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

Kind = Literal["weights", "gradients", "optimizer", "activations", "logits"]
KINDS: tuple[Kind, ...] = ("weights", "gradients", "optimizer", "activations", "logits")


@dataclass
class _Allocation:
    """A live storage. `reference` keeps the callback that reports its end."""

    kind: Kind
    size: int
    reference: Any = None


class MemoryTracker(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of live storages by kind, and keeps the largest sum of each window.

    A storage counts once, however many tensors share it, from the operator that creates it until it is freed. Kinds:
    `set_kind` for weights, gradients and the state of an optimizer; a copy of a weight in another data type is of the
    weights; a tensor whose last dimension is `vocabulary` is of the logits; all others are activations. Memory that an
    operator uses inside (workspaces) is not seen.
    """

    def __init__(self, vocabulary: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._vocabulary = vocabulary
        self._allocations: dict[int, _Allocation] = {}
        self._window = "start"
        self.live: dict[Kind, int] = dict.fromkeys(KINDS, 0)
        self.peaks: dict[str, Mapping[Kind, int]] = {}

    def start_window(self, name: str) -> None:
        """Count towards this window from now on. A window that is started again continues."""
        self._window = name
        self._update_peak()

    def set_kind(self, tensor: torch.Tensor, kind: Kind) -> None:
        """Count the storage of a tensor as `kind`."""
        allocation = self._allocation(tensor.untyped_storage(), kind)
        self.live[allocation.kind] -= allocation.size
        self.live[kind] += allocation.size
        allocation.kind = kind

    def count_workspace(self, size: int) -> None:
        """Count memory that exists only inside of the operator that has just run."""
        self.live["activations"] += size
        self._update_peak()
        self.live["activations"] -= size

    def kind_of(self, tensor: torch.Tensor) -> Kind | None:
        """The kind of a tensor's storage. None if it is not counted yet."""
        allocation = self._allocations.get(tensor.untyped_storage()._cdata)
        return allocation.kind if allocation else None

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = self.call(func, args, kwargs or {})
        is_copy_of_weight = func is torch.ops.aten._to_copy.default and self.kind_of(args[0]) == "weights"
        for tensor in tree_iter(result):
            if isinstance(tensor, torch.Tensor):
                self._allocation(tensor.untyped_storage(), "weights" if is_copy_of_weight else self._guess(tensor))
        return result

    def call(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operator."""
        return func(*args, **kwargs)

    def _guess(self, tensor: torch.Tensor) -> Kind:
        return "logits" if tensor.dim() > 1 and tensor.shape[-1] == self._vocabulary else "activations"

    def _allocation(self, storage: torch.UntypedStorage, kind: Kind) -> _Allocation:
        key = storage._cdata
        if key not in self._allocations:
            allocation = self._allocations[key] = _Allocation(kind, storage.nbytes())
            allocation.reference = weakref.ref(storage, partial(self._free, key))
            self.live[kind] += allocation.size
            self._update_peak()
        return self._allocations[key]

    def _free(self, key: int, _: Any) -> None:
        allocation = self._allocations.pop(key)
        self.live[allocation.kind] -= allocation.size

    def _update_peak(self) -> None:
        peak = self.peaks.get(self._window)
        if peak is None or sum(self.live.values()) > sum(peak.values()):
            self.peaks[self._window] = dict(self.live)
