"""What a training step is fed: series as tensors, in batches of like length, corrupted.

Torch only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from seqfeat.device import to_device

__all__ = ["Corruption", "TrainingSet", "length_buckets"]

BUCKET_BATCHES = 32
"""Batches whose series are sorted by length together."""


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Scaled series as tensors on the CPU.

    Attributes
    ----------
    values : Tensor of shape (N, T, C), float32
        Scaled values, 0 where nothing was observed.
    lengths : Tensor of shape (N,), int64
    observed : Tensor of shape (N, T, C), bool, or None
        None if everything was observed.
    targets : Tensor of shape (N,), int64, or None
        Class indices for the classification head.
    """

    values: Tensor
    lengths: Tensor
    observed: Tensor | None = None
    targets: Tensor | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def n_values(self) -> int:
        """Observed values."""
        return self.values.numel() if self.observed is None else int(self.observed.sum())

    def take(self, rows: Tensor) -> TrainingSet:
        """Return the given rows, cut to their longest series."""
        lengths = self.lengths[rows]
        n_timesteps = int(lengths.max())
        return TrainingSet(
            self.values[rows, :n_timesteps],
            lengths,
            None if self.observed is None else self.observed[rows, :n_timesteps],
            None if self.targets is None else self.targets[rows],
        )

    def rows(self, rows: slice) -> TrainingSet:
        """Return a slice of the rows, as views and without cutting."""
        return self._map(lambda tensor: tensor[rows])

    def on(self, device: torch.device) -> TrainingSet:
        """Return the set on a device."""
        return self._map(lambda tensor: to_device(tensor, device))

    def _map(self, function: Callable[[Tensor], Tensor]) -> TrainingSet:
        parts = (self.values, self.lengths, self.observed, self.targets)
        return TrainingSet(*(None if part is None else function(part) for part in parts))  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Corruption:
    """Masks and noise for one batch; None leaves that part alone."""

    inputs: Tensor | None = None
    noise: Tensor | None = None
    encoder_units: Tensor | None = None
    decoder_units: Tensor | None = None

    def apply(self, values: Tensor) -> Tensor:
        """Return the inputs as the encoder gets to see them."""
        values = values if self.inputs is None else values * self.inputs
        return values if self.noise is None else values + self.noise

    def rows(self, rows: slice) -> Corruption:
        """Return a slice of the rows."""
        return self._map(lambda tensor: tensor[rows])

    def on(self, device: torch.device) -> Corruption:
        """Return the masks on a device."""
        return self._map(lambda tensor: to_device(tensor, device))

    def _map(self, function: Callable[[Tensor], Tensor]) -> Corruption:
        parts = (self.inputs, self.noise, self.encoder_units, self.decoder_units)
        return Corruption(*(None if part is None else function(part) for part in parts))


def length_buckets(
    lengths: Tensor, batch_size: int, generator: torch.Generator
) -> Iterator[Tensor]:
    """Yield shuffled batches of row indices in which series are about equally long.

    Rows are shuffled, sorted by length within `BUCKET_BATCHES` batches, and the
    batches shuffled again: little padding, and another composition each epoch.
    """
    order = torch.randperm(len(lengths), generator=generator)
    if int(lengths.min()) == int(lengths.max()):
        yield from torch.split(order, batch_size)
        return
    batches: list[Tensor] = []
    for bucket in torch.split(order, BUCKET_BATCHES * batch_size):
        bucket = bucket[torch.argsort(lengths[bucket], stable=True)]
        batches.extend(torch.split(bucket, batch_size))
    for index in torch.randperm(len(batches), generator=generator).tolist():
        yield batches[index]
