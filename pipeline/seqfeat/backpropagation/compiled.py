"""The gradients of a batch by programs of the kernels, parts of it side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seqfeat.backpropagation.network_program import NetworkProgram, PartShape
from seqfeat.backpropagation.network_weights import NetworkGradients, NetworkWeights
from seqfeat.batches import TrainingSet
from seqfeat.corruption import Corruption
from seqfeat.network import RecurrentAutoencoder, n_windows
from seqfeat.objective import Weighting
from seqfeat.threads import SideBySide

__all__ = ["Backpropagation"]

MOST_PROGRAMS = 64
"""That are kept of one thread: parts of a batch come in many lengths, and again in every epoch."""

Part = tuple[TrainingSet, Corruption]


class Backpropagation:
    """Finds the gradients of a network's loss, and leaves them in its parameters' ``grad``.

    The weights must stay where they are in memory.

    Attributes
    ----------
    flat : Tensor
        The gradients of all parameters, one behind the other.
    gradients : list of Tensor
        Views of it, in the order and of the shapes of the parameters.
    """

    def __init__(self, network: RecurrentAutoencoder) -> None:
        self.network = network
        self.parameters = list(network.parameters())
        self.flat = torch.zeros(sum(weight.numel() for weight in self.parameters))
        parts = torch.split(self.flat, [weight.numel() for weight in self.parameters])
        pairs = zip(parts, self.parameters, strict=True)
        self.gradients = [part.view_as(weight) for part, weight in pairs]
        self.weights = NetworkWeights(network)
        self.desks: list[Desk] = []

    def run(self, parts: Sequence[Part], weighting: Weighting, side_by_side: SideBySide) -> Tensor:
        """Write the gradients of some parts, added up, into `flat`, and return their loss."""
        self.weights.refresh()
        for weight, gradient in zip(self.parameters, self.gradients, strict=True):
            weight.grad = gradient
        loss, n_threads = 0.0, side_by_side.n_threads
        while len(self.desks) < min(len(parts), n_threads):
            self.desks.append(Desk(self.weights, self.gradients))

        def load(number: int) -> Desk:
            # As many at a time as there are threads, and so none at the same desk.
            desk = self.desks[number % n_threads]
            desk.load(*parts[number], weighting)
            return desk

        for number, desk in enumerate(side_by_side.map(Desk.run, range(len(parts)), load)):
            loss += desk.program.loss()
            desk.gradients.hand_over(is_first=number == 0)
        return torch.tensor(loss)

    def is_at(self, weights: Sequence[nn.Parameter]) -> bool:
        """Tell whether the gradients that the weights have are those in `flat`."""
        return weights[0].grad is self.gradients[0]


class Desk:
    """Where one part of a batch at a time is worked on."""

    def __init__(self, weights: NetworkWeights, into: list[Tensor]) -> None:
        self.weights, self.gradients = weights, NetworkGradients(weights, into)
        self.programs: dict[PartShape, NetworkProgram] = {}
        self.storage = torch.empty(0)

    def load(self, part: TrainingSet, corruption: Corruption, weighting: Weighting) -> None:
        """Take up a part."""
        network = self.weights.network
        n_steps, a = network.n_steps(part.lengths), network.architecture
        n_series, n_timesteps, _ = part.values.shape
        shape = PartShape(
            n_series,
            n_windows(n_timesteps, a.window_len, a.window_stride),
            n_timesteps,
            part.is_dense,
            corruption.encoder_units is not None,
            corruption.decoder_units is not None,
        )
        self.program = self._program(shape)
        self.program.load(n_steps, part, corruption, weighting)

    def run(self) -> Desk:
        """Find its gradients."""
        self.program.run()
        return self

    def _program(self, shape: PartShape) -> NetworkProgram:
        if shape not in self.programs:
            program = NetworkProgram(self.gradients, shape, self.storage)
            if program.n_floats > len(self.storage) or len(self.programs) == MOST_PROGRAMS:
                self.programs.clear()
            if program.n_floats > len(self.storage):
                # Not both at once.
                self.storage = torch.empty(0)
                self.storage = torch.empty(program.n_floats)
                program = NetworkProgram(self.gradients, shape, self.storage)
            self.programs[shape] = program
        return self.programs[shape]
