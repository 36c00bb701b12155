"""Accuracy on official test sets, the seconds it takes, and how well series are reconstructed.

Nothing is chosen on a test set: C of the SVC on raw values is chosen by cross-validation on the
training set, and everything else is fixed beforehand. All methods take turns in one process with
one thread, while another process does the same for another data set or seed.
"""

import csv
import time
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils._param_validation import InvalidParameterError
from tests.benchmarks.datasets import CHOSEN_ON, HELD_OUT, Split, available_sets, load_split
from tests.benchmarks.features import MAKE_CLASSIFIER, METHODS, Trial
from tests.benchmarks.markdown import unique
from tests.benchmarks.measure import OURS, seconds
from tests.benchmarks.processes import run_in_processes
from tests.benchmarks.reconstruction import RECONSTRUCTORS, reconstruction_scores

FIXED_CLASSIFIERS = {
    "LogisticRegression(C=10)": LogisticRegression(C=10, max_iter=2000),
    "SVC(C=10)": SVC(C=10),
}
"""Classifiers of the standardized embeddings, in addition to that of `make_classifier`."""
SLOWEST = ["TwoPatterns", "MelbournePedestrian", "AllGestureWiimoteX", "CricketX", "NATOPS"]
"""Data sets to start with, so that no process is left waiting for another at the end."""
QUICK = ["BasicMotions", "GunPoint", "ItalyPowerDemand"]
SEEDS = 5


class Accuracy(NamedTuple):
    """A row of ``accuracy.csv``.

    The seconds of a classifier in `FIXED_CLASSIFIERS` are without those of the embeddings.
    """

    data: str
    features: str
    seed: int
    classifier: str
    accuracy: float
    seconds_fit: float
    seconds_transform: float


class Reconstruction(NamedTuple):
    """A row of ``reconstruction.csv``."""

    data: str
    method: str
    seed: int
    r2_train: float
    r2_test: float


Results = list[Accuracy | Reconstruction]


def run(folder: Path, quick: bool) -> None:
    """Write all results to two CSV files once the last one is there."""
    names = QUICK if quick else [*CHOSEN_ON, *HELD_OUT]
    results = list(measure(available_sets(names), 1 if quick else SEEDS))
    order = unique([*names, *METHODS, *RECONSTRUCTORS])
    places = {name: place for place, name in enumerate(order)}
    # The second field is what was measured; classifiers of the same features stay in order.
    results.sort(key=lambda row: (places[row.data], places[row[1]], row.seed))
    write_rows(folder / "accuracy.csv", [row for row in results if isinstance(row, Accuracy)])
    write_rows(
        folder / "reconstruction.csv", [row for row in results if isinstance(row, Reconstruction)]
    )


def measure(names: list[str], n_seeds: int) -> Iterator[Accuracy | Reconstruction]:
    methods = [name for name in METHODS if is_supported(name)]
    order = sorted(names, key=lambda name: (name not in SLOWEST, name))
    tasks = [(name, seed, methods) for seed in range(n_seeds) for name in order]
    for batch in run_in_processes(evaluate, tasks):
        first = batch[0]
        print(f"  {first.data}, seed {first.seed}: {first.accuracy:.3f}", flush=True)
        yield from batch


def is_supported(method: str) -> bool:
    """Tell whether this version of seqfeat has what the method needs."""
    if METHODS[method].classifier != MAKE_CLASSIFIER:
        return True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit_and_predict(METHODS[method].prepare(random_split(1), 0), random_split(1))
    except InvalidParameterError as error:
        print(f"  {method} is left out: {error}", flush=True)
        return False
    return True


def evaluate(name: str, seed: int, methods: list[str]) -> Results:
    """Return the results of all methods; of those without randomness, only for the first seed."""
    with warnings.catch_warnings():
        # Untrained encoders and solvers that did not converge warn hundreds of times.
        warnings.simplefilter("ignore")
        warm_up(tuple(methods))
        split, results = load_split(name), []
        for method in methods:
            if seed == 0 or METHODS[method].is_random:
                trial = METHODS[method].prepare(split, seed)
                key = (name, method, seed)
                measured = fit_and_predict(trial, split)
                results.append(Accuracy(*key, METHODS[method].classifier, *measured))
                if method == OURS:
                    results += with_fixed_classifiers(trial, split, seed)
                    results += reconstructions(trial, split, seed)
    return results


def fit_and_predict(trial: Trial, split: Split) -> tuple[float, float, float]:
    """Return the accuracy on the test series, and the seconds of the fit and of the prediction."""
    seconds_fit = seconds(lambda: trial.model.fit(trial.X, split.y))
    started = time.perf_counter()
    predicted = trial.model.predict(trial.X_test)
    seconds_transform = time.perf_counter() - started
    return float(np.mean(predicted == split.y_test)), seconds_fit, seconds_transform


def with_fixed_classifiers(trial: Trial, split: Split, seed: int) -> Results:
    """Classify the embeddings of a fitted pipeline."""
    embed = trial.model["autoencoder"].transform
    Z, Z_test = embed(trial.X), embed(trial.X_test)
    return [
        Accuracy(
            split.name,
            OURS,
            seed,
            name,
            *fit_and_predict(Trial(make_pipeline(StandardScaler(), model), Z, Z_test), split),
        )
        for name, model in FIXED_CLASSIFIERS.items()
    ]


def reconstructions(trial: Trial, split: Split, seed: int) -> Results:
    scores = reconstruction_scores(trial.model["autoencoder"], split, seed)
    return [Reconstruction(split.name, method, seed, *pair) for method, pair in scores.items()]


@cache
def warm_up(methods: tuple[str, ...]) -> None:
    """Compile what each method compiles, once per process, before anything is timed."""
    for split in (random_split(1), random_split(3)):
        for method in methods:
            fit_and_predict(METHODS[method].prepare(split, 0), split)


def random_split(n_channels: int) -> Split:
    X = np.random.default_rng(0).normal(size=(24, 40, n_channels))
    y = np.array(["a", "b"] * 12)
    return Split("random", X, y, X, y)


def write_rows(path: Path, rows: list[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(rows[0]._fields)
        for row in rows:
            writer.writerow(round(cell, 4) if isinstance(cell, float) else cell for cell in row)
