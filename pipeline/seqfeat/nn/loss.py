"""The training loss: reconstruction error and, with labels, cross-entropy. Torch only.

The loss is the mean squared error of the observed values. With labels and a classification head, it
is the weighted mean of that and the cross-entropy per series, whose weight is `target_weight`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from seqfeat.nn.batch import Batch
from seqfeat.runtime.device import exact

__all__ = ["LossWeights", "error_sums", "with_counts"]


class LossWeights(NamedTuple):
    """Factors of the total squared error and of the total cross-entropy in a loss."""

    squared_error: float
    entropy: float


def error_sums(
    part: Batch, embeddings: Tensor, reconstruction: Tensor, head: nn.Linear | None
) -> tuple[Tensor, Tensor]:
    """Return the total squared error of a part's observed values, and its total cross-entropy.

    All tensors are on one device. Without targets or a head, the cross-entropy is 0.
    """
    reconstruction, values = reconstruction.float(), part.values
    if part.observed is not None:
        reconstruction, values = reconstruction * part.observed, values * part.observed
    squared_error = mse_loss(reconstruction, values, reduction="sum")
    if part.targets is None or head is None:
        return squared_error, torch.zeros_like(squared_error)
    scores = head(embeddings.float())
    return squared_error, cross_entropy(scores, part.targets, reduction="sum")


def with_counts(part: Batch, squared_error: Tensor, entropy: Tensor) -> Tensor:
    """Return both totals and the numbers of values and series, to be added up. Shape: (4,)."""
    sums = exact(torch.stack([squared_error, entropy]))
    counts = torch.tensor([part.n_values, len(part)], dtype=torch.float64, device=sums.device)
    return torch.cat([sums, counts])
