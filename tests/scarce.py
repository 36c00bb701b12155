"""Networks that fail, or for which memory runs out."""

from weakref import WeakKeyDictionary

import torch

from seqfeat.nn.kernels import compiled_embedder
from seqfeat.nn.kernels.backpropagation import Workspace

CHECKS = WeakKeyDictionary()
_load = Workspace.load


def _checked_load(place, part, *others, **named):
    CHECKS.get(place.network, lambda lengths: None)(part.lengths)
    _load(place, part, *others, **named)


# Training makes these itself, and the network is not asked once they have their programs.
Workspace.load = _checked_load


def before_each_part(network, check):
    """Call ``check(lengths)`` before the network's encoder takes up a part of a batch.

    Whether PyTorch runs it or the kernels, and in inference as well.
    """
    n_steps = network.n_steps

    def count(lengths):
        check(lengths)
        return n_steps(lengths)

    network.n_steps = count
    CHECKS[network] = check
    embedder = compiled_embedder(network)
    if embedder is not None:
        embed = embedder.embed

        def embed_checked(values, lengths, scaling):
            check(lengths)
            return embed(values, lengths, scaling)

        embedder.embed = embed_checked
    return network


def out_of_memory_beyond(network, n_series, allocate=None):
    """Let the network's encoder fail on batches of more than `n_series`, in training and after."""

    def check(lengths):
        if len(lengths) > n_series:
            if allocate is not None:
                allocate()
            raise torch.OutOfMemoryError("CUDA out of memory.")

    return before_each_part(network, check)
