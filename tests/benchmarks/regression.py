"""Numbers as targets: R squared and mean absolute error of `make_regressor`, and baselines.

Covid3Month (the fatality rate of 201 countries, from 84 days of confirmed cases), CardanoSentiment
(the sentiment on 107 days, from hourly returns and volumes of a currency) and Tecator (the fat in
215 pieces of meat, from absorbance spectra) come with aeon and sktime. They are small, so there is
a 5-fold cross-validation over all series, repeated with other folds, beside the official test
series. Nothing of seqfeat is chosen on either.
"""

import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import aeon.datasets
import numpy as np
from aeon.regression.convolution_based import MiniRocketRegressor
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import RidgeCV
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sktime.datasets import load_tecator
from tests.benchmarks.features import EMBEDDING_DIM
from tests.benchmarks.markdown import markdown, unique
from tests.benchmarks.measure import OURS, Row, select_values
from tests.benchmarks.processes import run_in_processes

from seqfeat import make_regressor
from seqfeat.series import from_channels_first

REPEATS, FOLDS = 5, 5
R_SQUARED, ERROR = "R squared", "mean absolute error"
TEST, FOLDED = "test series", "cross-validation"

Floats = NDArray[np.floating]


class Numbers(NamedTuple):
    """Series (N, T, C) and a number for each; the first ones are the official training series."""

    X: Floats
    y: Floats
    n_train: int


def _from_aeon(name: str) -> Numbers:
    (X, y), (X_test, y_test) = (getattr(aeon.datasets, name)(split=s) for s in ("train", "test"))
    series = from_channels_first(np.concatenate([X, X_test]))
    return Numbers(series, np.concatenate([y, y_test]).astype(float), len(y))


def _tecator() -> Numbers:
    (X, y), (X_test, y_test) = (
        load_tecator(s, return_X_y=True, return_type="numpy3d") for s in ("train", "test")
    )
    series = from_channels_first(np.concatenate([X, X_test]))
    return Numbers(series, np.concatenate([y, y_test]).astype(float), len(y))


DATA: dict[str, Callable[[], Numbers]] = {
    "Covid3Month": lambda: _from_aeon("load_covid_3month"),
    "CardanoSentiment": lambda: _from_aeon("load_cardano_sentiment"),
    "Tecator": _tecator,
}


# What is compared


def ridge() -> RidgeCV:
    """The regressor of `make_regressor`, and of aeon's MiniRocket."""
    return RidgeCV(alphas=np.logspace(-3, 3, 10))


def _flat(*steps: Any) -> Any:
    return make_pipeline(FunctionTransformer(_flatten), *steps)


def _flatten(X: Floats) -> Floats:
    return X.reshape(len(X), -1)


class ChannelScaler(TransformerMixin, BaseEstimator):
    """Scales each channel over series and timesteps, as `LSTMAutoencoder` does, and flattens."""

    def fit(self, X: Floats, y: Any = None) -> "ChannelScaler":
        self.mean_, self.std_ = X.mean(axis=(0, 1)), X.std(axis=(0, 1))
        return self

    def transform(self, X: Floats) -> Floats:
        return _flatten((X - self.mean_) / self.std_)


def _channels_first(X: Floats) -> Floats:
    return X.transpose(0, 2, 1)


def _minirocket(seed: int) -> Any:
    return make_pipeline(
        FunctionTransformer(_channels_first), MiniRocketRegressor(random_state=seed)
    )


METHODS: dict[str, Callable[[int], Any]] = {
    OURS: lambda seed: make_regressor(EMBEDDING_DIM, random_state=seed),
    "seqfeat, with targets": lambda seed: make_regressor(
        EMBEDDING_DIM, target_weight=0.5, random_state=seed
    ),
    "seqfeat, all statistics": lambda seed: make_regressor(None, random_state=seed),
    "seqfeat, trained encoder": lambda seed: make_regressor(
        EMBEDDING_DIM, pooling="statistics", random_state=seed
    ),
    "seqfeat, trained encoder with targets": lambda seed: make_regressor(
        EMBEDDING_DIM, pooling="statistics", target_weight=0.5, random_state=seed
    ),
    "MiniRocket": _minirocket,
    "raw, timesteps scaled": lambda seed: _flat(StandardScaler(), ridge()),
    "raw, channels scaled": lambda seed: make_pipeline(ChannelScaler(), ridge()),
    "PCA, 16 components": lambda seed: make_pipeline(
        ChannelScaler(), PCA(16), StandardScaler(), ridge()
    ),
    "mean": lambda seed: _flat(DummyRegressor()),
}
"""Each returns an unfitted model for a seed. All but the mean end in the same ridge regression.

The number of components was chosen after scores on these sets had been seen, which favours PCA.
"""


# The measurement


def regression(quick: bool) -> Iterator[Row]:
    """Yield R squared and mean absolute error for each set, method and seed."""
    tasks = [
        (name, method, seed)
        for name in DATA
        for seed in range(1 if quick else REPEATS)
        for method in METHODS
    ]
    for rows in run_in_processes(evaluate, tasks):
        yield from rows


def evaluate(name: str, method: str, seed: int) -> list[Row]:
    """Return the results on the test series and, over folds made with this seed, on all series."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        X, y, n_train = DATA[name]()
        train, test = np.arange(n_train), np.arange(n_train, len(y))
        folds = KFold(FOLDS, shuffle=True, random_state=seed).split(X)
        splits = {TEST: [(train, test)], FOLDED: folds}
        return [
            Row("regression", f"{name}, {case}", EMBEDDING_DIM, method, quantity, seed, value)
            for case, parts in splits.items()
            for quantity, value in _scores(X, y, method, seed, parts).items()
        ]


def _scores(X: Floats, y: Floats, method: str, seed: int, parts: Any) -> dict[str, float]:
    """Return what is measured over the predictions of all parts together."""
    true, predicted = [], []
    for train, test in parts:
        model = METHODS[method](seed).fit(X[train], y[train])
        true.append(y[test])
        predicted.append(model.predict(X[test]))
    pair = np.concatenate(true), np.concatenate(predicted)
    return {R_SQUARED: float(r2_score(*pair)), ERROR: float(mean_absolute_error(*pair))}


def table(rows: list[Row]) -> str:
    """Return means over the seeds, with the range where they differ."""
    return "\n".join(_table(rows, quantity) for quantity in (R_SQUARED, ERROR))


def _table(rows: list[Row], quantity: str) -> str:
    cases = unique(row.case for row in rows)
    lines = [
        [
            name,
            *(
                _cell(select_values(rows, case=c, contestant=name, quantity=quantity))
                for c in cases
            ),
        ]
        for name in unique(row.contestant for row in rows)
    ]
    return markdown([quantity, *cases], lines)


def _cell(values: Floats) -> str:
    mean, least, most = (f"{value:.3f}" for value in (values.mean(), values.min(), values.max()))
    return mean if least == most else f"{mean} ({least} to {most})"
