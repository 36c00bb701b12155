"""Model cards: JSON files that describe saved models."""

from __future__ import annotations

import hashlib
import json
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
from sklearn.pipeline import Pipeline

from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.exceptions import InputError, ModelFileError
from seqfeat.version import __version__

__all__ = ["CARD_VERSION", "Card", "card_path", "installed_versions", "make_card", "read_card"]

Card = dict[str, Any]

CARD_VERSION = 1
"""Version of the card's format; a reader rejects cards of a later one."""
NOTICE = {
    "joblib": (
        "Loading a joblib file executes code. Load it only if you trust its source; the hash "
        "detects damage, but does not prove who made the file."
    ),
    "skops": "Loading a skops file executes no code and permits known types only.",
}


def card_path(path: Path) -> Path:
    """Return the path of a model's card: ``NAME.json`` for ``NAME.joblib``."""
    return path.with_suffix(".json")


def make_card(
    estimator: Any,
    data: bytes,
    path: Path,
    format: str,
    metrics: Mapping[str, float] | None,
    notes: str | None,
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
        "reading": None if reading is None else _convert_mapping(reading),
        "classes": _to_json(getattr(estimator, "classes_", None)),
        "estimator": type(estimator).__name__,
        "parameters": _describe_parameters(estimator),
        "notice": NOTICE[format],
    }


def read_card(path: Path) -> Card:
    """Return the card stored in a file, without checking which model it belongs to.

    Raises `ModelFileError` if the file is not a card.
    """
    way_out = (
        "This is the name of the card that seqfeat.save writes next to a model: copy the card "
        "again from where the model came from, or move this file away and save the model again."
    )
    try:
        card = json.loads(path.read_bytes())
    except (ValueError, OSError) as error:
        raise ModelFileError(f"{path} is not a model card: {error}. {way_out}") from error
    if not isinstance(card, dict) or not {"card_version", "sha256", "versions"} <= set(card):
        raise ModelFileError(
            f"{path} is not a model card of seqfeat, but some other JSON file. {way_out}"
        )
    return card


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


def _convert_mapping(mapping: Mapping[str, Any]) -> dict[str, Any]:
    return {str(name): _to_json(value) for name, value in mapping.items()}


def _to_json(value: Any) -> Any:
    """Return a value as a JSON type, or its repr if it has no such form."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if isinstance(value, list):
        return [_to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else repr(value)
