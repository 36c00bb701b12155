"""Series that are scaled when they are read, in chunks. NumPy and torch only."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqfeat.nn.batch import Batch, Chunk
from seqfeat.series.scaling import ChannelScaling
from seqfeat.series.series import Series
from seqfeat.training.sampler import is_one_chunk

__all__ = ["Dataset", "Shard"]

BLOCK_BYTES = 2**20
"""Size of the blocks, as float64, in which a chunk is scaled."""


@dataclass(frozen=True, eq=False)
class Shard:
    """The place of a process's series among those of all processes.

    Attributes
    ----------
    first : int
        Row number of the process's first series.
    lengths : ndarray of shape (N,), int64
        Timesteps of the series of all processes.
    is_dense : bool
        Whether everything was observed, in all processes.
    """

    first: int
    lengths: NDArray[np.int64]
    is_dense: bool

    @classmethod
    def whole(cls, series: Series) -> Shard:
        """Return the shard of a single process: all series."""
        return cls(0, series.lengths, series.is_dense)

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property
    def n_timesteps(self) -> int:
        """Timesteps of the longest series."""
        return int(self.lengths.max())


@dataclass(frozen=True, eq=False)
class Dataset:
    """Some of the series of all processes, as training reads them.

    A set that fits into one chunk is scaled once and stays in memory.

    Attributes
    ----------
    series : Series
        The series of this process.
    scaling : ChannelScaling
    shard : Shard
    targets : ndarray or None
        Class indices of `series`, or standardized numbers.
    weights, target_weights : ndarray of shape (N,), float32, or None
        How much each of `series`, and each target, counts, relative to the mean of all processes;
        None if all count the same, in all processes.
    chosen : ndarray, ascending, or None
        Row numbers, among the series of all processes, that make up the set; None means all.
    """

    series: Series
    scaling: ChannelScaling
    shard: Shard
    targets: NDArray[np.int64] | NDArray[np.float32] | None = None
    weights: NDArray[np.float32] | None = None
    target_weights: NDArray[np.float32] | None = None
    chosen: NDArray[np.int64] | None = None
    _kept: list[Chunk] = field(default_factory=list)

    def subset(self, chosen: NDArray[np.int64]) -> Dataset:
        """Return a set of some rows, ascending, of the series of all processes."""
        return replace(self, chosen=chosen, _kept=[])

    def __len__(self) -> int:
        return len(self.shard.lengths if self.chosen is None else self.chosen)

    @cached_property
    def lengths(self) -> Tensor:
        """Timesteps of every series of the set."""
        lengths = self.shard.lengths
        return torch.from_numpy(lengths if self.chosen is None else lengths[self.chosen])

    @property
    def is_dense(self) -> bool:
        """Whether everything was observed, in all processes."""
        return self.shard.is_dense

    @property
    def is_weighted(self) -> bool:
        """Whether series or targets count differently, in all processes."""
        return self.weights is not None or self.target_weights is not None

    @cached_property
    def values_per_series(self) -> int:
        """Number of values of the longest series."""
        return self.shard.n_timesteps * self.series.n_channels

    @cached_property
    def _own(self) -> tuple[int, int]:
        """The first of this process's rows in the set, and the end of them."""
        first, last = self.shard.first, self.shard.first + len(self.series)
        if self.chosen is None:
            return first, last
        edges = np.searchsorted(self.chosen, [first, last])
        return int(edges[0]), int(edges[1])

    @property
    def own_rows(self) -> NDArray[np.int64]:
        """Rows of `series` that are in the set, ascending."""
        start, stop = self._own
        own = np.arange(start, stop) if self.chosen is None else self.chosen[start:stop]
        return own - self.shard.first

    def load(self, rows: Tensor) -> Chunk:
        """Return a chunk of the rows, ascending, as far as this process holds them."""
        if not is_one_chunk(len(self), self.values_per_series):
            return self._read(rows)
        if not self._kept:
            every = torch.arange(len(self), dtype=torch.int64, device="cpu")
            self._kept.append(self._read(every))
        return self._kept[0]

    def release(self) -> None:
        """Keep no chunk in memory any longer."""
        self._kept.clear()

    def _read(self, rows: Tensor) -> Chunk:
        start, stop = self._own
        own = rows[(rows >= start) & (rows < stop)]
        chosen = own.numpy() if self.chosen is None else self.chosen[own.numpy()]
        scaled = self._scale(chosen - self.shard.first)
        is_sharded = len(self.series) < len(self.shard.lengths)
        return Chunk(scaled, None if len(own) == len(self) else own, is_sharded)

    def _scale(self, rows: NDArray[np.int64]) -> Batch:
        """Return rows of `series`, scaled block by block."""
        series, n_timesteps = self.series, self.shard.n_timesteps
        shape = (len(rows), n_timesteps, series.n_channels)
        values = np.zeros(shape, dtype=np.float32)
        observed = None if self.is_dense else np.zeros(shape, dtype=bool)
        size = max(1, BLOCK_BYTES // (8 * self.values_per_series))
        for start in range(0, len(rows), size):
            block = slice(start, start + size)
            scaled, seen = self.scaling.apply_observed(series, rows[block])
            values[block, : scaled.shape[1]] = scaled
            if observed is not None:
                observed[block, : scaled.shape[1]] = True if seen is None else seen
        return Batch(
            torch.from_numpy(values),
            torch.from_numpy(series.lengths[rows]),
            None if observed is None else torch.from_numpy(observed),
            _rows_of(self.targets, rows),
            weights=_rows_of(self.weights, rows),
            target_weights=_rows_of(self.target_weights, rows),
        )


def _rows_of(values: NDArray[Any] | None, rows: NDArray[np.int64]) -> Tensor | None:
    return None if values is None else torch.from_numpy(values[rows])
