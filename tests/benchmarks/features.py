"""Methods to turn series into features, each a function of a split and a seed."""

import time
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from aeon.transformations.collection.convolution_based import MiniRocket
from aeon.transformations.collection.feature_based import Catch22
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from tests.benchmarks.datasets import Split, load_split, pad, standardize
from tests.benchmarks.plain import PaddedLoop

from seqfeat import LSTMAutoencoder
from seqfeat.series import as_series

EMBEDDING_DIM = 64
BATCH_SIZE = 32
"""The usual batch size for the plain network."""

Floats = NDArray[np.floating]
Features = tuple[Floats, Floats]
Method = Callable[[Split, int], Features]


def autoencoder(**parameters: object) -> Method:
    """Return the method that embeds with an LSTMAutoencoder with these parameters."""

    def features(split: Split, seed: int) -> Features:
        model = LSTMAutoencoder(EMBEDDING_DIM, random_state=seed, **parameters)
        return _embeddings(model.fit(split.X, split.y), split)

    return features


def default(split: Split, seed: int) -> Features:
    return _embeddings(_default_fit(split.name, seed)[0], split)


@lru_cache(maxsize=1)
def _default_fit(name: str, seed: int) -> tuple[LSTMAutoencoder, float]:
    """Fit the default and time it; cached, because two methods need it one after the other."""
    X = load_split(name).X
    started = time.perf_counter()
    model = LSTMAutoencoder(EMBEDDING_DIM, random_state=seed).fit(X)
    return model, time.perf_counter() - started


def _embeddings(model: LSTMAutoencoder, split: Split) -> Features:
    return model.transform(split.X), model.transform(split.X_test)


def seed_network(split: Split, seed: int) -> Features:
    """The plain network in the usual training loop, for as long as the default takes to fit."""
    _, seconds = _default_fit(split.name, seed)
    loop = PaddedLoop(
        standardize(split.X), EMBEDDING_DIM, BATCH_SIZE, torch.get_num_threads(), seed
    )
    loop.train_for(seconds)
    return loop.embed(standardize(split.X)), loop.embed(standardize(split.X_test, like=split.X))


def raw(split: Split, seed: int) -> Features:
    """The padded values."""
    n_timesteps = as_series(split.X).n_timesteps
    X, X_test = pad(split.X, n_timesteps), pad(split.X_test, n_timesteps)
    return X.reshape(len(X), -1), X_test.reshape(len(X_test), -1)


def pca(split: Split, seed: int) -> Features:
    X, X_test = raw(split, seed)
    scaler = StandardScaler().fit(X)
    X, X_test = scaler.transform(X), scaler.transform(X_test)
    model = PCA(min(EMBEDDING_DIM, len(X) - 1, X.shape[1]), random_state=seed).fit(X)
    return model.transform(X), model.transform(X_test)


def catch22(split: Split, seed: int) -> Features:
    model = Catch22(replace_nans=True)
    return model.fit_transform(_channels_first(split.X)), model.transform(
        _channels_first(split.X_test)
    )


def minirocket(split: Split, seed: int) -> Features:
    """9,996 features of the padded series; MiniRocket needs series of equal length."""
    n_timesteps = as_series(split.X).n_timesteps
    X, X_test = (pad(X, n_timesteps).transpose(0, 2, 1) for X in (split.X, split.X_test))
    model = MiniRocket(random_state=seed)
    return np.asarray(model.fit_transform(X)), np.asarray(model.transform(X_test))


def _channels_first(X: NDArray[np.generic]) -> list[Floats]:
    return [np.asarray(series, dtype=float).T for series in X]


SEEDED: dict[str, Method] = {
    "seqfeat": default,
    "seqfeat, target_weight=0.5": autoencoder(target_weight=0.5),
    "seed network, equal time": seed_network,
    "untrained encoder": autoencoder(max_iter=0),
    "MiniRocket": minirocket,
}
UNSCALED = {"PCA"}
"""Features that are not standardized: principal components with little variance are noise."""
FIXED: dict[str, Method] = {"raw": raw, "PCA": pca, "catch22": catch22}
"""Methods that do not depend on the seed."""
