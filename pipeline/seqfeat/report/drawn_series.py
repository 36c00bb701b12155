"""Selects the series to draw, thins long ones and packs them, so that the page stays small.

A page holds at most `MAX_VALUES` values. They are written as 16-bit integers between
the minimum and maximum of each channel of each series, in base64; ``assets/page.js``
decodes them.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.display.model_outputs import reconstruct_rows
from seqfeat.display.shading import are_anomalous, largest_of, shade_opacities, squared_errors
from seqfeat.series import Series

__all__ = ["MAX_CHANNELS", "DrawnSeries", "draw_series", "sample_rows", "size_limits", "thin"]

MAX_VALUES = 900_000
"""Values on a page; with two bytes each, 2.4 MB of base64."""
MAX_CHANNELS = 12
"""Channels that are drawn; with more, their lanes would be too narrow to read."""
MAX_STEPS = 240
MIN_STEPS = 64
"""Values per channel that a long series is thinned to; both even."""
RECONSTRUCTED_VALUES = 2**22
"""Values that are reconstructed at a time."""
MISSING = 0
"""The integer that stands for a missing value; all others are one more than their level."""
MAX_LEVEL = 65534
"""The level of the maximum; 0 is that of the minimum."""
MAX_SHADE = 255
"""The byte that stands for the strongest shade."""
CLIPPED_PERCENT = 0.5
"""Percentage of the values at either end that may exceed their channel's lane."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def sample_rows(
    errors: Floats, strata: NDArray[Any] | None, n_rows: int, n_anomalies: int, seed: int
) -> Ints:
    """Return the rows to draw, in descending order of error.

    They hold the `n_anomalies` largest errors, and are otherwise sampled in proportion
    to the classes in `strata`. If there are enough rows, every class has at least one.
    """
    by_error = np.argsort(-errors, kind="stable")
    if n_rows >= len(errors):
        return by_error
    anomalies = by_error[: min(n_anomalies, n_rows)]
    codes = np.zeros(len(errors), dtype=np.int64)
    if strata is not None:
        codes = np.unique(strata, return_inverse=True)[1]
    order = np.random.default_rng(seed).permutation(len(errors))
    # The k-th of n series in a class has priority k / n, so that the classes are used up
    # in step.
    priority = np.empty(len(errors))
    for code in np.unique(codes):
        rows = order[codes[order] == code]
        priority[rows] = np.arange(len(rows)) / len(rows)
    priority[anomalies] = -1.0
    return by_error[np.isin(by_error, np.argsort(priority, kind="stable")[:n_rows])]


