"""Texts by their shapes, and the numbers that are written in them."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["MONTHS", "Fields", "Ints", "Mask", "Texts", "match_shape"]

LONGEST_TEXT = 64
"""No time point is a longer text."""
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DEFAULTS = {"year": 1970, "month": 1, "day": 1}

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Texts:
    """Distinct texts, grouped by their shapes: the texts with 0 in place of every digit.

    Attributes
    ----------
    values : list of str
    codes : ndarray of shape (n_rows,)
        The text of each row.
    characters : ndarray of shape (n_values, width)
        The code points of the texts.
    shapes : list of str
    shape_codes : ndarray of shape (n_values,)
        The shape of each text.
    """

    def __init__(self, values: list[str], codes: NDArray[Any]) -> None:
        if max(map(len, values)) > LONGEST_TEXT:
            values = ["" if len(text) > LONGEST_TEXT else text for text in values]
        self.values = values
        self.codes = codes
        # One more text, as an array of empty ones has no width.
        array = np.array([*values, "-"])
        self.characters = array.view(np.uint32).reshape(len(array), -1)[:-1]
        is_digit = (self.characters >= ord("0")) & (self.characters <= ord("9"))
        masked = np.where(is_digit, np.uint32(ord("0")), self.characters)
        if (masked == masked[0]).all():
            masked = masked[:1]
        shape_codes, shapes = pd.factorize(masked.view(array.dtype).ravel().astype(object))
        self.shape_codes: Ints = np.broadcast_to(shape_codes, len(values))
        self.shapes: list[str] = shapes.tolist()
        self._fields: dict[tuple[str, ...], Fields] = {}

    def have_shape(self, patterns: tuple[str, ...]) -> Mask:
        """Return which texts have a shape that matches one of the patterns."""
        fits = np.array([match_shape(patterns, shape) is not None for shape in self.shapes], bool)
        is_match: Mask = fits[self.shape_codes]
        return is_match

    def fields(self, patterns: tuple[str, ...]) -> Fields:
        """Return the numbers that the named groups of the patterns stand for in each text."""
        if patterns not in self._fields:
            self._fields[patterns] = self._read_fields(patterns)
        return self._fields[patterns]

    def _read_fields(self, patterns: tuple[str, ...]) -> Fields:
        fields = Fields(len(self.values))
        for place, shape in enumerate(self.shapes):
            match = match_shape(patterns, shape)
            if match is None:
                continue
            rows = np.flatnonzero(self.shape_codes == place)
            for name, text in match.groupdict().items():
                if text and name != "separator":
                    start, stop = match.span(name)
                    fields.set(name, rows, text, self.characters[rows, start:stop])
        return fields


@cache
def match_shape(patterns: tuple[str, ...], shape: str) -> re.Match[str] | None:
    """Return the match of a shape with the first pattern that it matches."""
    # Digits of other scripts keep their place in a shape, and are read by nobody.
    matches = (re.fullmatch(pattern, shape, re.ASCII) for pattern in patterns)
    return next((match for match in matches if match), None)


class Fields:
    """What is written in texts, by name: ``year``, ``month``, ``hour``, ...; absent ones are 0."""

    def __init__(self, n_texts: int) -> None:
        self.n_texts = n_texts
        self.columns: dict[str, Ints] = {}

    def __getitem__(self, name: str) -> Ints:
        default = np.full(self.n_texts, DEFAULTS.get(name, 0), dtype=np.int64)
        return self.columns.get(name, default)

    def set(self, name: str, rows: Ints, text: str, characters: NDArray[np.uint32]) -> None:
        """Set a field of some texts, of which all but the digits is the same."""
        values: Any
        if name == "month_name":
            name, values = "month", np.int64(MONTHS.index(text[:3].lower()) + 1)
        elif not text.isdigit():
            # A sign, a separator, or half of the day: the first letter tells.
            values = np.int64(ord(text[0].lower()))
        elif name == "fraction":
            self._set("excess", rows, _number(characters[:, 9:]))
            values = _number(characters[:, :9]) * 10 ** max(0, 9 - characters.shape[1])
        else:
            values = _number(characters)
        self._set(name, rows, values)

    def _set(self, name: str, rows: Ints, values: Any) -> None:
        self.columns.setdefault(name, self[name])[rows] = values


def _number(digits: NDArray[np.uint32]) -> Ints:
    """Return the whole numbers that rows of digits stand for."""
    total = np.zeros(len(digits), dtype=np.int64)
    for column in digits.T[:18]:
        total = total * 10 + (column.astype(np.int64) - ord("0"))
    return total
