"""Corruption of the inputs and units in training: masking, noise and dropout. Torch only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seqfeat.nn.batch import BatchShard
from seqfeat.nn.network import Architecture
from seqfeat.runtime.device import to_device

__all__ = ["NO_CORRUPTION", "Corruption", "draw_corruption"]


@dataclass(frozen=True, eq=False)
class Corruption:
    """Masks and noise for one batch; what is None leaves the batch as it is.

    Attributes
    ----------
    inputs : Tensor of shape (B, T, 1) or None
        1 where the encoder sees its inputs, 0 where they are masked.
    noise : Tensor of shape (B, T, C) or None
        Added to the encoder's inputs.
    encoder_units, decoder_units : Tensor of shape (B, H) and (B, E), or None
        Factors of the units between the two layers, 0 for dropped units.
    """

    inputs: Tensor | None = None
    noise: Tensor | None = None
    encoder_units: Tensor | None = None
    decoder_units: Tensor | None = None

    def apply(self, values: Tensor) -> Tensor:
        """Return the corrupted inputs of the encoder."""
        values = values if self.inputs is None else values * self.inputs
        return values if self.noise is None else values + self.noise

    def rows(self, rows: slice) -> Corruption:
        """Return a slice of the rows."""
        return self._map(lambda tensor: tensor[rows])

    def shard(self, shard: BatchShard, n_timesteps: int) -> Corruption:
        """Return the rows of a process's shard, whose longest series has `n_timesteps`."""
        own = self._map(lambda tensor: tensor[shard.positions])
        inputs = None if own.inputs is None else own.inputs[:, :n_timesteps]
        noise = None if own.noise is None else own.noise[:, :n_timesteps]
        return Corruption(inputs, noise, own.encoder_units, own.decoder_units)

    def where(self, observed: Tensor | None) -> Corruption:
        """Return the corruption without noise where nothing was observed."""
        if self.noise is None or observed is None:
            return self
        return replace(self, noise=self.noise * observed)

    def on(self, device: torch.device) -> Corruption:
        """Return masks and noise on a device."""
        return self._map(lambda tensor: to_device(tensor, device))

    def _map(self, function: Callable[[Tensor], Tensor]) -> Corruption:
        parts = (self.inputs, self.noise, self.encoder_units, self.decoder_units)
        return Corruption(*(None if part is None else function(part) for part in parts))


NO_CORRUPTION = Corruption()


def draw_corruption(
    architecture: Architecture,
    shape: tuple[int, int, int],
    generator: torch.Generator,
    *,
    masking_ratio: float,
    input_noise: float,
    dropout: float,
) -> Corruption:
    """Draw masks and noise for a batch of shape (B, T, C), on the CPU."""
    a, (size, n_timesteps, _) = architecture, shape
    inputs = noise = encoder_units = decoder_units = None

    def keep(n_columns: int, rate: float) -> Tensor:
        drawn = torch.rand(
            (size, n_columns), generator=generator, dtype=torch.float32, device="cpu"
        )
        return (drawn >= rate).float()

    if masking_ratio > 0:
        steps = keep(-(-n_timesteps // a.patch_len), masking_ratio)
        inputs = steps.repeat_interleave(a.patch_len, dim=1)[:, :n_timesteps, None]
    if input_noise > 0:
        noise = torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")
        noise = noise * input_noise
    if dropout > 0:
        encoder_width = a.hidden_dim * (2 if a.bidirectional else 1)
        encoder_units = keep(encoder_width, dropout) / (1 - dropout)
        decoder_units = keep(a.embedding_dim, dropout) / (1 - dropout)
    return Corruption(inputs, noise, encoder_units, decoder_units)
