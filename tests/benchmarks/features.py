"""Ways to turn series into features, each a function of a split and a seed."""

import time
from collections.abc import Callable

import numpy as np
import torch
from aeon.transformations.collection.convolution_based import MiniRocket
from aeon.transformations.collection.feature_based import Catch22
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from tests.benchmarks.archive import Split, padded
from tests.benchmarks.gunpoint import PlainNetwork

from seqfeat import LSTMAutoencoder
from seqfeat.series import as_series

EMBEDDING_DIM = 64

Floats = NDArray[np.floating]
Features = tuple[Floats, Floats]
Method = Callable[[Split, int], Features]


def autoencoder(**parameters: object) -> Method:
    """Return the embeddings of an LSTMAutoencoder with these parameters as a method."""

    def features(split: Split, seed: int) -> Features:
        model = LSTMAutoencoder(EMBEDDING_DIM, random_state=seed, **parameters)
        model.fit(split.X, split.y)
        return model.transform(split.X), model.transform(split.X_test)

    return features


def seed_network(split: Split, seed: int) -> Features:
    """The plain network, trained as people write it for as long as the default takes."""
    started = time.perf_counter()
    LSTMAutoencoder(EMBEDDING_DIM, random_state=seed).fit(split.X)
    seconds = time.perf_counter() - started
    X, X_test, lengths, lengths_test = _scaled(split)
    torch.manual_seed(seed)
    network = PlainNetwork(X.shape[2], EMBEDDING_DIM)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    observed = (torch.arange(X.shape[1]) < lengths[:, None])[:, :, None]
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        for rows in torch.randperm(len(X)).split(32):
            error = (network(X[rows]) - X[rows]) ** 2 * observed[rows]
            optimizer.zero_grad()
            (error.sum() / observed[rows].sum() / X.shape[2]).backward()
            optimizer.step()
    return _last_states(network, X, lengths), _last_states(network, X_test, lengths_test)


def _scaled(split: Split) -> tuple[torch.Tensor, ...]:
    train, test = as_series(split.X), as_series(split.X_test)
    mean = np.nanmean(train.values, axis=(0, 1))
    scale = np.nanstd(train.values, axis=(0, 1))
    scaled = [
        torch.tensor(np.nan_to_num((series.values - mean) / scale), dtype=torch.float32)
        for series in (train, test)
    ]
    return *scaled, torch.from_numpy(train.lengths), torch.from_numpy(test.lengths)


@torch.no_grad()
def _last_states(network: PlainNetwork, X: torch.Tensor, lengths: torch.Tensor) -> Floats:
    states = network.encoder_2(network.encoder_1(X)[0])[0]
    last: Floats = states[torch.arange(len(X)), lengths - 1].numpy()
    return last


def raw(split: Split, seed: int) -> Features:
    """The padded values themselves."""
    n_timesteps = as_series(split.X).n_timesteps
    X, X_test = padded(split.X, n_timesteps), padded(split.X_test, n_timesteps)
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
    """On padded series: it needs one length. 9,996 features."""
    n_timesteps = as_series(split.X).n_timesteps
    X, X_test = (padded(X, n_timesteps).transpose(0, 2, 1) for X in (split.X, split.X_test))
    model = MiniRocket(random_state=seed)
    return np.asarray(model.fit_transform(X)), np.asarray(model.transform(X_test))


def _channels_first(X: NDArray[np.generic]) -> list[Floats]:
    return [np.asarray(series, dtype=float).T for series in X]


SEEDED: dict[str, Method] = {
    "seqfeat": autoencoder(),
    "seqfeat, target_weight=0.5": autoencoder(target_weight=0.5),
    "seed network, equal time": seed_network,
    "untrained encoder": autoencoder(max_iter=0),
    "MiniRocket": minirocket,
}
UNSCALED = {"PCA"}
"""Features whose spreads mean something: components of little variance are mostly noise."""
FIXED: dict[str, Method] = {"raw": raw, "PCA": pca, "catch22": catch22}
"""Those that no seed changes."""
