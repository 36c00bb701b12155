"""What a model of another data set of the same domain is worth to a small labelled one.

The encoder is fitted to all series of the first set, without their labels; `init` then starts the
fit on some labelled series of the second one, which has other classes and lengths. Measured are the
accuracy and the R squared of the reconstruction, on the test series.
"""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.benchmarks.datasets import Split, available_sets, load_split
from tests.benchmarks.features import EMBEDDING_DIM, METHODS
from tests.benchmarks.few_labels import choose
from tests.benchmarks.markdown import markdown, unique
from tests.benchmarks.measure import Row, select_values
from tests.benchmarks.processes import run_in_processes

from seqfeat import LSTMAutoencoder, make_classifier
from seqfeat.series import as_series

PAIRS = [
    ("AllGestureWiimoteX", "ShakeGestureWiimoteZ"),
    ("AllGestureWiimoteX", "PickupGestureWiimoteZ"),
    ("AllGestureWiimoteX", "GesturePebbleZ1"),
    ("Handwriting", "UWaveGestureLibrary"),
    ("RacketSports", "BasicMotions"),
    ("TwoLeadECG", "ECG200"),
    ("SwedishLeaf", "OSULeaf"),
    ("SwedishLeaf", "SwedishLeaf"),
    ("UWaveGestureLibrary", "UWaveGestureLibrary"),
]
"""Sets of one domain with as many channels: gestures, motions, heartbeats, outlines of leaves.

The last two are a comparison: the unlabelled series are the training series of the same set.
"""
LABELLED = [5, 10, None]
"""Labelled series of each class, as far as there are as many; None is the whole training set."""
POOLINGS = ["reservoir", "statistics"]
ANEW, CONTINUED, KEPT = "fitted anew", "init", "init, max_iter=0"
OTHER = "MiniRocket"
ACCURACY, R_SQUARED = "accuracy", "R squared"
SEEDS = 3


# The measurement


def pretraining(quick: bool) -> Iterator[Row]:
    """Yield the test accuracy for each pair, number of labels, method and seed."""
    pairs = PAIRS[5:6] if quick else PAIRS
    found = set(available_sets({name for pair in pairs for name in pair}))
    seeds = range(1 if quick else SEEDS)
    tasks = [(*pair, seed) for pair in pairs if found >= set(pair) for seed in seeds]
    for rows in run_in_processes(evaluate, tasks):
        yield from rows


def evaluate(source: str, target: str, seed: int) -> list[Row]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(_evaluate(source, load_split(target), seed))


def _evaluate(source: str, target: Split, seed: int) -> Iterator[Row]:
    is_same = source == target.name
    series = unlabelled(source, with_test=not is_same)
    models = {pooling: _autoencoder(pooling, seed).fit(series) for pooling in POOLINGS}
    smallest = np.unique(target.y, return_counts=True)[1].min()
    for number in LABELLED:
        if is_same if number is None else number >= smallest:
            continue
        rows = choose(target.y, number, seed) if number else np.arange(len(target.y))
        labelled = target._replace(X=target.X[rows], y=target.y[rows])
        amount = f"{number} a class" if number else "all labels"
        fields = ("pretraining", f"{source} to {target.name}, {amount}", EMBEDDING_DIM)
        for pooling, model in models.items():
            ways: dict[str, dict[str, Any]] = {ANEW: {}, CONTINUED: {"init": model}}
            if pooling != "reservoir":
                ways[KEPT] = {"init": model, "max_iter": 0}
            for way, parameters in ways.items():
                scores = _scores(labelled, pooling, seed, parameters)
                for quantity, value in scores.items():
                    yield Row(*fields, f"{pooling}, {way}", quantity, seed, value, f"{len(rows)}")
        trial = METHODS[OTHER].prepare(labelled, seed)
        predicted = trial.model.fit(trial.X, labelled.y).predict(trial.X_test)
        value = float(np.mean(predicted == labelled.y_test))
        yield Row(*fields, OTHER, ACCURACY, seed, value, f"{len(rows)}")


def _autoencoder(pooling: str, seed: int) -> LSTMAutoencoder:
    return LSTMAutoencoder(EMBEDDING_DIM, pooling=pooling, missing="mask", random_state=seed)


def _scores(
    labelled: Split, pooling: str, seed: int, parameters: dict[str, Any]
) -> dict[str, float]:
    own = {"pooling": pooling, "missing": "mask", "random_state": seed, **parameters}
    model = make_classifier(EMBEDDING_DIM, **own).fit(labelled.X, labelled.y)
    return {
        ACCURACY: float(model.score(labelled.X_test, labelled.y_test)),
        R_SQUARED: float(model["autoencoder"].score(labelled.X_test)),
    }


def unlabelled(name: str, *, with_test: bool) -> list[np.ndarray]:
    """Return the training series of a set, and maybe its test series, without padding."""
    split = load_split(name)
    return [
        values[:length]
        for X in (split.X, split.X_test)[: 1 + with_test]
        for series in [as_series(X, missing="mask")]
        for values, length in zip(series.values, series.lengths, strict=True)
    ]


def table(rows: list[Row]) -> str:
    """Return the means over the seeds, and how often `init` was ahead and behind."""
    return "\n".join(
        _table([row for row in rows if row.quantity == quantity], quantity)
        for quantity in (ACCURACY, R_SQUARED)
    )


def _table(rows: list[Row], quantity: str) -> str:
    names, lines = unique(row.contestant for row in rows), []
    for case in unique(row.case for row in rows):
        values = [select_values(rows, case=case, contestant=name) for name in names]
        lines.append([case, *(f"{v.mean():.3f}" for v in values)])
    for is_same, title in ((False, "different sets"), (True, "the same set")):
        chosen = [row for row in rows if _is_same_set(row) is is_same]
        means = {name: _means(chosen, name) for name in names}
        if chosen:
            lines.append([f"mean of {title}", *(f"{v.mean():.3f}" for v in means.values())])
            lines.append([f"ahead, even, behind for {title}", *_duels(means)])
    return markdown([f"mean {quantity} over the seeds", *names], lines)


def _is_same_set(row: Row) -> bool:
    source, target = row.case.split(",")[0].split(" to ")
    return source == target


def _means(rows: list[Row], name: str) -> NDArray[np.floating]:
    cases = unique(row.case for row in rows)
    return np.array([select_values(rows, case=case, contestant=name).mean() for case in cases])


def _duels(means: dict[str, NDArray[np.floating]]) -> Iterator[str]:
    """Yield how each method compares with the same pooling fitted anew."""
    for name, values in means.items():
        base = means.get(f"{name.split(',')[0]}, {ANEW}")
        if base is None or base is values:
            yield ""
        else:
            signs = np.sign(np.round(values - base, 6))
            yield ", ".join(str(int((signs == sign).sum())) for sign in (1, 0, -1))
