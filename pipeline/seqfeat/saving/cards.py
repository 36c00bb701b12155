"""Model cards: what a saved model is, in JSON beside it."""

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

__all__ = ["Card", "card_path", "installed_versions", "make_card", "read_card"]

Card = dict[str, Any]

CARD_VERSION = 1
NOTICE = {
    "joblib": (
        "Loading a joblib file executes code. Load it only if you trust where it comes from; the "
        "hash shows damage, not who made it."
    ),
    "skops": "Loading a skops file executes no code and admits known types only.",
}


def card_path(path: Path) -> Path:
    """Return where the card of a model file lies: ``NAME.json`` beside ``NAME.joblib``."""
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
    """Describe a fitted estimator and the bytes that it was saved as."""
    return {
        "card_version": CARD_VERSION,
        "file": path.name,
        "format": format,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "saved": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": installed_versions(),
        "notes": notes,
        "metrics": _metrics(metrics or {}),
        "input": _input(_find_autoencoder(estimator)),
        "reading": None if reading is None else _readable(reading),
        "classes": _as_json(getattr(estimator, "classes_", None)),
        "estimator": type(estimator).__name__,
        "parameters": _parameters(estimator),
        "notice": NOTICE[format],
    }


def read_card(path: Path) -> Card:
    """Return the card in a file, which need not be the right one for any model.

    Raises `ModelFileError` if it is no card.
    """
    way_out = (
        "The card that seqfeat.save writes beside a model has this name: bring it again from where "
        "the model came, or move this file away and save the model again."
    )
    try:
        card = json.loads(path.read_bytes())
    except (ValueError, OSError) as error:
        raise ModelFileError(f"{path} is no model card: {error}. {way_out}") from error
    if not isinstance(card, dict) or not {"card_version", "sha256", "versions"} <= set(card):
        raise ModelFileError(
            f"{path} is no model card of seqfeat, but some other JSON file. {way_out}"
        )
    return card


def installed_versions() -> dict[str, str]:
    """Return the versions that a model depends on, as installed here."""
    return {
        "seqfeat": __version__,
        "python": platform.python_version(),
        "scikit-learn": sklearn.__version__,
        "torch": str(torch.__version__).split("+")[0],
        "numpy": np.__version__,
        "joblib": joblib.__version__,
    }


def _find_autoencoder(estimator: Any) -> LSTMAutoencoder | None:
    """Return the first autoencoder inside pipelines and searches, or None."""
    if isinstance(estimator, LSTMAutoencoder):
        return estimator
    if isinstance(estimator, Pipeline):
        found = (_find_autoencoder(step) for _, step in estimator.steps)
        return next((step for step in found if step is not None), None)
    best = getattr(estimator, "best_estimator_", None)
    return None if best is None else _find_autoencoder(best)


def _input(autoencoder: LSTMAutoencoder | None) -> dict[str, Any] | None:
    """Return what series have to look like."""
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
        "dtype": "any real number; float32 in gives float32 out, else float64",
        "missing": autoencoder.missing,
        "names": None if names is None else names.tolist(),
        "embedding_dim": autoencoder.embedding_dim_,
    }


def _parameters(estimator: Any) -> dict[str, Any]:
    parameters = estimator.get_params(deep=True)
    return {name: _as_json(parameters[name]) for name in sorted(parameters) if name != "steps"}


def _metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    checked: dict[str, float] = {}
    for name, value in metrics.items():
        number = _as_json(value)
        if not isinstance(name, str) or type(number) not in (int, float):
            raise InputError(
                f"metrics[{name!r}]={value!r}; metrics are finite numbers with text as names. Put "
                "anything else into notes."
            )
        checked[name] = number
    return checked


def _readable(reading: Mapping[str, Any]) -> dict[str, Any]:
    return {str(name): _as_json(value) for name, value in reading.items()}


def _as_json(value: Any) -> Any:
    """Return a value as JSON knows it, or else as text."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else repr(value)
