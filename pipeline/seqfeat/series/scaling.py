"""Masked standardisation, channel by channel, in float64. NumPy only.

Networks want inputs near 1, in float32. Subtracting the mean and dividing by
the standard deviation happens in float64 before the cast, so that a small
signal on a large offset survives, and in units of each block's own magnitude,
so that squares of 1e200 or 1e-200 neither overflow nor vanish.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from seqfeat.exceptions import InputError
from seqfeat.series import Series

__all__ = [
    "ChannelScaling",
    "block_statistics",
    "channel_scaling",
    "empty_statistics",
    "identity_scaling",
]

LARGEST_SCALED = 1e15
"""A magnitude whose squares float32 can still add up over any series."""
ROUNDING = 10 * float(np.finfo(np.float64).eps)
"""Of a constant's deviation, relative to it."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ChannelScaling:
    """Mean and standard deviation of each channel, over what was observed.

    Attributes
    ----------
    count : ndarray of shape (C,)
        Observed values.
    mean : ndarray of shape (C,)
        Their mean; 0 where nothing was observed.
    std : ndarray of shape (C,)
        Their standard deviation, 0 for a constant channel.
    """

    count: Floats
    mean: Floats
    std: Floats

    @cached_property
    def scale(self) -> Floats:
        """The divisor: the standard deviation, or 1 for a constant channel.

        A spread no larger than what rounding leaves of a constant counts as none.
        """
        rounding = ROUNDING * np.abs(self.mean)
        return np.where(self.std > rounding, self.std, 1.0)

    @cached_property
    def mean_and_scale(self) -> Floats:
        """Both as one array. Shape: (2, C)."""
        return np.array((self.mean, self.scale))

    def merge(self, other: ChannelScaling) -> ChannelScaling:
        """Return the statistics of both sets together, exactly (Chan et al., 1983)."""
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
        """Return rows of `series` scaled, cut to the longest, 0 where nothing was observed.

        Shape (B, T, C), float32. Raises `InputError` if a value lies too far from
        the training data for float32.
        """
        return self.apply_observed(series, rows)[0]

    def apply_observed(
        self, series: Series, rows: slice | NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
        """Return what `apply` does, and which values were observed; None if all were."""
        n_timesteps = int(series.lengths[rows].max())
        block = series.values[rows, :n_timesteps].astype(np.float64, order="C")
        with np.errstate(over="ignore", under="ignore"):
            block -= self.mean
            block /= self.scale
            scaled = block.astype(np.float32)
        observed = None if series.is_dense else ~np.isnan(scaled)
        if observed is not None:
            scaled[~observed] = 0.0
        self._refuse_overflow(scaled, series, rows)
        return scaled, observed

    def invert(self, scaled: NDArray[np.float32]) -> Floats:
        """Return scaled values, shape (B, T, C), in the units of the input."""
        return scaled.astype(np.float64) * self.scale + self.mean

    def _refuse_overflow(
        self, scaled: NDArray[np.float32], series: Series, rows: slice | NDArray[np.int64]
    ) -> None:
        too_large = ~(np.abs(scaled) < LARGEST_SCALED)
        if not too_large.any():
            return
        row, step, channel = np.argwhere(too_large)[0]
        index = int(np.arange(len(series))[rows][row])
        value = series.values[index, step, channel]
        raise InputError(
            f"series {index} has the value {value:g} at timestep {step}, channel {channel}, too "
            f"far from the training data (mean {self.mean[channel]:g}, scale "
            f"{self.scale[channel]:g}) for the network's float32. Check its unit, clip it, or "
            "fit on data of this range."
        )


def identity_scaling(n_channels: int) -> ChannelScaling:
    """Return the scaling that changes nothing."""
    return ChannelScaling(np.zeros(n_channels), np.zeros(n_channels), np.ones(n_channels))


def empty_statistics(n_channels: int) -> ChannelScaling:
    """Return the statistics of nothing, to merge others into."""
    return ChannelScaling(*np.zeros((3, n_channels)))


def channel_scaling(series: Series) -> ChannelScaling:
    """Return the statistics of `series` in one pass over its blocks.

    Memory is bounded by a block, not by the number of series.
    """
    total = empty_statistics(series.n_channels)
    for rows in series.blocks():
        block = series.values[rows].astype(np.float64, order="C")
        total = total.merge(block_statistics(block))
    return total


def block_statistics(block: Floats) -> ChannelScaling:
    """Return the statistics of one block, in which NaN was not observed."""
    observed = ~np.isnan(block)
    count = observed.sum(axis=(0, 1)).astype(np.float64)
    divisor = np.maximum(count, 1)
    unit = np.where(observed, np.abs(block), 0.0).max(axis=(0, 1))
    unit = np.where(unit > 0, unit, 1.0)
    block = np.where(observed, block / unit, 0.0)
    mean = block.sum(axis=(0, 1)) / divisor
    centred = np.where(observed, block - mean, 0.0)
    # What rounding left in the mean, which matters for a small signal on a large offset.
    rest = centred.sum(axis=(0, 1)) / divisor
    variance = (centred**2).sum(axis=(0, 1)) / divisor - rest**2
    return ChannelScaling(count, (mean + rest) * unit, np.sqrt(np.maximum(variance, 0.0)) * unit)
