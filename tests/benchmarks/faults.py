"""Faults for unseen series, of which it is known where they are.

A series is a float array (T, C) in units of each channel's standard deviation. A fault changes one
stretch of it, in one channel, or two that it exchanges.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Rng = np.random.Generator

SHARE = 0.1
"""Length of a fault, as a fraction of its series; a spike takes one timestep."""
MIN_STEPS, MAX_STEPS = 4, 40
MARGIN = 0.15
"""Fraction of a series at either end that stays free of faults."""


class Faulty(NamedTuple):
    """Series, half of them with a fault, and which of their timesteps are in one."""

    series: list[Floats]
    labels: list[NDArray[np.bool_]]


def spike(stretch: Floats, channel: int, rng: Rng) -> None:
    """Move a single value by five standard deviations."""
    stretch[:1, channel] += 5.0 * rng.choice([-1, 1])


def level_shift(stretch: Floats, channel: int, rng: Rng) -> None:
    """Move the channel by two standard deviations."""
    stretch[:, channel] += 2.0 * rng.choice([-1, 1])


def noise_burst(stretch: Floats, channel: int, rng: Rng) -> None:
    """Add noise of one standard deviation."""
    stretch[:, channel] += rng.normal(size=len(stretch))


def stuck(stretch: Floats, channel: int, rng: Rng) -> None:
    """Repeat the first value."""
    stretch[:, channel] = stretch[0, channel]


def swapped(stretch: Floats, channel: int, rng: Rng) -> None:
    """Exchange the channel with another one; play a single channel backwards."""
    n_channels = stretch.shape[1]
    if n_channels == 1:
        stretch[:] = stretch[::-1].copy()
        return
    other = (channel + rng.integers(1, n_channels)) % n_channels
    stretch[:, [channel, other]] = stretch[:, [other, channel]]


FAULTS: dict[str, Callable[[Floats, int, Rng], None]] = {
    "spike": spike,
    "level shift": level_shift,
    "noise burst": noise_burst,
    "stuck": stuck,
    "swapped": swapped,
}


def fault_length(n_timesteps: int) -> int:
    """Return the timesteps that a fault lasts in a series of that length."""
    return int(np.clip(round(SHARE * n_timesteps), MIN_STEPS, MAX_STEPS))


def inject(series: list[Floats], kind: str, rng: Rng) -> Faulty:
    """Return copies of the series, every other one with one fault of that kind."""
    changed, labels = [], []
    for number, values in enumerate(series):
        copy, label = values.copy(), np.zeros(len(values), dtype=bool)
        if number % 2 == 0:
            length = fault_length(len(values))
            margin = int(MARGIN * len(values))
            start = rng.integers(margin, max(margin + 1, len(values) - margin - length))
            stretch = slice(start, start + length)
            FAULTS[kind](copy[stretch], int(rng.integers(copy.shape[1])), rng)
            label[start : start + 1 if kind == "spike" else stretch.stop] = True
        changed.append(copy)
        labels.append(label)
    return Faulty(changed, labels)
