"""Embedding batches by programs of the kernels, on any number of threads."""

from __future__ import annotations

import threading
from functools import partial

from torch import Tensor
from torch.nn.functional import linear

from seqfeat.compiled.desk import Desk
from seqfeat.compiled.encoder_program import EncoderProgram, PartShape
from seqfeat.compiled.network_weights import NetworkWeights
from seqfeat.network import RecurrentAutoencoder

__all__ = ["Embedder"]

MOST_FLOATS_KEPT = 2**22
"""Of a desk's memory between two batches; larger ones are given back."""


class Embedder:
    """Embeds batches with a network's weights as they are; a series' bits are the same in any."""

    def __init__(self, network: RecurrentAutoencoder) -> None:
        self.weights = NetworkWeights(network)
        self.lock = threading.Lock()
        self.idle: list[Desk[EncoderProgram]] = []

    def embed(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Return the embeddings. Shape: (B, T, C), (B,) -> (B, E)."""
        desk, weights = self._desk()
        n_series, n_timesteps, _ = values.shape
        program = desk.program(PartShape(n_series, n_timesteps, True, False, False))
        program.load_values(values, weights.network.n_steps(lengths))
        program.embed()
        if weights.exact_projection is None:
            embeddings = program.found_embeddings().clone()
        else:
            pooled = program.memory.tensor(program.pooled).double()
            embeddings = linear(pooled, *weights.exact_projection).float()
        with self.lock:
            if weights is self.weights and len(desk.storage) <= MOST_FLOATS_KEPT:
                self.idle.append(desk)
        return embeddings

    def _desk(self) -> tuple[Desk[EncoderProgram], NetworkWeights]:
        """Return a desk at which nobody works, and the weights, as they are now."""
        with self.lock:
            if not self.weights.is_at_hand():
                self.weights, self.idle = NetworkWeights(self.weights.network), []
            self.weights.refresh_if_changed()
            if self.idle:
                return self.idle.pop(), self.weights
            return Desk(partial(EncoderProgram, self.weights)), self.weights
