"""Masked standardisation, channel by channel, in float64. NumPy only.

A network needs float32 input of about unit scale. The mean is subtracted and the
result divided by the standard deviation in float64, before the cast, so a small
signal on a large offset survives. Statistics are computed in units of the largest
magnitude of each block, so the squares of 1e200 or 1e-200 neither overflow nor
underflow.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqfeat.exceptions import InputError
from seqfeat.runtime.float_errors import without_float_errors
from seqfeat.series.series import Series

__all__ = [
    "ChannelScaling",
    "block_statistics",
    "channel_scaling",
    "empty_statistics",
    "identity_scaling",
]

LARGEST_SCALED = 1e15
"""Largest scaled magnitude; float32 can sum its squares over a series of any length."""
FINEST_STEP = 1e-3
"""Resolution that series need, relative to the scale of their channel."""
ROUNDING = 10 * float(np.finfo(np.float64).eps)
"""Largest standard deviation, relative to the mean, that rounding leaves of a constant."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ChannelScaling:
    """Mean and standard deviation of each channel, over the observed values.

    Attributes
    ----------
    count : ndarray of shape (C,)
        Number of observed values, each counted as often as its series.
    mean : ndarray of shape (C,)
        Mean of the observed values; 0 if there are none.
    std : ndarray of shape (C,)
        Standard deviation of the observed values; 0 for a constant channel.
    """

    count: Floats
    mean: Floats
    std: Floats

    @cached_property
    def scale(self) -> Floats:
        """The divisor: the standard deviation, or 1 for a constant channel.

        A standard deviation that rounding alone can explain counts as 0.
        """
        rounding = ROUNDING * np.abs(self.mean)
        return np.where(self.std > rounding, self.std, 1.0)

    @cached_property
    def mean_and_scale(self) -> Floats:
        """The mean and the divisor as one array of shape (2, C)."""
        return np.array((self.mean, self.scale))

    @without_float_errors
    def merge(self, other: ChannelScaling) -> ChannelScaling:
        """Return the exact statistics of both sets together (Chan et al., 1983)."""
        count = self.count + other.count
        share = np.divide(other.count, count, out=np.zeros_like(count), where=count > 0)
        shift = other.mean - self.mean
        unit = np.maximum(np.maximum(self.std, other.std), np.abs(shift))
        unit = np.where(unit > 0, unit, 1.0)
        variance = (
            (1 - share) * (self.std / unit) ** 2
            + share * (other.std / unit) ** 2
            + share * (1 - share) * (shift / unit) ** 2
        )
        return ChannelScaling(count, self.mean + share * shift, unit * np.sqrt(variance))

    def apply(self, series: Series, rows: slice | NDArray[np.int64]) -> NDArray[np.float32]:
        """Scale rows of `series`; what was not observed becomes 0.

        Parameters
        ----------
        series : Series
            The whole set.
        rows : slice or ndarray of int
            The rows to scale.

        Returns
        -------
        ndarray of shape (B, T, C), float32
            T is the length of the longest of the rows.

        Raises
        ------
        InputError
            If a value is too far from the training data for float32.
        """
        return self.apply_observed(series, rows)[0]

    @without_float_errors
    def apply_observed(
        self, series: Series, rows: slice | NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
        """Scale like `apply`; also return the mask of observed values, or None if all were."""
        n_timesteps = int(series.lengths[rows].max())
        block = series.values[rows, :n_timesteps].astype(np.float64, order="C")
        block -= self.mean
        block /= self.scale
        scaled = block.astype(np.float32)
        observed = None if series.is_dense else ~np.isnan(scaled)
        if observed is not None:
            scaled[~observed] = 0.0
        self._check_range(scaled, series, rows)
        return scaled, observed

    @without_float_errors
    def invert(self, scaled: NDArray[np.float32]) -> Floats:
        """Return scaled values of shape (B, T, C) in the units of the input, as float64."""
        return scaled.astype(np.float64) * self.scale + self.mean

    @without_float_errors
    def series_dtype(self, preferred: np.dtype[Any]) -> np.dtype[Any]:
        """Return the dtype of series in the units of the input: the preferred one, or float64.

        float32 has to hold every channel's range, and resolve a thousandth of its scale.
        """
        if preferred != np.float32:
            return np.dtype(np.float64)
        magnitude = np.abs(self.mean) + self.scale
        resolution = np.spacing(magnitude.astype(np.float32)).astype(np.float64)
        is_resolved = resolution <= FINEST_STEP * self.scale
        is_in_range = np.abs(self.mean) + LARGEST_SCALED * self.scale < np.finfo(np.float32).max
        holds = bool((is_resolved & is_in_range).all())
        return np.dtype(np.float32 if holds else np.float64)

    def _check_range(
        self, scaled: NDArray[np.float32], series: Series, rows: slice | NDArray[np.int64]
    ) -> None:
        """Check that float32 can hold the scaled values and the sums of their squares."""
        is_too_large = ~(np.abs(scaled) < LARGEST_SCALED)
        if not is_too_large.any():
            return
        row, step, channel = np.argwhere(is_too_large)[0]
        index = int(np.arange(len(series))[rows][row])
        value = series.values[index, step, channel]
        raise InputError(
            f"series {index} has the value {value:g} at timestep {step}, channel {channel}, which "
            f"is too far from the training data (mean {self.mean[channel]:g}, scale "
            f"{self.scale[channel]:g}) for float32. Check its unit, clip it, or fit on data of "
            "this range."
        )


def identity_scaling(n_channels: int) -> ChannelScaling:
    """Return a scaling that leaves values unchanged."""
    return ChannelScaling(np.zeros(n_channels), np.zeros(n_channels), np.ones(n_channels))


def empty_statistics(n_channels: int) -> ChannelScaling:
    """Return the statistics of an empty set, to merge others into."""
    return ChannelScaling(*np.zeros((3, n_channels)))


def channel_scaling(series: Series, weights: Floats | None = None) -> ChannelScaling:
    """Return the statistics of `series`, computed in one pass with the memory of one block.

    `weights` (N,) say how often each series counts; once without them.
    """
    total = empty_statistics(series.n_channels)
    for rows in series.blocks():
        block = series.values[rows].astype(np.float64, order="C")
        total = total.merge(block_statistics(block, None if weights is None else weights[rows]))
    return total


@without_float_errors
def block_statistics(block: Floats, weights: Floats | None = None) -> ChannelScaling:
    """Return the statistics of a block of shape (B, T, C), in which NaN means not observed."""
    observed = ~np.isnan(block)
    counts: Any = observed if weights is None else observed * weights[:, None, None]

    def total(values: Floats) -> Floats:
        sums: Floats = (values if weights is None else values * weights[:, None, None]).sum((0, 1))
        return sums

    count = counts.sum(axis=(0, 1)).astype(np.float64)
    divisor = np.where(count > 0, count, 1.0)
    unit = np.where(observed, np.abs(block), 0.0).max(axis=(0, 1))
    unit = np.where(unit > 0, unit, 1.0)
    block = np.where(observed, block / unit, 0.0)
    mean = total(block) / divisor
    centered = np.where(observed, block - mean, 0.0)
    # The rounding error of the mean, which matters for a small signal on a large offset.
    residual = total(centered) / divisor
    variance = total(centered**2) / divisor - residual**2
    return ChannelScaling(
        count, (mean + residual) * unit, np.sqrt(np.maximum(variance, 0.0)) * unit
    )
