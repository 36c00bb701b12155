"""How good in equal time: unexplained variance on GunPoint, against the plain network.

The plain network is the one everyone writes: the whole series step by step, Adam at
1e-3, all series in one batch. Both run in turn, on the same machine and series.
"""

import time
from collections.abc import Iterator

import numpy as np
import torch
from tests.benchmarks.archive import load, scaled
from tests.benchmarks.measure import OURS, Row
from tests.benchmarks.plain import PlainLoop

from seqfeat import LSTMAutoencoder

EMBEDDING_DIM = 64


def equal_time(quick: bool) -> Iterator[Row]:
    """Yield the seconds of a default fit, and what both leave unexplained after them."""
    X = np.stack(scaled(load("GunPoint").X))
    fields = ("equal time", "GunPoint", EMBEDDING_DIM)
    for seed in range(1 if quick else 5):
        started = time.perf_counter()
        autoencoder = LSTMAutoencoder(EMBEDDING_DIM, random_state=seed).fit(X)
        seconds = time.perf_counter() - started
        plain = PlainLoop(X, EMBEDDING_DIM, len(X), torch.get_num_threads(), seed)
        plain.train_for(seconds)
        yield Row(*fields, OURS, "seconds", seed, seconds)
        yield Row(*fields, OURS, "unexplained", seed, 1 - autoencoder.score(X))
        yield Row(*fields, "plain loop", "unexplained", seed, plain.unexplained())
