"""How fast an epoch is: equal work, and series of unequal lengths.

Equal work means the same network, batches and series for everyone. One epoch of each
runs before the clock does, so that nobody's compiling counts.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from tests.benchmarks.archive import load, scaled
from tests.benchmarks.measure import (
    MATRIX_PRODUCT,
    OURS,
    Row,
    in_turn,
    matrix_product_rate,
    seconds_per_epoch,
    threads,
)
from tests.benchmarks.ours import SEED_NETWORK, Seqfeat
from tests.benchmarks.peers import Keras, Sequitur, Skorch
from tests.benchmarks.plain import PackedLoop, PaddedLoop, PlainLoop

BATCH_SIZE = 32
SHAPES = {"64 series of 150 steps": (64, 150, 1), "128 series of 30 steps": (128, 30, 12)}
"""Like GunPoint, and short with 12 channels like Japanese Vowels."""
EPOCHS = {16: 16, 32: 8, 64: 4, 128: 4}
"""Epochs of a round, by embedding_dim: more of the short ones."""
UNEQUAL_DIM = 64
ROUNDS, QUICK_ROUNDS = 11, 2
"""Enough that what else a shared machine does for a minute does not decide."""


def equal_work(quick: bool) -> Iterator[Row]:
    """Yield seconds per epoch, and the rate of a matrix product, of every round."""
    for case, shape in SHAPES.items():
        X = walks(*shape)
        for embedding_dim, n_epochs in EPOCHS.items():
            if quick and embedding_dim in (32, 128):
                continue
            contestants: dict[str, Any] = {
                OURS: Seqfeat(X, embedding_dim, BATCH_SIZE, **SEED_NETWORK),
                **plain_loops(X, embedding_dim),
                "skorch": Skorch(X, embedding_dim, BATCH_SIZE),
                "Keras on JAX": Keras(X, embedding_dim, BATCH_SIZE),
                "sequitur": Sequitur(X, embedding_dim),
            }
            rounds, last = QUICK_ROUNDS if quick else ROUNDS, list(contestants)[-1]
            for row in epochs("equal work", case, embedding_dim, contestants, n_epochs, rounds):
                yield row
                if row.contestant == last:
                    rate = matrix_product_rate()
                    yield row._replace(contestant=MATRIX_PRODUCT, quantity="GFLOP/s", value=rate)


def plain_loops(X: np.ndarray, embedding_dim: int) -> dict[str, Any]:
    """Return the plain loop on one thread and on as many as torch takes by itself."""
    counts = sorted({1, torch.get_num_threads()})
    return {f"plain loop, {threads(n)}": PlainLoop(X, embedding_dim, BATCH_SIZE, n) for n in counts}


def unequal_lengths(quick: bool) -> Iterator[Row]:
    """Yield seconds per epoch of the plain network, packed and padded, against ours."""
    rng = np.random.default_rng(0)
    vowels = scaled(load("JapaneseVowels").X)
    gestures = [walks(1, length, 1)[0] for length in rng.integers(50, 362, size=50)]
    # Batches of other lengths come in every epoch, and with each a program is written.
    cases = {
        "270 utterances, 7 to 26 steps": (vowels, 4),
        "50 gestures, 50 to 361 steps": (gestures, 2),
    }
    n_threads = torch.get_num_threads()
    for case, (series, n_epochs) in cases.items():
        sizes = (series, UNEQUAL_DIM, BATCH_SIZE)
        contestants: dict[str, Any] = {
            OURS: Seqfeat(*sizes, **SEED_NETWORK),
            "plain loop, packed": PackedLoop(*sizes, n_threads),
            "plain loop, packed, 1 thread": PackedLoop(*sizes, 1),
            "plain loop, padded": PaddedLoop(*sizes, n_threads),
        }
        rounds = QUICK_ROUNDS if quick else ROUNDS
        yield from epochs("unequal lengths", case, UNEQUAL_DIM, contestants, n_epochs, rounds)


def epochs(
    benchmark: str,
    case: str,
    embedding_dim: int,
    contestants: dict[str, Any],
    n_epochs: int,
    rounds: int,
) -> Iterator[Row]:
    for contestant in contestants.values():
        contestant.train(1)
    figures = in_turn(contestants, lambda c: seconds_per_epoch(c.train(n_epochs)), rounds)
    for name, turn, figure in figures:
        yield Row(benchmark, case, embedding_dim, name, "seconds per epoch", turn, figure)


def walks(n_series: int, n_timesteps: int, n_channels: int) -> np.ndarray:
    """Return random walks, scaled; what they look like does not change an epoch's time."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(n_series, n_timesteps, n_channels)).cumsum(axis=1)
    return ((values - values.mean()) / values.std()).astype(np.float32)
