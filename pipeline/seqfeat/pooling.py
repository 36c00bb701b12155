"""Statistics of a sequence over its own steps, with a gradient that costs as little as they do.

Torch only. Shapes use B series, L steps and D values a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["LEAST_VARIANCE", "statistics", "steps_inside"]

LEAST_VARIANCE = 1e-6
"""Added to a variance over the steps, whose root has no gradient at 0."""


def steps_inside(sequences: Tensor, n_steps: Tensor) -> Tensor:
    """Tell which steps are a series' own. Shape: (B, L, D), (B,) -> (B, L, 1), bool."""
    steps = torch.arange(sequences.shape[1], device=sequences.device)
    return (steps < n_steps[:, None])[:, :, None]


def statistics(sequences: Sequence[Tensor], n_steps: Tensor) -> Tensor:
    """Return the mean, deviation, largest and least value over each series' own steps.

    Statistics pooling (Snyder et al., 2018), in float32, of several sequences as
    if they were one. Shape: (B, L, D), (B, L, E), ..., (B,) -> (B, 4 * (D + E + ...)).
    """
    inside = steps_inside(sequences[0], n_steps)
    # Padding costs a few percent of a training step's time; to ask CUDA would take as much.
    padded = inside.is_cuda or not bool(inside.all())
    own = inside.float() if padded else None
    apply: Any = Statistics.apply
    # Series by series in memory, where the order of a sum does not depend on their number.
    each = [apply(one.float().contiguous(), n_steps, own) for one in sequences]
    return torch.cat([value for values in zip(*each, strict=True) for value in values], dim=1)


class Statistics(torch.autograd.Function):
    """Four statistics over the steps where `own`, (B, L, 1), is 1 and not 0; None stands for all.

    By itself, autograd's gradient of a maximum takes ten times as long as the rest.
    """

    @staticmethod
    def forward(
        ctx: Any, sequences: Tensor, n_steps: Tensor, own: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        counts = n_steps[:, None]
        mean = _with_zeros(sequences, own).sum(dim=1) / counts
        centred = _with_zeros(sequences - mean[:, None], own)
        deviation = (centred.square().sum(dim=1) / counts + LEAST_VARIANCE).sqrt()
        # 0 or -inf; to add it is several times as fast as to mask, and changes no bit inside.
        beyond = None if own is None else own.log()
        largest = (sequences if beyond is None else sequences + beyond).amax(dim=1)
        least = (sequences if beyond is None else sequences - beyond).amin(dim=1)
        ctx.save_for_backward(sequences, counts, own, mean, deviation, largest, least)
        return mean, deviation, largest, least

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        sequences, counts, own, mean, deviation, largest, least = ctx.saved_tensors
        d_mean, d_deviation, d_largest, d_least = gradients
        slope = d_deviation / (counts * deviation)
        # d_mean / n + slope * (x - mean), in as few passes over the sequences as can be.
        gradient = sequences * slope[:, None]
        gradient += (d_mean / counts - slope * mean)[:, None]
        for extreme, d_extreme in ((largest, d_largest), (least, d_least)):
            there = torch.empty_like(sequences)
            torch.eq(sequences, extreme[:, None], out=there)
            # Steps that share an extreme share its gradient.
            n_shared = _with_zeros(there, own).sum(dim=1).clamp(min=1)
            gradient.addcmul_(there, (d_extreme / n_shared)[:, None])
        return _with_zeros(gradient, own), None, None


def _with_zeros(values: Tensor, own: Tensor | None) -> Tensor:
    return values if own is None else values * own
