"""A training step's program: from a part of a batch to its loss and gradients.

Matrices lie by time, (L, B, D), with D in whole vectors: B series, L recurrent steps.
The other shapes are those of `seqfeat.nn.network`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, nll_loss

from seqfeat.nn.batch import Batch
from seqfeat.nn.corruption import NO_CORRUPTION, Corruption
from seqfeat.nn.kernels.encoder import EncoderCalls
from seqfeat.nn.kernels.layers import DecoderCalls, LinearCalls, cut_windows
from seqfeat.nn.kernels.program import Buffer, Program
from seqfeat.nn.kernels.weights import NetworkGradients, PackedNetwork
from seqfeat.nn.loss import LossWeights

__all__ = ["PartShape", "TrainingStep"]


class PartShape(NamedTuple):
    """What a training step's program is written for."""

    n_series: int
    n_timesteps: int
    is_masked: bool
    """Whether something was not observed."""
    is_weighted: bool
    """Whether series count differently."""
    drops_encoder_units: bool
    drops_decoder_units: bool
    is_first: bool
    """Whether its gradients are a batch's first."""

    @classmethod
    def of(cls, part: Batch, corruption: Corruption, is_first: bool) -> PartShape:
        """Return the shape of a part of a batch."""
        n_series, n_timesteps, _ = part.values.shape
        return cls(
            n_series,
            n_timesteps,
            part.observed is not None,
            part.weights is not None,
            corruption.encoder_units is not None,
            corruption.decoder_units is not None,
            is_first,
        )


