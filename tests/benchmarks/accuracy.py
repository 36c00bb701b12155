"""Accuracy of features on official test sets, with three classifiers each.

Nothing is chosen on a test set: C of the SVC is chosen by cross-validation on the training set,
and everything else is fixed beforehand. Data sets and seeds are distributed over two processes
with one thread each, so the seconds in the file are those of one thread while another one works.
"""

import csv
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from tests.benchmarks.datasets import LOADERS, Split, load_split
from tests.benchmarks.features import FIXED, SEEDED, UNSCALED, Method

COLUMNS = ["data", "features", "seed", "classifier", "accuracy", "seconds"]
GRID = {"svc__C": [0.01, 0.1, 1, 10, 100, 1000]}
PROCESSES = 2
SLOWEST = ["OSULeaf", "JapaneseVowels", "ACSF1"]
"""Data sets to start with, so that no process is left waiting for another at the end."""
QUICK = ["BasicMotions", "GunPoint", "ItalyPowerDemand"]

Result = dict[str, Any]


def classifiers(y: Any, scaler: Any) -> dict[str, Any]:
    smallest = int(np.unique(y, return_counts=True)[1].min())
    folds = StratifiedKFold(min(5, smallest), shuffle=True, random_state=0)
    return {
        "logistic regression": make_pipeline(scaler, LogisticRegression(max_iter=2000)),
        "RBF SVC": GridSearchCV(make_pipeline(scaler, SVC()), GRID, cv=folds),
        "1-NN": make_pipeline(scaler, KNeighborsClassifier(1)),
    }


def measure(seeds: int, names: list[str]) -> Iterator[list[Result]]:
    """Yield the results for each data set and seed as they complete."""
    order = sorted(names, key=lambda name: (name not in SLOWEST, name))
    tasks = [joblib.delayed(evaluate)(name, seed) for seed in range(seeds) for name in order]
    yield from joblib.Parallel(PROCESSES, return_as="generator_unordered")(tasks)


def evaluate(name: str, seed: int) -> list[Result]:
    """Return the results of all features; those without randomness only for the first seed."""
    torch.set_num_threads(1)
    split = load_split(name)
    methods = {**FIXED, **SEEDED} if seed == 0 else SEEDED
    return [
        dict(zip(COLUMNS, [name, method, seed, *result], strict=True))
        for method, features in methods.items()
        for result in evaluate_features(split, method, features, seed)
    ]


def evaluate_features(
    split: Split, method: str, features: Method, seed: int
) -> list[tuple[str, float, float]]:
    """Return each classifier, its accuracy, and the seconds to compute the features."""
    scaler = None if method in UNSCALED else StandardScaler()
    started = time.perf_counter()
    with warnings.catch_warnings():
        # Untrained encoders and solvers that did not converge warn hundreds of times.
        warnings.simplefilter("ignore")
        Z, Z_test = features(split, seed)
        seconds = time.perf_counter() - started
        return [
            (kind, classifier.fit(Z, split.y).score(Z_test, split.y_test), seconds)
            for kind, classifier in classifiers(split.y, scaler).items()
        ]


def run(path: Path, quick: bool) -> None:
    """Write all results to a CSV file, sorted, once the last one is there."""
    results = []
    for batch in measure(1 if quick else 5, QUICK if quick else list(LOADERS)):
        results += batch
        name, seed = batch[0]["data"], batch[0]["seed"]
        print(f"  {name}, seed {seed}: {len(batch)} results", flush=True)
    places = {name: place for place, name in enumerate([*LOADERS, *FIXED, *SEEDED])}
    results.sort(key=lambda row: (places[row["data"]], places[row["features"]], row["seed"]))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in results:
            row = {
                **row,
                "accuracy": round(row["accuracy"], 4),
                "seconds": round(row["seconds"], 2),
            }
            writer.writerow(row)


if __name__ == "__main__":
    run(Path("build/accuracy.csv"), quick=True)
