"""Real data sets from the UCR and UEA archives, as bundled by aeon, with their official splits."""

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
    """A training set and a test set, with series in seqfeat's layout."""

    name: str
    X: NDArray[np.generic]
    y: NDArray[np.str_]
    X_test: NDArray[np.generic]
    y_test: NDArray[np.str_]


def load_split(name: str) -> Split:
    with warnings.catch_warnings():
        # aeon announces that it will stop bundling some of them.
        warnings.simplefilter("ignore", FutureWarning)
        loader = getattr(aeon.datasets, LOADERS[name])
        (X, y), (X_test, y_test) = loader(split="train"), loader(split="test")
    return Split(name, from_channels_first(X), y, from_channels_first(X_test), y_test)


def pad(X: NDArray[np.generic], n_timesteps: int) -> NDArray[np.float64]:
    """Return series as an array (N, T, C) of `n_timesteps`, truncated or padded with zeros."""
    series = as_series(X)
    array = np.zeros((len(series), n_timesteps, series.n_channels))
    values = np.nan_to_num(series.values[:, :n_timesteps])
    array[:, : values.shape[1]] = values
    return array


def standardize(X: Iterable[Floats], like: Iterable[Floats] | None = None) -> list[Floats]:
    """Scale every channel to mean 0 and standard deviation 1, over all of `like` or else of `X`."""
    values = np.concatenate(
        [np.asarray(series, dtype=float) for series in (X if like is None else like)]
    )
    mean, std = values.mean(axis=0), values.std(axis=0)
    return [((series - mean) / std).astype(np.float32) for series in X]
