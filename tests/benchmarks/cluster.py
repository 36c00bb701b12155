"""Two worker processes compared with one: ``make bench-cluster``.

Uses a real Dask scheduler with workers of one thread each, and processes started by torchrun.
Rounds are interleaved, and the first call of each, which imports modules, does not count.
Writes ``results/cluster.csv`` and, from it, ``results/cluster.md``; CLUSTER.md explains them.
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
from tests.benchmarks.data_parallel import ONE, TWO, data_parallel
from tests.benchmarks.measure import Row, interleave, read_rows, replace_rows, seconds

from seqfeat import LSTMAutoencoder, cluster, make_classifier
from seqfeat.datasets import load_japanese_vowels

FOLDER = Path(__file__).parent / "results"
SIZES = [8, 16, 32, 64]
SPAWN = "distributed.nanny.pre-spawn-environ."
KEEP = {f"{SPAWN}MALLOC_TRIM_THRESHOLD_": 2**30, f"{SPAWN}MALLOC_MMAP_THRESHOLD_": 2**30}
"""Lets a worker keep freed memory, which Dask's workers return to the system at once."""


def dask_workers(rounds: int) -> Iterator[Row]:
    """Yield the seconds of each case on one worker and on two, in every round."""
    runs = {SEARCH: search, TRANSFORM: transform, FIT: fit, CHUNKS: transform_tiny_chunks}
    with ExitStack() as stack:

        def client(n_workers: int, **config: object) -> Client:
            with dask.config.set(config):
                return stack.enter_context(Client(stack.enter_context(local_cluster(n_workers))))

        clients = {ONE: client(1), TWO: client(2), KEEPING: client(1, **KEEP)}
        for one in clients.values():
            one.run(warnings.simplefilter, "ignore")
        for case in CASES:
            contestants = dict(clients)
            if case not in (TRANSFORM, FIT):
                del contestants[KEEPING]
            for one in contestants.values():
                runs[case](one)
            for name, number, value in interleave(
                contestants, lambda one, run=runs[case]: seconds(lambda: run(one)), rounds
            ):
                yield Row("cluster", case, 64, name, "seconds", number, value)


def local_cluster(n_workers: int) -> LocalCluster:
    return LocalCluster(
        n_workers=n_workers,
        threads_per_worker=1,
        processes=True,
        dashboard_address=":0",
        silence_logs=logging.ERROR,
    )


def search(client: Client) -> None:
    """Search over four sizes with three folds."""
    X, y = load_japanese_vowels(return_X_y=True)
    model = make_classifier(max_iter=20, random_state=0)
    sizes = {"autoencoder__embedding_dim": SIZES}
    with client.as_current(), cluster.searching(X, y):
        GridSearchCV(model, sizes, cv=3, refit=False).fit(X, y)


def transform(client: Client) -> None:
    """Embed series that the workers generate."""
    with client.as_current():
        cluster.transform(MODEL, waves(N_SERIES, 500)).sum(axis=0).compute()


def fit(client: Client) -> None:
    """Fit one model on all workers, including what comes before and after the training."""
    model = LSTMAutoencoder(max_iter=5, batch_size=512, random_state=0)
    cluster.fit(model, waves(1024, 512), client=client)


def transform_tiny_chunks(client: Client) -> None:
    """Embed chunks of a single series, whose time is almost all overhead."""
    ones = da.ones((CHUNK, N_TIMESTEPS, N_CHANNELS), chunks=(1, -1, -1), dtype=np.float32)
    with client.as_current():
        wait(cluster.transform(MODEL, ones).persist())


def waves(n_series: int, chunk_size: int) -> da.Array:
    """Return waves that the workers generate, so that next to nothing is read or sent."""
    shape, chunks = (n_series, 1, N_CHANNELS), (chunk_size, 1, N_CHANNELS)
    phase = da.random.default_rng(0).uniform(0, 6, size=shape, chunks=chunks)
    return da.sin(phase + np.arange(N_TIMESTEPS)[:, None] / 5).astype(np.float32)


def fit_untrained() -> LSTMAutoencoder:
    X = np.random.default_rng(0).normal(size=(64, N_TIMESTEPS, N_CHANNELS))
    return LSTMAutoencoder(max_iter=0, random_state=0).fit(X)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="rough results, which are not written")
    quick = parser.parse_args().quick
    warnings.simplefilter("ignore")
    MODEL = fit_untrained()
    rounds = 3 if quick else 5
    rows = [*dask_workers(rounds), *data_parallel(rounds)]
    if not quick:
        replace_rows(FOLDER / "cluster.csv", rows)
        rows = read_rows(FOLDER / "cluster.csv")
        (FOLDER / "cluster.md").write_text(cluster_tables.page(rows))
    print(cluster_tables.page(rows))
