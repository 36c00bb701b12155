"""The parameters of a fit: their constraints, and a frozen record of their values."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np

from seqfeat.inference.pretrained import Pretrained
from seqfeat.nn.network import MAX_DIMENSION, POOLINGS
from seqfeat.sklearn_compat import HasMethods, Interval, StrOptions

__all__ = ["PARAMETER_CONSTRAINTS", "FitParameters", "needs_labels"]

PARAMETER_CONSTRAINTS: dict[str, list[Any]] = {
    "embedding_dim": [Interval(Integral, 1, MAX_DIMENSION, closed="both"), None],
    "hidden_dim": [Interval(Integral, 1, MAX_DIMENSION, closed="both"), None],
    "patch_len": [Interval(Integral, 1, MAX_DIMENSION, closed="both"), StrOptions({"auto"})],
    "window_len": [Interval(Integral, 1, MAX_DIMENSION, closed="both"), StrOptions({"auto"})],
    "window_stride": [Interval(Integral, 1, MAX_DIMENSION, closed="both"), StrOptions({"auto"})],
    "n_time_features": [Interval(Integral, 0, MAX_DIMENSION, closed="both")],
    "bidirectional": ["boolean"],
    "pooling": [StrOptions(set(POOLINGS))],
    "dropout": [Interval(Real, 0, 1, closed="left")],
    "scale": [StrOptions({"channel"}), None],
    "missing": [StrOptions({"error", "mask"})],
    "masking_ratio": [Interval(Real, 0, 1, closed="left")],
    "input_noise": [Interval(Real, 0, None, closed="left")],
    "target_weight": [Interval(Real, 0, 1, closed="left")],
    "target_type": [StrOptions({"auto", "continuous", "multiclass"})],
    "class_weight": [dict, StrOptions({"balanced"}), None],
    "reconstruction_fraction": [Interval(Real, 0, 1, closed="both")],
    "max_iter": [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
    "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "weight_decay": [Interval(Real, 0, None, closed="left")],
    "early_stopping": ["boolean", StrOptions({"auto"})],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left")],
    "contamination": [Interval(Real, 0, 0.5, closed="right"), None],
    "warm_start": ["boolean"],
    "init": [HasMethods(["fit", "get_params"]), None],
    "random_state": ["random_state"],
    "device": [str],
    "verbose": ["verbose"],
    "checkpoint_dir": [str, os.PathLike, None],
    "checkpoint_every": [Interval(Integral, 1, None, closed="left")],
}


@dataclass(frozen=True)
class FitParameters:
    """The parameters of one fit. Names and meanings are those of `LSTMAutoencoder`."""

    embedding_dim: int | None
    hidden_dim: int | None
    patch_len: int | str
    window_len: int | str
    window_stride: int | str
    n_time_features: int
    bidirectional: bool
    pooling: str
    dropout: float
    scale: str | None
    missing: str
    masking_ratio: float
    input_noise: float
    target_weight: float
    target_type: str
    class_weight: Mapping[Any, float] | str | None
    reconstruction_fraction: float
    max_iter: int | str
    batch_size: int | str
    learning_rate_init: float
    weight_decay: float
    early_stopping: bool | str
    validation_fraction: float
    n_iter_no_change: int
    tol: float
    contamination: float | None
    warm_start: bool
    init: Pretrained | None
    """What the model of that name learned."""
    random_state: int | np.random.RandomState | None
    device: str
    verbose: int | bool
    checkpoint_dir: str | os.PathLike[str] | None
    checkpoint_every: int


def needs_labels(target_weight: Any) -> bool:
    """Return whether `fit` needs labels; the parameter need not have been validated."""
    return isinstance(target_weight, (int, float, np.number)) and bool(target_weight > 0)
