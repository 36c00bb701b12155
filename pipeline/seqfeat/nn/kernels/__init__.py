"""Running a network: `make_backend` is the door, to PyTorch or to kernels compiled for this CPU.

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
- `layers`: windows, LSTM layers, linear maps and the decoder as calls of a program
- `encoder`: the encoder as calls of a program
- `embedder`: inference
- `training_step`, `backpropagation`, `adamw`: training

Everything but this file is imported when a network first needs it.
"""

from __future__ import annotations

import functools
import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from seqfeat.nn.backend import Backend, TorchBackend
from seqfeat.nn.batch import Batch
from seqfeat.nn.loss import error_sums, with_counts
from seqfeat.nn.network import RecurrentAutoencoder, trained_weight_names
from seqfeat.runtime.fork_safety import ForkSafeLock

if TYPE_CHECKING:
    from seqfeat.nn.kernels.ir.jit import CompiledKernels

__all__ = ["CompiledBackend", "make_backend"]

_lock = ForkSafeLock()
"""Held while modules are imported and kernels compiled, which a forked process could not finish."""


def make_backend(network: RecurrentAutoencoder, device: torch.device) -> Backend:
    """Move a network to a device, and return what runs it there.

    PyTorch runs networks that are not on a CPU; where llvmlite is not installed or
    ``SEQFEAT_FAST=0`` is set; that have hooks, which want modules to be called; and of which
    only some weights are trained. The compiled kernels run all others.
    """
    network.to(device)
    with _lock:
        kernels = _kernels() if _can_compile(network) else None
        return CompiledBackend(network, kernels) if kernels else TorchBackend(network, device)


def _can_compile(network: RecurrentAutoencoder) -> bool:
    parameters = dict(network.named_parameters())
    weights = list(parameters.values())
    names = [name for name, weight in parameters.items() if weight.requires_grad]
    hooks = [hook for module in network.modules() for hook in _hooks(module)]
    return (
        all(weight.is_cpu and weight.dtype is torch.float32 for weight in weights)
        and names in ([], trained_weight_names(network.architecture, parameters))
        and not any(hooks)
        and not any(weight._backward_hooks for weight in weights)
    )


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
        weights = PackedNetwork(network, kernels)
        embedder = Embedder(weights)
        self.embed, self.scale_and_embed = embedder.embed, embedder.scale_and_embed
        self.summarize, self.decode = embedder.summarize, embedder.decode
        self.decode_recurrently = embedder.decode_recurrently
        self.timestep_states = embedder.timestep_states
        if not embedder.is_frozen:
            from seqfeat.nn.kernels.backpropagation import Backpropagation

            backpropagation = Backpropagation(weights)
            self.backward, self.add_up = backpropagation.run, backpropagation.add_up
            self.update = backpropagation.update

    def error_sums(self, part: Batch) -> Tensor:
        """Return a part's summed errors, and how many values and series they are of."""
        with torch.no_grad():
            embeddings, decode = part.embeddings, self.decode_recurrently
            if embeddings is None:
                embeddings, decode = self.embed(part.values, part.lengths), self.decode
            reconstruction = decode(embeddings, part.values.shape[1])
            sums = error_sums(part, embeddings, reconstruction, self.network.head)
            return with_counts(part, *sums)
