"""The interface of what runs a network, and its implementation by PyTorch. Torch only.

The other implementation, for CPUs, is compiled: see `seqfeat.nn.kernels`, whose `make_backend`
chooses between them. Each is complete, and a fit never mixes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from seqfeat.nn.batch import Batch
from seqfeat.nn.corruption import NO_CORRUPTION, Corruption
from seqfeat.nn.loss import LossWeights, error_sums, with_counts
from seqfeat.nn.network import RecurrentAutoencoder
from seqfeat.runtime.device import is_out_of_memory, mixed_precision, to_device
from seqfeat.runtime.threads import WorkerPool

__all__ = ["Backend", "TorchBackend"]


class Backend(Protocol):
    """Runs one network on one device.

    Inputs are on the CPU, embeddings also on the device; results are on the device. Shapes use B
    series, T timesteps, C channels, D pooled values and E embedding dimensions.
    """

    network: RecurrentAutoencoder
    device: torch.device
    is_compiled: bool

    def embed(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Embed scaled series. Shape: (B, T, C) float32, (B,) int64 -> (B, E) float32."""

    def scale_and_embed(
        self, values: Tensor, lengths: Tensor, mean_and_scale: Tensor
    ) -> tuple[Tensor, np.float32]:
        """Scale and embed series in which NaN marks missing values.

        Also returns the largest magnitude of the scaled values.

        Shape: (B, T, C) float64, (B,) int64, (2, C) float64 -> (B, E) float32.
        """

    def summarize(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Encode scaled series without the projection. Shape: (B, T, C), (B,) -> (B, D)."""

    def timestep_states(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Return the encoder's states at each timestep. Shape: (B, T, C), (B,) -> (B, T, D)."""

    def decode(self, embeddings: Tensor, n_timesteps: int) -> Tensor:
        """Reconstruct scaled series. Shape: (B, E) float32 -> (B, T, C) float32."""

    def decode_recurrently(self, embeddings: Tensor, n_timesteps: int) -> Tensor:
        """Reconstruct scaled series without the decoder's linear map; shapes as for `decode`."""

    def error_sums(self, part: Batch) -> Tensor:
        """Return the totals of a part of a batch; see `with_counts`. Shape: (4,) float64."""

    def backward(
        self, parts: Sequence[tuple[Batch, Corruption]], weights: LossWeights, pool: WorkerPool
    ) -> Tensor | float:
        """Compute the gradients of all parts of a batch together, and return their loss."""

    def add_up(self, add: Callable[[Tensor], Tensor], loss: Tensor | float) -> Tensor | float:
        """Replace the gradients with their sum over all processes; return the sum of the losses.

        `add` sums a tensor over all processes.
        """

    def update(
        self, optimizer: torch.optim.AdamW, max_norm: float, pool: WorkerPool
    ) -> Tensor | float:
        """Take a step with clipped gradients; return their norm before clipping."""


class TorchBackend:
    """Runs a network with PyTorch's modules and autograd; see `Backend`."""

    is_compiled = False

    def __init__(self, network: RecurrentAutoencoder, device: torch.device) -> None:
        self.network, self.device = network, device
        self.weights = [weight for weight in network.parameters() if weight.requires_grad]

    def embed(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Embed scaled series; a single one twice, because PyTorch rounds a batch of 1 otherwise.

        If there is no memory for two, rounding does not matter.
        """
        values, lengths = to_device(values, self.device), to_device(lengths, self.device)
        if len(values) == 1:
            try:
                return self.network.encode(values.expand(2, -1, -1), lengths.expand(2))[:1]
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
        return self.network.encode(values, lengths)

    def scale_and_embed(
        self, values: Tensor, lengths: Tensor, mean_and_scale: Tensor
    ) -> tuple[Tensor, np.float32]:
        """Scale and embed series in which NaN marks missing values."""
        mean, scale = mean_and_scale
        scaled = ((values - mean) / scale).float()
        scaled = torch.where(scaled.isnan(), torch.zeros_like(scaled), scaled)
        return self.embed(scaled, lengths), np.float32(scaled.abs().max().item())

    def summarize(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Encode scaled series without the projection."""
        values, lengths = to_device(values, self.device), to_device(lengths, self.device)
        return self.network.summarize(values, lengths)

    def timestep_states(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Return the encoder's states at each timestep."""
        values, lengths = to_device(values, self.device), to_device(lengths, self.device)
        return self.network.timestep_states(values, lengths)

    def decode(self, embeddings: Tensor, n_timesteps: int) -> Tensor:
        """Reconstruct scaled series."""
        return self.network.decode(to_device(embeddings, self.device), n_timesteps)

    def decode_recurrently(self, embeddings: Tensor, n_timesteps: int) -> Tensor:
        """Reconstruct scaled series without the decoder's linear map."""
        return self.network.decode_recurrently(to_device(embeddings, self.device), n_timesteps)

    def error_sums(self, part: Batch) -> Tensor:
        """Return the totals of a part of a batch."""
        with torch.no_grad():
            return with_counts(part, *self._errors(part, NO_CORRUPTION))

    def backward(
        self, parts: Sequence[tuple[Batch, Corruption]], weights: LossWeights, pool: WorkerPool
    ) -> Tensor:
        """Compute the gradients of all parts together, and return their loss."""
        for weight in self.weights:
            # zero_grad would take a twentieth of the time of a small update.
            weight.grad = None
        loss = torch.zeros((), dtype=torch.float32, device=self.device)
        for found, gradients in pool.map(partial(self._gradients, weights), parts):
            loss += found
            self._add_gradients(gradients)
        return loss

    def _gradients(
        self, weights: LossWeights, corrupted: tuple[Batch, Corruption]
    ) -> tuple[Tensor, Sequence[Tensor | None]]:
        """Return the loss of a part, and its gradients."""
        with torch.enable_grad():
            squared_error, target_error = self._errors(*corrupted)
            loss = squared_error * weights.squared_error + target_error * weights.target_error
        gradients = torch.autograd.grad(loss, self.weights, allow_unused=True)
        return loss.detach(), gradients

    def _errors(self, part: Batch, corruption: Corruption) -> tuple[Tensor, Tensor]:
        """Return the total squared error and the head's total error."""
        part, corruption = part.on(self.device), corruption.on(self.device)
        with mixed_precision(self.device):
            embeddings, decode = part.embeddings, self.network.decode_recurrently
            if embeddings is None:
                decode = self.network.decode
                embeddings = self.network.encode(
                    corruption.apply(part.values), part.lengths, corruption.encoder_units
                )
            reconstruction = decode(embeddings, part.values.shape[1], corruption.decoder_units)
        return error_sums(part, embeddings, reconstruction, self.network.head)

    def _add_gradients(self, gradients: Sequence[Tensor | None]) -> None:
        """Add gradients to those of the weights, in one call because there are many small ones."""
        sums, parts = [], []
        for weight, gradient in zip(self.weights, gradients, strict=True):
            if weight.grad is None:
                weight.grad = gradient
            elif gradient is not None:
                sums.append(weight.grad)
                parts.append(gradient)
        if sums:
            torch._foreach_add_(sums, parts)

    def add_up(self, add: Callable[[Tensor], Tensor], loss: Tensor | float) -> Tensor:
        """Replace the gradients with their sum over all processes, in one message."""
        gradients = [
            torch.zeros_like(weight) if weight.grad is None else weight.grad
            for weight in self.weights
        ]
        own = torch.as_tensor(loss, dtype=torch.float32, device=self.device)
        parts = [*gradients, own]
        sums = add(torch.cat([part.flatten() for part in parts]))
        totals = torch.split(sums, [part.numel() for part in parts])
        for weight, gradient in zip(self.weights, totals, strict=False):
            weight.grad = gradient.view_as(weight)
        return totals[-1][0]

    def update(self, optimizer: torch.optim.AdamW, max_norm: float, pool: WorkerPool) -> Tensor:
        """Take a step with gradients clipped as by `torch.nn.utils.clip_grad_norm_`."""
        gradients = [weight.grad for weight in self.weights if weight.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients, foreach=True)
        torch._foreach_mul_(gradients, (max_norm / (norm + 1e-6)).clamp(max=1.0))
        optimizer.step()
        return norm
