"""The gradients of a batch by programs of the kernels, parts of it side by side."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from seqfeat.nn.batch import Batch
from seqfeat.nn.corruption import Corruption
from seqfeat.nn.kernels.encoder import PartShape
from seqfeat.nn.kernels.program_cache import ProgramCache
from seqfeat.nn.kernels.training_step import NetworkProgram
from seqfeat.nn.kernels.weights import HALVES, NetworkGradients, NetworkWeights
from seqfeat.nn.loss import LossWeights
from seqfeat.nn.network import RecurrentAutoencoder
from seqfeat.runtime.threads import WorkerPool

__all__ = ["Backpropagation"]

LEAST_SHARED = 200_000
"""Weights that two threads update at once; fewer take less time than waking the other one."""

Part = tuple[Batch, Corruption]


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
        n_encoder = sum(weight.numel() for weight in network.encoder.parameters())
        self.halves = self.flat[:n_encoder], self.flat[n_encoder:]
        self.norms: list[float | None] = [None, None]
        self.weights = NetworkWeights(network)
        self.places: list[Workspace] = []

    def run(self, parts: Sequence[Part], weighting: LossWeights, pool: WorkerPool) -> float:
        """Write the gradients of some parts, added up, into `flat`, and return their loss."""
        if not self.weights.is_fresh():
            self.on_halves(lambda half: self.weights.programs[half].run(), pool)
            self.weights.refreshed()
        for weight, gradient in zip(self.parameters, self.gradients, strict=True):
            weight.grad = gradient
        loss, n_threads = 0.0, pool.n_threads
        while len(self.places) < min(len(parts), n_threads):
            self.places.append(Workspace(self.weights, self.gradients))

        def load(number: int) -> Workspace:
            # As many at a time as there are threads, and so none at the same place.
            place = self.places[number % n_threads]
            place.load(*parts[number], weighting, is_first=number == 0)
            return place

        for first in range(0, len(parts), n_threads):
            numbers = range(first, min(first + n_threads, len(parts)))
            places = list(pool.map(Workspace.run, numbers, load))
            loss = sum((place.loss for place in places), start=loss)
            self.on_halves(partial(self.add_up, [place.program for place in places]), pool)
        return loss

    def add_up(self, programs: Sequence[NetworkProgram], half: int) -> None:
        """Add what was found for a half of the weights; note how long it is now, if known."""
        self.norms[half] = None
        for program in programs:
            self.norms[half] = program.found.accumulate(half)

    def on_halves(self, function: Callable[[int], object], pool: WorkerPool) -> None:
        """Do something for each of `HALVES` of the weights, at once if there are many weights."""
        if len(self.flat) >= LEAST_SHARED:
            list(pool.map(function, HALVES))
        else:
            for half in HALVES:
                function(half)

    @property
    def norm(self) -> float:
        """How long the gradients are, all together."""
        pairs = zip(self.halves, self.norms, strict=True)
        return math.hypot(*(torch.linalg.vector_norm(x) if n is None else n for x, n in pairs))

    def is_at(self, weights: Sequence[nn.Parameter]) -> bool:
        """Tell whether the gradients that the weights have are those in `flat`."""
        return weights[0].grad is self.gradients[0]


class Workspace:
    """Where the gradients of one part at a time are found."""

    def __init__(self, weights: NetworkWeights, into: list[Tensor]) -> None:
        self.network = weights.network
        gradients = functools.cache(partial(NetworkGradients, weights, into))
        self.desk = ProgramCache(
            lambda shape, storage: NetworkProgram(gradients(shape.is_first), shape, storage)
        )

    def load(
        self, part: Batch, corruption: Corruption, weighting: LossWeights, is_first: bool
    ) -> None:
        """Take up a part."""
        n_series, n_timesteps, _ = part.values.shape
        shape = PartShape(
            n_series,
            n_timesteps,
            part.is_dense,
            corruption.encoder_units is not None,
            corruption.decoder_units is not None,
            is_first,
        )
        self.program = self.desk.program(shape)
        self.program.load(part, corruption, weighting)

    def run(self) -> Workspace:
        """Find its gradients, and its loss."""
        self.program.run()
        self.loss = self.program.loss()
        return self
