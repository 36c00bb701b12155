"""The training loss: reconstruction error and, with labels, cross-entropy. Torch only.

Squared error per observed value; with labels and a classification head also cross-entropy per
series, of which `target_weight` is the share.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from seqfeat.nn.batch import Batch

__all__ = ["Loss", "LossWeights", "error_sums", "with_counts"]


class LossWeights(NamedTuple):
    """Factors of the summed squared error and of the summed cross-entropy in a loss."""

    squared_error: float
    entropy: float


class Loss:
    """How errors add up to a loss.

    Parameters
    ----------
    target_weight : float
        Share of the cross-entropy; 0 for a network without a head.
    """

    def __init__(self, target_weight: float) -> None:
        self.target_weight = target_weight

    def weights(self, n_values: int, n_samples: int) -> LossWeights:
        """Return the factors of a loss over `n_values` values of `n_samples` series."""
        share = self.target_weight
        return LossWeights((1 - share) / n_values, share / n_samples)

    def of_sums(self, sums: Tensor) -> float:
        """Return the loss, given what `error_sums` returned, added up over all parts."""
        squared_error, entropy, n_values, n_samples = map(float, sums)
        weights = self.weights(int(n_values), int(n_samples))
        return squared_error * weights.squared_error + entropy * weights.entropy


def error_sums(
    part: Batch, embeddings: Tensor, reconstruction: Tensor, head: nn.Linear | None
) -> tuple[Tensor, Tensor]:
    """Return the squared error over a part's observed values, and its cross-entropy, both summed.

    All tensors are on one device. Without targets or a head the cross-entropy is 0.
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
    """Return both sums with the numbers of values and of series, to be added up. Shape: (4,)."""
    counts = torch.tensor(
        [part.n_values, len(part)], dtype=torch.float64, device=squared_error.device
    )
    return torch.cat([torch.stack([squared_error, entropy]).double(), counts])
