"""Networks for which memory runs out."""

import torch

from seqfeat.compiled import compiled_embedder


def out_of_memory_beyond(network, n_series, allocate=None):
    """Let the network's encoder fail on batches of more than `n_series`, in training and after."""
    n_steps = network.n_steps

    def check(lengths):
        if len(lengths) > n_series:
            if allocate is not None:
                allocate()
            raise torch.OutOfMemoryError("CUDA out of memory.")

    def count(lengths):
        check(lengths)
        return n_steps(lengths)

    network.n_steps = count
    embedder = compiled_embedder(network)
    if embedder is not None:
        embed = embedder.embed

        def embed_few(values, lengths, scaling):
            check(lengths)
            return embed(values, lengths, scaling)

        embedder.embed = embed_few
    return network
