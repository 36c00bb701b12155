"""The training loss: the error of the reconstruction and, with targets, that of the head.

The loss is the mean squared error of the observed values. With targets and a head, it is the
weighted mean of that and the head's error per series, whose weight is `target_weight`: the
cross-entropy of classes, or the mean squared error of a series' numbers. Where series have weights,
all means are weighted by them. Torch only.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from seqfeat.nn.batch import Batch
from seqfeat.runtime.device import exact

__all__ = ["LossWeights", "error_sums", "target_errors", "with_counts"]


class LossWeights(NamedTuple):
    """Factors of the total squared error and of the head's total error in a loss."""

    squared_error: float
    target_error: float


def error_sums(
    part: Batch, embeddings: Tensor, reconstruction: Tensor, head: nn.Linear | None
) -> tuple[Tensor, Tensor]:
    """Return the total squared error of a part's observed values, and the head's total error.

    All tensors are on one device. Without targets or a head, the latter is 0.
    """
    reconstruction, values = reconstruction.float(), part.values
    if part.observed is not None:
        reconstruction, values = reconstruction * part.observed, values * part.observed
    if part.weights is None:
        squared_error = mse_loss(reconstruction, values, reduction="sum")
    else:
        squared_error = (reconstruction - values).square().flatten(1).sum(dim=1) @ part.weights
    if part.targets is None or head is None:
        return squared_error, torch.zeros_like(squared_error)
    errors = target_errors(head(embeddings.float()), part.targets)
    weights = part.target_weights
    return squared_error, errors.sum() if weights is None else errors @ weights


def target_errors(scores: Tensor, targets: Tensor) -> Tensor:
    """Return the error of each series' target, given the head's outputs. Shape: (B, K) -> (B,)."""
    if targets.is_floating_point():
        return (scores - targets).square().mean(dim=1)
    return cross_entropy(scores, targets, reduction="none")


def with_counts(part: Batch, squared_error: Tensor, target_error: Tensor) -> Tensor:
    """Return both totals and the numbers of values and targets, to be added up. Shape: (4,)."""
    sums = exact(torch.stack([squared_error, target_error]))
    counts = torch.tensor(part.counts, dtype=torch.float64, device=sums.device)
    return torch.cat([sums, counts])
