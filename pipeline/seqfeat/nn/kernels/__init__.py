"""The network compiled for the CPU at hand; `compiled_backend` is the door to all of it.

For networks as small as the default, autograd, its graph and Python take as long as the arithmetic,
and two threads cannot do it at once. Here, everything between a part of a batch and its gradients,
or its embeddings, is one program of compiled kernels that runs in a single call. PyTorch is the
other way to run a network, and the one that the tests compare with. `docs/kernels.md` explains how
a training step becomes a program.

Modules in reading order:

- `ir`: the kernels, as LLVM code, and their compilation
- `program`: calls of the kernels, checked against their declarations, and their memory
- `program_cache`: programs of several shapes in one storage
- `weights`: a network's weights and gradients in the kernels' layout
- `layers`, `encoder`, `decoder`: the calls that these are made of
- `embedder`: inference
- `training_step`, `backpropagation`, `adamw`: training

Everything but this file is imported when a network first needs it.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from seqfeat.nn.batch import Batch
from seqfeat.nn.corruption import Corruption
from seqfeat.nn.loss import LossWeights, error_sums, with_counts
from seqfeat.nn.network import RecurrentAutoencoder
from seqfeat.runtime.threads import WorkerPool

if TYPE_CHECKING:
    from seqfeat.nn.kernels.ir.jit import CompiledKernels

__all__ = ["CompiledBackend", "compiled_backend"]


def compiled_backend(network: RecurrentAutoencoder) -> CompiledBackend | None:
    """Return what runs a network by the compiled kernels, or None.

    None is for a network that the kernels do not run: it is not on the CPU, llvmlite is not
    installed or ``SEQFEAT_FAST=0`` is set; it has hooks, which want its modules to be called; or
    only some of its weights are trained.
    """
    weights = list(network.parameters())
    is_plain = all(weight.is_cpu and weight.dtype is torch.float32 for weight in weights)
    n_trained = sum(weight.requires_grad for weight in weights)
    hooks = [hook for part in network.modules() for hook in _hooks(part)]
    hooks += [weight._backward_hooks for weight in weights]
    if not is_plain or n_trained not in (0, len(weights)) or any(hooks):
        return None
    kernels = _kernels()
    return None if kernels is None else CompiledBackend(network, kernels)


def _hooks(module: torch.nn.Module) -> list[Any]:
    return [module._forward_pre_hooks, module._forward_hooks, module._backward_hooks]


def _kernels() -> CompiledKernels | None:
    if not _is_wanted():
        return None
    from seqfeat.nn.kernels.ir.jit import compiled_kernels

    return compiled_kernels()


@functools.cache
def _is_wanted() -> bool:
    """Tell whether llvmlite is installed, and ``SEQFEAT_FAST=0`` does not forbid its use."""
    return os.environ.get("SEQFEAT_FAST") != "0" and find_spec("llvmlite") is not None


class CompiledBackend:
    """Runs a network by programs of the kernels; see `seqfeat.nn.backend.Backend`."""

    is_compiled = True

    def __init__(self, network: RecurrentAutoencoder, kernels: CompiledKernels) -> None:
        from seqfeat.nn.kernels.embedder import Embedder
        from seqfeat.nn.kernels.weights import PackedNetwork

        self.network, self.device = network, torch.device("cpu")
        self.weights = PackedNetwork(network, kernels)
        embedder = Embedder(self.weights)
        self.embed, self.scale_and_embed = embedder.embed, embedder.scale_and_embed
        self.summarize, self.decode = embedder.summarize, embedder.decode
        self._backpropagation: Any = None
        self._optimizer: Any = None

    def error_sums(self, part: Batch) -> Tensor:
        """Return a part's summed errors, and how many values and series they are of."""
        with torch.no_grad():
            embeddings = self.embed(part.values, part.lengths)
            reconstruction = self.decode(embeddings, part.values.shape[1])
            sums = error_sums(part, embeddings, reconstruction, self.network.head)
            return with_counts(part, *sums)

    def backward(
        self,
        parts: Sequence[tuple[Batch, Corruption]],
        weights: LossWeights,
        pool: WorkerPool,
    ) -> float:
        """Find the gradients of all parts, and return their loss."""
        if self._backpropagation is None:
            from seqfeat.nn.kernels.backpropagation import Backpropagation

            self._backpropagation = Backpropagation(self.weights)
        loss: float = self._backpropagation.run(parts, weights, pool)
        return loss

    def add_up(self, add: Callable[[Tensor], Tensor], loss: Tensor | float) -> float:
        """Add up the gradients over processes; return the sum of the losses."""
        total: float = self._backpropagation.add_up(add, float(loss))
        return total

    def update(self, optimizer: torch.optim.AdamW, max_norm: float, pool: WorkerPool) -> float:
        """Take a step of an optimizer with clipped gradients, and return their norm."""
        if self._optimizer is None or self._optimizer.optimizer is not optimizer:
            from seqfeat.nn.kernels.adamw import CompiledAdamW

            self._optimizer = CompiledAdamW(optimizer, self._backpropagation, max_norm)
        norm: float = self._optimizer.step(pool)
        return norm
