"""The time of an epoch: with equal work, and with series of unequal lengths.

Equal work means the same network, batches and series for everyone. Each contestant trains for
one epoch before the clock starts, so that no compilation counts.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from tests.benchmarks.datasets import load_split, standardize
from tests.benchmarks.measure import (
    MATRIX_PRODUCT,
    OURS,
    Row,
    interleave,
    matrix_product_rate,
    seconds_per_epoch,
    threads,
)
from tests.benchmarks.ours import SEED_NETWORK, Seqfeat
from tests.benchmarks.peers import Keras, Sequitur, Skorch
from tests.benchmarks.plain import PackedLoop, PaddedLoop, PlainLoop
from tests.benchmarks.workloads import BATCH_SIZE, EPOCHS, SHAPES, walks

UNEQUAL_DIM = 64
ROUNDS, QUICK_ROUNDS = 11, 2
"""Enough rounds that a minute of other load on a shared machine does not decide the outcome."""


def equal_work(quick: bool) -> Iterator[Row]:
    """Yield seconds per epoch, and the rate of a matrix product, in every round."""
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
    """Return the plain loop on one thread and on as many as torch uses by default."""
    counts = sorted({1, torch.get_num_threads()})
    return {f"plain loop, {threads(n)}": PlainLoop(X, embedding_dim, BATCH_SIZE, n) for n in counts}


def unequal_lengths(quick: bool) -> Iterator[Row]:
    """Yield seconds per epoch of our network and of the plain one, packed and padded."""
    rng = np.random.default_rng(0)
    vowels = standardize(load_split("JapaneseVowels").X)
    gestures = [walks(1, length, 1)[0] for length in rng.integers(50, 362, size=50)]
    # Every epoch has batches of new lengths, for each of which we build a program.
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
    measurements = interleave(contestants, lambda c: seconds_per_epoch(c.train(n_epochs)), rounds)
    for name, number, value in measurements:
        yield Row(benchmark, case, embedding_dim, name, "seconds per epoch", number, value)
