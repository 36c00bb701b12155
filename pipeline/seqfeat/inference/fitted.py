"""The network and the scaling of a fitted estimator, and the checks of its input."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted, validate_data

from seqfeat.exceptions import InputError
from seqfeat.nn.backend import Backend
from seqfeat.nn.kernels import make_backend
from seqfeat.nn.network import Architecture, Weights, build_network
from seqfeat.runtime.device import inference_device
from seqfeat.runtime.fork_safety import ForkSafeLock
from seqfeat.runtime.torch_threads import single_threaded
from seqfeat.series.conversion import as_series
from seqfeat.series.scaling import ChannelScaling
from seqfeat.series.series import Series

__all__ = [
    "check_fitted",
    "fitted_backend",
    "fitted_scaling",
    "fitted_target_scaling",
    "order_channels",
    "output_dtype",
    "validate_series",
]

# Caches by estimator. They are not attributes of the estimator, because those are pickled, copied
# and compared with it, and a network may hold CUDA tensors. An entry lives as long as its
# estimator, or until the attributes that it was made from are replaced.

_backends: WeakKeyDictionary[Any, tuple[Weights, torch.device, Backend]] = WeakKeyDictionary()
_scalings: WeakKeyDictionary[Any, tuple[tuple[bytes, ...], ChannelScaling]] = WeakKeyDictionary()
_lock = ForkSafeLock()


def check_fitted(estimator: Any) -> None:
    """Raise `NotFittedError` if `fit` has not been called."""
    # scikit-learn's check looks up tags first, which takes a tenth of the time to embed one series.
    if not hasattr(estimator, "weights_"):
        check_is_fitted(estimator)


def fitted_backend(estimator: Any) -> Backend:
    """Return the backend that runs the fitted network on the estimator's device."""
    device = inference_device(estimator.device)
    with _lock:
        weights, cached_device, backend = _backends.get(estimator, (None, None, None))
        if backend is None or weights is not estimator.weights_ or cached_device != device:
            # In a forked process, PyTorch's own threads would be waited for in vain.
            with single_threaded():
                architecture = Architecture(**estimator.architecture_)
                network = build_network(architecture, estimator.weights_)
                backend = make_backend(network.eval().requires_grad_(False), device)
            _backends[estimator] = estimator.weights_, device, backend
    return backend


def fitted_scaling(estimator: Any) -> ChannelScaling:
    """Return the scaling that a fitted estimator learned."""
    learned = estimator.n_observed_, estimator.mean_, estimator.std_
    key = tuple(array.tobytes() for array in learned)
    cached = _scalings.get(estimator)
    if cached is None or cached[0] != key:
        cached = _scalings[estimator] = key, ChannelScaling(*(array.copy() for array in learned))
    return cached[1]


def fitted_target_scaling(estimator: Any) -> ChannelScaling | None:
    """Return the scaling of the targets, if `fit` saw numbers."""
    mean = getattr(estimator, "target_mean_", None)
    if mean is None:
        return None
    # Targets are not merged with later ones, so that their number does not matter.
    return ChannelScaling(np.ones(len(mean)), mean.copy(), estimator.target_scale_.copy())


def validate_series(estimator: Any, X: Any) -> Series:
    """Convert `X`, and check that it has the form and the channels of the input of `fit`.

    Raises
    ------
    InputError
        If the number of channels differs, or their names do, or if only one of the two inputs is
        a table.
    ValueError
        If the columns of a table or frame differ in number or in name, in scikit-learn's words.
    """
    series = _in_order_of_fit(estimator, as_series(X, missing=estimator.missing))
    if not estimator.is_table_:
        if series.form == "frame":
            validate_data(estimator, X, reset=False, skip_check_array=True)
        if series.form == "table" or series.n_channels != estimator.n_channels_in_:
            raise InputError(_describe_mismatch(estimator, series))
    elif series.form == "table":
        validate_data(estimator, X, reset=False, skip_check_array=True)
    elif series.n_channels != 1 or series.n_timesteps != estimator.n_timesteps_in_:
        raise InputError(
            f"X has series of up to {series.n_timesteps} timesteps and {series.n_channels} "
            f"channels, but LSTMAutoencoder was fitted on a table of {estimator.n_timesteps_in_} "
            "timesteps of one channel. For series of any length, fit on X[:, :, None] or on a list."
        )
    return series


def _in_order_of_fit(estimator: Any, series: Series) -> Series:
    """Return series with the channels of `fit`, by name, if single series are frames in both."""
    expected = [] if estimator.is_table_ else list(getattr(estimator, "feature_names_in_", []))
    return order_channels(series, expected, "LSTMAutoencoder")


def order_channels(series: Series, expected: list[str], model: str) -> Series:
    """Return series with the expected channels in that order, if both have names.

    `model` says in an error who expects them.
    """
    names = series.channel_names
    if names is None or not expected or names == expected:
        return series
    if set(names) != set(expected):
        raise InputError(
            f"the series of X have the channels {names}, but {model} was fitted on {expected}. "
            "Select those from each frame, or rename its columns."
        )
    places = [names.index(name) for name in expected]
    return replace(series, values=series.values[:, :, places], channel_names=expected)


def _describe_mismatch(estimator: Any, series: Series) -> str:
    """Return the error message for input that differs from the series with channels of `fit`."""
    expected, n_channels = estimator.n_channels_in_, series.n_channels
    if series.form == "table":
        return (
            f"X is a 2D table of shape {series.values.shape[:2]}, but LSTMAutoencoder was fitted "
            f"on series with {expected} channels, (n_samples, n_timesteps, n_channels). For one "
            "series pass X[None]; for one channel pass X[:, :, None]."
        )
    message = (
        f"X has {n_channels} features, but LSTMAutoencoder is expecting {expected} features as "
        "input: the last axis holds the channels."
    )
    if series.n_timesteps == expected:
        message += (
            " The channels seem to come first; if so, pass seqfeat.series.from_channels_first(X)."
        )
    return message


def output_dtype(series: Series) -> np.dtype[Any]:
    """Return the dtype of results: float32 for float32 series, float64 otherwise."""
    is_single = series.values.dtype.newbyteorder("=") == np.float32
    return np.dtype(np.float32 if is_single else np.float64)
