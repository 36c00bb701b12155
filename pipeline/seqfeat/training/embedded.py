"""Training data for a decoder whose encoder is not trained: embeddings, and what they leave.

Every series is embedded once, before the first epoch that needs it; from then on an epoch costs no
more than the decoder. It takes the memory of the embeddings. NumPy and torch only.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from seqfeat.inference.batched import embed_scaled
from seqfeat.nn.backend import Backend
from seqfeat.nn.batch import Batch, Chunk
from seqfeat.training.dataset import Dataset
from seqfeat.training.sampler import is_one_chunk

__all__ = ["EmbeddedDataset"]

BLOCK_SERIES = 256
"""Series that the linear map reconstructs at once."""


class EmbeddedDataset:
    """A `Dataset` whose batches hold embeddings, and the error of the decoder's linear map.

    Parameters
    ----------
    data : Dataset
    backend : Backend
        Runs the network, whose encoder and linear map stay as they are.
    known : tuple of Tensor, optional
        Rows of the series of all processes whose embeddings are known, and these.
    """

    def __init__(
        self, data: Dataset, backend: Backend, known: tuple[Tensor, Tensor] | None = None
    ) -> None:
        self.data, self.backend = data, backend
        self.lengths, self.is_dense = data.lengths, data.is_dense
        self.is_weighted = data.is_weighted
        self.values_per_series = data.values_per_series
        self._embeddings: Tensor | None = None
        self._is_embedded = torch.zeros(len(data), dtype=torch.bool, device="cpu")
        self._known = known
        self._kept: Chunk | None = None

    def __len__(self) -> int:
        return len(self.data)

    def load(self, rows: Tensor) -> Chunk:
        """Return a chunk of the rows, ascending, as far as this process holds them."""
        if self._kept is not None:
            return self._kept
        chunk = self.data.load(rows)
        # What follows is written in its place.
        self.data.release()
        own = chunk.rows
        if own is None:
            own = torch.arange(len(self), dtype=torch.int64, device="cpu")
        found = replace(chunk, series=self._embed(chunk.series, own))
        if is_one_chunk(len(self), self.values_per_series):
            self._kept = found
        return found

    def _places(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return which of the rows of all series are in the set, and where in the set these are."""
        if self.data.chosen is None:
            return torch.ones_like(rows, dtype=torch.bool), rows
        chosen = torch.from_numpy(self.data.chosen)
        own = torch.isin(rows, chosen)
        return own, torch.searchsorted(chosen, rows[own])

    def _embed(self, series: Batch, rows: Tensor) -> Batch:
        if self._embeddings is None:
            shape = len(self), self.backend.network.architecture.embedding_dim
            self._embeddings = torch.zeros(shape, dtype=torch.float32, device="cpu")
            if self._known is not None:
                known, embeddings = self._known
                own, places = self._places(known)
                self._embeddings[places] = embeddings[own]
                self._is_embedded[places] = True
        missing = (~self._is_embedded[rows]).nonzero()[:, 0]
        if len(missing):
            self._embeddings[rows[missing]] = embed_scaled(self.backend, series, missing)
            self._is_embedded[rows[missing]] = True
        embeddings = self._embeddings[rows]
        return replace(series, values=self._residual(series, embeddings), embeddings=embeddings)

    @torch.no_grad()
    def _residual(self, series: Batch, embeddings: Tensor) -> Tensor:
        """Subtract what the linear map reconstructs, in place, as a chunk takes much memory."""
        network, (_, n_timesteps, _) = self.backend.network, series.values.shape
        parts = zip(
            torch.split(series.values, BLOCK_SERIES),
            torch.split(embeddings, BLOCK_SERIES),
            strict=True,
        )
        for part, of_part in parts:
            of_part = of_part.to(self.backend.device)
            part -= network.decode_linearly(of_part, n_timesteps).cpu()
        return series.values
