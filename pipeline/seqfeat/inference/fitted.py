"""Networks rebuilt from an estimator's weights, kept beside it and not in it.

A module inside the estimator would be pickled, copied and compared with it, and
could hold CUDA tensors. Here it lasts as long as the estimator, or until its
weights are replaced.
"""

from __future__ import annotations

import threading
from typing import Any
from weakref import WeakKeyDictionary

import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from seqfeat.exceptions import InputError
from seqfeat.nn.network import Architecture, RecurrentAutoencoder, Weights, build_network
from seqfeat.runtime.device import inference_device
from seqfeat.series import Series, as_series
from seqfeat.series.scaling import ChannelScaling

__all__ = [
    "INPUT_ATTRIBUTES",
    "cached_network",
    "fitted_scaling",
    "input_attributes",
    "validate_series",
]

_Entry = tuple[Weights, torch.device, RecurrentAutoencoder]
_entries: WeakKeyDictionary[Any, _Entry] = WeakKeyDictionary()
_lock = threading.Lock()


def cached_network(estimator: Any) -> tuple[RecurrentAutoencoder, torch.device]:
    """Return the fitted network, ready for inference, and the device it is on."""
    device = inference_device(estimator.device)
    with _lock:
        entry = _entries.get(estimator)
        if entry is None or entry[0] is not estimator.weights_ or entry[1] != device:
            network = build_network(Architecture(**estimator.architecture_), estimator.weights_)
            network.to(device).freeze()
            entry = (estimator.weights_, device, network)
            _entries[estimator] = entry
    return entry[2], device


INPUT_ATTRIBUTES = (
    "n_channels_in_",
    "n_timesteps_in_",
    "n_features_in_",
    "feature_names_in_",
    "is_table_",
)


def input_attributes(X: Any, series: Series) -> dict[str, Any]:
    """Return the fitted attributes that describe the input.

    scikit-learn's features are the columns of a table; of series with channels
    they are the channels, as lengths may differ from series to series.
    """
    attributes = {
        "n_channels_in_": series.n_channels,
        "n_timesteps_in_": _width(series),
        "n_features_in_": series.n_channels,
        "is_table_": series.form == "table",
    }
    if series.form in ("table", "frame"):
        # Recorded on a bystander: a fit that fails later must leave no trace.
        bystander = BaseEstimator()
        validate_data(bystander, X, skip_check_array=True)
        attributes.update(vars(bystander))
    return attributes


def _width(series: Series) -> int:
    """Return the columns of a table, which are fixed, or the longest of other series."""
    return int(series.values.shape[1]) if series.form == "table" else series.n_timesteps


def validate_series(estimator: Any, X: Any) -> Series:
    """Convert `X` and refuse what differs from the input of `fit`.

    Raises
    ------
    InputError
        If the channels differ, if a table follows series with channels, or if a
        table's columns differ.
    """
    series = as_series(X, missing=estimator.missing)
    if not estimator.is_table_:
        if series.form == "frame":
            validate_data(estimator, X, reset=False, skip_check_array=True)
        _refuse_table(estimator, series)
        _refuse_other_channels(estimator, series)
    elif series.form == "table":
        validate_data(estimator, X, reset=False, skip_check_array=True)
    else:
        _refuse_unlike_table(estimator, series)
    return series


def _refuse_table(estimator: Any, series: Series) -> None:
    if series.form != "table":
        return
    n_samples, n_columns, _ = series.values.shape
    raise InputError(
        f"X is a 2D table of shape {(n_samples, n_columns)}, but LSTMAutoencoder was fitted on "
        f"series with {estimator.n_channels_in_} channels, (n_samples, n_timesteps, n_channels). "
        "For one series pass X[None]; for one channel pass X[:, :, None]."
    )


def _refuse_other_channels(estimator: Any, series: Series) -> None:
    expected = estimator.n_channels_in_
    if series.n_channels == expected:
        return
    message = (
        f"X has {series.n_channels} features, but LSTMAutoencoder is expecting {expected} features "
        "as input: the last axis holds the channels."
    )
    if series.n_timesteps == expected:
        message += " The channels seem to come first; pass seqfeat.series.from_channels_first(X)."
    raise InputError(message)


def _refuse_unlike_table(estimator: Any, series: Series) -> None:
    n_columns = estimator.n_timesteps_in_
    if series.n_channels == 1 and series.n_timesteps == n_columns:
        return
    raise InputError(
        f"X has series of up to {series.n_timesteps} timesteps and {series.n_channels} channels, "
        f"but LSTMAutoencoder was fitted on a table of {n_columns} timesteps of one channel. For "
        "series of any length, fit on X[:, :, None] or on a list."
    )


def fitted_scaling(estimator: Any) -> ChannelScaling:
    """Return the scaling that an estimator learned; one that is kept, if it still has the same."""
    learned = estimator.n_observed_, estimator.mean_, estimator.deviation_
    key = tuple(array.tobytes() for array in learned)
    kept = _scalings.get(estimator)
    if kept is None or kept[0] != key:
        kept = _scalings[estimator] = key, ChannelScaling(*(array.copy() for array in learned))
    return kept[1]


_scalings: WeakKeyDictionary[Any, tuple[tuple[bytes, ...], ChannelScaling]] = WeakKeyDictionary()
