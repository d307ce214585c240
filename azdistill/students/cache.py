"""Key-value cache of a batch that rows join and leave."""

from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

# Columns that are allocated beyond those in use. Each new allocation copies the cache.
ROOM = 128


def cache_layers(model: Any) -> int | None:
    """Number of layers of a model's cache; None where rows can't leave it, such as that of linear attention.

    Layers with a sliding window hold all positions here, and their attention mask hides those outside of the window.
    """
    config = model.config.get_text_config(decoder=True)
    layers = DynamicCache(config=config).layers
    supported = all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers)
    return len(layers) if supported and getattr(config, "attention_chunk_size", None) is None else None


class RowCache(Cache):
    """Keys and values of the rows of a batch. All rows end at the same column, and shorter ones begin later.

    A step writes one column in place, which transformers' DynamicCache does by copying all of them. `rows` are the
    rows in use, `length` the columns of the longest row.
    """

    def __init__(self, layers: int, capacity: int) -> None:
        self.rows, self.start, self.end = 0, 0, 0
        self.row_layers = [_Layer(self, capacity) for _ in range(layers)]
        super().__init__(layers=self.row_layers)

    @property
    def length(self) -> int:
        return self.end - self.start

    def add(self, prompts: DynamicCache) -> None:
        """Append the rows of a cache of prompts, which end at the same column, too."""
        keys = prompts.layers[0].keys
        rows, length = keys.shape[0], keys.shape[-2]
        if length > self.end:
            self._reallocate(max(length, self.length))
        added, columns = slice(self.rows, self.rows + rows), slice(self.end - length, self.end)
        for layer, of_prompts in zip(self.row_layers, prompts.layers, strict=True):
            layer.write(added, columns, of_prompts.keys, of_prompts.values)
        self.rows, self.start = self.rows + rows, min(self.start, self.end - length)

    def remove(self, row: int) -> None:
        """Remove a row. The last one takes its place."""
        self.rows -= 1
        if row < self.rows:
            for layer in self.row_layers:
                layer.move(self.rows, row, slice(self.start, self.end))

    def trim(self, length: int) -> None:
        """Forget all but the last `length` columns: only rows that were removed had the others."""
        self.start = self.end - length

    def reserve_column(self) -> None:
        """Make sure that the next step has a column to write to."""
        if self.end == self.row_layers[0].columns:
            self._reallocate(self.length)

    def advance(self) -> None:
        """Count the column that a step has written."""
        self.end += 1

    def _reallocate(self, length: int) -> None:
        """Move the columns in use to a new allocation, in which `length` columns fit before their end."""
        for layer in self.row_layers:
            layer.reallocate(length + ROOM, slice(length - self.length, length), slice(self.start, self.end))
        self.start, self.end = length - self.length, length


class _Layer(CacheLayerMixin):
    """One layer. Tensors have the shape (rows, heads, columns, head size)."""

    is_sliding = False

    def __init__(self, cache: RowCache, capacity: int) -> None:
        super().__init__()
        self._cache, self._capacity, self.columns = cache, capacity, 0
        self.tensors: list[torch.Tensor] = []  # keys and values

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        raise NotImplementedError("rows are added by RowCache.add")

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any) -> tuple[Any, ...]:
        """Write the column of this step, and return keys and values of all rows up to it."""
        rows, start, end = self._cache.rows, self._cache.start, self._cache.end
        for tensor, states in zip(self.tensors, (key_states, value_states), strict=True):
            tensor[:rows, :, end] = states[:, :, 0]
        return tuple(tensor[:rows, :, start : end + 1] for tensor in self.tensors)

    def get_seq_length(self) -> int:
        return self._cache.length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._cache.length + query_length, 0

    def get_max_length(self) -> int:
        return -1

    def write(self, rows: slice, columns: slice, keys: torch.Tensor, values: torch.Tensor) -> None:
        if not self.tensors:
            self.tensors = [self._empty(states) for states in (keys, values)]
            self.is_initialized = True
        for tensor, states in zip(self.tensors, (keys, values), strict=True):
            tensor[rows, :, columns] = states

    def move(self, source: int, target: int, columns: slice) -> None:
        for tensor in self.tensors:
            tensor[target, :, columns] = tensor[source, :, columns]

    def reallocate(self, columns: int, target: slice, source: slice) -> None:
        self.columns, rows = columns, slice(self._cache.rows)
        for number, old in enumerate(self.tensors):
            new = self._empty(old)
            new[rows, :, target] = old[rows, :, source]
            self.tensors[number] = new

    def _empty(self, like: torch.Tensor) -> torch.Tensor:
        """Zeros: a masked column counts nothing, unless it holds no number."""
        return like.new_zeros(self._capacity, like.shape[1], self.columns, like.shape[-1])
