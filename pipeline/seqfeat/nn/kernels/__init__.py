"""Training steps and embeddings as programs of the compiled kernels.

For networks as small as the default, autograd, its graph and Python take as long as what they
compute, and two threads cannot do it at once. Here all that lies between a part of a
batch and its gradients, or its embeddings, is one program of the kernels, which runs in one
call. What it does not cover is left to PyTorch, with which the tests compare.

Modules in reading order, dependencies above users: `layer_calls` and `linear_calls` (a layer's
and a linear map's share of a program), `network_weights` (a network's weights as programs take
them), `encoder_program` and `network_program` (a network's), `desk` (programs of many shapes),
`embedding_program` and `embedder` (`Embedder`, for inference), `backpropagation`
(`Backpropagation`, for training), `optimizer` (`CompiledAdamW`). All but this file are loaded
when they are first needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from seqfeat.nn.network import RecurrentAutoencoder

if TYPE_CHECKING:
    from seqfeat.nn.kernels.adamw import CompiledAdamW
    from seqfeat.nn.kernels.backpropagation import Backpropagation
    from seqfeat.nn.kernels.embedder import Embedder

__all__ = ["compiled_backpropagation", "compiled_embedder", "compiled_optimizer"]


def compiled_backpropagation(network: RecurrentAutoencoder) -> Backpropagation | None:
    """Return what finds the gradients of a network without autograd, or None.

    None is for a network that the kernels do not run, as it is on CUDA or they are
    not there; that is bidirectional, or pools by mean or maximum; that has hooks,
    which want its modules to be called; or of which not every weight is trained.
    """
    if not _is_covered(network) or not all(
        weight.requires_grad and not weight._backward_hooks for weight in network.parameters()
    ):
        return None
    from seqfeat.nn.kernels.backpropagation import Backpropagation

    return Backpropagation(network)


def compiled_optimizer(
    optimizer: torch.optim.AdamW, backpropagation: Backpropagation, max_norm: float
) -> CompiledAdamW:
    """Return what takes the steps of an optimizer that has a state already."""
    from seqfeat.nn.kernels.adamw import CompiledAdamW

    return CompiledAdamW(optimizer, backpropagation, max_norm)


def compiled_embedder(network: RecurrentAutoencoder) -> Embedder | None:
    """Return what embeds with a network, made once and kept in it, or None as above."""
    embedder: Embedder | None = network.embedder
    if embedder is not None and network.is_frozen:
        return embedder
    if not _is_covered(network):
        return None
    if embedder is None:
        from seqfeat.nn.kernels.embedder import Embedder

        embedder = network.embedder = Embedder(network)
    return embedder


def _is_covered(network: RecurrentAutoencoder) -> bool:
    encoder = network.encoder
    return (
        not encoder.backward_layers
        and encoder.pooling in ("last", "statistics")
        and all(layer.is_compiled for layer in network.layers)
        and not any(part._forward_pre_hooks or part._forward_hooks for part in network.parts)
    )
