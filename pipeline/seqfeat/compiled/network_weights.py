"""A network's weights and gradients as its programs take and leave them."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from itertools import islice
from typing import cast

import torch
from torch import Tensor, nn

from seqfeat.compiled.layer_calls import LayerGradients, LayerWeights
from seqfeat.compiled.linear_calls import ExactWeights, LinearGradients, LinearWeights
from seqfeat.network import RecurrentAutoencoder
from seqfeat.recurrence import LSTMLayer
from seqfeat.recurrence.passes import version_of
from seqfeat.recurrence.program import Program

__all__ = ["DECODER", "ENCODER", "HALVES", "N_STATISTICS", "NetworkGradients", "NetworkWeights"]

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
        Gradients of all parameters, in order, to `hand_over` to.
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

    def hand_over(self, half: int) -> float | None:
        """Add those of a half to the batch's, and return how long these are; None for the first."""
        squares = self.squares[half]
        squares[:] = [0.0] * len(squares)
        self.programs[half].run()
        return None if self.is_first else math.sqrt(sum(squares))
