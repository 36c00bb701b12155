"""Model cards: what is said about a model in the file next to it."""

from __future__ import annotations

import hashlib
import math
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import sklearn
import torch
from sklearn.base import is_classifier, is_regressor
from sklearn.pipeline import Pipeline

from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.exceptions import InputError
from seqfeat.saving.card_format import CARD_VERSION, Card
from seqfeat.version import __version__

__all__ = ["installed_versions", "make_card"]

NOTICE = {
    "joblib": (
        "Loading a joblib file executes code. Load it only if you trust its source; the hash "
        "detects damage, but does not prove who made the file."
    ),
    "skops": "Loading a skops file executes no code and permits known types only.",
    "onnx": (
        "An ONNX file contains no Python code. The hash detects damage, but does not prove who "
        "made the file."
    ),
}


def make_card(
    estimator: Any,
    data: bytes,
    path: Path,
    format: str,
    metrics: Mapping[str, float] | None = None,
    notes: str | None = None,
    reading: Mapping[str, Any] | None = None,
) -> Card:
    """Describe a fitted estimator and `data`, the serialized form in which it is saved.

    Raises `InputError` if a metric is not a finite number.
    """
    return {
        "card_version": CARD_VERSION,
        "file": path.name,
        "format": format,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "saved": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": installed_versions(),
        "notes": notes,
        "metrics": _convert_metrics(metrics or {}),
        "input": _describe_input(_find_autoencoder(estimator)),
        "reading": None if reading is None else _convert_reading(reading),
        "task": _task(estimator),
        "classes": _to_json(getattr(estimator, "classes_", None)),
        "estimator": type(estimator).__name__,
        "parameters": _describe_parameters(estimator),
        "notice": NOTICE[format],
    }


def installed_versions() -> dict[str, str]:
    """Return the installed versions of Python and of the libraries that models depend on."""
    return {
        "seqfeat": __version__,
        "python": platform.python_version(),
        "scikit-learn": sklearn.__version__,
        "torch": str(torch.__version__).split("+")[0],
        "numpy": np.__version__,
        "joblib": joblib.__version__,
    }


def _task(estimator: Any) -> str | None:
    """Return what a model is for, one of `TASKS`; None if it neither predicts nor transforms."""
    if is_classifier(estimator):
        return "classification"
    if is_regressor(estimator):
        return "regression"
    return "features" if hasattr(estimator, "transform") else None


def _find_autoencoder(estimator: Any) -> LSTMAutoencoder | None:
    """Return the first autoencoder in (nested) pipelines and searches, or None."""
    if isinstance(estimator, LSTMAutoencoder):
        return estimator
    if isinstance(estimator, Pipeline):
        found = (_find_autoencoder(step) for _, step in estimator.steps)
        return next((step for step in found if step is not None), None)
    best = getattr(estimator, "best_estimator_", None)
    return None if best is None else _find_autoencoder(best)


def _describe_input(autoencoder: LSTMAutoencoder | None) -> dict[str, Any] | None:
    """Return what the model expects of its input."""
    if autoencoder is None:
        return None
    names = getattr(autoencoder, "feature_names_in_", None)
    return {
        "shape": "(n_samples, n_timesteps)"
        if autoencoder.is_table_
        else "(n_samples, n_timesteps, n_channels)",
        "n_channels": autoencoder.n_channels_in_,
        "n_timesteps": autoencoder.n_timesteps_in_ if autoencoder.is_table_ else "any",
        "longest_training_series": autoencoder.n_timesteps_in_,
        "dtype": "any real dtype; the output is float32 for float32 input, and float64 otherwise",
        "missing": autoencoder.missing,
        "names": None if names is None else names.tolist(),
        "embedding_dim": autoencoder.embedding_dim_,
    }


def _describe_parameters(estimator: Any) -> dict[str, Any]:
    """Return all parameters, nested ones included, sorted by name."""
    parameters = estimator.get_params(deep=True)
    return {name: _to_json(parameters[name]) for name in sorted(parameters) if name != "steps"}


def _convert_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return metrics as plain Python numbers."""
    converted: dict[str, float] = {}
    for name, value in metrics.items():
        number = _to_json(value)
        if not isinstance(name, str) or type(number) not in (int, float):
            raise InputError(
                f"metrics[{name!r}]={value!r}; a metric is a finite number, and its name is a "
                "string. Put anything else into notes."
            )
        converted[name] = number
    return converted


def _convert_reading(reading: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `read` as JSON types."""
    return {
        str(name): _to_json(list(value) if isinstance(value, tuple) else value)
        for name, value in reading.items()
    }


def _to_json(value: Any) -> Any:
    """Return a value as a JSON type, or its repr if it has no such form."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if isinstance(value, list):
        return [_to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else repr(value)
