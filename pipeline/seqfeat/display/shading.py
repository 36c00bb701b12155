"""Shading of the timesteps at which a reconstruction is wrong, for the display and the report."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqfeat.series import Series

__all__ = [
    "SHADE_COLOUR",
    "SHADE_OPACITY",
    "are_anomalous",
    "largest_of",
    "shade",
    "shade_key",
    "shade_label",
    "shade_opacities",
    "squared_errors",
    "typical_error",
]

SHADE_COLOUR = "#f2a900"
"""Amber: neither the colour of a series nor that of a reconstruction, on white and on black."""
SHADE_OPACITY = 0.45
SMALLEST_DEVIATION = 1e-4
"""In scaled units; where the typical deviation is less, it is rounding."""
FAINT, STRONG = 5.0, 12.0
"""Multiples of the typical deviation from which shading begins and at which it is full.

The typical one is the median; of normal noise, one value in a thousand is beyond five times that.
"""
MAX_COLUMNS = 200
"""Columns of a picture; of more timesteps, the largest error of each stretch is shown."""

Floats = NDArray[np.float64]


def squared_errors(series: Series, reconstruction: Floats, scale: Floats) -> Floats:
    """Return the squared error of each value in units of its channel's `scale`.

    Both shapes are (N, T, C). Values that were not observed have NaN.
    """
    n_timesteps = min(series.n_timesteps, reconstruction.shape[1])
    values = series.values[:, :n_timesteps].astype(np.float64)
    errors: Floats = ((values - reconstruction[:, :n_timesteps]) / scale) ** 2
    return errors


def typical_error(errors: Floats) -> float:
    """Return the median of squared errors, without those that are NaN."""
    return float(np.nanmedian(errors))


def are_anomalous(errors: Floats, threshold: float | None) -> NDArray[np.bool_] | None:
    """Return which timesteps have a mean error above the threshold: (..., T, C) becomes (..., T).

    None without a threshold.
    """
    if threshold is None:
        return None
    n_observed = np.maximum((~np.isnan(errors)).sum(axis=-1), 1)
    anomalous: NDArray[np.bool_] = np.nansum(errors, axis=-1) / n_observed > threshold
    return anomalous


def shade_opacities(
    errors: Floats, typical: float, is_anomalous: NDArray[np.bool_] | None = None
) -> Floats:
    """Return how strongly to shade each value, from 0 to 1, given squared errors (..., T, C).

    The opacity grows with the deviation, the root of the error, relative to the typical one. If it
    is known which timesteps are anomalous, it is at least a half for these, in the channel that is
    furthest off, and 0 for all others.
    """
    known: Floats = np.nan_to_num(errors)
    deviations = np.sqrt(known) / max(math.sqrt(typical), SMALLEST_DEVIATION)
    opacities: Floats = np.clip((deviations - FAINT) / (STRONG - FAINT), 0.0, 1.0)
    if is_anomalous is None:
        return opacities
    is_worst = known == known.max(axis=-1, keepdims=True)
    return np.where(is_anomalous[..., None], np.maximum(opacities, 0.5 * is_worst), 0.0)


def largest_of(values: Floats, width: int) -> Floats:
    """Return the largest of each `width` timesteps: (..., T, C) becomes (..., T / width, C)."""
    *leading, n_timesteps, n_channels = values.shape
    n_intervals = -(-n_timesteps // width)
    padded = np.zeros((*leading, n_intervals * width, n_channels))
    padded[..., :n_timesteps, :] = values
    largest: Floats = padded.reshape(*leading, n_intervals, width, n_channels).max(axis=-2)
    return largest


def shade(ax: Any, opacities: Floats, bottom: float, top: float) -> None:
    """Shade timesteps between two heights, given opacities (T,), without moving the limits."""
    from matplotlib.colors import to_rgb

    n_timesteps = len(opacities)
    width = -(-n_timesteps // MAX_COLUMNS)
    columns = largest_of(opacities[:, None], width)[:, 0]
    picture = np.empty((1, len(columns), 4))
    picture[..., :3] = to_rgb(SHADE_COLOUR)
    picture[..., 3] = SHADE_OPACITY * columns
    limits = ax.get_xlim(), ax.get_ylim()
    extent = (-0.5, width * len(columns) - 0.5, bottom, top)
    ax.imshow(picture, extent=extent, aspect="auto", interpolation="nearest", zorder=0)
    ax.set(xlim=limits[0], ylim=limits[1])


def shade_label(threshold: float | None) -> str:
    """Return what shading means."""
    return "large error" if threshold is None else "anomalous"


def shade_key(threshold: float | None) -> Any:
    """Return the entry of a legend."""
    from matplotlib.patches import Patch

    return Patch(facecolor=SHADE_COLOUR, alpha=SHADE_OPACITY, label=shade_label(threshold))
