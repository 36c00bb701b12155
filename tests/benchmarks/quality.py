"""How fast to equal quality: seconds until little of the variance is unexplained.

Each with its own defaults: ours as it comes; the others the plain network with Adam at
1e-3, and batches of the size that ours chooses. They get ten times our time.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from tests.benchmarks.archive import load, scaled
from tests.benchmarks.measure import OURS, Row
from tests.benchmarks.ours import QualityClock
from tests.benchmarks.peers import Keras, Sequitur, Skorch
from tests.benchmarks.plain import PlainLoop

from seqfeat import LSTMAutoencoder

ENOUGH = 0.05
PATIENCE = 10
"""How many times as long as ours, the slowest seed, the others may take."""
EMBEDDING_DIM = 64
BATCH_SIZE = 8
"""What ``batch_size="auto"`` makes of sets of this size."""


def equal_quality(quick: bool) -> Iterator[Row]:
    """Yield seconds and, for who does not get there, what was left unexplained."""
    patience = 2 if quick else PATIENCE
    for case in ["GunPoint"] if quick else ["GunPoint", "ArrowHead"]:
        X = np.stack(scaled(load(case).X))
        limit = 0.0
        for seed in range(1 if quick else 5):
            clock = QualityClock(X, ENOUGH)
            autoencoder = LSTMAutoencoder(EMBEDDING_DIM, random_state=seed)
            autoencoder.set_callbacks(clock).fit(X)
            yield from rows(case, OURS, seed, clock.seconds, clock.unexplained)
            limit = max(limit, patience * clock.seconds)
        for name, peer in peers(X).items():
            yield from rows(case, name, 0, *until_good(peer, limit))


def peers(X: np.ndarray) -> dict[str, Any]:
    n_threads = torch.get_num_threads()
    return {
        "plain loop": PlainLoop(X, EMBEDDING_DIM, BATCH_SIZE, n_threads),
        "skorch": Skorch(X, EMBEDDING_DIM, BATCH_SIZE),
        "Keras on JAX": Keras(X, EMBEDDING_DIM, BATCH_SIZE),
        "sequitur": Sequitur(X, EMBEDDING_DIM),
    }


def until_good(peer: Any, limit: float) -> tuple[float, float]:
    """Train until enough is explained or the time is over; return seconds and the rest.

    Looking at the reconstruction, every now and then, does not count, nor does Keras'
    compiling, which is its first epoch.
    """
    first = peer.train(1)[0]
    seconds = peer.train(1)[0]
    first = min(first, seconds)
    seconds += first
    while True:
        left = peer.unexplained()
        if left <= ENOUGH or seconds >= limit:
            return seconds, left
        # A twentieth of the limit between two looks; an optimizer made anew by each
        # call, as sequitur's, then has time to freeze.
        time_left = min(limit / 20, limit - seconds)
        seconds += sum(peer.train(max(1, round(time_left / first))))


def rows(case: str, name: str, turn: int, seconds: float, left: float) -> Iterator[Row]:
    note = "reached" if left <= ENOUGH else "not reached"
    fields = ("equal quality", case, EMBEDDING_DIM, name)
    yield Row(*fields, "seconds", turn, seconds, note)
    yield Row(*fields, "unexplained", turn, left, note)
