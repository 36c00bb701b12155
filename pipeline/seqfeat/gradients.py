"""Gradients of parts of a batch, and of processes that share one, added up. Torch only."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seqfeat.ranks import Ranks

__all__ = ["add_gradients", "add_up_ranks", "clip_gradients"]


def add_gradients(weights: Sequence[nn.Parameter], gradients: Sequence[Tensor | None]) -> None:
    """Add gradients to those that the weights have, in few calls, as weights may be small."""
    sums, parts = [], []
    for weight, gradient in zip(weights, gradients, strict=True):
        if weight.grad is None:
            weight.grad = gradient
        elif gradient is not None:
            sums.append(weight.grad)
            parts.append(gradient)
    if sums:
        torch._foreach_add_(sums, parts)


def add_up_ranks(weights: Sequence[nn.Parameter], loss: Tensor | float, ranks: Ranks) -> Tensor:
    """Add up the gradients and the loss of all processes, in one message; return the loss."""
    gradients = [
        torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights
    ]
    parts = [*gradients, torch.as_tensor(loss).to(weights[0])]
    sums = ranks.sum(torch.cat([part.flatten() for part in parts]))
    totals = torch.split(sums, [part.numel() for part in parts])
    for weight, gradient in zip(weights, totals, strict=False):
        weight.grad = gradient.view_as(weight)
    return totals[-1][0]


def clip_gradients(gradients: list[Tensor], max_norm: float) -> Tensor:
    """Shorten them in place to at most `max_norm`, all together, and return how long they were.

    As `torch.nn.utils.clip_grad_norm_`, which takes weights, and not a buffer of all gradients.
    """
    norm = torch.nn.utils.get_total_norm(gradients, foreach=True)
    torch._foreach_mul_(gradients, (max_norm / (norm + 1e-6)).clamp(max=1.0))
    return norm
