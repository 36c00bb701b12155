"""What no series may hold, and the lengths that NaN padding hides."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqfeat.exceptions import InputError
from seqfeat.series.canonical import Series
from seqfeat.series.stored import StoredArray

__all__ = ["checked"]


def checked(series: Series, missing: str) -> Series:
    """Refuse what cannot be used, and find the lengths that NaN padding hides."""
    if series.values.dtype.kind != "f":
        return series
    if _is_finite(series):
        return series
    lengths = series.lengths.copy()
    is_complete = True
    steps = np.arange(series.values.shape[1])
    for rows in series.blocks():
        block = series.values[rows]
        padding = steps >= series.lengths[rows, None]
        unobserved = np.isnan(block)
        _refuse_infinities(block, rows.start)
        unobserved[padding] = False
        if not unobserved.any():
            continue
        if missing == "error":
            _refuse_nan(unobserved, rows.start)
        lengths[rows] = _observed_lengths(np.isnan(block), rows.start)
        inside = steps < lengths[rows, None]
        is_complete &= not bool(unobserved[inside].any())
    return replace(series, lengths=lengths, is_complete=is_complete)


def _is_finite(series: Series) -> bool:
    """Tell at once that nothing is to be refused or looked for; False is no answer.

    A finite sum has neither NaN nor an infinity in it, and takes a look at each value only.
    """
    values = series.values
    if isinstance(values, StoredArray):
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        return math.isfinite(np.add.reduce(values, axis=None))


def _refuse_infinities(block: NDArray[Any], first_row: int) -> None:
    infinite = np.isinf(block)
    if infinite.any():
        row, step, channel = np.argwhere(infinite)[0]
        raise InputError(
            f"Input X contains infinity: series {first_row + row} has {block[row, step, channel]} "
            f"at timestep {step}, channel {channel}. Replace it, or set it to NaN and pass "
            "missing='mask'."
        )


def _refuse_nan(unobserved: NDArray[np.bool_], first_row: int) -> None:
    row, step, channel = np.argwhere(unobserved)[0]
    raise InputError(
        f"Input X contains NaN: series {first_row + row} has NaN at timestep {step}, channel "
        f"{channel}. Pass missing='mask' to read NaN as not observed (and NaN at the end as a "
        "shorter series), or fill it."
    )


def _observed_lengths(unobserved: NDArray[np.bool_], first_row: int) -> NDArray[np.int64]:
    """Return each series' length up to its last step with an observed channel."""
    any_observed: NDArray[np.bool_] = np.logical_not(unobserved.all(axis=2))
    empty = np.logical_not(any_observed.any(axis=1))
    if empty.any():
        raise InputError(
            f"series {first_row + int(np.argmax(empty))} holds nothing but NaN; every series "
            "needs at least 1 observed value. Drop it, or pass its values."
        )
    lengths: NDArray[np.int64] = any_observed.shape[1] - np.argmax(any_observed[:, ::-1], axis=1)
    return lengths
