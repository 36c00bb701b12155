"""Two worker processes against one: ``make bench-cluster``.

A real Dask scheduler and workers of one thread each, and processes that torchrun starts.
In turn, so that whatever else the machine does meets both; the first call of each, in which
modules are loaded, does not count.
"""

import argparse
import logging
import platform
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import dask.array as da
import numpy as np
from dask.distributed import Client, LocalCluster
from sklearn.model_selection import GridSearchCV
from tests.benchmarks.measure import Row, figures, in_turn, replace_rows, seconds, summary
from tests.benchmarks.shared_fit import shared_fit

from seqfeat import LSTMAutoencoder, cluster, make_classifier
from seqfeat.datasets import load_japanese_vowels

RESULTS = Path(__file__).parent / "results" / "cluster.csv"
NAMES = {1: "1 process", 2: "2 processes"}
SIZES = [8, 16, 32, 64]
N_SERIES, N_TIMESTEPS, N_CHANNELS = 20_000, 150, 4

Run = Callable[[Client], object]


def on_workers(rounds: int) -> Iterator[Row]:
    """Yield seconds of search and transform on one worker and on two."""
    with ExitStack() as stack:
        clients = {
            name: stack.enter_context(Client(stack.enter_context(workers(n))))
            for n, name in NAMES.items()
        }
        for case, run in (("search", search), ("transform", transform)):
            for client in clients.values():
                run(client)
            for name, turn, found in in_turn(
                clients, lambda client, run=run: seconds(lambda: run(client)), rounds
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
        cluster.transform(MODEL, series()).sum(axis=0).compute()


def series() -> da.Array:
    """Return noise, so that next to nothing is read or sent."""
    shape = (N_SERIES, N_TIMESTEPS, N_CHANNELS)
    chunks = (500, N_TIMESTEPS, N_CHANNELS)
    return da.random.default_rng(0).normal(size=shape, chunks=chunks).astype(np.float32)


def fitted() -> LSTMAutoencoder:
    X = np.random.default_rng(0).normal(size=(64, N_TIMESTEPS, N_CHANNELS))
    return LSTMAutoencoder(max_iter=0, random_state=0).fit(X)


def report(rows: list[Row]) -> None:
    for case in dict.fromkeys(row.case for row in rows):
        one, two = (figures(rows, case=case, contestant=name) for name in NAMES.values())
        print(f"{case}: {summary(one)} s on one process, {summary(two)} s on two")
        print(f"    speed-up {summary(one / two, 2)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="rough figures, written nowhere")
    quick = parser.parse_args().quick
    warnings.simplefilter("ignore")
    MODEL = fitted()
    found = [*on_workers(3 if quick else 7), *shared_fit(quick)]
    if not quick:
        replace_rows(RESULTS, found)
    print(f"{platform.processor() or platform.machine()}, {len(NAMES)} processes at most")
    report(found)
