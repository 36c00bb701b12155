"""The gradients of a batch by programs of the kernels, parts of it side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from seqfeat.backpropagation.network_program import (
    NetworkProgram,
    NetworkWeights,
    PartShape,
)
from seqfeat.batches import TrainingSet
from seqfeat.corruption import Corruption
from seqfeat.network import RecurrentAutoencoder
from seqfeat.objective import Weighting
from seqfeat.threads import SideBySide

__all__ = ["Backpropagation"]

MOST_PROGRAMS = 64
"""That are kept of one thread: parts of a batch come in many lengths, and again in every epoch."""

Part = tuple[TrainingSet, Corruption]


class Backpropagation:
    """Finds the gradients of a network's loss.

    Its weights must stay where they are in memory.

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
        loss, n_threads = torch.zeros(()), side_by_side.n_threads
        for start in range(0, len(parts), n_threads):
            together = parts[start : start + n_threads]
            while len(self.desks) < len(together):
                self.desks.append(Desk(self.weights, self.gradients))
            desks = self.desks[: len(together)]
            # Not by the threads, which would wait for each other: only one can run Python.
            for desk, part in zip(desks, together, strict=True):
                desk.load(*part, weighting)
            for desk in side_by_side.map(Desk.run, desks):
                loss += desk.loss()
                desk.add_gradients(is_first=start == 0 and desk is desks[0])
        return loss


class Desk:
    """Where one part of a batch at a time is worked on."""

    def __init__(self, weights: NetworkWeights, gradients: list[Tensor]) -> None:
        self.weights, self.gradients = weights, gradients
        self.programs: dict[PartShape, tuple[NetworkProgram, list[Tensor], list[Tensor]]] = {}
        self.storage = torch.empty(0)

    def load(self, part: TrainingSet, corruption: Corruption, weighting: Weighting) -> None:
        """Take up a part."""
        network = self.weights.network
        inputs, n_steps = network.encoder_inputs(corruption.apply(part.values), part.lengths)
        shape = PartShape(
            *inputs.shape[:2],
            part.values.shape[1],
            part.is_dense,
            corruption.encoder_units is not None,
            corruption.decoder_units is not None,
        )
        self.program, self.into, self.found = self._program(shape)
        self.program.load(inputs, n_steps, part, corruption, weighting)

    def run(self) -> Desk:
        """Find its gradients."""
        self.program.run()
        return self

    def loss(self) -> Tensor:
        """Return its loss."""
        return self.program.loss()

    def add_gradients(self, is_first: bool) -> None:
        """Add them to the batch's; the first of a batch overwrites those of the batch before."""
        (torch._foreach_copy_ if is_first else torch._foreach_add_)(self.into, self.found)

    def _program(self, shape: PartShape) -> tuple[NetworkProgram, list[Tensor], list[Tensor]]:
        if shape not in self.programs:
            n_floats = NetworkProgram(self.weights, shape, None).n_floats
            if n_floats > len(self.storage) or len(self.programs) == MOST_PROGRAMS:
                self.programs.clear()
            if n_floats > len(self.storage):
                # Not both at once.
                self.storage = torch.empty(0)
                self.storage = torch.empty(n_floats)
            program = NetworkProgram(self.weights, shape, self.storage)
            copies = list(program.gradients(self.gradients))
            into, found = map(list, zip(*copies, strict=True))
            self.programs[shape] = program, into, found
        return self.programs[shape]
