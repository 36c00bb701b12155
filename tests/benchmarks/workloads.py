"""The series, sizes and batches of the equal-work benchmark."""

import numpy as np

BATCH_SIZE = 32
SHAPES = {"64 series of 150 steps": (64, 150, 1), "128 series of 30 steps": (128, 30, 12)}
"""The shape of GunPoint, and short series with 12 channels, as in Japanese Vowels."""
EPOCHS = {16: 16, 32: 8, 64: 4, 128: 4}
"""Epochs in a round, by embedding_dim: more where they are short."""


def walks(n_series: int, n_timesteps: int, n_channels: int) -> np.ndarray:
    """Return standardized random walks; their values do not affect the time of an epoch."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(n_series, n_timesteps, n_channels)).cumsum(axis=1)
    return ((values - values.mean()) / values.std()).astype(np.float32)