def size_limits(n_channels: int, lengths: Ints, n_wanted: int) -> tuple[int, int]:
    """Return how many series fit on a page, and how many values per channel of each."""
    n_channels = min(n_channels, MAX_CHANNELS)
    longest = int(lengths.max())
    budget = MAX_VALUES // (2 * n_channels)
    # A channel's minimum and step, both 64-bit, take as much space as eight more values.
    n_steps = min(MAX_STEPS, max(MIN_STEPS, budget // max(1, n_wanted) - 8))
    n_steps -= n_steps % 2
    return min(n_wanted, max(1, budget // (min(n_steps, longest) + 8))), n_steps


@dataclass(frozen=True)
class DrawnSeries:
    """Series and their reconstructions, packed for the page.

    Attributes
    ----------
    rows : ndarray of shape (n_drawn,)
        Their rows in the data set.
    packed : dict
        What the page's JSON says of them. ``values`` holds the levels, series by
        series: first each channel of the series, then each channel of its
        reconstruction. ``ranges`` holds the minimum of each channel and the step
        between two levels. Both are base64. ``n_steps`` is the number of values per
        channel, ``lengths`` the number of timesteps before thinning, ``widths`` the
        width of the intervals of thinned series, and ``lanes`` the bottom and height
        of each channel's lane. ``shades`` holds, series by series, how strongly to shade
        each timestep, or interval, of each channel, as bytes.
    n_thinned : int
        How many of the series are thinned.
    """

    rows: Ints
    packed: dict[str, Any]
    n_thinned: int


def draw_series(
    autoencoder: LSTMAutoencoder, series: Series, rows: Ints, n_steps: int
) -> DrawnSeries:
    """Reconstruct the series `rows`, a few at a time, and pack them for the page."""
    chunk_size = max(1, RECONSTRUCTED_VALUES // (series.n_timesteps * series.n_channels))
    pairs: list[Floats] = []
    shading = _Shading(autoencoder)
    for start in range(0, len(rows), chunk_size):
        chunk = rows[start : start + chunk_size]
        reconstructed = reconstruct_rows(autoencoder, series, chunk)
        errors = squared_errors(series.take(chunk), reconstructed, autoencoder.scale_)
        for number, row in enumerate(chunk):
            length = int(series.lengths[row])
            values = series.values[row, :length, :MAX_CHANNELS].astype(np.float64)
            pair = np.stack([values, reconstructed[number, :length, :MAX_CHANNELS]])
            width = _interval_width(length, n_steps)
            pairs.append(thin(pair, width) if width else pair)
            shading.add(errors[number, :length], width or 1)
    lengths = series.lengths[rows].tolist()
    widths = [_interval_width(length, n_steps) for length in lengths]
    packed = {"lengths": lengths, "widths": widths, "lanes": _lanes(pairs), **_quantize(pairs)}
    packed["shades"] = shading.packed()
    return DrawnSeries(rows, packed, sum(width > 0 for width in widths))


class _Shading:
    """The errors of the drawn series by interval, of which the typical one is known at the end."""

    def __init__(self, autoencoder: LSTMAutoencoder) -> None:
        score = getattr(autoencoder, "timestep_threshold_", None)
        self._threshold = None if score is None else -float(score)
        self._errors: list[Floats] = []
        self._anomalous: list[NDArray[np.bool_] | None] = []
        self._medians: list[float] = []

    def add(self, errors: Floats, width: int) -> None:
        """Add the squared errors (T, C) of a series; `width` timesteps become one."""
        is_anomalous = are_anomalous(errors, self._threshold)
        if is_anomalous is not None:
            is_anomalous = largest_of(is_anomalous[:, None].astype(np.float64), width)[:, 0] > 0
        self._anomalous.append(is_anomalous)
        self._errors.append(largest_of(np.nan_to_num(errors), width))
        self._medians.append(float(np.nanmedian(errors)))

    def packed(self) -> str:
        """Return the opacities of all series, channel by channel, as bytes in base64."""
        typical = float(np.median(self._medians))
        shades = [
            shade_opacities(errors, typical, is_anomalous)[:, :MAX_CHANNELS]
            for errors, is_anomalous in zip(self._errors, self._anomalous, strict=True)
        ]
        levels = [np.rint(MAX_SHADE * shade.T).astype(np.uint8).ravel() for shade in shades]
        return _base64(np.concatenate(levels))


def _interval_width(length: int, n_steps: int) -> int:
    """Return the timesteps per interval of a series that is thinned to `n_steps`, or 0."""
    return 0 if length <= n_steps else -(-length // (n_steps // 2))


def thin(values: Floats, width: int) -> Floats:
    """Return the minimum and maximum of each interval of `width` timesteps, in their order.

    Shape (..., T, C) becomes (..., 2 * ceil(T / width), C). Peaks survive, unlike in
    every k-th value. An interval without observed values stays NaN.
    """
    *leading, n_timesteps, n_channels = values.shape
    n_intervals = -(-n_timesteps // width)
    padded = np.full((*leading, n_intervals * width, n_channels), np.nan)
    padded[..., :n_timesteps, :] = values
    intervals = padded.reshape(*leading, n_intervals, width, n_channels)
    missing = np.isnan(intervals)
    lowest = np.where(missing, np.inf, intervals).argmin(axis=-2, keepdims=True)
    highest = np.where(missing, -np.inf, intervals).argmax(axis=-2, keepdims=True)
    first, second = np.minimum(lowest, highest), np.maximum(lowest, highest)
    kept = np.take_along_axis(intervals, np.concatenate([first, second], axis=-2), axis=-2)
    return kept.reshape(*leading, 2 * n_intervals, n_channels)


def _quantize(pairs: list[Floats]) -> dict[str, Any]:
    """Pack pairs of shape (2, n_steps, n_channels), a series and its reconstruction each."""
    levels, ranges = [], []
    for pair in pairs:
        observed = ~np.isnan(pair)
        low = np.where(observed, pair, np.inf).min(axis=(0, 1))
        high = np.where(observed, pair, -np.inf).max(axis=(0, 1))
        step = (high / MAX_LEVEL - low / MAX_LEVEL).clip(min=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            level = np.where(step > 0, (pair - low) / step, 0)
        level = np.where(observed, np.clip(np.rint(level), 0, MAX_LEVEL) + 1, MISSING)
        levels.append(level.transpose(0, 2, 1).astype("<u2").ravel())
        ranges.append(np.stack([low, step]).astype("<f8").ravel())
    return {
        "values": _base64(np.concatenate(levels)),
        "ranges": _base64(np.concatenate(ranges)),
        "n_steps": [pair.shape[1] for pair in pairs],
        "n_channels": pairs[0].shape[2],
    }


def _base64(array: NDArray[Any]) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")


def _lanes(pairs: list[Floats]) -> list[list[float]]:
    """Return the bottom and height of each channel's lane, in its units, without outliers.

    No channel is all NaN, as reconstructions have no gaps.
    """
    values = np.concatenate([pair.reshape(-1, pair.shape[2]) for pair in pairs])
    low, high = np.nanpercentile(values, [CLIPPED_PERCENT, 100 - CLIPPED_PERCENT], axis=0)
    height = np.where(high > low, high - low, 1.0)
    return [[float(bottom), float(extent)] for bottom, extent in zip(low, height, strict=True)]