class TrainingStep:
    """Finds the loss and the gradients of parts of one shape.

    The calls go through the network and back: windows, encoder, projection, decoder, squared error;
    then the gradients of the decoder, of the projection and of the encoder. Where the encoder is
    not trained, the calls begin with given embeddings. With a head the program pauses at the
    embeddings, from which PyTorch finds the head's error.
    """

    def __init__(
        self, weights: PackedNetwork, gradients: NetworkGradients, shape: PartShape
    ) -> None:
        self.gradients, self.shape = gradients, shape
        self.network, self.zeros = weights.network, weights.zeros
        self.architecture = a = weights.network.architecture
        self.program = program = Program(weights.kernels)
        self.arena = program.arena
        external, take = program.external, program.arena.take
        sizes = shape.n_series, shape.n_timesteps, a.n_channels
        n_patches = -(-shape.n_timesteps // a.patch_len)

        self.values = external(*sizes)
        decoder = DecoderCalls(program, weights, shape.n_series, n_patches, gradients)
        decoder_keep = self._keep(shape.drops_decoder_units, decoder.first.units)
        self.encoder_keep, self.decoder_keep = None, decoder_keep
        encoder, projection = None, None
        if weights.trains_encoder:
            self.lengths, self.inputs = external(sizes[0], dtype=torch.int64), external(*sizes)
            encoder = EncoderCalls(program, weights, *sizes[:2], gradients.encoder)
            self.encoder_keep = self._keep(shape.drops_encoder_units, encoder.layers[0].width)
            self.embeddings = encoder.forward(self.inputs, self.lengths, self.encoder_keep)
            if weights.projection is not None:
                projection = LinearCalls(program, weights.projection, gradients.projection)
                self.embeddings = projection.forward(self.embeddings)
        else:
            self.given = external(sizes[0], a.embedding_dim)
            self.embeddings = take(sizes[0], decoder.first.units)
            columns = self.embeddings.columns(0, a.embedding_dim)
            program.call("copy_rows", target=columns, source=self.given)
        # What PyTorch writes between the calls shares its memory with nothing.
        self.d_embeddings_of_head = take(*self.embeddings.shape)
        self.n_calls_to_embeddings = len(program.rows)

        patches = decoder.forward(self.embeddings, decoder_keep)
        self._compare(patches, n_patches)

        d_embeddings = decoder.backward(patches, self.zeros)
        if self.network.head is not None:
            flat = d_embeddings.view(1, d_embeddings.n_elements)
            of_head = self.d_embeddings_of_head.view(d_embeddings.n_elements)
            program.call("add", x=flat, y=of_head, result=flat)
        if projection is not None:
            d_embeddings = projection.backward(d_embeddings, self.zeros)
        if encoder is not None:
            encoder.backward(d_embeddings, self.zeros)

    def _keep(self, is_wanted: bool, width: int) -> Buffer | None:
        return self.arena.take(self.shape.n_series, width) if is_wanted else None

    def _compare(self, patches: Buffer, n_patches: int) -> None:
        """Add the squared error, and its gradient in place of the patches."""
        program, patch_len = self.program, self.architecture.patch_len
        n_values, lanes = patches.n_elements, program.lanes
        flat = patches.view(1, n_values)
        # Consecutive patches, the last of which may reach over the end.
        targets = cut_windows(program, self.values, patch_len, patch_len)
        program.call("subtract", x=flat, y=targets.view(n_values), result=flat)
        program.arena.release(targets)
        reaches_over = n_patches * patch_len > self.shape.n_timesteps
        self.mask = None
        if self.shape.is_masked or self.shape.is_weighted or reaches_over:
            self.mask = program.external(*self.values.shape)
            mask = cut_windows(program, self.mask, patch_len, patch_len)
            program.call("multiply", x=flat, y=mask.view(n_values), result=flat)
        self.squared_errors = torch.zeros(lanes, dtype=torch.float32, device="cpu")
        self.factor = torch.zeros(lanes, dtype=torch.float32, device="cpu")
        program.call("square_sums", x=patches.view(n_values), result=self.squared_errors)
        blocks = patches.view(n_values // lanes, lanes)
        program.call("multiply", x=blocks, y=self.factor, result=blocks)
        if self.shape.is_weighted:
            # The mask holds roots of weights: once for the error, twice for its gradient.
            program.call("multiply", x=flat, y=mask.view(n_values), result=flat)

    def finish(self, storage: Tensor) -> None:
        """Make ready to run in a storage."""
        self.program.finish(storage)

    def load(self, part: Batch, corruption: Corruption, weights: LossWeights) -> None:
        """Take a part of a batch."""
        values = part.values.float().contiguous()
        if part.embeddings is None:
            self.lengths.set(part.lengths.contiguous())
            inputs = part.values if corruption is NO_CORRUPTION else corruption.apply(part.values)
            self.inputs.set(inputs.float().contiguous())
        else:
            self.given.set(part.embeddings.contiguous())
        self.values.set(values)
        if self.mask is not None:
            mask = torch.ones_like(values) if part.observed is None else part.observed.float()
            if part.weights is not None:
                mask = mask * part.weights.sqrt()[:, None, None]
            self.mask.set(mask.contiguous())
        self._fill_keep(self.encoder_keep, corruption.encoder_units, self.architecture.hidden_dim)
        self._fill_keep(
            self.decoder_keep, corruption.decoder_units, self.architecture.embedding_dim
        )
        self.factor.fill_(2 * weights.squared_error)
        self.targets, self.target_weights = part.targets, part.target_weights
        self.weights, self.target_error = weights, 0.0

    def _fill_keep(self, buffer: Buffer | None, keep: Tensor | None, dim: int) -> None:
        """Write which units are kept, of one direction or both, and zeros into the padding."""
        if buffer is None or keep is None:
            return
        target = self.program.tensor(buffer)
        n_directions = keep.shape[1] // dim
        target = target.view(len(keep), n_directions, -1)
        target[:, :, dim:] = 0.0
        target[:, :, :dim] = keep.view(len(keep), n_directions, dim)

    def run(self) -> TrainingStep:
        """Find the gradients of what was loaded, most of the time without Python's lock."""
        if self.network.head is None:
            self.program.run()
        else:
            self.program.run(0, self.n_calls_to_embeddings)
            with torch.no_grad():
                self._run_head(self.network.head)
            self.program.run(self.n_calls_to_embeddings)
        return self

    def loss(self) -> float:
        """Return the part's loss."""
        squared_error: float = sum(self.squared_errors.tolist())
        return squared_error * self.weights.squared_error + self.target_error

    def _run_head(self, head: nn.Linear) -> None:
        """Find the error of the head, and its gradients."""
        d_embeddings = self.program.tensor(self.d_embeddings_of_head)
        d_weight, d_bias = self.gradients.head
        targets = self.targets
        if targets is None:
            for gradient in (d_embeddings, d_weight, d_bias):
                gradient.zero_()
            return
        embedding_dim = self.architecture.embedding_dim
        embeddings = self.program.tensor(self.embeddings)[:, :embedding_dim]
        errors, d_scores = _error_and_gradient(head(embeddings), targets)
        weight = self.weights.target_error
        if self.target_weights is None:
            self.target_error = float(errors.sum()) * weight
        else:
            self.target_error = float(errors @ self.target_weights) * weight
            d_scores *= self.target_weights[:, None]
        d_scores *= weight
        d_embeddings[:, embedding_dim:] = 0.0
        d_embeddings[:, :embedding_dim] = d_scores @ head.weight
        torch.mm(d_scores.T, embeddings, out=d_weight)
        torch.sum(d_scores, dim=0, out=d_bias)


def _error_and_gradient(scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the error of each series, (B,), and its gradient with respect to the scores, (B, K).

    The error is that of `seqfeat.nn.loss.target_errors`.
    """
    if targets.is_floating_point():
        residual = scores - targets
        return residual.square().mean(dim=1), residual * (2 / residual.shape[1])
    logarithms = log_softmax(scores, dim=1)
    gradient = logarithms.exp()
    rows = torch.arange(len(gradient), dtype=torch.int64, device="cpu")
    gradient[rows, targets] -= 1
    return nll_loss(logarithms, targets, reduction="none"), gradient
