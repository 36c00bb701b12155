"""A network's weights and their gradients, in the layout that the kernels work on.

Widths are padded to whole vectors, and weights that multiply from the right are packed into panels.
Everything that brings the packed weights up to date is a program of the kernels, too, so that a
training step can run it right after it has changed the weights, while they are in the cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import cast

import torch
from torch import Tensor, nn

from seqfeat.nn.kernels.ir.jit import CompiledKernels
from seqfeat.nn.kernels.ir.matmul import PANEL_VECTORS
from seqfeat.nn.kernels.program import Program, round_up
from seqfeat.nn.lstm import LSTMLayer
from seqfeat.nn.network import RecurrentAutoencoder
from seqfeat.nn.pooling import STATISTICS

__all__ = [
    "DECODER",
    "ENCODER",
    "HALVES",
    "LSTMGradients",
    "LinearGradients",
    "NetworkGradients",
    "PackedLSTM",
    "PackedLinear",
    "PackedNetwork",
]

HALVES = ENCODER, DECODER = 0, 1
"""Halves of the weights, which two threads update at once; a head belongs to the decoder's."""

Copy = tuple[Tensor, Tensor]
"""Target and source of a copy."""


def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return zeros on the CPU."""
    return torch.zeros(shape, dtype=dtype, device="cpu")


class Columns:
    """How the columns of a weight matrix are padded.

    They are `n_groups` times the same parts, each of which is padded to a multiple of `lanes`.
    """

    def __init__(self, dims: Sequence[int], n_groups: int, lanes: int) -> None:
        self.dims, self.n_groups = list(dims), n_groups
        self.padded_dims = [round_up(dim, lanes) for dim in self.dims]
        self.depth = n_groups * sum(self.padded_dims)
        """Number of columns with padding."""

    def parts(self, matrix: Tensor, padded: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield each part of the columns of (N, K), without and with padding around it."""
        matrix = matrix.view(len(matrix), self.n_groups, -1)
        padded = padded.view(len(padded), self.n_groups, -1)
        start = padded_start = 0
        for dim, padded_dim in zip(self.dims, self.padded_dims, strict=True):
            stop = padded_start + dim
            yield matrix[:, :, start : start + dim], padded[:, :, padded_start:stop]
            start, padded_start = start + dim, padded_start + padded_dim


