"""An encoder's program: from values to embeddings.

Matrices lie by time, (L, B, D), with D in whole vectors: B series, L recurrent steps.
Other shapes are those of `seqfeat.network`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from seqfeat.nn.kernels.layers import LayerCalls, LinearCalls
from seqfeat.nn.kernels.program import Memory, Place, Program, rounded_up
from seqfeat.nn.kernels.weights import N_STATISTICS, NetworkGradients, NetworkWeights
from seqfeat.nn.network import n_windows

__all__ = ["EmbeddingProgram", "EncoderProgram", "PartShape"]


class PartShape(NamedTuple):
    """What a program is written for."""

    n_series: int
    n_timesteps: int
    is_observed: bool
    """Whether everything was observed."""
    drops_encoder_units: bool
    drops_decoder_units: bool
    is_first: bool = False
    """Whether its gradients are a batch's first."""


class EncoderProgram:
    """Takes parts of one shape to embeddings, or without gradients to what the pooling leaves.

    Parameters
    ----------
    weights : NetworkWeights
    shape : PartShape
    storage : Tensor of shape (n_floats,)
        Where all that it computes lies; programs that do not run at once may share it. If it
        is shorter than ``n_floats``, the program must not run.
    gradients : NetworkGradients, optional
        Where those of the weights go; without them it keeps nothing for them.
    """

    def __init__(
        self,
        weights: NetworkWeights,
        shape: PartShape,
        storage: Tensor,
        gradients: NetworkGradients | None = None,
    ) -> None:
        self.weights, self.shape, self.gradients = weights, shape, gradients
        self.architecture = weights.network.architecture
        self.memory = Memory(storage)
        self.lanes = weights.kernels.lanes
        self.n_steps = torch.ones(shape.n_series, dtype=torch.int64)
        self.to_embeddings = self.program = Program(weights.kernels)
        self._begin()
        self._encode()

    def finish(self) -> None:
        """Make ready to run."""
        self.to_embeddings.finish()

    @property
    def n_floats(self) -> int:
        """How long the storage has to be."""
        return self.memory.n_floats

    def _begin(self) -> None:
        """Write what comes before the encoder."""

    def _call(self, name: str, *arguments: int) -> None:
        self.program.call(name, *arguments)

    def _layer(self, number: int, n_steps: int) -> LayerCalls:
        weights, n_series = self.weights.layers[number], self.shape.n_series
        gradients = None if self.gradients is None else self.gradients.layers[number]
        return LayerCalls(self.memory, weights, n_series, n_steps, gradients)

    def _whole_vectors(self, width: int) -> int:
        return rounded_up(width, self.lanes)

    def _encode(self) -> None:
        """Write the encoder, from `inputs` to `embeddings`."""
        a, s, take = self.architecture, self.shape, self.memory.take
        n_steps = n_windows(s.n_timesteps, a.window_len, a.window_stride)
        sizes = a.window_len, a.window_stride, n_steps
        counted = s.n_series, a.window_len, a.window_stride, self._n_steps
        self.count_windows = self.program.call("count_windows", 0, *counted)
        self.inputs, self.cut_inputs = self._cut_windows(self.to_embeddings, *sizes)
        self.encoder_keep = take(s.n_series, self._whole_vectors(a.hidden_dim))
        first, second = self._layer(0, n_steps), self._layer(1, n_steps)
        first.forward(self.program, self.inputs)
        self.hidden = self._drop(first.outputs, self.encoder_keep, s.drops_encoder_units)
        second.forward(self.program, self.hidden)
        self.encoder = first, second
        self.embeddings = self.pooled = self._pool(second.outputs)
        if self.gradients is not None and self.gradients.projection is not None:
            self.projection = LinearCalls(self.memory, self.gradients.projection)
            self.embeddings = self.projection.forward(self.program, self.pooled)

    def _cut_windows(
        self, program: Program, length: int, stride: int, n_steps: int
    ) -> tuple[Place, int]:
        """Write windows of values that `load` tells of; return where they are and the call."""
        s, n_channels = self.shape, self.architecture.n_channels
        windows = self.memory.take(n_steps, s.n_series, self._whole_vectors(length * n_channels))
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


class EmbeddingProgram(EncoderProgram):
    """Scales series and embeds them; what comes before and behind the network is in float64."""

    def _begin(self) -> None:
        s, a = self.shape, self.architecture
        self.is_too_large = ctypes.c_int64()
        n_values = s.n_series * s.n_timesteps * a.n_channels
        self.scaled = self.memory.take(rounded_up(n_values, self.lanes))
        flag = ctypes.addressof(self.is_too_large)
        sizes = s.n_series * s.n_timesteps, a.n_channels
        self.scale = self.program.call("scale", 0, 0, 0, *sizes, self.scaled.address, flag)

    def _encode(self) -> None:
        super()._encode()
        n_series, embedding_dim = self.shape.n_series, self.architecture.embedding_dim
        linear, pooled = self.weights.exact_projection, self.pooled
        if linear is None:
            places = 0, embedding_dim, pooled.address, pooled.shape[1]
            self.accumulate = self.program.call("copy_rows", *places, n_series, embedding_dim)
            return
        # Places are counted in float32, of which there are two in a float64.
        wide = self.memory.take(n_series, 2 * linear.depth)
        exact = self.memory.take(n_series, 2 * linear.width)
        self._call("widen", pooled.address, pooled.n_floats // self.lanes, wide.address)
        self._call(
            "product_exact",
            *(wide.address, linear.depth, linear.transposed.data_ptr(), linear.width),
            *(linear.width // linear.lanes, linear.depth, linear.bias.data_ptr(), 0),
            *(exact.address, linear.width, n_series),
        )
        sizes = linear.width, n_series, embedding_dim
        self.accumulate = self.program.call("narrow", 0, exact.address, *sizes)

    def finish(self) -> None:
        """Make ready to run."""
        super().finish()
        row = self.shape.n_timesteps * self.architecture.n_channels
        self.program.change(self.cut_inputs, self.scaled.address, row)

    def embed(self, values: Tensor, lengths: Tensor, scaling: Tensor) -> Tensor | None:
        """Return embeddings (B, E), or None where scaled values are too large.

        Values (B, T, C) in float64 and in order in memory, of which `lengths` (B,) count; means
        and scales (2, C) in float64.
        """
        embeddings = torch.empty(self.shape.n_series, self.architecture.embedding_dim)
        mean, program = scaling.data_ptr(), self.program
        program.change(self.count_windows, lengths.data_ptr())
        program.change(self.scale, values.data_ptr(), mean, mean + 8 * scaling.shape[1])
        program.change(self.accumulate, embeddings.data_ptr())
        program.run()
        return None if self.is_too_large.value else embeddings
