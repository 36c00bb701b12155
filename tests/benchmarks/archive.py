"""The real data sets of the UCR and UEA archives that aeon bundles, with their official splits."""

import warnings
from collections.abc import Iterable
from typing import NamedTuple

import aeon.datasets
import numpy as np
from numpy.typing import NDArray

from seqfeat.series import as_series, from_channels_first

Floats = NDArray[np.floating]

LOADERS = {
    "JapaneseVowels": "load_japanese_vowels",
    "BasicMotions": "load_basic_motions",
    "GunPoint": "load_gunpoint",
    "ArrowHead": "load_arrow_head",
    "OSULeaf": "load_osuleaf",
    "ItalyPowerDemand": "load_italy_power_demand",
    "ACSF1": "load_acsf1",
    "PickupGestureWiimoteZ": "load_pickup_gesture_wiimoteZ",
}


class Split(NamedTuple):
    """A training set and a test set, in seqfeat's layout."""

    name: str
    X: NDArray[np.generic]
    y: NDArray[np.str_]
    X_test: NDArray[np.generic]
    y_test: NDArray[np.str_]


def load(name: str) -> Split:
    with warnings.catch_warnings():
        # aeon will stop bundling some of them.
        warnings.simplefilter("ignore", FutureWarning)
        loader = getattr(aeon.datasets, LOADERS[name])
        (X, y), (X_test, y_test) = loader(split="train"), loader(split="test")
    return Split(name, from_channels_first(X), y, from_channels_first(X_test), y_test)


def padded(X: NDArray[np.generic], n_timesteps: int) -> NDArray[np.float64]:
    """Return series as (N, T, C), zeros behind each one's end, cut to `n_timesteps`."""
    series = as_series(X)
    array = np.zeros((len(series), n_timesteps, series.n_channels))
    values = np.nan_to_num(series.values[:, :n_timesteps])
    array[:, : values.shape[1]] = values
    return array


def scaled(X: Iterable[Floats], like: Iterable[Floats] | None = None) -> list[Floats]:
    """Return series whose channels have mean 0 and deviation 1 over all of `like`, or of `X`."""
    values = np.concatenate(
        [np.asarray(series, dtype=float) for series in (X if like is None else like)]
    )
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    return [((series - mean) / deviation).astype(np.float32) for series in X]
