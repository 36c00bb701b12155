"""How fast a search is: a grid over `embedding_dim`, cross-validated, on two processes.

The same folds, sizes, classifier and batch size for both, and either as many epochs or
for seqfeat a tenth of them, as it needs no more for a better score; skorch gets
the plain network with Adam at 1e-3. Every process has one thread for its arithmetic, as
joblib gives it. Series come scaled to both.
"""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tests.benchmarks.archive import load, scaled
from tests.benchmarks.measure import OURS, Row
from tests.benchmarks.peers import skorch_autoencoder

from seqfeat import LSTMAutoencoder

CASE = "GunPoint"
SIZES = [8, 16, 32, 64]
FOLDS = 5
PROCESSES = 2
BATCH_SIZE = 8
"""What ``batch_size="auto"`` makes of four fifths of this set."""


def grid_search(quick: bool) -> Iterator[Row]:
    """Yield seconds and the best mean accuracy over the folds of each search.

    Two cases: all train as many epochs, and seqfeat a tenth of the others'.
    """
    split = load(CASE)
    X = np.stack(scaled(split.X))
    sizes, folds, max_iter = SIZES, FOLDS, LSTMAutoencoder().max_iter
    if quick:
        sizes, folds, max_iter = [8, 16], 3, 10
    what = f"{CASE}, {len(sizes)} x {folds}"
    cases = {"as many epochs": max_iter, "a tenth of the epochs for seqfeat": max_iter // 10}
    for turn in range(1 if quick else 2):
        theirs = measured(skorch_search, sizes, folds, max_iter, X, split.y)
        for case, our_epochs in cases.items():
            ours = measured(our_search, sizes, folds, our_epochs, X, split.y)
            for name, (seconds, search), epochs in (
                (OURS, ours, our_epochs),
                ("skorch", theirs, max_iter),
            ):
                note = f"{epochs} epochs, best size {next(iter(search.best_params_.values()))}"
                fields = ("grid search", f"{what}, {case}", 0, name)
                yield Row(*fields, "seconds", turn, seconds, note)
                yield Row(*fields, "accuracy", turn, search.best_score_, note)


def measured(
    make: Any, sizes: list[int], folds: int, max_iter: int, X: Any, y: Any
) -> tuple[float, GridSearchCV]:
    """Return the seconds of a search, and the search."""
    # Processes that are there already and have imported everything.
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
