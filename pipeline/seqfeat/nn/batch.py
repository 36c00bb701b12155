"""Series as tensors: a batch, a chunk of a data set in memory, and a process's shard of a batch.

Torch only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property

import torch
from torch import Tensor

from seqfeat.runtime.device import to_device

__all__ = ["Batch", "BatchShard", "Chunk", "common_length"]


@dataclass(frozen=True, eq=False)
class Batch:
    """Scaled series as tensors on the CPU.

    Attributes
    ----------
    values : Tensor of shape (N, T, C), float32
        Scaled values, 0 where nothing was observed.
    lengths : Tensor of shape (N,), int64
        Timesteps of each series, without padding.
    observed : Tensor of shape (N, T, C), bool, or None
        None if everything was observed.
    targets : Tensor of shape (N,), int64, or (N, K), float32, or None
        Class indices for the head, or K standardized numbers.
    embeddings : Tensor of shape (N, E), float32, or None
        The embeddings, where the encoder is not trained. The values are then what the linear map
        of the decoder leaves to its layers.
    weights : Tensor of shape (N,), float32, or None
        How much each series counts in the reconstruction; None if all count the same.
    target_weights : Tensor of shape (N,), float32, or None
        How much each target counts; None if all count the same.
    """

    values: Tensor
    lengths: Tensor
    observed: Tensor | None = None
    targets: Tensor | None = None
    embeddings: Tensor | None = None
    weights: Tensor | None = None
    target_weights: Tensor | None = None

    def __len__(self) -> int:
        # A tensor's own len goes through Python.
        return self.values.shape[0]

    @property
    def is_dense(self) -> bool:
        """Whether everything was observed."""
        return self.observed is None

    @property
    def is_weighted(self) -> bool:
        """Whether series or targets count differently."""
        return self.weights is not None or self.target_weights is not None

    @property
    def n_values(self) -> int:
        """Number of observed values."""
        return self.values.numel() if self.observed is None else int(self.observed.sum())

    @property
    def counts(self) -> tuple[float, float]:
        """Numbers of observed values and of targets, each as often as it counts."""
        if self.weights is None:
            n_values: float = self.n_values
        elif self.observed is None:
            n_values = float(self.weights.double().sum()) * self.values_per_series
        else:
            n_values = float(self.observed.flatten(1).sum(dim=1).double() @ self.weights.double())
        of_targets = self.target_weights
        return n_values, len(self) if of_targets is None else float(of_targets.double().sum())

    @property
    def values_per_series(self) -> int:
        """Number of values of the longest series."""
        return self.values.shape[1] * self.values.shape[2]

    @cached_property
    def _common_length(self) -> int | None:
        """The length of all series, or None; computed once, because every batch needs it."""
        return common_length(self.lengths)

    def load(self, rows: Tensor) -> Chunk:
        """Return the chunk that holds the given rows: everything, because it is in memory."""
        return Chunk(self)

    def take(self, rows: Tensor) -> Batch:
        """Return the given rows, cut to the length of their longest series."""
        # Indexing takes three times as long as index_select.
        n_timesteps = self._common_length
        if n_timesteps is not None:
            lengths = self.lengths[: len(rows)]
        else:
            lengths = self.lengths.index_select(0, rows)
            n_timesteps = int(lengths.max()) if lengths.numel() else 0
        return Batch(
            self.values[:, :n_timesteps].index_select(0, rows),
            lengths,
            None if self.observed is None else self.observed[:, :n_timesteps].index_select(0, rows),
            None if self.targets is None else self.targets[rows],
            None if self.embeddings is None else self.embeddings[rows],
            None if self.weights is None else self.weights[rows],
            None if self.target_weights is None else self.target_weights[rows],
        )

    def rows(self, rows: slice) -> Batch:
        """Return a slice of the rows, as views, without cutting."""
        return self._map(lambda tensor: tensor[rows])

    def on(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return self._map(lambda tensor: to_device(tensor, device))

    def _map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        parts = (getattr(self, field.name) for field in fields(self))
        return Batch(*(None if part is None else function(part) for part in parts))  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Chunk:
    """The part of a data set that is in memory, addressed by row numbers of the whole set.

    Attributes
    ----------
    series : Batch
    rows : Tensor of shape (N,), ascending, or None
        Row numbers of the series; None if `series` is the whole set.
    is_sharded : bool
        Whether other processes hold series of the same chunk.
    """

    series: Batch
    rows: Tensor | None = None
    is_sharded: bool = False

    def take_all(self, rows: Tensor) -> Batch:
        """Return those of the rows, ascending, that this process holds; no copy if it is all."""
        if len(self.series) == len(rows):
            return self.series
        return self.take(rows)[0]

    def take(self, rows: Tensor) -> tuple[Batch, Tensor | None]:
        """Return those of the rows that this process holds, and their positions in `rows`.

        The positions are None if this process holds all of them.
        """
        if self.rows is None:
            return self.series.take(rows), None
        if not self.is_sharded:
            return self.series.take(torch.searchsorted(self.rows, rows)), None
        positions = torch.isin(rows, self.rows).nonzero()[:, 0]
        return self.series.take(torch.searchsorted(self.rows, rows[positions])), positions


@dataclass(frozen=True, eq=False)
class BatchShard:
    """Where a process's series are in a batch that several processes share.

    Attributes
    ----------
    positions : Tensor of shape (n,), int64
        Their positions in the whole batch.
    n_samples, n_timesteps : int
        Number of series in the whole batch, and timesteps of the longest.
    n_values : int or None
        Number of observed values in the whole batch, if known without communication.
    """

    positions: Tensor
    n_samples: int
    n_timesteps: int
    n_values: int | None


def common_length(lengths: Tensor) -> int | None:
    """Return the length that all series have, or None if they differ or there are none."""
    if not lengths.numel():
        return None
    shortest, longest = int(lengths.min()), int(lengths.max())
    return longest if shortest == longest else None
