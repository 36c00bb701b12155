"""A network's weights and their gradients, in the layout that the kernels work on.

Widths are padded to whole vectors, and weights that multiply from the right are packed into panels.
Everything that brings the packed weights up to date is a program of the kernels, too, so that a
training step can run it right after it has changed the weights, while they are in the cache.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from typing import cast

import torch
from torch import Tensor, nn

from seqfeat.nn.kernels.ir.jit import CompiledKernels
from seqfeat.nn.kernels.ir.matmul import PANEL_VECTORS
from seqfeat.nn.kernels.program import Program
from seqfeat.nn.lstm import LSTMLayer
from seqfeat.nn.network import Architecture, Encoder, RecurrentAutoencoder
from seqfeat.nn.pooling import STATISTICS
from seqfeat.nn.reservoir import ReservoirEncoder

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

N_STATISTICS = len(STATISTICS["statistics"])
HALVES = ENCODER, DECODER = 0, 1
"""Halves of the weights, which two threads update at once; a head belongs to the decoder's."""

Pair = tuple[Tensor, Tensor]
"""Target and source of a copy or of a sum."""


def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return zeros on the CPU."""
    return torch.zeros(shape, dtype=dtype, device="cpu")


def round_up(number: int, lanes: int) -> int:
    """Round a number of elements up to whole vectors."""
    return -(-number // lanes) * lanes


class Columns:
    """How the columns of a weight matrix are padded.

    They are `n_groups` times the same parts, each of which is padded to a multiple of `lanes`.
    """

    def __init__(self, dims: Sequence[int], n_groups: int, lanes: int) -> None:
        self.dims, self.n_groups = list(dims), n_groups
        self.padded_dims = [-(-dim // lanes) * lanes for dim in self.dims]
        self.depth = n_groups * sum(self.padded_dims)
        """Number of columns with padding."""

    def parts(self, matrix: Tensor, padded: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return each part of the columns of (..., K), without and with padding around it."""
        if self.n_groups > 1:
            matrix = matrix.view(len(matrix), self.n_groups, -1)
            padded = padded.view(len(padded), self.n_groups, -1)
        pairs, start, padded_start = [], 0, 0
        for dim, padded_dim in zip(self.dims, self.padded_dims, strict=True):
            own = matrix[..., start : start + dim]
            pairs.append((own, padded[..., padded_start : padded_start + dim]))
            start, padded_start = start + dim, padded_start + padded_dim
        return pairs


