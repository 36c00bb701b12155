"""Real data sets from the UCR and UEA archives, with their official splits.

aeon bundles eight of them. The others are read from the folder that the environment variable
SEQFEAT_ARCHIVE names, in aeon's layout (``NAME/NAME_TRAIN.ts``), or else downloaded by aeon.
"""

import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

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
"""The bundled sets; aeon 1.7 will no longer have OSULeaf and ACSF1."""
CHOSEN_ON = [
    *LOADERS,
    "Adiac",
    "ArticularyWordRecognition",
    "CBF",
    "ECG200",
    "ERing",
    "Epilepsy",
    "FaceFour",
    "GesturePebbleZ1",
    "MedicalImages",
    "MelbournePedestrian",
    "NATOPS",
    "Plane",
    "SonyAIBORobotSurface1",
    "TwoPatterns",
    "UMD",
    "UWaveGestureLibrary",
]
"""Sets on whose training series the defaults were chosen."""
HELD_OUT = [
    "AllGestureWiimoteX",
    "Beef",
    "CricketX",
    "DodgerLoopDay",
    "GestureMidAirD1",
    "Handwriting",
    "Libras",
    "Lightning7",
    "OliveOil",
    "RacketSports",
    "ShakeGestureWiimoteZ",
    "SwedishLeaf",
    "SyntheticControl",
    "TwoLeadECG",
]
"""Sets on which nothing was chosen."""


class Split(NamedTuple):
    """A training set and a test set, with series in seqfeat's layout; NaN is a missing value."""

    name: str
    X: NDArray[np.generic]
    y: NDArray[np.str_]
    X_test: NDArray[np.generic]
    y_test: NDArray[np.str_]

    @property
    def has_gaps(self) -> bool:
        return any(np.isnan(series).any() for X in (self.X, self.X_test) for series in X)


def archive_folder() -> Path | None:
    """Return the folder of archive sets, if there is one."""
    folder = os.environ.get("SEQFEAT_ARCHIVE")
    return Path(folder) if folder else None


def available_sets(names: Iterable[str]) -> list[str]:
    """Return those of the sets that can be read or downloaded, and print the others."""
    found = []
    for name in names:
        try:
            load_split(name)
        except (OSError, ValueError) as error:
            # aeon raises ValueError for whatever goes wrong with a download.
            print(f"  {name} is left out: {error}", flush=True)
        else:
            found.append(name)
    return found


def load_split(name: str) -> Split:
    with warnings.catch_warnings():
        # aeon announces that it will stop bundling some of them.
        warnings.simplefilter("ignore", FutureWarning)
        (X, y), (X_test, y_test) = _load(name, "train"), _load(name, "test")
    return Split(name, from_channels_first(X), y, from_channels_first(X_test), y_test)


def _load(name: str, split: str) -> Any:
    folder = archive_folder()
    # aeon would download what is not in the folder into it.
    if folder is not None and (folder / name / f"{name}_TRAIN.ts").exists():
        return _load_from_archive(name, split, str(folder))
    bundled = getattr(aeon.datasets, LOADERS.get(name, ""), None)
    return _load_from_archive(name, split) if bundled is None else bundled(split=split)


def _load_from_archive(name: str, split: str, folder: str | None = None) -> Any:
    """Load the series as they are: not those versions made of equal length or without gaps."""
    return aeon.datasets.load_classification(
        name,
        split=split,
        extract_path=folder,
        load_equal_length=False,
        load_no_missing=False,
    )


def pad(X: NDArray[np.generic], n_timesteps: int) -> NDArray[np.float64]:
    """Return series as an array (N, T, C) of `n_timesteps`, truncated or padded with zeros.

    Gaps are zeros, too.
    """
    series = as_series(X, missing="mask")
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
