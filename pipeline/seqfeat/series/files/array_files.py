"""`.npy` and `.npz` files as series."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqfeat.exceptions import InputError
from seqfeat.series.long import LabelledSeries
from seqfeat.series.series import to_object_array

__all__ = ["read_npy", "read_npz"]

NPZ_NAMES = {"X", "y", "lengths"}


def read_npy(path: Path) -> LabelledSeries:
    """Return a memory-mapped array, without labels."""
    try:
        return LabelledSeries(np.lib.format.open_memmap(path, mode="r"), None)  # type: ignore[no-untyped-call]
    except (ValueError, EOFError, OSError) as error:
        raise _invalid_arrays(path, error) from error


def read_npz(path: Path) -> LabelledSeries:
    """Return the arrays ``X`` and ``y`` of an archive, cut to its ``lengths``."""
    # Opened here, because NumPy does not close a file that turns out not to be an archive.
    with path.open("rb") as file:
        try:
            with np.load(file, allow_pickle=False) as archive:
                names = archive.files
                arrays = {name: archive[name] for name in names if name in NPZ_NAMES}
        except Exception as error:  # zipfile, zlib and NumPy each raise their own errors
            raise _invalid_arrays(path, error) from error
    if "X" not in arrays or set(names) - NPZ_NAMES:
        raise InputError(
            f"{path} holds the arrays {names}; save it with numpy.savez(path, X=series, y=labels), "
            "where y is optional, and so is lengths, the number of timesteps of padded series."
        )
    X, y = arrays["X"], arrays.get("y")
    if y is not None and len(y) != len(X):
        raise InputError(
            f"{path} holds {len(X)} series in X and {len(y)} labels in y; save one label per "
            "series."
        )
    return LabelledSeries(_cut(X, arrays.get("lengths"), path), y)


def _cut(X: NDArray[Any], lengths: NDArray[Any] | None, path: Path) -> NDArray[Any]:
    """Return padded series as an object array, each cut to its length."""
    if lengths is None:
        return X
    if lengths.shape != X.shape[:1] or lengths.dtype.kind not in "iu" or X.ndim < 2:
        raise InputError(
            f"{path}: lengths must hold one integer per series of X, whose shape is {X.shape} and "
            "must be (n_samples, n_timesteps, ...); lengths has shape "
            f"{lengths.shape} and dtype {lengths.dtype}. Save it as an integer array."
        )
    is_valid = (lengths >= 1) & (lengths <= X.shape[1])
    if not is_valid.all():
        index = int(np.argmin(is_valid))
        raise InputError(
            f"{path}: lengths must be from 1 to {X.shape[1]}, the timesteps of X, whose shape is "
            f"{X.shape}; the length of series {index} is {lengths[index]}. Correct it, or drop the "
            "series."
        )
    return to_object_array([row[:length] for row, length in zip(X, lengths, strict=True)])


def _invalid_arrays(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{path} cannot be read as arrays of numbers ({str(error).strip()}). Arrays of Python "
        "objects are rejected, because reading them executes code; pad unequal series and save "
        "them with their lengths: numpy.savez(path, X=padded, lengths=lengths, y=labels)."
    )
