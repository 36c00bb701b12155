"""Statistics of a sequence over its own steps, with a gradient that costs as little as they do.

Torch only. Shapes use B series, L steps and D values a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["LEAST_VARIANCE", "Summary", "own_steps", "statistics", "steps_inside"]

LEAST_VARIANCE = 1e-6
"""Added to a variance over the steps, whose root has no gradient at 0."""


def steps_inside(sequences: Tensor, n_steps: Tensor) -> Tensor:
    """Tell which steps are a series' own. Shape: (B, L, D), (B,) -> (B, L, 1), bool."""
    steps = torch.arange(sequences.shape[1], device=sequences.device)
    return (steps < n_steps[:, None])[:, :, None]


def own_steps(sequences: Tensor, n_steps: Tensor) -> Tensor | None:
    """Return 1 at a series' own steps and 0 behind them, (B, L, 1), or None if there is no 0."""
    inside = steps_inside(sequences, n_steps)
    # Padding costs a few percent of a training step's time; to ask CUDA would take as much.
    return inside.float() if inside.is_cuda or not bool(inside.all()) else None


def statistics(sequences: Sequence[Tensor], n_steps: Tensor) -> Tensor:
    """Return the mean, deviation, largest and least value over each series' own steps.

    Statistics pooling (Snyder et al., 2018), in float32, of several sequences as
    if they were one. Shape: (B, L, D), (B, L, E), ..., (B,) -> (B, 4 * (D + E + ...)).
    """
    own = own_steps(sequences[0], n_steps)
    apply: Any = Statistics.apply
    # Series by series in memory, where the order of a sum does not depend on their number.
    each = [apply(one.float().contiguous(), n_steps, own) for one in sequences]
    return torch.cat([value for values in zip(*each, strict=True) for value in values], dim=1)


class Summary(NamedTuple):
    """Four statistics (B, D) of sequences (B, L, D), and what their gradient takes.

    Over the steps where `own`, (B, L, 1), is 1 and not 0; None stands for all.
    """

    sequences: Tensor
    counts: Tensor
    own: Tensor | None
    mean: Tensor
    deviation: Tensor
    largest: Tensor
    least: Tensor

    @classmethod
    def of(cls, sequences: Tensor, n_steps: Tensor, own: Tensor | None) -> Summary:
        """Find the statistics."""
        counts = n_steps[:, None]
        mean = _with_zeros(sequences, own).sum(dim=1) / counts
        centred = _with_zeros(sequences - mean[:, None], own)
        deviation = (centred.square().sum(dim=1) / counts + LEAST_VARIANCE).sqrt()
        # 0 or -inf; to add it is several times as fast as to mask, and changes no bit inside.
        beyond = None if own is None else own.log()
        largest = (sequences if beyond is None else sequences + beyond).amax(dim=1)
        least = (sequences if beyond is None else sequences - beyond).amin(dim=1)
        return cls(sequences, counts, own, mean, deviation, largest, least)

    @property
    def values(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The statistics."""
        return self.mean, self.deviation, self.largest, self.least

    def gradient(
        self, d_mean: Tensor, d_deviation: Tensor, d_largest: Tensor, d_least: Tensor
    ) -> Tensor:
        """Return the sequences' gradient, given the statistics'.

        By itself, autograd's of a maximum takes ten times as long as the rest.
        """
        slope = d_deviation / (self.counts * self.deviation)
        # d_mean / n + slope * (x - mean), in as few passes over the sequences as can be.
        gradient = self.sequences * slope[:, None]
        gradient += (d_mean / self.counts - slope * self.mean)[:, None]
        for extreme, d_extreme in ((self.largest, d_largest), (self.least, d_least)):
            there = torch.empty_like(self.sequences)
            torch.eq(self.sequences, extreme[:, None], out=there)
            # Steps that share an extreme share its gradient.
            n_shared = _with_zeros(there, self.own).sum(dim=1).clamp(min=1)
            gradient.addcmul_(there, (d_extreme / n_shared)[:, None])
        return _with_zeros(gradient, self.own)


class Statistics(torch.autograd.Function):
    """A `Summary` for autograd."""

    @staticmethod
    def forward(
        ctx: Any, sequences: Tensor, n_steps: Tensor, own: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        summary = Summary.of(sequences, n_steps, own)
        ctx.save_for_backward(*summary)
        return summary.values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return Summary(*ctx.saved_tensors).gradient(*gradients), None, None


def _with_zeros(values: Tensor, own: Tensor | None) -> Tensor:
    return values if own is None else values * own
