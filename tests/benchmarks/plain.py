"""The usual training loops around the network that this library started from.

A training loop is a contestant: `train(n_epochs)` continues training and returns the seconds of
each epoch, and `unexplained()` returns the fraction of the variance that the reconstruction does
not explain (1 if it predicts the mean). All contestants get the same standardized series.
"""

import time

import numpy as np
import torch
from tests.benchmarks.measure import torch_threads
from tests.plain_network import PlainNetwork
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

LEARNING_RATE = 1e-3
"""Adam's default."""


def training_flops(n_values: int, n_series: int, n_channels: int, embedding_dim: int) -> int:
    """Return the floating-point operations in the network's matrix products, in one epoch.

    A multiply-add counts as two, and forward and backward passes together as three forward
    passes. The first decoder layer has the same input at every step, and therefore one input
    product per series.
    """
    E = embedding_dim
    layers = [(n_channels, 2 * E), (2 * E, E), (0, E), (E, 2 * E)]
    per_step = sum(4 * hidden * (inputs + hidden) for inputs, hidden in layers) + 2 * E * n_channels
    n_steps = n_values // n_channels
    return 3 * 2 * (n_steps * per_step + n_series * 4 * E * E)


class PlainLoop:
    """Trains on series of one length, in batches."""

    def __init__(
        self, X: np.ndarray, embedding_dim: int, batch_size: int, n_threads: int, seed: int = 0
    ) -> None:
        self.X = torch.from_numpy(np.ascontiguousarray(X, dtype=np.float32))
        self.batch_size = batch_size
        self.n_threads = n_threads
        torch.manual_seed(seed)
        self.network = PlainNetwork(X.shape[2], embedding_dim)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=LEARNING_RATE)

    def train(self, n_epochs: int) -> list[float]:
        with torch_threads(self.n_threads):
            return [self._epoch() for _ in range(n_epochs)]

    def train_for(self, seconds: float) -> None:
        """Train batch by batch until the time is up."""
        started = time.perf_counter()
        with torch_threads(self.n_threads):
            while True:
                for rows in self._batches():
                    if time.perf_counter() - started >= seconds:
                        return
                    self._step(rows)

    def _epoch(self) -> float:
        started = time.perf_counter()
        for rows in self._batches():
            self._step(rows)
        return time.perf_counter() - started

    def _batches(self) -> tuple[Tensor, ...]:
        return torch.randperm(len(self.X)).split(self.batch_size)

    def _step(self, rows: Tensor) -> None:
        loss = self._loss(rows)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def _loss(self, rows: Tensor) -> Tensor:
        x = self.X[rows]
        return ((self.network(x) - x) ** 2).mean()

    @torch.no_grad()
    def unexplained(self) -> float:
        return unexplained(self.X, self.network(self.X))


def unexplained(X: Tensor, reconstruction: Tensor) -> float:
    """Return the fraction of the variance that a reconstruction does not explain."""
    return float(((reconstruction - X) ** 2).sum() / ((X - X.mean(dim=(0, 1))) ** 2).sum())


class PaddedLoop(PlainLoop):
    """Trains on series of unequal lengths that are padded with zeros, and masks the loss."""

    def __init__(
        self,
        series: list[np.ndarray],
        embedding_dim: int,
        batch_size: int,
        n_threads: int,
        seed: int = 0,
    ) -> None:
        X, self.lengths = pad(series)
        super().__init__(X, embedding_dim, batch_size, n_threads, seed)

    @torch.no_grad()
    def embed(self, series: list[np.ndarray]) -> np.ndarray:
        X, lengths = pad(series)
        return self._last_states(torch.from_numpy(X), lengths).numpy()

    def _loss(self, rows: Tensor) -> Tensor:
        x, lengths = self.X[rows], self.lengths[rows]
        mask = (torch.arange(x.shape[1]) < lengths[:, None])[:, :, None]
        reconstruction = self.network.decode(self._last_states(x, lengths), x.shape[1])
        return ((reconstruction - x) ** 2 * mask).sum() / (mask.sum() * x.shape[2])

    def _last_states(self, x: Tensor, lengths: Tensor) -> Tensor:
        states = self.network.encoder_2(self.network.encoder_1(x)[0])[0]
        return states[torch.arange(len(x)), lengths - 1]


def pad(series: list[np.ndarray]) -> tuple[np.ndarray, Tensor]:
    """Return series as a float32 array (N, T, C), padded with zeros, and their lengths."""
    lengths = torch.tensor([len(values) for values in series])
    X = np.zeros((len(series), int(lengths.max()), series[0].shape[1]), dtype=np.float32)
    for row, values in zip(X, series, strict=True):
        row[: len(values)] = values
    return X, lengths


class PackedLoop(PaddedLoop):
    """Trains on series of unequal lengths as packed sequences, as PyTorch's manual shows."""

    def _loss(self, rows: Tensor) -> Tensor:
        x, lengths = self.X[rows], self.lengths[rows]
        network = self.network
        packed = self._pack(x, lengths)
        _, (state, _) = network.encoder_2(network.encoder_1(packed)[0])
        repeated = self._pack(state[-1][:, None, :].expand(-1, int(lengths.max()), -1), lengths)
        hidden, _ = network.decoder_2(network.decoder_1(repeated)[0])
        return ((network.output(hidden.data) - packed.data) ** 2).mean()

    @staticmethod
    def _pack(values: Tensor, lengths: Tensor) -> PackedSequence:
        return pack_padded_sequence(values, lengths, batch_first=True, enforce_sorted=False)
