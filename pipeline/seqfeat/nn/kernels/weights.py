"""A network's weights and gradients as its programs take and leave them."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from itertools import islice
from typing import cast

import torch
from torch import Tensor, nn

from seqfeat.nn.kernels.ir.jit import Kernels
from seqfeat.nn.kernels.ir.matmul import PANEL_WIDTH
from seqfeat.nn.kernels.layers import (
    ExactWeights,
    LayerGradients,
    LayerWeights,
    LinearGradients,
    LinearWeights,
)
from seqfeat.nn.kernels.program import Program, rounded_up
from seqfeat.nn.lstm import LSTMLayer
from seqfeat.nn.network import RecurrentAutoencoder

__all__ = ["HALVES", "N_STATISTICS", "NetworkGradients", "NetworkWeights", "Packed", "version_of"]

N_STATISTICS = 4
"""Of each unit, where pooling is by statistics."""
HALVES = ENCODER, DECODER = 0, 1
"""Of the weights, which two threads bring up to date at once; a head is the decoder's."""


class NetworkWeights:
    """A network's weights as its programs take them."""

    def __init__(self, network: RecurrentAutoencoder) -> None:
        self.network = network
        self.parameters = list(network.parameters())
        self.addresses = [weight.data_ptr() for weight in self.parameters]
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
        self.programs = Program(self.kernels), Program(self.kernels)
        """For each half, what takes over what was written into the weights."""
        for number, layer in enumerate(self.layers):
            self.programs[ENCODER if number < 2 else DECODER].rows += layer.program.rows
        if self.projection is not None:
            self.programs[ENCODER].rows += self.projection.program.rows
        self.programs[DECODER].rows += self.output.program.rows
        for program in self.programs:
            program.finish()
        widths = [layer.input_size for layer in layers] + [part.depth for part in linear]
        self.zeros = torch.zeros(max(4 * a.hidden_dim, *widths) + 4 * self.kernels.lanes)
        self.versions: tuple[int, ...] = ()
        self.exact_projection: ExactWeights | None = None
        """As `Encoder.forward` has it, for those who `refresh_exactly`."""

    def is_fresh(self) -> bool:
        """Tell whether nothing was written into the weights since it was taken over."""
        return self.versions == self._versions()

    def refreshed(self) -> None:
        """Take note that both programs ran."""
        self.versions = self._versions()

    def refresh_exactly(self) -> None:
        """Take over what was written, and the linear map behind the pooling in float64."""
        for program in self.programs:
            program.run()
        if self.projection is not None:
            self.exact_projection = self.exact_projection or ExactWeights(self.projection)
            self.exact_projection.refresh()
        self.refreshed()

    def _versions(self) -> tuple[int, ...]:
        return tuple(map(version_of, self.parameters))

    def is_at_hand(self) -> bool:
        """Tell whether the weights are still where they were in memory."""
        return self.addresses == [weight.data_ptr() for weight in self.parameters]


class NetworkGradients:
    """Where programs that run one after the other leave the gradients of the weights.

    Parameters
    ----------
    weights : NetworkWeights
    into : list of Tensor
        Gradients of all parameters, in order, to `accumulate` to.
    is_first : bool
        Whether they are a batch's first and overwrite those of the one before. Then most need
        no handing over, as they lie there from the beginning.
    """

    def __init__(self, weights: NetworkWeights, into: list[Tensor], is_first: bool) -> None:
        self.weights, left = weights, iter(into)

        def of_layers(layers: Sequence[LayerWeights]) -> list[LayerGradients]:
            return [LayerGradients(layer, tuple(islice(left, 4)), is_first) for layer in layers]

        def of_linear(linear: LinearWeights) -> LinearGradients:
            return LinearGradients(linear, tuple(islice(left, 2)), is_first)

        encoder = of_layers(weights.layers[:2])
        self.projection = None if weights.projection is None else of_linear(weights.projection)
        decoder = of_layers(weights.layers[2:])
        self.layers, self.output = encoder + decoder, of_linear(weights.output)
        of_head = list(left)
        self.head = of_head if is_first else list(map(torch.empty_like, of_head))
        linear = [] if self.projection is None else [self.projection]
        halves: list[list[LayerGradients | LinearGradients]]
        halves = [[*encoder, *linear], [*decoder, self.output]]
        copies = [[pair for part in parts for pair in part.copies()] for parts in halves]
        copies[DECODER] += zip(of_head, self.head, strict=True)
        self.programs = Program(weights.kernels), Program(weights.kernels)
        self.is_first = is_first
        self.squares = [(ctypes.c_double * weights.kernels.double_lanes)() for _ in HALVES]
        """Of what was added up to, for each half."""
        for half, program in enumerate(self.programs):
            for target, found in copies[half]:
                if not is_first:
                    squares = ctypes.addressof(self.squares[half])
                    program.add_and_measure(target, found, squares)
                elif target.data_ptr() != found.data_ptr():
                    program.copy(target, found)
            program.finish()

    def accumulate(self, half: int) -> float | None:
        """Add those of a half to the batch's, and return how long these are; None for the first."""
        squares = self.squares[half]
        squares[:] = [0.0] * len(squares)
        self.programs[half].run()
        return None if self.is_first else math.sqrt(sum(squares))


