"""What training makes small: reconstruction error and, with labels, cross-entropy. Torch only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

from seqfeat.nn.batch import Batch
from seqfeat.nn.corruption import Corruption
from seqfeat.nn.network import RecurrentAutoencoder
from seqfeat.runtime.device import mixed_precision

__all__ = ["Loss", "LossWeights"]


class LossWeights(NamedTuple):
    """What a squared error and a cross-entropy count in the loss."""

    squared_error: float
    entropy: float


class Loss:
    """The training loss of a network.

    Squared error per observed value; with labels and a head for them also
    cross-entropy per series, of which `target_weight` is the share.
    """

    def __init__(
        self, network: RecurrentAutoencoder, target_weight: float, device: torch.device
    ) -> None:
        self.network = network
        self.target_weight = target_weight
        self.device = device

    def gradients(
        self, corrupted: tuple[Batch, Corruption], n_values: int, n_samples: int
    ) -> tuple[Tensor, Sequence[Tensor | None]]:
        """Return what a part adds to a loss over `n_values` values of `n_samples` series.

        And what it adds to the gradients of the network's parameters.
        """
        part, corruption = corrupted
        weighting = self.weighting(part, n_values, n_samples)
        with torch.enable_grad():
            squared_error, entropy = self._errors(part, corruption)
            loss = squared_error * weighting.squared_error
            if entropy is not None:
                loss = loss + entropy * weighting.entropy
        gradients = torch.autograd.grad(loss, list(self.network.parameters()), allow_unused=True)
        return loss.detach(), gradients

    def weighting(self, part: Batch, n_values: int, n_samples: int) -> LossWeights:
        """Return what counts how much in a loss over `n_values` values of `n_samples` series."""
        is_labelled = part.targets is not None and self.network.head is not None
        share = self.target_weight if is_labelled else 0.0
        return LossWeights((1 - share) / n_values, share / n_samples)

    def sums(self, part: Batch) -> Tensor:
        """Return what `loss_of_sums` takes, which may be added up over parts. Shape: (4,)."""
        squared_error, entropy = self._errors(part, Corruption())
        n_labelled = 0 if entropy is None else len(part)
        entropy = torch.zeros_like(squared_error) if entropy is None else entropy
        counts = torch.tensor([part.n_values, n_labelled], dtype=torch.float64, device=self.device)
        return torch.cat([torch.stack([squared_error, entropy]).double(), counts])

    def loss_of_sums(self, sums: Tensor) -> float:
        """Return the loss over all that was added up."""
        squared_error, entropy, n_values, n_labelled = map(float, sums)
        if n_labelled == 0:
            return squared_error / n_values
        weight = self.target_weight
        return (1 - weight) * squared_error / n_values + weight * entropy / n_labelled

    def _errors(self, part: Batch, corruption: Corruption) -> tuple[Tensor, Tensor | None]:
        """Return squared error and cross-entropy, both summed; the latter may be None."""
        part, corruption = part.on(self.device), corruption.on(self.device)
        with mixed_precision(self.device):
            embeddings = self.network.encode(
                corruption.apply(part.values), part.lengths, corruption.encoder_units
            )
            rebuilt = self.network.decode(
                embeddings, part.values.shape[1], corruption.decoder_units
            )
        rebuilt, values = rebuilt.float(), part.values
        if part.observed is not None:
            rebuilt, values = rebuilt * part.observed, values * part.observed
        squared_error = mse_loss(rebuilt, values, reduction="sum")
        if part.targets is None or self.network.head is None:
            return squared_error, None
        logits = self.network.head(embeddings.float())
        return squared_error, cross_entropy(logits, part.targets, reduction="sum")
