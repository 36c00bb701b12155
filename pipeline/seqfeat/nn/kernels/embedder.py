"""Embedding batches by programs of the kernels, on any number of threads."""

from __future__ import annotations

import threading
from functools import partial

from torch import Tensor

from seqfeat.nn.kernels.encoder import EmbeddingProgram, PartShape
from seqfeat.nn.kernels.program_cache import ProgramCache
from seqfeat.nn.kernels.weights import NetworkWeights
from seqfeat.nn.network import RecurrentAutoencoder

__all__ = ["Embedder"]

MOST_FLOATS_KEPT = 2**22
"""Of a desk's memory between two batches; larger ones are given back."""


class Embedder:
    """Embeds batches with a network's weights as they are; a series' bits are the same in any."""

    def __init__(self, network: RecurrentAutoencoder) -> None:
        self.weights = NetworkWeights(network)
        self.lock = threading.Lock()
        self.idle: list[ProgramCache[EmbeddingProgram]] = []

    def embed(self, values: Tensor, lengths: Tensor, scaling: Tensor) -> Tensor | None:
        """Scale and embed series, as `EmbeddingProgram.embed` does."""
        desk, weights = self._desk()
        n_series, n_timesteps, _ = values.shape
        program = desk.program(PartShape(n_series, n_timesteps, True, False, False))
        embeddings = program.embed(values, lengths, scaling)
        with self.lock:
            if weights is self.weights and len(desk.storage) <= MOST_FLOATS_KEPT:
                self.idle.append(desk)
        return embeddings

    def _desk(self) -> tuple[ProgramCache[EmbeddingProgram], NetworkWeights]:
        """Return a desk at which nobody works, and the weights, as they are now."""
        with self.lock:
            if not (self.weights.network.is_frozen and self.weights.versions):
                if not self.weights.is_at_hand():
                    self.weights, self.idle = NetworkWeights(self.weights.network), []
                if not self.weights.is_fresh():
                    self.weights.refresh_exactly()
            if self.idle:
                return self.idle.pop(), self.weights
            return ProgramCache(partial(EmbeddingProgram, self.weights)), self.weights
