"""A network's program: from a part of a batch to its loss and gradients.

Matrices lie by time, (L, B, D), with D in whole vectors: B series, L recurrent steps.
Other shapes are those of `seqfeat.network`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, nll_loss, pad

from seqfeat.backpropagation.layer_calls import LayerCalls
from seqfeat.backpropagation.linear_calls import LinearCalls
from seqfeat.backpropagation.network_weights import N_STATISTICS, NetworkGradients
from seqfeat.batches import TrainingSet
from seqfeat.corruption import Corruption
from seqfeat.objective import Weighting
from seqfeat.recurrence.program import Memory, Place, Program, rounded_up

__all__ = ["NetworkProgram", "PartShape"]


class PartShape(NamedTuple):
    """What a program is written for."""

    n_series: int
    n_windows: int
    n_timesteps: int
    is_observed: bool
    """Whether everything was observed."""
    drops_encoder_units: bool
    drops_decoder_units: bool


class NetworkProgram:
    """Finds the loss and the gradients for parts of one shape.

    Parameters
    ----------
    gradients : NetworkGradients
        Where it leaves them.
    shape : PartShape
    storage : Tensor of shape (n_floats,)
        Where all else that it computes lies; programs that do not run at once may share it.
        If it is shorter than ``n_floats``, the program must not run.
    """

    def __init__(self, gradients: NetworkGradients, shape: PartShape, storage: Tensor) -> None:
        self.gradients, self.shape, self.weights = gradients, shape, gradients.weights
        weights = self.weights
        self.architecture = weights.network.architecture
        self.memory = Memory(storage)
        self.lanes = weights.kernels.lanes
        self.zeros = weights.zeros.data_ptr()
        self.n_steps = torch.ones(shape.n_series, dtype=torch.int64)
        self.n_patches = -(-shape.n_timesteps // self.architecture.patch_len)
        self.to_embeddings, self.to_gradients = Program(weights.kernels), Program(weights.kernels)
        self.head = weights.network.head
        self.program = self.to_embeddings
        self._encode()
        if self.head is not None:
            self.program = self.to_gradients
        self._decode()
        self._compare()
        self._decode_backward()
        self._encode_backward()
        self.to_loss = self.program
        self.to_embeddings.finish()
        self.to_gradients.finish()
        if self.n_floats <= len(storage):
            self._find_tensors()

    @property
    def n_floats(self) -> int:
        """How long the storage has to be."""
        return self.memory.n_floats

    def _call(self, name: str, *arguments: int) -> None:
        self.program.call(name, *arguments)

    def _layer(self, number: int, n_steps: int) -> LayerCalls:
        gradients = self.gradients.layers[number]
        return LayerCalls(self.memory, gradients, self.shape.n_series, n_steps)

    def _whole_vectors(self, width: int) -> int:
        return rounded_up(width, self.lanes)

    # Forward

    def _encode(self) -> None:
        """Write the encoder, from `inputs` to `embeddings`."""
        a, s, take = self.architecture, self.shape, self.memory.take
        sizes = a.window_len, a.window_stride, s.n_windows
        self.inputs, self.cut_inputs = self._cut_windows(self.to_embeddings, *sizes)
        self.encoder_keep = take(s.n_series, self._whole_vectors(a.hidden_dim))
        first, second = self._layer(0, s.n_windows), self._layer(1, s.n_windows)
        first.forward(self.program, self.inputs)
        self.hidden = self._drop(first.outputs, self.encoder_keep, s.drops_encoder_units)
        second.forward(self.program, self.hidden)
        self.encoder = first, second
        self.embeddings = self.pooled = self._pool(second.outputs)
        if self.gradients.projection is not None:
            self.projection = LinearCalls(self.memory, self.gradients.projection)
            self.embeddings = self.projection.forward(self.program, self.pooled)

    def _cut_windows(
        self, program: Program, length: int, stride: int, n_windows: int
    ) -> tuple[Place, int]:
        """Write windows of values that `load` tells of; return where they are and the call."""
        s, n_channels = self.shape, self.architecture.n_channels
        windows = self.memory.take(n_windows, s.n_series, self._whole_vectors(length * n_channels))
        n_vectors = windows.shape[2] // self.lanes
        sizes = s.n_series, s.n_timesteps, n_channels, length, stride
        call = program.call(
            "cut_windows", 0, 0, *sizes, windows.address, windows.shape[0], n_vectors
        )
        return windows, call

    def _drop(self, sequences: Place, keep: Place, is_wanted: bool) -> Place:
        """Write `network.drop_units`."""
        if not is_wanted:
            return sequences
        result = self.memory.take(*sequences.shape)
        n_vectors = keep.shape[0] * keep.shape[1] // self.lanes
        arguments = sequences.address, sequences.shape[0], keep.address, n_vectors, result.address
        self._call("multiply", *arguments)
        return result

    def _pool(self, outputs: Place) -> Place:
        """Write the pooling over the steps."""
        _, n_series, width = outputs.shape
        if self.architecture.pooling == "last":
            pooled = self.memory.take(n_series, width)
            n_vectors = width // self.lanes
            places = outputs.address, self._n_steps
            self._call("last_steps", *places, n_series, n_vectors, pooled.address)
            return pooled
        row = N_STATISTICS * (self.hidden.shape[2] + width)
        pooled = self.memory.take(n_series, row)
        for sequences, statistics in self._statistics(pooled):
            n_steps, _, width = sequences.shape
            places = sequences.address, self._n_steps
            sizes = n_series, width // self.lanes, n_steps
            self._call("pool", *places, *sizes, statistics, row, row // N_STATISTICS)
        return pooled

    def _statistics(self, pooled: Place) -> Iterator[tuple[Place, int]]:
        """Yield both layers' outputs, with where the first of their statistics begin."""
        yield self.hidden, pooled.address
        yield self.encoder[1].outputs, pooled.address + 4 * self.hidden.shape[2]

    @property
    def _n_steps(self) -> int:
        return self.n_steps.data_ptr()

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
        self.output = LinearCalls(self.memory, self.gradients.output)
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
        first, second = self.decoder
        d_outputs = self.output.backward(self.program, self.patches, self.zeros)
        second.backward(self.program, d_outputs, self.zeros, wants_sequences=True)
        s = self.shape
        d_first = self._drop(second.d_sequences, self.decoder_keep, s.drops_decoder_units)
        first.backward(self.program, d_first, self.zeros, wants_sequences=False)
        self.d_embeddings = first.d_constant
        self.d_embeddings_of_head = self.memory.take(*self.d_embeddings.shape)
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

    def _find_tensors(self) -> None:
        """Look up, once, what is written and read from outside."""
        tensor = self.memory.tensor
        self.at_factor = tensor(self.factor)
        self.at_encoder_keep = tensor(self.encoder_keep)
        self.at_decoder_keep = tensor(self.decoder_keep)
        self.at_squared_errors = tensor(self.squared_errors)

    def load(
        self, n_steps: Tensor, part: TrainingSet, corruption: Corruption, weighting: Weighting
    ) -> None:
        """Take up a part of which the encoder takes `n_steps` (B,)."""
        self.n_steps.copy_(n_steps)
        values, inputs = as_rows(part.values), as_rows(corruption.apply(part.values))
        self.to_embeddings.change(self.cut_inputs, inputs.data_ptr(), inputs.stride(0))
        self.to_loss.change(self.cut_targets, values.data_ptr(), values.stride(0))
        # Kept until they were read.
        self.loaded = [values, inputs]
        if self.is_masked:
            observed = torch.ones_like(values) if part.observed is None else part.observed
            observed = as_rows(observed)
            self.to_loss.change(self.cut_observed, observed.data_ptr(), observed.stride(0))
            self.loaded.append(observed)
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
        d_weight, d_bias = self.gradients.head
        torch.mm(d_scores.T, embeddings, out=d_weight)
        torch.sum(d_scores, dim=0, out=d_bias)


def fill(into: Tensor, values: Tensor) -> None:
    """Write values, and zeros behind the last axis."""
    width = values.shape[-1]
    if width < into.shape[-1]:
        into.zero_()
    into[..., :width].copy_(values)


def as_rows(values: Tensor) -> Tensor:
    """Return it in float32, with each series in order in memory. Shape: (B, T, C)."""
    values = values.float()
    is_in_order = values.stride()[1:] == (values.shape[2], 1)
    return values if is_in_order else values.contiguous()
