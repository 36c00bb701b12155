"""Series that are scaled when they are read, a region at a time. NumPy and torch only."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqfeat.exceptions import InputError
from seqfeat.nn.batch import Batch, Chunk
from seqfeat.runtime.ranks import Ranks
from seqfeat.series import Series
from seqfeat.series.scaling import ChannelScaling
from seqfeat.training.sampler import is_one_region

__all__ = ["Dataset", "Shard"]

BLOCK_BYTES = 2**20
"""Bytes of values, float64, that are scaled together."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Some of the series of all processes, as training reads them.

    A set of one region is scaled once and stays in memory.

    Attributes
    ----------
    series : Series
        Those that this process holds.
    scaling : ChannelScaling
    shard : Shard
    targets : ndarray or None
        Class indices of `series`.
    chosen : ndarray, ascending, or None
        Which series, of all processes, make up this set; None is all of them.
    """

    series: Series
    scaling: ChannelScaling
    shard: Shard
    targets: NDArray[np.int64] | None = None
    chosen: NDArray[np.int64] | None = None
    _kept: list[Chunk] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.shard) if self.chosen is None else len(self.chosen)

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
    def values_per_series(self) -> int:
        """Values of the longest series."""
        return self.shard.n_timesteps * self.series.n_channels

    @property
    def _is_share(self) -> bool:
        return len(self.series) < len(self.shard)

    @cached_property
    def _own(self) -> tuple[int, int]:
        """The first of this process's series in the set, and the one behind its last."""
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
        """Return those of the rows, ascending, that this process holds, or more."""
        if not is_one_region(len(self), self.values_per_series):
            return self._read(rows)
        if not self._kept:
            self._kept.append(self._read(torch.arange(len(self))))
        return self._kept[0]

    def _read(self, rows: Tensor) -> Chunk:
        start, stop = self._own
        own = rows[(rows >= start) & (rows < stop)]
        places = own.numpy() if self.chosen is None else self.chosen[own.numpy()]
        scaled = self._scaled(places - self.shard.first)
        is_whole = len(own) == len(self)
        return Chunk(scaled, None if is_whole else own, self._is_share)

    def _scaled(self, rows: NDArray[np.int64]) -> Batch:
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
            None if self.targets is None else torch.from_numpy(self.targets[rows].astype(np.int64)),
        )


@dataclass(frozen=True, eq=False)
class Shard:
    """Where a process's own series stand among those of all processes.

    Attributes
    ----------
    first : int
        Which of them is the first of its own.
    lengths : ndarray of shape (N,), int64
        Timesteps of all.
    is_dense : bool
        Whether everything was observed, in all processes.
    """

    first: int
    lengths: NDArray[np.int64]
    is_dense: bool

    @classmethod
    def whole(cls, series: Series) -> Shard:
        """Return what a process holds that is alone: all."""
        return cls(0, series.lengths, series.is_dense)

    @classmethod
    def among(cls, ranks: Ranks, series: Series) -> Shard:
        """Return where this process's series stand: behind those of lower ranks.

        Raises
        ------
        InputError
            In every process, if their series differ in channels or in form.
        """
        facts = ranks.gather((len(series), _told(series.lengths), series.is_dense, _form(series)))
        forms = [form for *_, form in facts]
        for rank, form in enumerate(forms):
            if form != forms[0]:
                raise InputError(
                    f"the processes that share this fit hold {forms[0]} in rank 0, but {form} in "
                    f"rank {rank}. Give each of them series of the same form and channels."
                )
        first = sum(n_series for n_series, *_ in facts[: ranks.rank])
        lengths = np.concatenate([np.broadcast_to(told, n_series) for n_series, told, *_ in facts])
        is_dense = all(dense for _, _, dense, _ in facts) and bool((lengths == lengths[0]).all())
        return cls(first, lengths, is_dense)

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def n_timesteps(self) -> int:
        """Timesteps of the longest series of all."""
        return int(self.lengths.max())


def _told(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return lengths for the other processes: a single one where all are equal."""
    return lengths[:1] if (lengths == lengths[0]).all() else lengths


def _form(series: Series) -> str:
    if series.form == "table":
        return f"a table of {series.values.shape[1]} timesteps"
    return f"series with {series.n_channels} channels"
