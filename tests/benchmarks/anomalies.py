"""How well each timestep's error finds faults, against other detectors on the same windows.

Models are fitted to windows of the training series, and score windows of unseen series; a timestep
has the mean score of the windows that cover it. The measure is VUS-PR, the volume under the
surface of precision, recall and the tolerance at the edges of a fault [1].

[1] J. Paparrizos et al. (2022). "Volume under the surface: a new accuracy evaluation measure for
    time-series anomaly detection". PVLDB 15(11).
"""

import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

import aeon.datasets
import numpy as np
from aeon.benchmarking.metrics.anomaly_detection import range_pr_vus_score
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from tests.benchmarks.datasets import available_sets, load_split
from tests.benchmarks.faults import FAULTS, Faulty, Floats, fault_length, inject
from tests.benchmarks.markdown import markdown, unique
from tests.benchmarks.measure import OURS, Row, select_values
from tests.benchmarks.processes import run_in_processes

from seqfeat import LSTMAutoencoder
from seqfeat.series import as_series

TUNED_ON = ["BasicMotions", "ERing", "Epilepsy", "JapaneseVowels", "ECG200", "GunPoint"]
"""Sets on which settings and the sizes of the faults were chosen."""
MULTIVARIATE = [
    "ArticularyWordRecognition",
    "Handwriting",
    "Libras",
    "NATOPS",
    "RacketSports",
    "UWaveGestureLibrary",
]
UNIVARIATE = ["CricketX", "GesturePebbleZ1", "Plane", "SwedishLeaf"]
WINDOWS, WHOLE = "windows", "whole series"
KDD, DAPHNET = "KDD-TSAD_135", "Daphnet_S06R02E0"
MAX_DIM = 256
"""Size of an embedding, or half the values of a window if these are fewer."""
RECORDING_WINDOW = 128
"""Timesteps of the windows of the two recordings."""
N_COVERING = 4
"""Windows that cover a timestep."""
MAX_SERIES = 40
"""Unseen series of a set."""
MAX_TOLERANCE = 16
SEEDS = 3


class Task(NamedTuple):
    """Training series, unseen ones with their faults, and the length of a window."""

    train: list[Floats]
    faulty: dict[str, Faulty]
    length: int


# Series


