"""Which series are drawn, and long series thinned, so that a page stays small."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.display.reconstructions import reconstructed_rows
from seqfeat.series import Series

__all__ = ["MOST_CHANNELS", "Drawing", "draw_series", "drawable", "sampled_rows", "thinned"]

MOST_VALUES = 900_000
"""Numbers of all drawn series together, two bytes each, which is 2.4 MB of base64."""
MOST_CHANNELS = 12
"""Channels that are drawn; more lanes would be too narrow to read."""
MOST_STEPS = 240
LEAST_STEPS = 64
"""Numbers that a long series is thinned to, for each channel; even."""
REBUILT_TOGETHER = 2**22
"""Values reconstructed at a time."""
NOT_OBSERVED = 0
LEVELS = 65534
"""Values are drawn on that many levels between a series' least and greatest."""
OUTSIDE = 0.5
"""Percent of the values at either end that may reach out of a channel's lane."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def sampled_rows(
    errors: Floats, strata: NDArray[Any] | None, n_rows: int, n_anomalies: int, seed: int
) -> Ints:
    """Return rows to draw, the largest error first: the anomalies, and classes by their shares.

    Every class has a row as long as there are no more classes than rows.
    """
    by_error = np.argsort(-errors, kind="stable")
    if n_rows >= len(errors):
        return by_error
    anomalies = by_error[: min(n_anomalies, n_rows)]
    chosen = np.zeros(len(errors), dtype=bool)
    chosen[anomalies] = True
    codes = np.zeros(len(errors), dtype=np.int64)
    if strata is not None:
        codes = np.unique(strata, return_inverse=True)[1]
    order = np.random.default_rng(seed).permutation(len(errors))
    # The k-th series of a class of n comes at k / n, so that all are used up at one pace.
    place = np.empty(len(errors))
    for code in np.unique(codes):
        rows = order[codes[order] == code]
        place[rows] = np.arange(len(rows)) / len(rows)
    place[chosen] = -1.0
    return by_error[np.isin(by_error, np.argsort(place, kind="stable")[:n_rows])]


@dataclass(frozen=True)
class Drawing:
    """Series and their reconstructions, packed for the page.

    Attributes
    ----------
    rows : ndarray of shape (n_drawn,)
        Which series they are.
    packed : dict
        For JSON: ``values``, the levels of each series' channels and then those of
        its reconstruction, ``ranges``, what the levels stand for, both base64, and
        ``n_steps``, ``lengths``, the ``widths`` of the stretches of thinned ones, and
        the ``lanes`` of channels.
    n_thinned : int
        How many are drawn thinned.
    """

    rows: Ints
    packed: dict[str, Any]
    n_thinned: int


def drawable(n_channels: int, lengths: Ints, n_wanted: int) -> tuple[int, int]:
    """Return how many series, and steps of each, may be drawn."""
    n_channels = min(n_channels, MOST_CHANNELS)
    longest = int(lengths.max())
    # Eight more for the two ends of the levels.
    budget = MOST_VALUES // (2 * n_channels)
    n_steps = min(MOST_STEPS, max(LEAST_STEPS, budget // max(1, n_wanted) - 8))
    n_steps -= n_steps % 2
    return min(n_wanted, max(1, budget // (min(n_steps, longest) + 8))), n_steps


def draw_series(autoencoder: LSTMAutoencoder, series: Series, rows: Ints, n_steps: int) -> Drawing:
    """Rebuild some series, a few at a time, and pack them beside their reconstructions."""
    at_once = max(1, REBUILT_TOGETHER // (series.n_timesteps * series.n_channels))
    pairs: list[Floats] = []
    for start in range(0, len(rows), at_once):
        part = rows[start : start + at_once]
        rebuilt = reconstructed_rows(autoencoder, series, part)[:, :, :MOST_CHANNELS]
        for row, other in zip(part, rebuilt, strict=True):
            length = int(series.lengths[row])
            values = series.values[row, :length, :MOST_CHANNELS].astype(np.float64)
            pair = np.stack([values, other[:length]])
            width = stretch_width(length, n_steps)
            pairs.append(thinned(pair, width) if width else pair)
    lengths = series.lengths[rows].tolist()
    widths = [stretch_width(length, n_steps) for length in lengths]
    packed = {"lengths": lengths, "widths": widths, "lanes": _lanes(pairs), **_packed(pairs)}
    return Drawing(rows, packed, sum(width > 0 for width in widths))


def stretch_width(length: int, n_steps: int) -> int:
    """Return the timesteps that two numbers of a thinned series stand for; 0 if it is whole."""
    return 0 if length <= n_steps else -(-length // (n_steps // 2))


def thinned(values: Floats, width: int) -> Floats:
    """Return the least and the greatest value of each stretch of so many timesteps, in their order.

    Shape (..., T, C) becomes (..., 2 * ceil(T / width), C). A peak stays a peak,
    unlike in every k-th value. A stretch in which nothing was observed stays NaN.
    """
    *leading, n_timesteps, n_channels = values.shape
    n_stretches = -(-n_timesteps // width)
    padded = np.full((*leading, n_stretches * width, n_channels), np.nan)
    padded[..., :n_timesteps, :] = values
    stretches = padded.reshape(*leading, n_stretches, width, n_channels)
    missing = np.isnan(stretches)
    least = np.where(missing, np.inf, stretches).argmin(axis=-2, keepdims=True)
    greatest = np.where(missing, -np.inf, stretches).argmax(axis=-2, keepdims=True)
    places = np.concatenate([np.minimum(least, greatest), np.maximum(least, greatest)], axis=-2)
    kept = np.take_along_axis(stretches, places, axis=-2)
    return kept.reshape(*leading, 2 * n_stretches, n_channels)


def _packed(pairs: list[Floats]) -> dict[str, Any]:
    """Return pairs of shape (2, k, C) as levels between each channel's own ends."""
    levels, ranges = [], []
    for pair in pairs:
        seen = ~np.isnan(pair)
        low = np.where(seen, pair, np.inf).min(axis=(0, 1))
        high = np.where(seen, pair, -np.inf).max(axis=(0, 1))
        step = (high / LEVELS - low / LEVELS).clip(min=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            level = np.where(step > 0, (pair - low) / step, 0)
        level = np.where(seen, np.clip(np.rint(level), 0, LEVELS) + 1, NOT_OBSERVED)
        # Channel after channel, the series and then its reconstruction.
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
    """Return foot and height of each channel's lane, without what few values reach.

    No channel is all NaN, as reconstructions have no gaps.
    """
    values = np.concatenate([pair.reshape(-1, pair.shape[2]) for pair in pairs])
    low, high = np.nanpercentile(values, [OUTSIDE, 100 - OUTSIDE], axis=0)
    height = np.where(high > low, high - low, 1.0)
    return [[float(foot), float(top)] for foot, top in zip(low, height, strict=True)]
