"""How fast a search is: a grid over `embedding_dim`, cross-validated, on two processes.

The same folds, sizes, classifier, batch size and number of epochs for both; skorch gets
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
    """Yield seconds and the best mean accuracy over the folds of each search."""
    split = load(CASE)
    X = np.stack(scaled(split.X))
    sizes, folds, max_iter = SIZES, FOLDS, LSTMAutoencoder().max_iter
    if quick:
        sizes, folds, max_iter = [8, 16], 3, 10
    for turn in range(1 if quick else 2):
        for name, search in searches(sizes, folds, max_iter).items():
            # Processes that are there already and have imported everything.
            searches([2, 3], 2, 1)[name].fit(X, split.y)
            started = time.perf_counter()
            search.fit(X, split.y)
            seconds = time.perf_counter() - started
            note = f"{max_iter} epochs, best size {next(iter(search.best_params_.values()))}"
            fields = ("grid search", f"{CASE}, {len(sizes)} x {folds}", 0, name)
            yield Row(*fields, "seconds", turn, seconds, note)
            yield Row(*fields, "accuracy", turn, search.best_score_, note)


def searches(sizes: list[int], folds: int, max_iter: int) -> dict[str, GridSearchCV]:
    ours = LSTMAutoencoder(batch_size=BATCH_SIZE, max_iter=max_iter, random_state=0)
    theirs = skorch_autoencoder(1, sizes[0], BATCH_SIZE, max_iter)
    return {
        OURS: search_over("lstmautoencoder__embedding_dim", ours, sizes, folds),
        "skorch": search_over("skorchautoencoder__module__embedding_dim", theirs, sizes, folds),
    }


def search_over(name: str, autoencoder: Any, sizes: list[int], folds: int) -> GridSearchCV:
    pipeline = make_pipeline(autoencoder, StandardScaler(), LogisticRegression(max_iter=2000))
    return GridSearchCV(pipeline, {name: sizes}, cv=folds, n_jobs=PROCESSES)
