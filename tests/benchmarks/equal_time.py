"""Quality in equal time: unexplained variance on GunPoint, for our network and the plain one.

The plain network is trained as is usual: on whole series step by step, with Adam at 1e-3, and
with all series in one batch. Both train on the same machine and series, one after the other.
"""

import time
from collections.abc import Iterator

import numpy as np
import torch
from tests.benchmarks.datasets import load_split, standardize
from tests.benchmarks.measure import OURS, Row
from tests.benchmarks.plain import PlainLoop

from seqfeat import LSTMAutoencoder

EMBEDDING_DIM = 64


def equal_time(quick: bool) -> Iterator[Row]:
    """Yield the seconds of a default fit, and the variance both leave unexplained after them."""
    X = np.stack(standardize(load_split("GunPoint").X))
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
