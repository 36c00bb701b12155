"""A network's weights and gradients as its programs take and leave them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

from seqfeat.compiled.layer_calls import Copy, LayerGradients, LayerWeights
from seqfeat.compiled.linear_calls import ExactWeights, LinearGradients, LinearWeights
from seqfeat.network import RecurrentAutoencoder
from seqfeat.recurrence import LSTMLayer
from seqfeat.recurrence.passes import version_of
from seqfeat.recurrence.program import Program

__all__ = ["N_STATISTICS", "NetworkGradients", "NetworkWeights"]

N_STATISTICS = 4
"""Of each unit, where pooling is by statistics."""


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
        self.program = Program(self.kernels)
        for program in [part.program for part in self.layers] + [part.program for part in linear]:
            self.program.rows += program.rows
        self.program.finish()
        widths = [layer.input_size for layer in layers] + [part.depth for part in linear]
        self.zeros = torch.zeros(max(4 * a.hidden_dim, *widths) + 4 * self.kernels.lanes)
        self.versions: tuple[int, ...] = ()
        self.exact_projection: ExactWeights | None = None
        """As `Encoder.forward` has it, kept up to date by `refresh_if_changed`."""

    def refresh(self) -> None:
        """Take over what was written into the weights."""
        self.program.run()

    def refresh_if_changed(self) -> None:
        """Take it over unless nothing was written since the last time."""
        versions = tuple(map(version_of, self.parameters))
        if versions != self.versions:
            self.refresh()
            if self.projection is not None:
                self.exact_projection = self.exact_projection or ExactWeights(self.projection)
                self.exact_projection.refresh(self.projection)
            self.versions = versions

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
        self.overwrite, self.add_up = Program(weights.kernels), Program(weights.kernels)
        for target, found in self._copies(into):
            self.overwrite.copy(target, found)
            self.add_up.add(target, found)
        self.overwrite.finish()
        self.add_up.finish()

    def hand_over(self, is_first: bool) -> None:
        """Add them to those of the batch; the first overwrites those of one before."""
        (self.overwrite if is_first else self.add_up).run()

    def _copies(self, into: list[Tensor]) -> Iterator[Copy]:
        left = iter(into)

        def some(number: int) -> tuple[Tensor, ...]:
            return tuple(next(left) for _ in range(number))

        for layer in self.layers[:2]:
            yield from layer.copies(some(4))
        if self.projection is not None:
            yield from self.projection.copies(some(2))
        for layer in self.layers[2:]:
            yield from layer.copies(some(4))
        yield from self.output.copies(some(2))
        yield from zip(left, self.head, strict=True)
