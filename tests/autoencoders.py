"""Small autoencoders, series to fit them to, and comparisons of fitted ones."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from seqfeat import LSTMAutoencoder
from seqfeat.datasets import load_japanese_vowels

METHODS = ["transform", "reconstruct", "score", "score_samples"]

CORRUPTED = {
    "pooling": "statistics",
    "masking_ratio": 0.2,
    "dropout": 0.2,
    "input_noise": 0.3,
    "early_stopping": True,
}
"""Everything that training draws random numbers for."""


def small(**params):
    """Return an autoencoder that trains for so few epochs that it learns next to nothing."""
    defaults = {"embedding_dim": 4, "hidden_dim": 8, "max_iter": 3, "random_state": 0}
    return LSTMAutoencoder(**{**defaults, **params})


def fit_quietly(estimator, X):
    """Fit in a fixture, to which a test's filters of warnings do not apply."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X)


def waves(n_samples=12, n_timesteps=8, n_channels=2, seed=0):
    """Return sine waves about 3 with random phase and period, so that two numbers describe each.

    The second channel is out of phase with the first, and twice as large.
    """
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 2 * np.pi, (n_samples, 1, 1)) + np.arange(n_channels)
    period = rng.uniform(8, 14, (n_samples, 1, 1))
    steps = np.arange(n_timesteps)[:, None]
    return 3.0 + (1 + np.arange(n_channels)) * np.sin(2 * np.pi * steps / period + phase)


def ragged_waves(n_samples=12, n_timesteps=8, n_channels=2, seed=0):
    """Return a list of waves of unequal length."""
    lengths = np.random.default_rng(seed + 1).integers(3, n_timesteps + 1, n_samples)
    lengths[0] = n_timesteps
    series = waves(n_samples, n_timesteps, n_channels, seed)
    return [values[:length] for values, length in zip(series, lengths, strict=True)]


def pad(items, n_timesteps=None):
    """Return a list of series as one array, padded with NaN."""
    n_timesteps = max(map(len, items)) if n_timesteps is None else n_timesteps
    X = np.full((len(items), n_timesteps, items[0].shape[1]), np.nan)
    for row, item in zip(X, items, strict=True):
        row[: len(item)] = item
    return X


def with_value(value, at=(7, 3, 1)):
    """Return waves with one value replaced."""
    X = waves()
    X[at] = value
    return X


def utterances(n_speakers=2, each=8):
    """Return the first utterances of some speakers, of unequal length, and their labels."""
    X, y = load_japanese_vowels(return_X_y=True)
    rows = np.concatenate([np.arange(each) + 30 * speaker for speaker in range(n_speakers)])
    return X[rows], y[rows]


def learned(estimator):
    """Return the learned attributes."""
    return {name: value for name, value in vars(estimator).items() if name.endswith("_")}


def assert_same_weights(left, right):
    assert left.weights_.keys() == right.weights_.keys()
    for name, weight in left.weights_.items():
        np.testing.assert_array_equal(weight, right.weights_[name], err_msg=name)


def assert_same_model(left, right):
    assert_same_weights(left, right)
    assert left.loss_curve_ == right.loss_curve_
    np.testing.assert_array_equal(left.mean_, right.mean_)
    np.testing.assert_array_equal(left.scale_, right.scale_)
