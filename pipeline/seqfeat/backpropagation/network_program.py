"""A network's program: from a part of a batch to its loss and gradients.

Matrices lie by time, (L, B, D), with D in whole vectors: B series, L recurrent steps.
Other shapes are those of `seqfeat.network`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, nll_loss, pad

from seqfeat.backpropagation.layer_calls import Copy, LayerCalls, LayerWeights
from seqfeat.backpropagation.linear_calls import LinearCalls, LinearWeights
from seqfeat.batches import TrainingSet
from seqfeat.corruption import Corruption
from seqfeat.network import RecurrentAutoencoder
from seqfeat.objective import Weighting
from seqfeat.recurrence import LSTMLayer
from seqfeat.recurrence.program import Memory, Place, Program, rounded_up

__all__ = ["NetworkProgram", "NetworkWeights", "PartShape"]

N_STATISTICS = 4


class PartShape(NamedTuple):
    """What a program is written for."""

    n_series: int
    n_windows: int
    n_timesteps: int
    is_observed: bool
    """Whether everything was observed."""
    drops_encoder_units: bool
    drops_decoder_units: bool


class NetworkWeights:
    """A network's weights as its programs take them."""

    def __init__(self, network: RecurrentAutoencoder) -> None:
        self.network = network
        a, encoder, decoder = network.architecture, network.encoder, network.decoder
        layers = cast(list[LSTMLayer], [*encoder.forward_layers, *decoder.layers])
        self.layers = list(map(LayerWeights, layers, (0, 0, a.embedding_dim, 0)))
        self.kernels = self.layers[0].packed.kernels
        self.output = LinearWeights(decoder.output, [a.hidden_dim], 1, self.kernels)
        self.projection: LinearWeights | None = None
        if isinstance(encoder.projection, nn.Linear):
            parts = [a.hidden_dim, a.embedding_dim]
            self.projection = LinearWeights(encoder.projection, parts, N_STATISTICS, self.kernels)
        linear = [part for part in (self.projection, self.output) if part is not None]
        self.program = Program(self.kernels)
        for part in [*self.layers, *linear]:
            self.program.rows += part.program.rows
        self.program.finish()
        widths = [layer.input_size for layer in layers] + [part.depth for part in linear]
        self.zeros = torch.zeros(max(4 * a.hidden_dim, *widths) + 4 * self.kernels.lanes)

    def refresh(self) -> None:
        """Take over what was written into the weights."""
        self.program.run()


