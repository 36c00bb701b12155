"""Ids and labels that a file holds as text: numbers only where a number writes the same text."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["NameScan", "as_names"]

INTEGER = re.compile(r"-?[1-9][0-9]{0,18}|0")
INTEGERS = np.iinfo(np.int64)


class NameScan:
    """Decides from all texts of a column, part by part, whether they are numbers.

    They are integers, or floats, if every one of them is exactly what Python writes for that
    number, so that ``7`` is a number and ``007``, ``7.10``, ``7E2`` and ``nan`` are names. An empty
    cell, which is missing, decides nothing.

    Examples
    --------
    >>> import pandas as pd
    >>> from seqfeat.series.files.names import NameScan
    >>> scan = NameScan()
    >>> scan.update(pd.Series(["7", "8"]))
    >>> scan.convert(pd.Series(["7"])).tolist()
    [7]
    >>> scan.update(pd.Series(["007"]))
    >>> scan.convert(pd.Series(["7"])).tolist()
    ['7']
    """

    def __init__(self) -> None:
        self._may_be = {int: True, float: True}
        self._has_text = False

    def update(self, column: pd.Series[Any]) -> None:
        """Take in one part of the column."""
        if not any(self._may_be.values()) and self._has_text:
            return
        texts = column.dropna().unique()
        self._has_text |= len(texts) > 0
        for kind, writes_back in ((int, _is_integer), (float, _is_float)):
            self._may_be[kind] = self._may_be[kind] and all(map(writes_back, texts))

    def convert(self, column: pd.Series[Any]) -> pd.Series[Any]:
        """Return one part of the column, after all of them were taken in."""
        kind = next((kind for kind, may_be in self._may_be.items() if may_be), None)
        if kind is None or not self._has_text:
            return column
        codes, texts = pd.factorize(column)
        numbers = np.array([kind(text) for text in texts], dtype=np.dtype(kind))
        if (codes >= 0).all():
            return pd.Series(numbers[codes], index=column.index, name=column.name)
        # No integer is missing, so missing labels among integers need a column of objects.
        values = np.append(numbers.astype(object if kind is int else float), [np.nan])
        return pd.Series(values[codes], index=column.index, name=column.name)


def as_names(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return a whole column of texts as `NameScan` reads it.

    Examples
    --------
    >>> import pandas as pd
    >>> from seqfeat.series.files.names import as_names
    >>> as_names(pd.Series(["1", "-20"])).tolist(), as_names(pd.Series(["1", "1.10"])).tolist()
    ([1, -20], ['1', '1.10'])
    """
    scan = NameScan()
    scan.update(column)
    return scan.convert(column)


def _is_integer(text: str) -> bool:
    return INTEGER.fullmatch(text) is not None and INTEGERS.min <= int(text) <= INTEGERS.max


def _is_float(text: str) -> bool:
    try:
        number = float(text)
    except ValueError:
        return False
    return math.isfinite(number) and repr(number) == text
