"""A grid search over `embedding_dim` with cross-validation, on two processes.

seqfeat and skorch get the same folds, sizes, classifier, batch size and standardized series;
skorch trains the plain network with Adam at 1e-3. In one case both train for the same number
of epochs; in the other, seqfeat trains for a tenth of them, which is enough for a better score.
Every process uses one thread, as joblib sets it up.
"""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tests.benchmarks.datasets import load_split, standardize
from tests.benchmarks.measure import OURS, Row
from tests.benchmarks.peers import skorch_autoencoder

from seqfeat import LSTMAutoencoder

CASE = "GunPoint"
SIZES = [8, 16, 32, 64]
FOLDS = 5
PROCESSES = 2
MAX_ITER = 60
BATCH_SIZE = 8
"""What ``batch_size="auto"`` chooses for four fifths of this set."""


def grid_search(quick: bool) -> Iterator[Row]:
    """Yield the seconds and the best mean accuracy over the folds of each search."""
    split = load_split(CASE)
    X = np.stack(standardize(split.X))
    sizes, folds, max_iter = SIZES, FOLDS, MAX_ITER
    if quick:
        sizes, folds, max_iter = [8, 16], 3, 10
    setting = f"{CASE}, {len(sizes)} x {folds}"
    cases = {
        "the same number of epochs": max_iter,
        "a tenth of the epochs for seqfeat": max_iter // 10,
    }
    for number in range(1 if quick else 2):
        theirs = time_search(skorch_search, sizes, folds, max_iter, X, split.y)
        for case, our_epochs in cases.items():
            ours = time_search(our_search, sizes, folds, our_epochs, X, split.y)
            for name, (seconds, search), epochs in (
                (OURS, ours, our_epochs),
                ("skorch", theirs, max_iter),
            ):
                note = f"{epochs} epochs, best size {next(iter(search.best_params_.values()))}"
                fields = ("grid search", f"{setting}, {case}", 0, name)
                yield Row(*fields, "seconds", number, seconds, note)
                yield Row(*fields, "accuracy", number, search.best_score_, note)


def time_search(
    make: Any, sizes: list[int], folds: int, max_iter: int, X: Any, y: Any
) -> tuple[float, GridSearchCV]:
    """Return the seconds of a search, and the fitted search."""
    # Start the processes, and let them import everything.
    make([2, 3], 2, 1).fit(X, y)
    search = make(sizes, folds, max_iter)
    started = time.perf_counter()
    search.fit(X, y)
    return time.perf_counter() - started, search


def our_search(sizes: list[int], folds: int, max_iter: int) -> GridSearchCV:
    ours = LSTMAutoencoder(batch_size=BATCH_SIZE, max_iter=max_iter, random_state=0)
    return search_over("lstmautoencoder__embedding_dim", ours, sizes, folds)


def skorch_search(sizes: list[int], folds: int, max_iter: int) -> GridSearchCV:
    theirs = skorch_autoencoder(1, sizes[0], BATCH_SIZE, max_iter)
    return search_over("skorchautoencoder__module__embedding_dim", theirs, sizes, folds)


def search_over(name: str, autoencoder: Any, sizes: list[int], folds: int) -> GridSearchCV:
    pipeline = make_pipeline(autoencoder, StandardScaler(), LogisticRegression(max_iter=2000))
    return GridSearchCV(pipeline, {name: sizes}, cv=folds, n_jobs=PROCESSES)
