"""Accuracy with few labels: features of all training series against those of the labelled ones."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tests.benchmarks.datasets import Split, available_sets, load_split
from tests.benchmarks.features import EMBEDDING_DIM, METHODS, missing
from tests.benchmarks.measure import OURS, Row
from tests.benchmarks.processes import run_in_processes

from seqfeat import LSTMAutoencoder

DATA = [
    "TwoPatterns",
    "MelbournePedestrian",
    "SyntheticControl",
    "SwedishLeaf",
    "JapaneseVowels",
    "ItalyPowerDemand",
    "NATOPS",
]
LABELLED = [5, 10, 50]
"""Labelled series per class, as far as at least one of each class remains unlabelled."""
EMBEDDING = "embeddings of all series"
SEEDS = 5


def few_labels(quick: bool) -> Iterator[Row]:
    """Yield the test accuracy for each data set, number of labels and seed."""
    names = available_sets(["ItalyPowerDemand"] if quick else DATA)
    tasks = [(name, seed) for name in names for seed in range(1 if quick else SEEDS)]
    for rows in run_in_processes(evaluate, tasks):
        yield from rows


def evaluate(name: str, seed: int) -> list[Row]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        split, rows = load_split(name), []
        autoencoder = LSTMAutoencoder(EMBEDDING_DIM, missing=missing(split), random_state=seed)
        Z, Z_test = autoencoder.fit_transform(split.X), autoencoder.transform(split.X_test)
        smallest = np.unique(split.y, return_counts=True)[1].min()
        for number in (number for number in LABELLED if number < smallest):
            chosen = choose(split.y, number, seed)
            labelled = split._replace(X=split.X[chosen], y=split.y[chosen])
            classifier = make_pipeline(StandardScaler(), LogisticRegression(C=10, max_iter=2000))
            scores = {
                EMBEDDING: classifier.fit(Z[chosen], labelled.y).score(Z_test, split.y_test),
                OURS: score(OURS, labelled, seed),
                "MiniRocket": score("MiniRocket", labelled, seed),
            }
            fields = ("few labels", f"{name}, {number} a class", EMBEDDING_DIM)
            note = f"{len(chosen)} of {len(split.y)} series labelled"
            rows += [
                Row(*fields, method, "accuracy", seed, value, note)
                for method, value in scores.items()
            ]
    return rows


def choose(y: NDArray[Any], number: int, seed: int) -> NDArray[np.int64]:
    """Return the rows of that many series of each class."""
    rng = np.random.default_rng(seed)
    rows = [rng.permutation(np.flatnonzero(y == label))[:number] for label in np.unique(y)]
    return np.sort(np.concatenate(rows))


def score(method: str, labelled: Split, seed: int) -> float:
    trial = METHODS[method].prepare(labelled, seed)
    predicted = trial.model.fit(trial.X, labelled.y).predict(trial.X_test)
    return float(np.mean(predicted == labelled.y_test))
