"""Fits to compare between several processes and one, on all the series."""

from contextlib import contextmanager

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from seqfeat import LSTMAutoencoder
from seqfeat.training import sampler

SMALL = {"embedding_dim": 4, "max_iter": 3, "batch_size": 16, "random_state": 0, "device": "cpu"}
TRAINED = {**SMALL, "pooling": "statistics"}
"""An encoder that is trained."""


def walks(n_samples=70, n_timesteps=20, seed=0):
    """Return series of two channels: a wave and a random walk."""
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 6, (n_samples, 1))
    waves = np.sin(phase + np.arange(n_timesteps) / rng.uniform(1, 4, (n_samples, 1)))
    return np.stack([waves, np.cumsum(rng.normal(size=waves.shape), axis=1)], axis=2)


def ragged():
    X = walks()
    lengths = np.random.default_rng(1).integers(8, 21, len(X))
    for series, length in zip(X, lengths, strict=True):
        series[length:] = np.nan
    X[5, 3:5, 0] = np.nan
    return X


def labels(n_samples=70):
    # Sorted, so that no process sees all classes.
    return np.sort(np.random.default_rng(2).choice(["a", "b", "c"], n_samples))


CASES = {
    "dense": (LSTMAutoencoder(**SMALL, early_stopping=False), walks(), None),
    "masked": (LSTMAutoencoder(**SMALL, missing="mask", dropout=0.2), ragged(), None),
    "weighted": (LSTMAutoencoder(**SMALL, target_weight=0.5), walks(), labels()),
    "trained": (LSTMAutoencoder(**TRAINED), walks(), None),
    "corrupted": (
        LSTMAutoencoder(**TRAINED, missing="mask", masking_ratio=0.3, dropout=0.2, input_noise=0.1),
        ragged(),
        None,
    ),
    "labelled": (LSTMAutoencoder(**TRAINED, target_weight=0.5), walks(), labels()),
    "plain": (LSTMAutoencoder(**SMALL, pooling="last", scale=None), walks(), None),
    "stopped": (
        LSTMAutoencoder(
            **{**TRAINED, "max_iter": 30, "learning_rate_init": 0.015},
            early_stopping=True,
            validation_fraction=0.3,
            n_iter_no_change=2,
        ),
        walks(),
        None,
    ),
    "chunked": (LSTMAutoencoder(**SMALL, early_stopping=True), walks(), None),
    "trained in chunks": (LSTMAutoencoder(**TRAINED, early_stopping=True), walks(), None),
    "pipeline": (
        make_pipeline(LSTMAutoencoder(**SMALL), StandardScaler(), LogisticRegression()),
        walks(),
        labels(),
    ),
}


@contextmanager
def memory_of(name):
    """Let the cases in chunks hold only a few of their series in memory at a time."""
    before = sampler.CHUNK_BYTES
    sampler.CHUNK_BYTES = 2**13 if "chunk" in name else before
    try:
        yield
    finally:
        sampler.CHUNK_BYTES = before


def own_rows(n_samples, rank, world_size):
    """Return the rows of a process; higher ranks have more of them."""
    edges = np.arange(world_size + 1) ** 2 * n_samples // world_size**2
    return slice(edges[rank], edges[rank + 1])


def summary(model, X):
    """Return what has to be the same in all processes and in one."""
    autoencoder = model[0] if hasattr(model, "steps") else model
    return {
        "loss_curve": autoencoder.loss_curve_,
        "validation_loss_curve": autoencoder.validation_loss_curve_ or [],
        "best_score": autoencoder.best_score_,
        "embeddings": autoencoder.transform(X),
        "mean": autoencoder.mean_,
        "n_timesteps": autoencoder.n_timesteps_in_,
        "classes": getattr(autoencoder, "classes_", []),
        **({} if autoencoder is model else {"predictions": model.predict(X)}),
    }


def assert_same_fit(found, expected):
    """Compare two summaries, up to the rounding that another order of summation causes."""
    assert set(found) == set(expected)
    for key, value in expected.items():
        if np.asarray(value).dtype.kind in "US":
            assert np.mean(found[key] == value) > 0.97, key
        else:
            np.testing.assert_allclose(found[key], value, rtol=1e-4, atol=1e-4, err_msg=key)