class PackedLSTM:
    """An LSTM layer's weights for the kernels, units padded to whole vectors with zeros.

    Parameters
    ----------
    layer : LSTMLayer
    lanes : int
        Numbers of float32 in a vector.
    constant_dim : int
        Number of inputs, the first ones, that are the same at every step.
    sequence_dims : sequence of int, optional
        Widths of the sequences that the other inputs consist of; None is a single one.

    Attributes
    ----------
    units : int
        Hidden units U, in whole vectors.
    constant_width, sequence_width : int
        Widths of both kinds of inputs, in whole vectors.
    sequence_depth : int
        Number of inputs that differ from step to step, with padding between their parts.
    bias : Tensor of shape (4U,)
        Sum of both biases.
    hidden : Tensor of shape (4U, U)
    hidden_panels, constant_panels, sequence_panels : Tensor of shape (n_panels, depth, 4 * lanes)
    d_input_weights : Tensor of shape (4U, W)
        Weights that the gradient of the inputs needs: the constant ones if there are any, as no
        network needs the gradient of a sequence next to them.
    copies, sums : list of pairs of tensors
        Targets and sources of what brings the padded rows up to date.
    panels : list of tuple
        Rows by gate, their panels, and the rows of a gate with padding.
    """

    def __init__(
        self,
        layer: LSTMLayer,
        lanes: int,
        constant_dim: int = 0,
        sequence_dims: Sequence[int] | None = None,
    ) -> None:
        self.lanes, self.hidden_dim, self.constant_dim = lanes, layer.hidden_size, constant_dim
        dims = [layer.input_size - constant_dim] if sequence_dims is None else sequence_dims
        # A single sequence is read to its last value and no further.
        self.columns = Columns(dims, 1, lanes if len(dims) > 1 else 1)
        self.units = round_up(self.hidden_dim, lanes)
        self.sequence_depth = self.columns.depth
        self.sequence_width = round_up(self.sequence_depth, lanes)
        self.constant_width = round_up(constant_dim, lanes)
        self.copies: list[Pair] = []
        self.sums: list[Pair] = []
        self.panels: list[tuple[Tensor, Tensor, int]] = []

        w_ih, w_hh, b_ih, b_hh = (weight.detach() for weight in layer.parameters())
        inputs, panels = self._pack(w_ih, self.columns, constant_dim)
        self.constant_panels = panels[:, :constant_dim]
        self.sequence_panels = panels[:, constant_dim:]
        self.hidden, self.hidden_panels = self._pack(w_hh, Columns([self.hidden_dim], 1, lanes), 0)
        self.bias = zeros(4 * self.units)
        valid = self.bias.view(4, -1)[:, : self.hidden_dim]
        self.copies.append((valid, b_ih.view(4, -1)))
        self.sums.append((valid, b_hh.view(4, -1)))
        self.d_input_weights = inputs[:, : constant_dim or self.sequence_depth]
        width, needed = self.d_input_weights.shape[1], self.constant_width or self.sequence_width
        if width < needed:
            # Rows that end with others' values will do for products, but not for results.
            padded = zeros(4 * self.units, needed)
            self.copies.append((padded[:, :width], self.d_input_weights))
            self.d_input_weights = padded

    def _pack(self, weight: Tensor, columns: Columns, constant_dim: int) -> Pair:
        """Return rows of gates, padded where they need be, and the same in panels."""
        depth = constant_dim + columns.depth
        rows, source = weight, weight.view(4, len(weight) // 4, -1)
        if weight.shape != (4 * self.units, depth):
            rows = zeros(4 * self.units, depth)
            valid = rows.view(4, self.units, depth)[:, : source.shape[1]]
            if constant_dim:
                self.copies.append((valid[..., :constant_dim], source[..., :constant_dim]))
            parts = columns.parts(source[..., constant_dim:], valid[..., constant_dim:])
            self.copies += [(padded, own) for own, padded in parts if own.shape[-1]]
        if len(columns.dims) > 1:
            # Its parts are apart from each other only in the padded rows.
            source = rows.view(4, self.units, depth)
        width = PANEL_VECTORS * self.lanes
        panels = zeros(4 * self.units // width, depth, width)
        self.panels.append((source, panels, self.units))
        return rows, panels


class PackedLinear:
    """A linear map's weights for the kernels.

    Attributes
    ----------
    rows : Tensor of shape (N, depth)
        The weights, padded; the weights themselves where there is nothing to pad.
    transposed : Tensor of shape (depth, width)
    bias : Tensor of shape (width,)
    copies, sums, panels
        What brings them up to date, as for a layer.
    """

    def __init__(self, linear: nn.Linear, lanes: int, columns: Columns) -> None:
        self.linear, self.lanes, self.columns = linear, lanes, columns
        weight, bias = linear.weight.detach(), linear.bias.detach()
        self.output_dim, self.depth = len(weight), columns.depth
        self.width = round_up(self.output_dim, lanes)
        self.copies: list[Pair] = []
        self.sums: list[Pair] = []
        self.rows = weight
        if weight.shape[1] != self.depth:
            self.rows = zeros(self.output_dim, self.depth)
            self.copies += [(padded, own) for own, padded in columns.parts(weight, self.rows)]
        self.transposed, self.bias = zeros(self.depth, self.width), zeros(self.width)
        self.panels = [(self.rows[None], self.transposed[None], self.width)]
        self.copies.append((self.bias[: self.output_dim], bias))


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
    trained : list of Parameter
        Those of the parameters that are trained.
    trains_encoder : bool
        Whether the encoder's are among them.
    encoder : list of list of PackedLSTM
        The two layers of each direction; or all layers of a reservoir.
    decoder : list of PackedLSTM
    projection : PackedLinear or None
        The map of pooled values to embeddings, if there is one.
    summary_columns : Columns
        How the pooled values of a series are padded.
    output : PackedLinear
    linear : PackedLinear or None
        The map of embeddings to the first timesteps, if there is one. It is fitted with the
        encoder, and counts as a part of it.
    programs : tuple of Program
        Bring the packed weights up to date, one for each half.
    zeros : Tensor of shape (1, n)
        As many as anything is wide; never written to.
    """

    def __init__(self, network: RecurrentAutoencoder, kernels: CompiledKernels) -> None:
        self.network, self.kernels = network, kernels
        self.parameters = list(network.parameters())
        self.trained = [weight for weight in self.parameters if weight.requires_grad]
        self.trains_encoder = not isinstance(network.encoder, ReservoirEncoder)
        a, lanes = network.architecture, kernels.lanes
        self.encoder, self.projection = _pack_encoder(network.encoder, a, lanes)
        self.summary_columns = _summary_columns(a, lanes)
        first, second = (cast(LSTMLayer, layer) for layer in network.decoder.layers)
        self.decoder = [PackedLSTM(first, lanes, a.embedding_dim), PackedLSTM(second, lanes)]
        self.output = PackedLinear(network.decoder.output, lanes, Columns([a.hidden_dim], 1, lanes))
        self.linear: PackedLinear | None = None
        if network.decoder.linear is not None:
            columns = Columns([a.embedding_dim], 1, 1)
            self.linear = PackedLinear(network.decoder.linear, lanes, columns)
        halves: list[list[PackedLSTM | PackedLinear]] = [
            [layer for layers in self.encoder for layer in layers],
            [*self.decoder, self.output],
        ]
        if self.projection is not None:
            halves[ENCODER].append(self.projection)
        if self.linear is not None:
            halves[ENCODER].append(self.linear)
        self.zeros = zeros(1, max(_widest(part) for half in halves for part in half))
        self.programs = Program(kernels), Program(kernels)
        for program, parts in zip(self.programs, halves, strict=True):
            for part in parts:
                program.copy_all(part.copies)
                program.add_all(part.sums)
                for rows, panels, padded_units in part.panels:
                    program.call("pack", rows=rows, panels=panels, padded_units=padded_units)
            program.finish()
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


def _pack_encoder(
    encoder: Encoder | ReservoirEncoder, architecture: Architecture, lanes: int
) -> tuple[list[list[PackedLSTM]], PackedLinear | None]:
    """Return the layers of an encoder, for each direction, and its projection."""
    a = architecture
    if isinstance(encoder, ReservoirEncoder):
        layers = [PackedLSTM(cast(LSTMLayer, layer), lanes) for layer in encoder.layers]
        columns = _summary_columns(a, lanes)
        if a.keeps_statistics:
            columns = Columns(columns.dims[-1:], 1, lanes)
        return [layers], PackedLinear(encoder.projection, lanes, columns)
    directions = [encoder.forward_layers]
    if a.bidirectional:
        directions.append(encoder.backward_layers)
    hidden_dims = [a.hidden_dim] * len(directions)
    packed = [
        [
            PackedLSTM(cast(LSTMLayer, first), lanes),
            PackedLSTM(cast(LSTMLayer, second), lanes, sequence_dims=hidden_dims),
        ]
        for first, second in directions
    ]
    if not isinstance(encoder.projection, nn.Linear):
        return packed, None
    return packed, PackedLinear(encoder.projection, lanes, _summary_columns(a, lanes))


def _summary_columns(architecture: Architecture, lanes: int) -> Columns:
    """Return how the pooled values of a series are padded."""
    a = architecture
    if a.pooling == "reservoir":
        n_parts = a.n_statistics // a.hidden_dim
        return Columns([a.hidden_dim] * n_parts + [a.n_linear_steps * a.n_channels], 1, lanes)
    n_directions = 2 if a.bidirectional else 1
    hidden_dims, embedding_dims = [a.hidden_dim] * n_directions, [a.embedding_dim] * n_directions
    if a.pooling == "statistics":
        return Columns(hidden_dims + embedding_dims, N_STATISTICS, lanes)
    return Columns(embedding_dims, 1, lanes)


def _widest(weights: PackedLSTM | PackedLinear) -> int:
    """Return the width of the widest row that a product with these weights starts from."""
    if isinstance(weights, PackedLinear):
        return max(weights.width, weights.depth)
    return max(weights.units, weights.constant_width, weights.sequence_width)


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
        gates = 4 * weights.units
        self.weights, self.into = weights, into
        inputs, hidden, bias, _ = into if is_first else (None,) * 4
        self.constant = _place(inputs, gates, weights.constant_width)
        self.sequences = _place(inputs, gates, weights.sequence_width)
        self.hidden = _place(hidden, gates, weights.units)
        self.bias = _place(bias, gates)

    def copies(self) -> list[Pair]:
        """Return what brings them into the gradients of the parameters."""
        hidden_dim, constant_dim = self.weights.hidden_dim, self.weights.constant_dim
        d_inputs, d_hidden, *d_biases = self.into
        d_inputs = d_inputs.view(4, hidden_dim, -1)
        constant, sequences, hidden = (
            found.view(4, self.weights.units, found.shape[1])[:, :hidden_dim]
            for found in (self.constant, self.sequences, self.hidden)
        )
        bias = self.bias.view(4, -1)[:, :hidden_dim]
        parts = self.weights.columns.parts(d_inputs[..., constant_dim:], sequences)
        pairs = [
            (d_inputs[..., :constant_dim], constant[..., :constant_dim]),
            *parts,
            (d_hidden.view(4, hidden_dim, -1), hidden[..., :hidden_dim]),
            *((d_bias.view(4, hidden_dim), bias) for d_bias in d_biases),
        ]
        return [pair for pair in pairs if pair[0].shape[-1]]


class LinearGradients:
    """Where a linear map's calls put the gradients of its weights; parameters as for a layer's."""

    def __init__(self, weights: PackedLinear, into: tuple[Tensor, ...], is_first: bool) -> None:
        self.weights, self.into = weights, into
        weight, bias = into if is_first else (None, None)
        self.rows = _place(weight, weights.output_dim, weights.depth)
        self.bias = _place(bias, weights.width)

    def copies(self) -> list[Pair]:
        """Return what brings them into the gradients of the parameters."""
        d_weight, d_bias = self.into
        bias = self.bias[: self.weights.output_dim]
        return [*self.weights.columns.parts(d_weight, self.rows), (d_bias, bias)]


class NetworkGradients:
    """Where programs that run one after the other leave the gradients of a network's weights.

    Parameters
    ----------
    weights : PackedNetwork
    into : list of Tensor
        The gradients of all trained parameters, in order, which `accumulate` adds to.
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

        self.encoder: list[list[LSTMGradients]] = []
        self.projection: LinearGradients | None = None
        if weights.trains_encoder:
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
        pairs = [[pair for part in half for pair in part.copies()] for half in halves]
        pairs[DECODER] += zip(of_head, self.head, strict=True)
        self.squares = [zeros(weights.kernels.double_lanes, dtype=torch.float64) for _ in HALVES]
        """Squares of the sums, whose total is the squared gradient norm of each half."""
        self.programs = Program(weights.kernels), Program(weights.kernels)
        for program, own, squares in zip(self.programs, pairs, self.squares, strict=True):
            if is_first:
                program.copy_all(
                    [(into, found) for into, found in own if not into.is_set_to(found)]
                )
            else:
                program.add_and_square_all(own, squares)
            program.finish()

    def accumulate(self, half: int) -> float | None:
        """Add a half's gradients to the batch's; return their norm, None after the first ones."""
        squares = self.squares[half].numpy()
        squares[:] = 0.0
        self.programs[half].run()
        return None if self.is_first else math.sqrt(sum(squares.tolist()))
