"""What the parameters of `LSTMAutoencoder` may be; checked by `fit`."""

from __future__ import annotations

import os
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

__all__ = ["PARAMETER_CONSTRAINTS", "can_stream", "needs_labels"]

PARAMETER_CONSTRAINTS: dict[str, list[Any]] = {
    "embedding_dim": [Interval(Integral, 1, None, closed="left")],
    "hidden_dim": [Interval(Integral, 1, None, closed="left"), None],
    "patch_len": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    "window_len": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    "window_stride": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    "n_time_features": [Interval(Integral, 0, None, closed="left")],
    "bidirectional": ["boolean"],
    "pooling": [StrOptions({"last", "mean", "max", "statistics"})],
    "dropout": [Interval(Real, 0, 1, closed="left")],
    "scale": [StrOptions({"channel"}), None],
    "missing": [StrOptions({"error", "mask"})],
    "masking_ratio": [Interval(Real, 0, 1, closed="left")],
    "input_noise": [Interval(Real, 0, None, closed="left")],
    "target_weight": [Interval(Real, 0, 1, closed="left")],
    "max_iter": [Interval(Integral, 0, None, closed="left")],
    "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "weight_decay": [Interval(Real, 0, None, closed="left")],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left")],
    "warm_start": ["boolean"],
    "random_state": ["random_state"],
    "device": [str],
    "verbose": ["verbose"],
    "checkpoint_dir": [str, os.PathLike, None],
    "checkpoint_every": [Interval(Integral, 1, None, closed="left")],
}


def can_stream(estimator: Any) -> bool:
    """Tell whether there is a `partial_fit`; scikit-learn looks for it with `hasattr`."""
    if estimator.early_stopping:
        raise ValueError("partial_fit does not support early_stopping=True; a stream has no end.")
    return True


def needs_labels(target_weight: Any) -> bool:
    """Tell whether `fit` needs labels, also before the parameters were checked."""
    return isinstance(target_weight, (int, float, np.number)) and bool(target_weight > 0)
