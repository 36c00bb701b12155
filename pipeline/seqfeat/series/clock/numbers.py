"""Texts that are numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqfeat.series.clock.column import Clock, TimeColumn
from seqfeat.series.clock.texts import Fields, Mask, Texts

__all__ = ["has_thousands", "read_decimal_commas", "read_numbers", "read_thousands"]


def read_numbers(column: TimeColumn, texts: Texts, patterns: tuple[str, ...]) -> Clock:
    """Return the clock of texts such as ``1.5``."""
    values = _as_numbers(texts.values)
    column.check_finite(values, texts.codes)
    return Clock(values)


def read_decimal_commas(column: TimeColumn, texts: Texts, patterns: tuple[str, ...]) -> Clock:
    """Return the clock of texts such as ``1,5``."""
    return Clock(_as_numbers([text.replace(",", ".") for text in texts.values]))


def read_thousands(column: TimeColumn, texts: Texts, patterns: tuple[str, ...]) -> Clock:
    """Return the clock of texts such as ``1,500``."""
    return Clock(_as_numbers([text.replace(",", "") for text in texts.values]))


def has_thousands(fields: Fields) -> Mask:
    """Return which texts have no comma after a leading 0."""
    are_thousands: Mask = (fields["comma"] == 0) | (fields["thousands"] > 0)
    return are_thousands


def _as_numbers(texts: list[str]) -> NDArray[Any]:
    """Return texts as int64 if all are whole numbers, else as float64."""
    if not all(text.lstrip("+-").isdigit() for text in texts):
        return np.array(texts).astype(np.float64)
    try:
        return np.array(texts).astype(np.int64)
    except OverflowError:
        integers = list(map(int, texts))
        least = min(integers)
        distances = [integer - least for integer in integers]
        is_small = max(distances) <= np.iinfo(np.int64).max
        return np.array(distances, dtype=np.int64 if is_small else np.float64)
