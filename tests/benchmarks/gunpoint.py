"""How fast: unexplained variance on GunPoint, against the plain network in the same time.

The plain network is the one everyone writes: the whole series step by step, Adam
at 1e-3, all series in one batch. Both run in turn, on the same machine and series.
"""

import time

import numpy as np
import torch
from aeon.datasets import load_gunpoint
from torch import nn

from seqfeat import LSTMAutoencoder

REPEATS = 5
EMBEDDING_DIM = 64


def main() -> None:
    X = load_gunpoint(split="train")[0].transpose(0, 2, 1)
    print(f"GunPoint, training series of shape {X.shape}: share of the variance unexplained")
    print(f"{'seed':<6}{'seqfeat':>10}{'in s':>8}{'plain network':>16}{'in s':>8}{'ratio':>8}")
    ratios = []
    for seed in range(REPEATS):
        started = time.perf_counter()
        autoencoder = LSTMAutoencoder(EMBEDDING_DIM, random_state=seed).fit(X)
        seconds = time.perf_counter() - started
        ours = 1 - autoencoder.score(X)
        plain, plain_seconds = train_plain_network(X, seconds, seed)
        ratios.append(plain / ours)
        print(
            f"{seed:<6}{ours:10.4f}{seconds:8.1f}{plain:16.4f}{plain_seconds:8.1f}{ratios[-1]:8.1f}"
        )
    print(f"median ratio {np.median(ratios):.1f}, {min(ratios):.1f} to {max(ratios):.1f}\n")


class PlainNetwork(nn.Module):
    """The network that this library started from, as people write it."""

    def __init__(self, n_channels: int, embedding_dim: int) -> None:
        super().__init__()
        self.encoder_1 = nn.LSTM(n_channels, 2 * embedding_dim, batch_first=True)
        self.encoder_2 = nn.LSTM(2 * embedding_dim, embedding_dim, batch_first=True)
        self.decoder_1 = nn.LSTM(embedding_dim, embedding_dim, batch_first=True)
        self.decoder_2 = nn.LSTM(embedding_dim, 2 * embedding_dim, batch_first=True)
        self.output = nn.Linear(2 * embedding_dim, n_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, (state, _) = self.encoder_2(self.encoder_1(x)[0])
        repeated = state[-1][:, None, :].expand(-1, x.shape[1], -1)
        return self.output(self.decoder_2(self.decoder_1(repeated)[0])[0])


def train_plain_network(X: np.ndarray, seconds: float, seed: int) -> tuple[float, float]:
    """Train for about `seconds`; return the unexplained share and the time taken."""
    torch.manual_seed(seed)
    scaled = torch.tensor((X - X.mean()) / X.std(), dtype=torch.float32)
    network = PlainNetwork(X.shape[2], EMBEDDING_DIM)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        loss = ((network(scaled) - scaled) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float(loss.detach()), time.perf_counter() - started
