"""How well: accuracy of features on official test sets, with three classifiers each.

Nothing is chosen on a test set: C of the SVC by cross-validation on the training set,
everything else is fixed beforehand.
"""

import csv
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from tests.benchmarks.archive import LOADERS, load
from tests.benchmarks.features import FIXED, SEEDED, UNSCALED

COLUMNS = ["data", "features", "seed", "classifier", "accuracy", "seconds"]
GRID = {"svc__C": [0.01, 0.1, 1, 10, 100, 1000]}


def classifiers(y: Any, scaler: Any) -> dict[str, Any]:
    smallest = int(np.unique(y, return_counts=True)[1].min())
    folds = StratifiedKFold(min(5, smallest), shuffle=True, random_state=0)
    return {
        "logistic regression": make_pipeline(scaler, LogisticRegression(max_iter=2000)),
        "RBF SVC": GridSearchCV(make_pipeline(scaler, SVC()), GRID, cv=folds),
        "1-NN": make_pipeline(scaler, KNeighborsClassifier(1)),
    }


def measure(seeds: int, names: list[str]) -> Iterator[dict[str, Any]]:
    """Yield one row for each data set, kind of features, seed and classifier."""
    for name in names:
        split = load(name)
        for method, features in {**FIXED, **SEEDED}.items():
            scaler = None if method in UNSCALED else StandardScaler()
            for seed in range(1 if method in FIXED else seeds):
                started = time.perf_counter()
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    Z, Z_test = features(split, seed)
                    seconds = time.perf_counter() - started
                    for kind, classifier in classifiers(split.y, scaler).items():
                        accuracy = classifier.fit(Z, split.y).score(Z_test, split.y_test)
                        values = [name, method, seed, kind, round(accuracy, 4), round(seconds, 2)]
                        yield dict(zip(COLUMNS, values, strict=True))


def main(path: Path, seeds: int = 5, names: list[str] | None = None) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for row in measure(seeds, names or list(LOADERS)):
            writer.writerow(row)
            file.flush()
    print_table(path)


def print_table(path: Path) -> None:
    """Print each method's median over the seeds, by data set, for its classifiers."""
    cells = defaultdict(list)
    with path.open() as file:
        for row in csv.DictReader(file):
            key = (row["features"], row["classifier"], row["data"])
            cells[key].append(float(row["accuracy"]))
    names = list(dict.fromkeys(name for _, _, name in cells))
    print(f"{'':<50}" + "".join(f"{name[:14]:>15}" for name in names) + f"{'mean':>8}")
    for features, kind in dict.fromkeys((f, c) for f, c, _ in cells):
        medians = [float(np.median(cells[features, kind, name])) for name in names]
        figures = "".join(f"{median:>15.3f}" for median in medians)
        print(f"{features + ', ' + kind:<50}{figures}{np.mean(medians):>8.3f}")
    print()
