"""Classifiers of series to compare: features of some kind, and a classifier on them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from aeon.classification.convolution_based import MiniRocketClassifier
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from tests.benchmarks.datasets import Split, pad

from seqfeat import make_classifier
from seqfeat.series import as_series

EMBEDDING_DIM = 64
GRID = {"svc__C": [0.01, 0.1, 1, 10, 100, 1000]}
MAKE_CLASSIFIER = "make_classifier"
"""The classifier of seqfeat's pipelines, as it is called in the files."""

Floats = NDArray[np.floating]


class Trial(NamedTuple):
    """A classifier to fit, and the series in the form that it reads."""

    model: Any
    X: Any
    X_test: Any


class Method(NamedTuple):
    """Makes the trial for a split and a seed; without randomness, one seed is enough."""

    classifier: str
    prepare: Callable[[Split, int], Trial]
    is_random: bool = True


def missing(split: Split) -> str:
    return "mask" if split.has_gaps else "error"


def seqfeat(embedding_dim: int | None = EMBEDDING_DIM, **parameters: Any) -> Method:
    def prepare(split: Split, seed: int) -> Trial:
        own = {"random_state": seed, "missing": missing(split), **parameters}
        return Trial(make_classifier(embedding_dim, **own), split.X, split.X_test)

    return Method(MAKE_CLASSIFIER, prepare)


def minirocket(split: Split, seed: int) -> Trial:
    """9,996 features and a ridge classifier, as aeon puts them together."""
    X, X_test = (padded.transpose(0, 2, 1) for padded in padded_arrays(split))
    return Trial(MiniRocketClassifier(random_state=seed), X, X_test)


def raw(split: Split, seed: int) -> Trial:
    return Trial(searched_svc(split.y), *flat_arrays(split))


def pca(split: Split, seed: int) -> Trial:
    """Components are not scaled: those with little variance are noise."""
    X, X_test = flat_arrays(split)
    components = PCA(min(EMBEDDING_DIM, len(X) - 1, X.shape[1]), random_state=seed)
    model = make_pipeline(StandardScaler(), components, LogisticRegression(max_iter=2000))
    return Trial(model, X, X_test)


def searched_svc(y: NDArray[np.str_]) -> GridSearchCV:
    smallest = int(np.unique(y, return_counts=True)[1].min())
    folds = StratifiedKFold(min(5, smallest), shuffle=True, random_state=0)
    return GridSearchCV(make_pipeline(StandardScaler(), SVC()), GRID, cv=folds)


def padded_arrays(split: Split) -> tuple[Floats, Floats]:
    """Return the series as arrays (N, T, C) of the length of the longest training series."""
    n_timesteps = as_series(split.X, missing="mask").n_timesteps
    return pad(split.X, n_timesteps), pad(split.X_test, n_timesteps)


def flat_arrays(split: Split) -> tuple[Floats, Floats]:
    X, X_test = padded_arrays(split)
    return X.reshape(len(X), -1), X_test.reshape(len(X_test), -1)


def without_gaps(X: NDArray[np.generic]) -> list[Floats]:
    """Return the series channels first, each with its own length, and zeros for gaps."""
    series = as_series(X, missing="mask")
    return [
        np.nan_to_num(values[:length]).astype(float).T
        for values, length in zip(series.values, series.lengths, strict=True)
    ]


METHODS: dict[str, Method] = {
    "seqfeat": seqfeat(),
    "seqfeat, with labels": seqfeat(target_weight=0.5),
    "seqfeat, untrained": seqfeat(max_iter=0),
    "seqfeat, all statistics": seqfeat(None),
    "MiniRocket": Method("ridge", minirocket),
    "raw": Method("RBF SVC", raw, is_random=False),
    "PCA": Method("logistic regression", pca, is_random=False),
}