class PackedLSTM:
    """An LSTM layer's weights for the kernels, up to date when `program` has run.

    Parameters
    ----------
    kernels : CompiledKernels
    layer : LSTMLayer
    constant_dim : int
        Number of inputs, the first ones, that are the same at every step.
    sequence_dims : sequence of int, optional
        Widths of the sequences that the other inputs consist of; None is a single one.

    Attributes
    ----------
    units : int
        Hidden units U, in whole vectors.
    bias : Tensor of shape (4U,)
        Sum of both biases.
    hidden : Tensor of shape (4U, U)
    hidden_panels, input_panels : Tensor of shape (n_panels, depth, 4 * lanes)
    d_input_weights : Tensor of shape (4U, W)
        Weights that the gradient of the inputs needs: the constant ones if there are any, as no
        network needs the gradient of a sequence next to them.
    """

    def __init__(
        self,
        kernels: CompiledKernels,
        layer: LSTMLayer,
        constant_dim: int = 0,
        sequence_dims: Sequence[int] | None = None,
    ) -> None:
        self.lanes, self.hidden_dim = kernels.lanes, layer.hidden_size
        self.units = round_up(self.hidden_dim, self.lanes)
        self.constant_dim = constant_dim
        dims = [layer.input_size - constant_dim] if sequence_dims is None else sequence_dims
        # A single sequence is read to its last value and no further.
        self.columns = Columns(dims, 1, self.lanes if len(dims) > 1 else 1)
        self.program = Program(kernels)
        w_ih, w_hh, *biases = (weight.detach() for weight in layer.parameters())
        inputs, self.input_panels = self._pack(w_ih, self.columns, constant_dim)
        self.hidden, self.hidden_panels = self._pack(
            w_hh, Columns([self.hidden_dim], 1, self.lanes), 0
        )
        self.bias = zeros(4 * self.units)
        valid = self.bias.view(4, -1)[:, : self.hidden_dim]
        self.program.copy(valid, biases[0].view(4, -1))
        self.program.add(valid, biases[1].view(4, -1))
        wanted = inputs[:, : constant_dim or self.columns.depth]
        self.d_input_weights = wanted
        width = round_up(wanted.shape[1], self.lanes)
        if width > wanted.shape[1] or not wanted.is_contiguous():
            self.d_input_weights = zeros(len(wanted), width)
            self.program.copy(self.d_input_weights[:, : wanted.shape[1]], wanted)

    @property
    def sequence_depth(self) -> int:
        """Number of inputs that differ from step to step, with padding between their parts."""
        return self.columns.depth

    @property
    def sequence_panels(self) -> Tensor:
        """Panels of the inputs that differ from step to step."""
        return self.input_panels[:, self.constant_dim :]

    @property
    def constant_panels(self) -> Tensor:
        """Panels of the inputs that are the same at every step."""
        return self.input_panels[:, : self.constant_dim]

    def _pack(self, weight: Tensor, columns: Columns, constant_dim: int) -> tuple[Tensor, Tensor]:
        """Return rows of gates, padded where they need be, and the same in panels."""
        n_units = len(weight) // 4
        depth = constant_dim + columns.depth
        rows, source = weight, weight.view(4, n_units, -1)
        if (n_units, weight.shape[1]) != (self.units, depth):
            rows = zeros(4 * self.units, depth)
            padded = rows.view(4, self.units, depth)[:, :n_units]
            if constant_dim:
                self.program.copy(padded[:, :, :constant_dim], source[:, :, :constant_dim])
            for target, part in self._parts(padded, source, columns, constant_dim):
                self.program.copy(target, part)
        if len(columns.dims) > 1:
            # The parts are apart from each other only in the padded rows.
            source = rows.view(4, self.units, depth)
        width = PANEL_VECTORS * self.lanes
        panels = zeros(4 * self.units // width, depth, width)
        self.program.call("pack", rows=source, panels=panels, padded_units=self.units)
        return rows, panels

    def _parts(
        self, padded: Tensor, source: Tensor, columns: Columns, constant_dim: int
    ) -> Iterator[Copy]:
        start = padded_start = constant_dim
        for dim, padded_dim in zip(columns.dims, columns.padded_dims, strict=True):
            yield padded[:, :, padded_start : padded_start + dim], source[:, :, start : start + dim]
            start, padded_start = start + dim, padded_start + padded_dim


class PackedLinear:
    """A linear map's weights for the kernels, up to date when `program` has run.

    Attributes
    ----------
    rows : Tensor of shape (N, depth)
        The weights, padded; the weights themselves where there is nothing to pad.
    transposed : Tensor of shape (depth, width)
    bias : Tensor of shape (width,)
    """

    def __init__(self, kernels: CompiledKernels, linear: nn.Linear, columns: Columns) -> None:
        self.linear = linear
        weight, bias = linear.weight.detach(), linear.bias.detach()
        self.lanes, self.columns = kernels.lanes, columns
        self.output_dim = len(weight)
        self.width, self.depth = round_up(self.output_dim, kernels.lanes), columns.depth
        self.program = Program(kernels)
        self.rows = weight
        if weight.shape[1] != self.depth:
            self.rows = zeros(self.output_dim, self.depth)
            for own, padded in columns.parts(weight, self.rows):
                self.program.copy(padded, own)
        self.transposed, self.bias = zeros(self.depth, self.width), zeros(self.width)
        self.program.call(
            "pack", rows=self.rows[None], panels=self.transposed[None], padded_units=self.width
        )
        self.program.copy(self.bias[: self.output_dim], bias)


class Float64Linear:
    """A linear map's weights in float64, for a product that leaves no rounding to float32."""

    def __init__(self, linear: PackedLinear) -> None:
        self.linear, self.depth = linear, linear.depth
        self.width = round_up(linear.output_dim, linear.lanes // 2)
        self.transposed = zeros(self.depth, self.width, dtype=torch.float64)
        self.bias = zeros(1, self.width, dtype=torch.float64)

    def refresh(self) -> None:
        """Take over the weights as they are now."""
        n = self.linear.output_dim
        self.transposed[:, :n] = self.linear.rows.T
        self.bias[0, :n] = self.linear.bias[:n]


class PackedNetwork:
    """All weights of a network for the kernels.

    The network's parameters must stay where they are in memory. Writing into them makes the packed
    weights stale; whoever does so in a way that PyTorch does not count, as fused optimizers do,
    has to call ``torch.autograd.graph.increment_version``.

    Attributes
    ----------
    encoder : list of list of PackedLSTM
        The two layers of each direction.
    decoder : list of PackedLSTM
    projection : PackedLinear or None
        The map of pooled values to embeddings, if there is one.
    output : PackedLinear
    programs : tuple of Program
        Bring the packed weights up to date, one for each half.
    zeros : Tensor of shape (1, n)
        As many as anything is wide; never written to.
    """

    def __init__(self, network: RecurrentAutoencoder, kernels: CompiledKernels) -> None:
        self.network, self.kernels = network, kernels
        self.parameters = list(network.parameters())
        a, lanes = network.architecture, kernels.lanes
        directions = [network.encoder.forward_layers]
        if a.bidirectional:
            directions.append(network.encoder.backward_layers)
        n = len(directions)
        self.encoder = [
            [
                PackedLSTM(kernels, cast(LSTMLayer, layers[0])),
                PackedLSTM(kernels, cast(LSTMLayer, layers[1]), 0, [a.hidden_dim] * n),
            ]
            for layers in directions
        ]
        self.projection: PackedLinear | None = None
        if isinstance(network.encoder.projection, nn.Linear):
            dims, n_groups = [a.embedding_dim] * n, 1
            if a.pooling == "statistics":
                dims, n_groups = [a.hidden_dim] * n + dims, len(STATISTICS[a.pooling])
            columns = Columns(dims, n_groups, lanes)
            self.projection = PackedLinear(kernels, network.encoder.projection, columns)
        first, second = (cast(LSTMLayer, layer) for layer in network.decoder.layers)
        self.decoder = [PackedLSTM(kernels, first, a.embedding_dim), PackedLSTM(kernels, second)]
        columns = Columns([a.hidden_dim], 1, lanes)
        self.output = PackedLinear(kernels, network.decoder.output, columns)
        self.programs = Program(kernels), Program(kernels)
        linear = [one for one in (self.projection, self.output) if one is not None]
        parts: list[tuple[int, PackedLSTM | PackedLinear]] = [
            *((ENCODER, layer) for layers in self.encoder for layer in layers),
            *((DECODER, layer) for layer in self.decoder),
            *((DECODER if one is self.output else ENCODER, one) for one in linear),
        ]
        for half, part in parts:
            self.programs[half].extend(part.program)
        for program in self.programs:
            program.finish()
        self.zeros = zeros(1, max(_widest(part) for _, part in parts))
        self.versions: tuple[int, ...] = ()
        self.versions_for_inference: tuple[int, ...] = ()
        self.float64_projection: Float64Linear | None = None
        """For inference; see `refresh_for_inference`."""

    def is_fresh(self) -> bool:
        """Tell whether nothing was written into the weights since they were packed."""
        return self.versions == self._versions()

    def mark_fresh(self) -> None:
        """Note that both programs have run."""
        self.versions = self._versions()

    def _versions(self) -> tuple[int, ...]:
        # Tensors made in inference mode count nothing; networks made there are never trained.
        return tuple(0 if weight.is_inference() else weight._version for weight in self.parameters)

    def refresh_for_inference(self) -> None:
        """Pack the weights as they are now, the projection in float64 as well."""
        versions = self._versions()
        if versions == self.versions_for_inference:
            return
        if versions != self.versions:
            for program in self.programs:
                program.run()
            self.versions = versions
        if self.projection is not None:
            if self.float64_projection is None:
                self.float64_projection = Float64Linear(self.projection)
            self.float64_projection.refresh()
        self.versions_for_inference = versions


def _widest(weights: PackedLSTM | PackedLinear) -> int:
    """Return the width of the widest row that a product with these weights adds to nothing."""
    if isinstance(weights, PackedLinear):
        return max(weights.width, weights.depth)
    sequence_width = round_up(weights.sequence_depth, weights.lanes)
    return max(weights.units, weights.d_input_weights.shape[1], sequence_width)


def _place(into: Tensor | None, *shape: int) -> Tensor:
    """Return `into` if it has the shape, or else a new tensor."""
    if into is not None and into.shape == shape:
        return into
    return torch.empty(shape, dtype=torch.float32, device="cpu")


class LSTMGradients:
    """Where a layer's calls put the gradients of its weights, units padded to whole vectors.

    Parameters
    ----------
    weights : PackedLSTM
    into : tuple of Tensor
        The gradients of the parameters, in order.
    is_first : bool
        Whether a batch's first gradients go here: they overwrite what was there, and may lie in
        the parameters' gradients themselves.
    """

    def __init__(self, weights: PackedLSTM, into: tuple[Tensor, ...], is_first: bool) -> None:
        lanes, gates = weights.lanes, 4 * weights.units
        self.weights, self.into = weights, into
        inputs, hidden, bias, _ = into if is_first else (None,) * 4
        self.constant = _place(inputs, gates, round_up(weights.constant_dim, lanes))
        self.sequences = _place(inputs, gates, round_up(weights.sequence_depth, lanes))
        self.hidden = _place(hidden, gates, weights.units)
        self.bias = _place(bias, gates)

    def copies(self) -> Iterator[Copy]:
        """Yield what brings them into the gradients of the parameters."""
        d_inputs, d_hidden, *d_biases = self.into
        constant_dim, hidden_dim = self.weights.constant_dim, self.weights.hidden_dim

        def gates(rows: Tensor) -> Tensor:
            return rows.view(4, -1, rows.shape[1])[:, :hidden_dim]

        d_inputs = d_inputs.view(4, hidden_dim, -1)
        if constant_dim:
            yield d_inputs[:, :, :constant_dim], gates(self.constant)[:, :, :constant_dim]
        start, padded_start = constant_dim, 0
        columns = self.weights.columns
        for dim, padded_dim in zip(columns.dims, columns.padded_dims, strict=True):
            if dim:
                found = gates(self.sequences)[:, :, padded_start : padded_start + dim]
                yield d_inputs[:, :, start : start + dim], found
            start, padded_start = start + dim, padded_start + padded_dim
        yield d_hidden.view(4, hidden_dim, -1), gates(self.hidden)[:, :, :hidden_dim]
        for d_bias in d_biases:
            yield d_bias.view(4, hidden_dim), self.bias.view(4, -1)[:, :hidden_dim]


class LinearGradients:
    """Where a linear map's calls put the gradients of its weights; parameters as for a layer's."""

    def __init__(self, weights: PackedLinear, into: tuple[Tensor, ...], is_first: bool) -> None:
        self.weights, self.into = weights, into
        weight, bias = into if is_first else (None, None)
        self.rows = _place(weight, weights.output_dim, weights.depth)
        self.bias = _place(bias, weights.width)

    def copies(self) -> Iterator[Copy]:
        """Yield what brings them into the gradients of the parameters."""
        d_weight, d_bias = self.into
        yield from self.weights.columns.parts(d_weight, self.rows)
        yield d_bias, self.bias[: self.weights.output_dim]


class NetworkGradients:
    """Where programs that run one after the other leave the gradients of a network's weights.

    Parameters
    ----------
    weights : PackedNetwork
    into : list of Tensor
        The gradients of all parameters, in order, which `accumulate` adds to.
    is_first : bool
        Whether they are a batch's first and overwrite those of the batch before. Most then lie in
        `into` from the beginning, and need not be copied.
    """

    def __init__(self, weights: PackedNetwork, into: list[Tensor], is_first: bool) -> None:
        self.weights, self.is_first = weights, is_first
        rest = iter(into)

        def of_layers(layers: Sequence[PackedLSTM]) -> list[LSTMGradients]:
            return [LSTMGradients(layer, tuple(islice(rest, 4)), is_first) for layer in layers]

        def of_linear(linear: PackedLinear) -> LinearGradients:
            return LinearGradients(linear, tuple(islice(rest, 2)), is_first)

        self.encoder = [of_layers(layers) for layers in weights.encoder]
        self.projection = None if weights.projection is None else of_linear(weights.projection)
        self.decoder, self.output = of_layers(weights.decoder), of_linear(weights.output)
        of_head = list(rest)
        self.head = of_head if is_first else list(map(torch.empty_like, of_head))
        halves: list[list[LSTMGradients | LinearGradients]] = [
            [layer for layers in self.encoder for layer in layers],
            [*self.decoder, self.output],
        ]
        if self.projection is not None:
            halves[ENCODER].append(self.projection)
        copies = [[pair for part in parts for pair in part.copies()] for parts in halves]
        copies[DECODER] += zip(of_head, self.head, strict=True)
        self.squares = [zeros(weights.kernels.double_lanes, dtype=torch.float64) for _ in HALVES]
        """Squares of the sums, whose total is the squared gradient norm of each half."""
        self.programs = Program(weights.kernels), Program(weights.kernels)
        for program, pairs, squares in zip(self.programs, copies, self.squares, strict=True):
            for target, found in pairs:
                if not is_first:
                    program.add_and_square(target, found, squares)
                elif target is not found and not _is_same(target, found):
                    program.copy(target, found)
            program.finish()

    def accumulate(self, half: int) -> float | None:
        """Add a half's gradients to the batch's; return their norm, None after the first ones."""
        squares = self.squares[half].numpy()
        squares[:] = 0.0
        self.programs[half].run()
        return None if self.is_first else math.sqrt(sum(squares.tolist()))


def _is_same(one: Tensor, other: Tensor) -> bool:
    """Tell whether two tensors are the same memory."""
    return one.is_set_to(other)
