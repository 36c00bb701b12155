"""The gradients of a batch by programs of the kernels, several parts of it at once."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from seqfeat.nn.batch import Batch
from seqfeat.nn.corruption import Corruption
from seqfeat.nn.kernels.adamw import CompiledAdamW
from seqfeat.nn.kernels.program_cache import ProgramCache
from seqfeat.nn.kernels.training_step import PartShape, TrainingStep
from seqfeat.nn.kernels.weights import HALVES, NetworkGradients, PackedNetwork
from seqfeat.nn.loss import LossWeights
from seqfeat.runtime.threads import WorkerPool

__all__ = ["Backpropagation"]

MIN_SHARED_WEIGHTS = 200_000
"""Weights that two threads update at once; fewer take less time than waking the other thread."""

Part = tuple[Batch, Corruption]


class Backpropagation:
    """Finds the gradients of a network's loss.

    Attributes
    ----------
    flat : Tensor
        The gradients of all trained parameters, one after the other.
    gradients : list of Tensor
        Views of it, in the order and of the shapes of the parameters.
    """

    def __init__(self, weights: PackedNetwork) -> None:
        self.weights = weights
        sizes = [weight.numel() for weight in weights.trained]
        self.flat = torch.zeros(sum(sizes), dtype=torch.float32, device="cpu")
        pairs = zip(torch.split(self.flat, sizes), weights.trained, strict=True)
        self.gradients = [part.view_as(weight) for part, weight in pairs]
        n_encoder = sum(
            weight.numel()
            for weight in weights.network.encoder.parameters()
            if weight.requires_grad
        )
        self.halves = self.flat[:n_encoder], self.flat[n_encoder:]
        self.norms: list[float | None] = [None, None]
        """The norm of each half's gradients, where it was found on the way."""
        self.workspaces: list[Workspace] = []
        self.optimizer: CompiledAdamW | None = None

    def run(self, parts: Sequence[Part], loss_weights: LossWeights, pool: WorkerPool) -> float:
        """Write the gradients of all parts, added up, into `flat`; return their loss."""
        weights, n_threads = self.weights, pool.n_threads
        self.norms = [None, None]
        if not weights.is_fresh():
            self.for_each_half(lambda half: weights.programs[half].run(), pool)
            weights.mark_fresh()
        if not parts:
            self.flat.zero_()
        while len(self.workspaces) < min(len(parts), n_threads):
            self.workspaces.append(Workspace(weights, self.gradients))

        def load(number: int) -> TrainingStep:
            # As many at a time as there are threads, and so each in a workspace of its own.
            workspace = self.workspaces[number % n_threads]
            return workspace.load(*parts[number], loss_weights, is_first=number == 0)

        loss = 0.0
        for first in range(0, len(parts), n_threads):
            numbers = range(first, min(first + n_threads, len(parts)))
            steps = list(pool.map(TrainingStep.run, numbers, load))
            loss = sum((step.loss() for step in steps), start=loss)
            self.for_each_half(partial(self._accumulate, steps), pool)
        return loss

    def _accumulate(self, steps: Sequence[TrainingStep], half: int) -> None:
        for step in steps:
            self.norms[half] = step.gradients.accumulate(half)

    def for_each_half(self, function: Callable[[int], object], pool: WorkerPool) -> None:
        """Call a function for each half of the weights, for both at once if these are many."""
        if len(self.flat) >= MIN_SHARED_WEIGHTS:
            list(pool.map(function, HALVES))
        else:
            for half in HALVES:
                function(half)

    def update(self, optimizer: torch.optim.AdamW, max_norm: float, pool: WorkerPool) -> float:
        """Take a step of an optimizer with clipped gradients; return their norm before clipping."""
        if self.optimizer is None or self.optimizer.state is not optimizer.state:
            self.optimizer = CompiledAdamW(optimizer, self.weights, self.gradients)
        norm = self.norm
        clip = min(1.0, max_norm / (norm + 1e-6)) if math.isfinite(norm) else math.nan
        programs = self.optimizer.prepare_step(clip)
        self.for_each_half(lambda half: programs[half].run(), pool)
        self.optimizer.finish_step()
        return norm

    def add_up(self, add: Callable[[Tensor], Tensor], loss: Tensor | float) -> float:
        """Replace the gradients by their sum over processes; return the sum of the losses.

        `add` returns the sum of a tensor over all processes.
        """
        own = torch.tensor([float(loss)], dtype=torch.float32, device="cpu")
        total = add(torch.cat([self.flat, own]))
        self.flat.copy_(total[:-1])
        self.norms = [None, None]
        return float(total[-1])

    @property
    def norm(self) -> float:
        """The norm of all gradients together."""
        pairs = zip(self.halves, self.norms, strict=True)
        return math.hypot(*(torch.linalg.vector_norm(x) if n is None else n for x, n in pairs))


class Workspace:
    """Memory, programs and gradients of one part at a time."""

    def __init__(self, weights: PackedNetwork, into: list[Tensor]) -> None:
        self.weights = weights
        self.gradients = functools.cache(partial(NetworkGradients, weights, into))
        self.cache = ProgramCache()

    def load(
        self, part: Batch, corruption: Corruption, loss_weights: LossWeights, *, is_first: bool
    ) -> TrainingStep:
        """Return the program for a part, with the part loaded."""
        shape = PartShape.of(part, corruption, is_first)
        step = self.cache.get(
            shape, lambda: TrainingStep(self.weights, self.gradients(is_first), shape)
        )
        step.load(part, corruption, loss_weights)
        return step
