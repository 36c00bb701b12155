"""Fits that several processes share and that one process makes alone, to be compared."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from seqfeat import LSTMAutoencoder
from seqfeat.training import sampler as regions

SMALL = {"embedding_dim": 4, "max_iter": 3, "batch_size": 16, "random_state": 0, "device": "cpu"}


def walks(n_samples=70, n_timesteps=20, seed=0):
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
    # Sorted, so that a process does not see all classes.
    return np.sort(np.random.default_rng(2).choice(["a", "b", "c"], n_samples))


CASES = {
    "dense": (LSTMAutoencoder(**SMALL), walks(), None),
    "masked": (LSTMAutoencoder(**SMALL, missing="mask"), ragged(), None),
    "hidden": (
        LSTMAutoencoder(**SMALL, missing="mask", masking_ratio=0.3, dropout=0.2, input_noise=0.1),
        ragged(),
        None,
    ),
    "labelled": (LSTMAutoencoder(**SMALL, target_weight=0.5), walks(), labels()),
    "plain": (LSTMAutoencoder(**SMALL, pooling="last", scale=None), walks(), None),
    "stopped": (
        LSTMAutoencoder(
            **{**SMALL, "max_iter": 30, "learning_rate_init": 0.05},
            early_stopping=True,
            validation_fraction=0.3,
            n_iter_no_change=2,
        ),
        walks(),
        None,
    ),
    "regions": (LSTMAutoencoder(**{**SMALL, "early_stopping": True}), walks(), None),
    "pipeline": (
        make_pipeline(LSTMAutoencoder(**SMALL), StandardScaler(), LogisticRegression()),
        walks(),
        labels(),
    ),
}


def small_regions(case):
    """Let one of the cases read its series in many regions."""
    regions.REGION_BYTES = 2**13 if case == "regions" else 64 * 2**20


def own_rows(n_samples, rank, world_size):
    """Return a process's rows, of which the later processes have more."""
    edges = np.arange(world_size + 1) ** 2 * n_samples // world_size**2
    return slice(edges[rank], edges[rank + 1])


def summary(model, X):
    """Return what is to agree."""
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
