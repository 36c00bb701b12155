"""Two worker processes against one: ``make bench-cluster``.

A real Dask scheduler and workers of one thread each, and processes that torchrun starts.
In turn, so that whatever else the machine does meets both; the first call of each, in which
modules are loaded, does not count. Writes ``results/cluster.csv`` and, from it,
``results/cluster.md``, on which CLUSTER.md rests.
"""

import argparse
import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import dask
import dask.array as da
import numpy as np
from dask.distributed import Client, LocalCluster, wait
from sklearn.model_selection import GridSearchCV
from tests.benchmarks import cluster_tables
from tests.benchmarks.cluster_tables import (
    CASES,
    CHUNK,
    CHUNKS,
    FIT,
    KEEPING,
    N_CHANNELS,
    N_SERIES,
    N_TIMESTEPS,
    SEARCH,
    TRANSFORM,
)
from tests.benchmarks.measure import Row, in_turn, read_rows, replace_rows, seconds
from tests.benchmarks.shared_fit import ONE, TWO, shared_fit

from seqfeat import LSTMAutoencoder, cluster, make_classifier
from seqfeat.datasets import load_japanese_vowels

FOLDER = Path(__file__).parent / "results"
SIZES = [8, 16, 32, 64]
SPAWN = "distributed.nanny.pre-spawn-environ."
KEEP = {f"{SPAWN}MALLOC_TRIM_THRESHOLD_": 2**30, f"{SPAWN}MALLOC_MMAP_THRESHOLD_": 2**30}
"""Lets a worker keep what it has freed, which Dask has it give back to the system at once."""


def on_workers(rounds: int) -> Iterator[Row]:
    """Yield seconds of each case on one worker and on two."""
    runs = {SEARCH: search, TRANSFORM: transform, FIT: fit, CHUNKS: transform_tiny_chunks}
    with ExitStack() as stack:

        def client(n_workers: int, **config: object) -> Client:
            with dask.config.set(config):
                return stack.enter_context(Client(stack.enter_context(workers(n_workers))))

        clients = {ONE: client(1), TWO: client(2), KEEPING: client(1, **KEEP)}
        for one in clients.values():
            one.run(warnings.simplefilter, "ignore")
        for case in CASES:
            contestants = dict(clients)
            if case not in (TRANSFORM, FIT):
                del contestants[KEEPING]
            for one in contestants.values():
                runs[case](one)
            for name, turn, found in in_turn(
                contestants, lambda one, run=runs[case]: seconds(lambda: run(one)), rounds
            ):
                yield Row("cluster", case, 64, name, "seconds", turn, found)


def workers(n_workers: int) -> LocalCluster:
    return LocalCluster(
        n_workers=n_workers,
        threads_per_worker=1,
        processes=True,
        dashboard_address=":0",
        silence_logs=logging.ERROR,
    )


def search(client: Client) -> None:
    """Search four sizes in three folds."""
    X, y = load_japanese_vowels(return_X_y=True)
    model = make_classifier(max_iter=20, random_state=0)
    sizes = {"autoencoder__embedding_dim": SIZES}
    with client.as_current(), cluster.searching(X, y):
        GridSearchCV(model, sizes, cv=3, refit=False).fit(X, y)


def transform(client: Client) -> None:
    """Embed series that the workers make."""
    with client.as_current():
        cluster.transform(MODEL, series(N_SERIES, 500)).sum(axis=0).compute()


def fit(client: Client) -> None:
    """Fit one model on all workers, with what comes before and after the training."""
    model = LSTMAutoencoder(max_iter=5, batch_size=512, random_state=0)
    cluster.fit(model, series(1024, 512), client=client)


def transform_tiny_chunks(client: Client) -> None:
    """Embed chunks of one series, which are all overhead."""
    ones = da.ones((CHUNK, N_TIMESTEPS, N_CHANNELS), chunks=(1, -1, -1), dtype=np.float32)
    with client.as_current():
        wait(cluster.transform(MODEL, ones).persist())


def series(n_series: int, in_chunk: int) -> da.Array:
    """Return waves that the workers make, so that next to nothing is read or sent."""
    shape, chunks = (n_series, 1, N_CHANNELS), (in_chunk, 1, N_CHANNELS)
    phase = da.random.default_rng(0).uniform(0, 6, size=shape, chunks=chunks)
    return da.sin(phase + np.arange(N_TIMESTEPS)[:, None] / 5).astype(np.float32)


def fitted() -> LSTMAutoencoder:
    X = np.random.default_rng(0).normal(size=(64, N_TIMESTEPS, N_CHANNELS))
    return LSTMAutoencoder(max_iter=0, random_state=0).fit(X)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="rough figures, written nowhere")
    quick = parser.parse_args().quick
    warnings.simplefilter("ignore")
    MODEL = fitted()
    rounds = 3 if quick else 5
    found = [*on_workers(rounds), *shared_fit(rounds)]
    if not quick:
        replace_rows(FOLDER / "cluster.csv", found)
        found = read_rows(FOLDER / "cluster.csv")
        (FOLDER / "cluster.md").write_text(cluster_tables.page(found))
    print(cluster_tables.page(found))