def archive_task(name: str, use: str, seed: int) -> Task:
    """Return the series of a set of the archive, with a fault in every other unseen one."""
    split = load_split(name)
    train, test = as_list(split.X), as_list(split.X_test)
    lengths = [len(values) for values in train]
    length = max(lengths) if use == WHOLE else max(8, int(np.median(lengths)) // 2)
    kept = np.random.default_rng(seed).permutation(len(test))[:MAX_SERIES]
    return standardized_task(train, [test[number] for number in kept], length, seed)


def daphnet_task(seed: int) -> Task:
    """Return the first half of a recording of nine channels, and the other half in ten pieces.

    What aeon bundles of it has no labelled anomalies, so these are injected.
    """
    X, _ = aeon.datasets.load_daphnet_s06r02e0()
    half = len(X) // 2
    pieces = np.array_split(X[half:].astype(float), 10)
    return standardized_task([X[:half].astype(float)], pieces, RECORDING_WINDOW, seed)


def kdd_task() -> Task:
    """Return a recording with one labelled anomaly, 12 of 7501 timesteps."""
    X, _ = aeon.datasets.load_kdd_tsad_135("train")
    X_test, labels = aeon.datasets.load_kdd_tsad_135("test")
    train, test = (standardized([X[:, None]], [one[:, None]]) for one in (X, X_test))
    return Task(train, {"labelled": Faulty(test, [labels.astype(bool)])}, RECORDING_WINDOW)


def as_list(X: NDArray[np.generic]) -> list[Floats]:
    series = as_series(X)
    return [
        values[:length].astype(float)
        for values, length in zip(series.values, series.lengths, strict=True)
    ]


def standardized(like: list[Floats], series: list[Floats]) -> list[Floats]:
    """Scale every channel by its mean and standard deviation over `like`."""
    values = np.concatenate(like)
    return [(one - values.mean(axis=0)) / values.std(axis=0) for one in series]


def standardized_task(train: list[Floats], test: list[Floats], length: int, seed: int) -> Task:
    unseen = standardized(train, test)
    faulty = {
        kind: inject(unseen, kind, np.random.default_rng([seed, number]))
        for number, kind in enumerate(FAULTS)
    }
    return Task(standardized(train, train), faulty, length)


# Windows


class Windows(NamedTuple):
    """Windows (N, W, C), and of each the number of its series and its first timestep."""

    values: Floats
    series: NDArray[np.int64]
    starts: NDArray[np.int64]


def cut(series: list[Floats], length: int) -> Windows:
    """Cut series into windows that cover every timestep; shorter series end in zeros."""
    stride = max(1, length // N_COVERING)
    numbers, starts, values = [], [], []
    for number, one in enumerate(series):
        last = max(0, len(one) - length)
        for start in np.unique([*range(0, last, stride), last]):
            window = np.zeros((length, one.shape[1]))
            part = one[start : start + length]
            window[: len(part)] = part
            numbers.append(number)
            starts.append(start)
            values.append(window)
    return Windows(np.stack(values), np.array(numbers), np.array(starts))


def over_timesteps(errors: Floats, windows: Windows, series: list[Floats]) -> list[Floats]:
    """Return the mean error of each timestep of each series, from errors (N, W) of windows."""
    totals = [np.zeros(len(values)) for values in series]
    counts = [np.zeros(len(values)) for values in series]
    for error, number, start in zip(errors, windows.series, windows.starts, strict=True):
        covered = slice(start, start + len(error))
        n_covered = len(totals[number][covered])
        totals[number][covered] += error[:n_covered]
        counts[number][covered] += 1
    return [total / count for total, count in zip(totals, counts, strict=True)]


# Detectors

Detector = Callable[[Floats], Floats]
"""From windows (N, W, C) to errors (N, W)."""


def embedding_dim(X: Floats) -> int:
    return min(MAX_DIM, X[0].size // 2)


def autoencoder(X: Floats, seed: int, **parameters: object) -> Detector:
    model = LSTMAutoencoder(embedding_dim(X), scale=None, random_state=seed, **parameters).fit(X)
    return lambda X: -np.stack(model.score_timesteps(X))


def seqfeat(X: Floats, seed: int) -> Detector:
    return autoencoder(X, seed, reconstruction_fraction=1.0)


def untrained(X: Floats, seed: int) -> Detector:
    return autoencoder(X, seed, reconstruction_fraction=1.0, max_iter=0)


def with_defaults(X: Floats, seed: int) -> Detector:
    return autoencoder(X, seed)


def pca(X: Floats, seed: int) -> Detector:
    flat = X.reshape(len(X), -1)
    model = PCA(min(embedding_dim(X), len(X) - 1), svd_solver="full").fit(flat)

    def errors(X: Floats) -> Floats:
        flat = X.reshape(len(X), -1)
        rebuilt = model.inverse_transform(model.transform(flat))
        return ((flat - rebuilt) ** 2).reshape(X.shape).mean(axis=2)

    return errors


def isolation_forest(X: Floats, seed: int) -> Detector:
    model = IsolationForest(random_state=seed).fit(X.reshape(len(X), -1))

    def errors(X: Floats) -> Floats:
        of_windows = -model.score_samples(X.reshape(len(X), -1))
        return np.repeat(of_windows[:, None], X.shape[1], axis=1)

    return errors


def distance_from_mean(X: Floats, seed: int) -> Detector:
    return lambda X: (X**2).mean(axis=2)


DETECTORS: dict[str, Callable[[Floats, int], Detector]] = {
    OURS: seqfeat,
    f"{OURS}, max_iter=0": untrained,
    f"{OURS}, reconstruction_fraction=0.2": with_defaults,
    "PCA": pca,
    "isolation forest": isolation_forest,
    "distance from the mean": distance_from_mean,
}


# Measurement


def anomalies(quick: bool) -> Iterator[Row]:
    """Yield VUS-PR for each set, use, kind of fault, detector and seed."""
    names = available_sets(["RacketSports"] if quick else [*MULTIVARIATE, *UNIVARIATE])
    seeds = range(1 if quick else SEEDS)
    tasks = [(name, use, seed) for name in names for use in (WINDOWS, WHOLE) for seed in seeds]
    recordings = [KDD]
    if hasattr(aeon.datasets, "load_daphnet_s06r02e0"):  # until aeon 1.7
        recordings.append(DAPHNET)
    tasks += [(name, WINDOWS, seed) for name in recordings for seed in seeds]
    for rows in run_in_processes(evaluate, tasks):
        yield from rows


def evaluate(name: str, use: str, seed: int) -> list[Row]:
    with warnings.catch_warnings():
        # aeon announces the end of Daphnet, and short fits do not converge.
        warnings.simplefilter("ignore")
        if name == KDD:
            task = kdd_task()
        else:
            task = daphnet_task(seed) if name == DAPHNET else archive_task(name, use, seed)
        X = cut(task.train, task.length).values
        rows = []
        for contestant, fit in DETECTORS.items():
            detector = fit(X, seed)
            for kind, faulty in task.faulty.items():
                value = vus_pr(faulty, task.length, detector)
                case = f"{name}, {use}, {kind}"
                note = f"{len(X)} windows of {task.length} timesteps"
                of = embedding_dim(X)
                rows.append(Row("anomalies", case, of, contestant, "VUS-PR", seed, value, note))
    return rows


def vus_pr(faulty: Faulty, length: int, detector: Detector) -> float:
    windows = cut(faulty.series, length)
    errors = over_timesteps(detector(windows.values), windows, faulty.series)
    median = int(np.median([len(values) for values in faulty.series]))
    tolerance = min(MAX_TOLERANCE, fault_length(median))
    labels = np.concatenate(faulty.labels).astype(int)
    return float(range_pr_vus_score(labels, np.concatenate(errors), tolerance))


# Table


def table(rows: list[Row]) -> str:
    """Return the mean VUS-PR of each set and use over the faults and seeds, and of each fault."""
    contestants = unique(row.contestant for row in rows)
    groups: dict[str, list[Row]] = {}
    for row in rows:
        name, use, kind = row.case.split(", ")
        groups.setdefault(f"{name}, {use}", []).append(row)
        is_many = "multivariate" if name in MULTIVARIATE else "univariate"
        if name in (*MULTIVARIATE, *UNIVARIATE):
            groups.setdefault(f"**{is_many} sets, {use}**", []).append(row)
            if use == WINDOWS:
                groups.setdefault(f"{is_many} sets, {use}: {kind}", []).append(row)
    # Sets first, then means over sets.
    names = sorted(groups, key=lambda group: ("sets, " in group, ":" in group))
    lines = [
        [
            name,
            *(f"{select_values(groups[name], contestant=one).mean():.3f}" for one in contestants),
        ]
        for name in names
    ]
    return markdown(["mean VUS-PR over faults and seeds", *contestants], lines)