class Packed:
    """A layer's weights in the kernels' layout, units filled up to whole vectors with zeros.

    Attributes
    ----------
    kernels : Kernels
    units : int
        U, in whole vectors.
    inputs : Tensor of shape (4U, D), hidden : Tensor of shape (4U, U)
        For the gradients; the weights themselves where nothing is to be filled up.
    bias : Tensor of shape (4U,)
    by_input : Tensor of shape (panels, D, width), by_hidden : Tensor of shape (panels, U, width)
        The first two transposed, in panels.
    versions : tuple of int
        How often each of the weights had been written to.
    """

    def __init__(
        self, kernels: Kernels, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor
    ) -> None:
        hidden_dim, depth = w_hh.shape[1], w_ih.shape[1]
        self.kernels = kernels
        self.units = units = rounded_up(hidden_dim, kernels.lanes)
        self.addresses = tuple(weight.data_ptr() for weight in (w_ih, w_hh, b_ih, b_hh))
        self.versions: tuple[int, ...] = ()
        self.program = Program(kernels)
        w_ih, w_hh, b_ih, b_hh = (weight.detach() for weight in (w_ih, w_hh, b_ih, b_hh))
        self.inputs, self.by_input = self._places_of(w_ih, depth)
        self.hidden, self.by_hidden = self._places_of(w_hh, units)
        self.bias = torch.zeros(4 * units)
        own = self.bias.view(4, units)[:, :hidden_dim]
        self.program.copy(own, b_ih.view(4, hidden_dim))
        self.program.add(own, b_hh.view(4, hidden_dim))
        self.program.finish()

    def _places_of(self, rows: Tensor, filled_depth: int) -> tuple[Tensor, Tensor]:
        """Return places for rows of gates, filled up, and for the same in panels."""
        n_units, depth = len(rows) // 4, rows.shape[1]
        filled, width = rows, PANEL_WIDTH * self.kernels.lanes
        if (n_units, depth) != (self.units, filled_depth):
            filled = torch.zeros(4 * self.units, filled_depth)
            own = filled.view(4, self.units, filled_depth)[:, :n_units, :depth]
            self.program.copy(own, rows.view(4, n_units, depth))
        panels = torch.zeros(4 * self.units // width, filled_depth, width)
        sizes = 4, n_units, depth, self.units
        into = panels.data_ptr(), filled_depth, width
        self.program.call("pack", rows.data_ptr(), *sizes, *into)
        return filled, panels

    def refresh(self, weights: tuple[Tensor, ...]) -> None:
        """Take over what was written into the weights."""
        versions = tuple(map(version_of, weights))
        self.program.run()
        # Last, as threads that see it take the rest as done.
        self.versions = versions

    def lies_in(self, weights: tuple[Tensor, ...]) -> bool:
        """Tell whether these are the weights, wherever they may have been moved."""
        return self.addresses == tuple(weight.data_ptr() for weight in weights)

    def is_of(self, weights: tuple[Tensor, ...]) -> bool:
        """Tell whether the weights have not been written to since."""
        return self.versions == tuple(map(version_of, weights))


def version_of(weight: Tensor) -> int:
    """Return how often a weight was written to."""
    # Tensors made in inference mode count nothing; networks made there are never trained.
    return 0 if weight.is_inference() else weight._version
