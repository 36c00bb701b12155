"""A network's program: from a part of a batch to its loss and gradients.

Matrices lie by time, (L, B, D), with D in whole vectors: B series, L recurrent steps.
Other shapes are those of `seqfeat.network`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, nll_loss, pad

from seqfeat.nn.batch import Batch
from seqfeat.nn.corruption import Corruption
from seqfeat.nn.kernels.encoder import EncoderProgram, PartShape
from seqfeat.nn.kernels.layers import LinearCalls
from seqfeat.nn.kernels.program import Place, Program
from seqfeat.nn.kernels.weights import N_STATISTICS, NetworkGradients
from seqfeat.nn.loss import LossWeights

__all__ = ["NetworkProgram"]


class NetworkProgram(EncoderProgram):
    """Finds the loss and the gradients for parts of one shape; arguments as for the encoder's."""

    def __init__(self, gradients: NetworkGradients, shape: PartShape, storage: Tensor) -> None:
        weights = gradients.weights
        super().__init__(weights, shape, storage, gradients)
        self.found = gradients
        self.zeros = weights.zeros.data_ptr()
        self.n_patches = -(-shape.n_timesteps // self.architecture.patch_len)
        self.to_gradients = Program(weights.kernels)
        self.head = weights.network.head
        if self.head is not None:
            self.program = self.to_gradients
        # What is filled in before a run shares its place with nothing.
        self.d_embeddings_of_head = self.memory.take(*self.embeddings.shape)
        self._decode()
        self._compare()
        self._decode_backward()
        self._encode_backward()
        self.to_loss = self.program

    def finish(self) -> None:
        """Make ready to run."""
        super().finish()
        self.to_gradients.finish()
        tensor = self.memory.tensor
        self.at_factor = tensor(self.factor)
        self.at_encoder_keep = tensor(self.encoder_keep)
        self.at_decoder_keep = tensor(self.decoder_keep)
        self.at_squared_errors = tensor(self.squared_errors)

    # Forward

    def _decode(self) -> None:
        """Write the decoder, from `embeddings` to `patches`."""
        s, a, decoder = self.shape, self.architecture, self.weights.network.decoder
        times = decoder.time_features(self.n_patches, self.weights.zeros)
        # In memory of its own, which nothing else writes into.
        self.times = pad(times, (0, -times.shape[1] % self.lanes)).contiguous()
        place = Place(self.times.data_ptr(), 0, tuple(self.times.shape))
        self.decoder_keep = self.memory.take(s.n_series, self._whole_vectors(a.embedding_dim))
        first, second = self._layer(2, self.n_patches), self._layer(3, self.n_patches)
        first.forward(self.program, place, self.embeddings, is_shared=True)
        hidden = self._drop(first.outputs, self.decoder_keep, s.drops_decoder_units)
        second.forward(self.program, hidden)
        self.decoder = first, second
        self.output = LinearCalls(self.memory, self.found.output)
        self.patches = self.output.forward(self.program, second.outputs)

    def _compare(self) -> None:
        """Write the squared error, and its gradient in place of the patches."""
        n_rows, width = self.n_patches * self.shape.n_series, self.weights.output.width
        n_vectors = n_rows * width // self.lanes
        patches = self.patches.address
        # Patches lie behind each other, and the last may reach over the end.
        patch_len = self.architecture.patch_len
        sizes = patch_len, patch_len, self.n_patches
        targets, self.cut_targets = self._cut_windows(self.program, *sizes)
        self.squared_errors = self.memory.take(self.lanes)
        self.factor = self.memory.take(self.lanes)
        self._call("subtract", patches, 1, targets.address, n_vectors, patches)
        self.memory.release(targets)
        if self.is_masked:
            observed, self.cut_observed = self._cut_windows(self.program, *sizes)
            self._call("multiply", patches, 1, observed.address, n_vectors, patches)
        self._call("square_sums", patches, n_vectors, self.squared_errors.address)
        self._call("multiply", patches, n_vectors, self.factor.address, 1, patches)

    @property
    def is_masked(self) -> bool:
        """Whether some of what the patches hold is not to be compared."""
        reaches_over = self.n_patches * self.architecture.patch_len > self.shape.n_timesteps
        return reaches_over or not self.shape.is_observed

    # Back

    def _decode_backward(self) -> None:
        """Write the decoder's gradients, and that of the embeddings."""
        (first, second), release = self.decoder, self.memory.release
        d_outputs = self.output.backward(self.program, self.patches, self.zeros)
        release(self.patches)
        second.backward(self.program, d_outputs, self.zeros, wants_sequences=True)
        release(d_outputs)
        s = self.shape
        d_first = self._drop(second.d_sequences, self.decoder_keep, s.drops_decoder_units)
        first.backward(self.program, d_first, self.zeros, wants_sequences=False)
        release(second.d_sequences)
        self.d_embeddings = first.d_constant
        if self.head is not None:
            n_vectors = s.n_series * self.d_embeddings.shape[1] // self.lanes
            place, other = self.d_embeddings.address, self.d_embeddings_of_head.address
            self._call("add", place, 1, other, n_vectors, place)

    def _encode_backward(self) -> None:
        """Write the encoder's gradients."""
        first, second = self.encoder
        d_pooled = self.d_embeddings
        if self.weights.projection is not None:
            d_pooled = self.projection.backward(self.program, d_pooled, self.zeros)
        if self.architecture.pooling == "last":
            d_hidden, d_outputs = None, self._put_last(d_pooled)
        else:
            d_hidden, d_outputs = self._pool_backward(d_pooled)
        second.backward(self.program, d_outputs, self.zeros, wants_sequences=True)
        through = second.d_sequences
        if d_hidden is not None:
            n_vectors = through.n_floats // self.lanes
            self._call("add", through.address, 1, d_hidden.address, n_vectors, through.address)
        d_first = self._drop(through, self.encoder_keep, self.shape.drops_encoder_units)
        first.backward(self.program, d_first, self.zeros, wants_sequences=False)

    def _put_last(self, d_pooled: Place) -> Place:
        outputs = self.encoder[1].outputs
        d_outputs = self.memory.take(*outputs.shape)
        n_steps, n_series, width = outputs.shape
        sizes = n_series, width // self.lanes, n_steps
        arguments = d_pooled.address, self._n_steps, *sizes, d_outputs.address
        self._call("put_last_steps", *arguments)
        return d_outputs

    def _pool_backward(self, d_pooled: Place) -> tuple[Place, Place]:
        row, results = d_pooled.shape[1], []
        for sequences, statistics in self._statistics(self.pooled):
            n_steps, n_series, width = sequences.shape
            scratch = self.memory.take(n_series, N_STATISTICS, width)
            d_sequences = self.memory.take(*sequences.shape)
            self._call(
                "pool_backward",
                *(sequences.address, self._n_steps, n_series, width // self.lanes, n_steps),
                *(statistics, d_pooled.address + statistics - self.pooled.address),
                *(row, row // N_STATISTICS, scratch.address, d_sequences.address),
            )
            results.append(d_sequences)
        return results[0], results[1]

    # Running it

    def load(self, part: Batch, corruption: Corruption, weighting: LossWeights) -> None:
        """Take up a part."""
        lengths = part.lengths.contiguous()
        inputs, values = as_rows(corruption.apply(part.values)), as_rows(part.values)
        self.to_embeddings.change(self.count_windows, lengths.data_ptr())
        self.to_embeddings.change(self.cut_inputs, inputs.data_ptr(), inputs.stride(0))
        self.to_loss.change(self.cut_targets, values.data_ptr(), values.stride(0))
        # Until they were read, and no longer, as there may be many programs.
        self.kept_alive = [lengths, inputs, values]
        if self.is_masked:
            observed = torch.ones_like(values) if part.observed is None else part.observed
            observed = as_rows(observed)
            self.to_loss.change(self.cut_observed, observed.data_ptr(), observed.stride(0))
            self.kept_alive.append(observed)
        if corruption.encoder_units is not None:
            fill(self.at_encoder_keep, corruption.encoder_units)
        if corruption.decoder_units is not None:
            fill(self.at_decoder_keep, corruption.decoder_units)
        self.at_factor.fill_(2 * weighting.squared_error)
        self.classes, self.weighting, self.entropy = part.targets, weighting, 0.0

    def run(self) -> None:
        """Find the gradients of what was loaded, most of the time without Python's lock."""
        self.to_embeddings.run()
        if self.head is not None:
            with torch.no_grad():
                self._run_head(self.head)
            self.to_gradients.run()
        self.kept_alive.clear()

    def loss(self) -> float:
        """Return the part's loss."""
        squared_error: float = sum(self.at_squared_errors.tolist())
        return squared_error * self.weighting.squared_error + self.entropy

    def _run_head(self, head: nn.Linear) -> None:
        """Find the cross-entropy of the classification head, and its gradients."""
        assert self.classes is not None
        embeddings = self.memory.tensor(self.embeddings)[:, : self.architecture.embedding_dim]
        scores = log_softmax(head(embeddings), dim=1)
        weight = self.weighting.entropy
        self.entropy = float(nll_loss(scores, self.classes, reduction="sum")) * weight
        d_scores = scores.exp()
        d_scores[torch.arange(len(d_scores)), self.classes] -= 1
        d_scores *= weight
        fill(self.memory.tensor(self.d_embeddings_of_head), d_scores @ head.weight)
        d_weight, d_bias = self.found.head
        torch.mm(d_scores.T, embeddings, out=d_weight)
        torch.sum(d_scores, dim=0, out=d_bias)


def as_rows(values: Tensor) -> Tensor:
    """Return it in float32, with each series in order in memory. Shape: (B, T, C)."""
    values = values.float()
    is_in_order = values.stride()[1:] == (values.shape[2], 1)
    return values if is_in_order else values.contiguous()


def fill(into: Tensor, values: Tensor) -> None:
    """Write values, and zeros behind the last axis."""
    width = values.shape[-1]
    if width < into.shape[-1]:
        into.zero_()
    into[..., :width].copy_(values)