class NetworkProgram:
    """Finds the loss and the gradients for parts of one shape.

    Parameters
    ----------
    weights : NetworkWeights
    shape : PartShape
    storage : Tensor of shape (n_floats,), optional
        Where all that it computes lies; without one it only finds out ``n_floats``. Programs that
        do not run at once may share it.
    """

    def __init__(
        self, weights: NetworkWeights, shape: PartShape, storage: Tensor | None = None
    ) -> None:
        self.weights, self.shape = weights, shape
        self.architecture = weights.network.architecture
        self.memory = Memory(storage)
        self.lanes = weights.kernels.lanes
        self.zeros = weights.zeros.data_ptr()
        self.n_steps = torch.ones(shape.n_series, dtype=torch.int64)
        self.n_patches = -(-shape.n_timesteps // self.architecture.patch_len)
        self.to_embeddings, self.to_gradients = Program(weights.kernels), Program(weights.kernels)
        self.head, self.d_head = weights.network.head, []
        self.program = self.to_embeddings
        self._encode()
        if self.head is not None:
            self.d_head = [torch.empty_like(weight) for weight in self.head.parameters()]
            self.program = self.to_gradients
        self._decode()
        self._compare()
        self._decode_backward()
        self._encode_backward()
        self.to_embeddings.finish()
        self.to_gradients.finish()

    @property
    def n_floats(self) -> int:
        """How long the storage has to be."""
        return self.memory.n_floats

    def _call(self, name: str, *arguments: int) -> None:
        self.program.call(name, *arguments)

    def _layer(self, number: int, n_steps: int) -> LayerCalls:
        weights = self.weights.layers[number]
        return LayerCalls(self.memory, weights, self.shape.n_series, n_steps)

    def _whole_vectors(self, width: int) -> int:
        return rounded_up(width, self.lanes)

    # Forward

    def _encode(self) -> None:
        """Write the encoder, from `inputs` to `embeddings`."""
        a, s, take = self.architecture, self.shape, self.memory.take
        self.inputs = take(
            s.n_windows, s.n_series, self._whole_vectors(a.window_len * a.n_channels)
        )
        self.encoder_keep = take(s.n_series, self._whole_vectors(a.hidden_dim))
        first, second = self._layer(0, s.n_windows), self._layer(1, s.n_windows)
        first.forward(self.program, self.inputs)
        self.hidden = self._drop(first.outputs, self.encoder_keep, s.drops_encoder_units)
        second.forward(self.program, self.hidden)
        self.encoder = first, second
        self.embeddings = self.pooled = self._pool(second.outputs)
        if self.weights.projection is not None:
            self.projection = LinearCalls(self.memory, self.weights.projection)
            self.embeddings = self.projection.forward(self.program, self.pooled)

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
        n_series, width = outputs.shape[1:]
        if self.architecture.pooling == "last":
            pooled = self.memory.take(n_series, width)
            sizes = n_series, width // self.lanes
            self._call("last_steps", outputs.address, self._n_steps, *sizes, pooled.address)
            return pooled
        pooled = self.memory.take(n_series, N_STATISTICS * (self.hidden.shape[2] + width))
        for sequences, statistics in self._statistics(pooled):
            sizes = n_series, sequences.shape[2] // self.lanes, sequences.shape[0]
            row = pooled.shape[1]
            places = statistics, row, row // N_STATISTICS
            self._call("pool", sequences.address, self._n_steps, *sizes, *places)
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
        self.output = LinearCalls(self.memory, self.weights.output)
        self.patches = self.output.forward(self.program, second.outputs)

    def _compare(self) -> None:
        """Write the squared error, and its gradient in place of the patches."""
        n_rows, width = self.n_patches * self.shape.n_series, self.weights.output.width
        n_vectors = n_rows * width // self.lanes
        patches = self.patches.address
        self.targets = self.memory.take(self.n_patches, self.shape.n_series, width)
        self.observed = self.memory.take(self.n_patches, self.shape.n_series, width)
        self.squared_errors = self.memory.take(self.lanes)
        self.factor = self.memory.take(self.lanes)
        self._call("subtract", patches, 1, self.targets.address, n_vectors, patches)
        if self.is_masked:
            self._call("multiply", patches, 1, self.observed.address, n_vectors, patches)
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

    def bind(self, gradients: list[Tensor]) -> None:
        """Make ready to run, with the gradients of all parameters, in order, to hand over to."""
        self.overwrite, self.add_up = Program(self.weights.kernels), Program(self.weights.kernels)
        for into, found in self._gradients(gradients):
            self.overwrite.copy(into, found)
            self.add_up.add(into, found)
        self.overwrite.finish()
        self.add_up.finish()
        tensor = self.memory.tensor
        self.at_inputs, self.at_targets = tensor(self.inputs), tensor(self.targets)
        self.at_observed, self.at_factor = tensor(self.observed), tensor(self.factor)
        self.at_encoder_keep = tensor(self.encoder_keep)
        self.at_decoder_keep = tensor(self.decoder_keep)
        self.at_squared_errors = tensor(self.squared_errors)

    def load(
        self,
        inputs: Tensor,
        n_steps: Tensor,
        part: TrainingSet,
        corruption: Corruption,
        weighting: Weighting,
    ) -> None:
        """Take up a part, whose `inputs` are (B, L, W * C)."""
        patch_len = self.architecture.patch_len
        fill(self.at_inputs, inputs.transpose(0, 1))
        self.n_steps.copy_(n_steps)
        fill(self.at_targets, patches_by_time(part.values, patch_len))
        if self.is_masked:
            observed = part.observed
            if observed is None:
                observed = torch.ones(()).expand_as(part.values)
            fill(self.at_observed, patches_by_time(observed, patch_len))
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
        squared_error = sum(self.at_squared_errors.tolist())
        return squared_error * self.weighting.squared_error + self.entropy

    def hand_over(self, is_first: bool) -> None:
        """Add the gradients to those of the batch; the first overwrites those of one before."""
        (self.overwrite if is_first else self.add_up).run()

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
        d_weight, d_bias = self.d_head
        torch.mm(d_scores.T, embeddings, out=d_weight)
        torch.sum(d_scores, dim=0, out=d_bias)

    def _gradients(self, into: list[Tensor]) -> Iterator[Copy]:
        """Yield where the gradients of the network's parameters, in order, go and come from."""
        left = iter(into)

        def some(number: int) -> tuple[Tensor, ...]:
            return tuple(next(left) for _ in range(number))

        for layer in self.encoder:
            yield from layer.gradients(some(4))
        if self.weights.projection is not None:
            yield from self.projection.gradients(some(2))
        for layer in self.decoder:
            yield from layer.gradients(some(4))
        yield from self.output.gradients(some(2))
        yield from zip(left, self.d_head, strict=True)


def fill(into: Tensor, values: Tensor) -> None:
    """Write values, and zeros behind the last axis."""
    width = values.shape[-1]
    if width < into.shape[-1]:
        into.zero_()
    into[..., :width].copy_(values)


def patches_by_time(values: Tensor, patch_len: int) -> Tensor:
    """Cut into patches, zeros behind the end. Shape: (B, T, C) -> (L, B, P * C)."""
    n_series, n_timesteps, n_channels = values.shape
    behind = -n_timesteps % patch_len
    if behind:
        values = pad(values, (0, 0, 0, behind))
    return values.reshape(n_series, -1, patch_len * n_channels).transpose(0, 1)
