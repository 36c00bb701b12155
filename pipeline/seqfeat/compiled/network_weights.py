"""A network's weights and gradients as its programs take and leave them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import cast

import torch
from torch import Tensor, nn

from seqfeat.compiled.layer_calls import Copy, LayerGradients, LayerWeights
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
    """Where the programs that run one after the other leave the gradients of the weights.

    Parameters
    ----------
    weights : NetworkWeights
    into : list of Tensor
        Gradients of all parameters, in order, to `hand_over` to.
    """

    def __init__(self, weights: NetworkWeights, into: list[Tensor]) -> None:
        self.weights = weights
        self.layers = list(map(LayerGradients, weights.layers))
        self.output = LinearGradients(weights.output)
        self.projection: LinearGradients | None = None
        if weights.projection is not None:
            self.projection = LinearGradients(weights.projection)
        self.head: list[Tensor] = []
        if weights.network.head is not None:
            self.head = [torch.empty_like(weight) for weight in weights.network.head.parameters()]
        left = iter(into)
        copies = list(self._encoder_copies(left)), list(self._decoder_copies(left))
        self.overwrite, self.add_up = ([Program(weights.kernels) for _ in HALVES] for _ in range(2))
        for half in HALVES:
            for target, found in copies[half]:
                self.overwrite[half].copy(target, found)
                self.add_up[half].add(target, found)
            self.overwrite[half].finish()
            self.add_up[half].finish()

    def hand_over(self, half: int, is_first: bool) -> None:
        """Add those of a half to the batch's; the first overwrites those of one before."""
        (self.overwrite if is_first else self.add_up)[half].run()

    def _encoder_copies(self, left: Iterator[Tensor]) -> Iterator[Copy]:
        for layer in self.layers[:2]:
            yield from layer.copies(tuple(islice(left, 4)))
        if self.projection is not None:
            yield from self.projection.copies(tuple(islice(left, 2)))

    def _decoder_copies(self, left: Iterator[Tensor]) -> Iterator[Copy]:
        for layer in self.layers[2:]:
            yield from layer.copies(tuple(islice(left, 4)))
        yield from self.output.copies(tuple(islice(left, 2)))
        yield from zip(left, self.head, strict=True)
