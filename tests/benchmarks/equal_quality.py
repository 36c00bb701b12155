"""Time to equal quality: seconds until little of the variance is unexplained.

Everyone uses their own defaults: ours are those of the library; the others train the plain
network with Adam at 1e-3, and with the batch size that ours chooses. They get ten times our time.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from tests.benchmarks.datasets import load_split, standardize
from tests.benchmarks.measure import OURS, Row
from tests.benchmarks.ours import QualityClock
from tests.benchmarks.peers import Keras, Sequitur, Skorch
from tests.benchmarks.plain import PlainLoop

from seqfeat import LSTMAutoencoder

ENOUGH = 0.05
PATIENCE = 10
"""Time limit of the others, as a multiple of our slowest seed's time."""
EMBEDDING_DIM = 64
BATCH_SIZE = 8
"""What ``batch_size="auto"`` chooses for sets of this size."""


def equal_quality(quick: bool) -> Iterator[Row]:
    """Yield the seconds to enough quality, and the variance that was unexplained at the end."""
    patience = 2 if quick else PATIENCE
    for case in ["GunPoint"] if quick else ["GunPoint", "ArrowHead"]:
        X = np.stack(standardize(load_split(case).X))
        limit = 0.0
        for seed in range(1 if quick else 5):
            clock = QualityClock(X, ENOUGH)
            autoencoder = LSTMAutoencoder(EMBEDDING_DIM, random_state=seed)
            autoencoder.set_callbacks(clock).fit(X)
            yield from rows(case, OURS, seed, clock.seconds, clock.unexplained)
            limit = max(limit, patience * clock.seconds)
        for name, peer in peers(X).items():
            yield from rows(case, name, 0, *train_until_good(peer, limit))


def peers(X: np.ndarray) -> dict[str, Any]:
    n_threads = torch.get_num_threads()
    return {
        "plain loop": PlainLoop(X, EMBEDDING_DIM, BATCH_SIZE, n_threads),
        "skorch": Skorch(X, EMBEDDING_DIM, BATCH_SIZE),
        "Keras on JAX": Keras(X, EMBEDDING_DIM, BATCH_SIZE),
        "sequitur": Sequitur(X, EMBEDDING_DIM),
    }


def train_until_good(peer: Any, limit: float) -> tuple[float, float]:
    """Train until enough is explained or the time is up; return seconds and unexplained variance.

    Evaluating the reconstruction from time to time does not count, and neither does compiling,
    which Keras does in its first epoch.
    """
    first = peer.train(1)[0]
    seconds = peer.train(1)[0]
    first = min(first, seconds)
    seconds += first
    while True:
        unexplained = peer.unexplained()
        if unexplained <= ENOUGH or seconds >= limit:
            return seconds, unexplained
        # Evaluate after every twentieth of the limit. That is rare enough for sequitur, where
        # every call starts with a new optimizer.
        time_left = min(limit / 20, limit - seconds)
        seconds += sum(peer.train(max(1, round(time_left / first))))


def rows(case: str, name: str, number: int, seconds: float, unexplained: float) -> Iterator[Row]:
    note = "reached" if unexplained <= ENOUGH else "not reached"
    fields = ("equal quality", case, EMBEDDING_DIM, name)
    yield Row(*fields, "seconds", number, seconds, note)
    yield Row(*fields, "unexplained", number, unexplained, note)
