"""Pooling sequences over their valid steps. Torch only.

Shapes use B series, L steps and D units.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = [
    "MIN_VARIANCE",
    "STATISTICS",
    "Summary",
    "pool_max",
    "pool_mean",
    "pool_statistics",
    "valid_steps",
]

STATISTICS = {"statistics": ("mean", "std", "max", "min"), "mean": ("mean",), "max": ("max",)}
"""The statistics of every unit that each pooling but "last" computes, in order."""

MIN_VARIANCE = 1e-6
"""Added to a variance before its square root, which has no gradient at 0."""


def valid_steps(sequences: Tensor, n_steps: Tensor) -> Tensor:
    """Return whether each step is valid. Shape: (B, L, D), (B,) -> (B, L, 1), bool."""
    steps = torch.arange(sequences.shape[1], device=sequences.device, dtype=torch.int64)
    return (steps < n_steps[:, None])[:, :, None]


def pool_mean(sequences: Tensor, n_steps: Tensor) -> Tensor:
    """Return the mean over each series' valid steps. Shape: (B, L, D), (B,) -> (B, D)."""
    valid = valid_steps(sequences, n_steps)
    return sequences.masked_fill(~valid, 0.0).sum(dim=1) / n_steps[:, None]


def pool_max(sequences: Tensor, n_steps: Tensor) -> Tensor:
    """Return the maximum over each series' valid steps. Shape: (B, L, D), (B,) -> (B, D)."""
    return sequences.masked_fill(~valid_steps(sequences, n_steps), -math.inf).amax(dim=1)


def pool_statistics(sequences: Sequence[Tensor], n_steps: Tensor) -> Tensor:
    """Return mean, standard deviation, maximum and minimum over each series' valid steps.

    This is statistics pooling (Snyder et al., 2018), in float32, of several sequences side by side.

    Shape: (B, L, D), (B, L, E), ..., (B,) -> (B, 4 * (D + E + ...)).
    """
    mask = _mask(sequences[0], n_steps)
    apply: Any = Statistics.apply
    # Contiguous, because otherwise the order of summation depends on the number of series.
    each = [apply(one.float().contiguous(), n_steps, mask) for one in sequences]
    return torch.cat([value for values in zip(*each, strict=True) for value in values], dim=1)


def _mask(sequences: Tensor, n_steps: Tensor) -> Tensor | None:
    """Return 1 at valid steps and 0 at padding, (B, L, 1), or None if there is no padding."""
    valid = valid_steps(sequences, n_steps)
    # Masking takes a few percent of a training step. So would waiting for CUDA's answer.
    return valid.float() if valid.is_cuda or not bool(valid.all()) else None


class Summary(NamedTuple):
    """Four statistics (B, D) of sequences (B, L, D), and what their gradient needs.

    They are taken over the steps at which `mask`, (B, L, 1), is 1, or over all if it is None.
    """

    sequences: Tensor
    counts: Tensor
    mask: Tensor | None
    mean: Tensor
    std: Tensor
    max: Tensor
    min: Tensor

    @classmethod
    def of(cls, sequences: Tensor, n_steps: Tensor, mask: Tensor | None) -> Summary:
        """Compute the statistics."""
        counts = n_steps[:, None]
        mean = _masked(sequences, mask).sum(dim=1) / counts
        centred = _masked(sequences - mean[:, None], mask)
        std = (centred.square().sum(dim=1) / counts + MIN_VARIANCE).sqrt()
        # 0 or -inf. Adding it is several times faster than masking, and leaves valid steps as is.
        penalty = None if mask is None else mask.log()
        maximum = (sequences if penalty is None else sequences + penalty).amax(dim=1)
        minimum = (sequences if penalty is None else sequences - penalty).amin(dim=1)
        return cls(sequences, counts, mask, mean, std, maximum, minimum)

    @property
    def values(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The statistics, in the order of `STATISTICS`."""
        return self.mean, self.std, self.max, self.min

    def gradient(self, d_mean: Tensor, d_std: Tensor, d_max: Tensor, d_min: Tensor) -> Tensor:
        """Return the gradient of the sequences, given that of the statistics.

        Autograd takes ten times as long for the gradient of the maximum alone.
        """
        slope = d_std / (self.counts * self.std)
        # d_mean / n + slope * (x - mean), in as few passes over the sequences as possible.
        gradient = self.sequences * slope[:, None]
        gradient += (d_mean / self.counts - slope * self.mean)[:, None]
        for extreme, d_extreme in ((self.max, d_max), (self.min, d_min)):
            is_extreme = torch.empty_like(self.sequences)
            torch.eq(self.sequences, extreme[:, None], out=is_extreme)
            # Steps with the same extreme value share its gradient.
            n_shared = _masked(is_extreme, self.mask).sum(dim=1).clamp(min=1)
            gradient.addcmul_(is_extreme, (d_extreme / n_shared)[:, None])
        return _masked(gradient, self.mask)


class Statistics(torch.autograd.Function):
    """A `Summary` for autograd."""

    @staticmethod
    def forward(
        ctx: Any, sequences: Tensor, n_steps: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Compute the statistics, and keep what the gradient needs."""
        summary = Summary.of(sequences, n_steps, mask)
        ctx.save_for_backward(*summary)
        return summary.values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient of the sequences."""
        return Summary(*ctx.saved_tensors).gradient(*gradients), None, None


def _masked(values: Tensor, mask: Tensor | None) -> Tensor:
    return values if mask is None else values * mask
