"""Which stretches of the drawn series the predictions rest on, as far as there is time for it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqfeat.inspection import can_occlude, occlude_series
from seqfeat.pipeline import PipelineParts
from seqfeat.series import Series

__all__ = ["Explanations", "explain"]

MAX_SERIES = 200
"""Series that are explained, those with the largest reconstruction errors."""
MAX_STRETCHES = 24
"""Stretches of the longest series."""
MAX_VALUES = 2**26
"""Values of all copies of series that are embedded for it, which takes seconds."""


class Explanations(NamedTuple):
    """The importances of stretches, as `seqfeat.inspection.occlusion` defines them.

    Attributes
    ----------
    width : int
        Timesteps of a stretch.
    importances : ndarray of shape (n_explained, n_stretches)
        Those of the first drawn series; NaN after the end of one.
    """

    width: int
    importances: NDArray[np.float64]

    def packed(self) -> dict[str, Any]:
        """Return what the page's JSON says of them."""
        largest = float(np.nanmax(np.abs(self.importances))) or 1.0
        rows = [
            [float(f"{value:.3g}") for value in row[~np.isnan(row)].tolist()]
            for row in self.importances
        ]
        return {"width": self.width, "largest": largest, "values": rows}


def explain(parts: PipelineParts, series: Series, rows: NDArray[np.int64]) -> Explanations | None:
    """Explain the predictions for some series, the first ones of the rows; None if it cannot be."""
    if not can_occlude(parts):
        return None
    width = -(-series.n_timesteps // MAX_STRETCHES)
    n_stretches = -(-series.n_timesteps // width)
    most = MAX_VALUES // (n_stretches * series.n_timesteps * series.n_channels)
    some = series.take(rows[: min(MAX_SERIES, most)])
    if len(some) == 0:
        return None
    importances = occlude_series(parts, some, width=width, by_channel=False)
    if importances.ndim > 2:
        return None  # of several targets, none is the prediction
    padded = np.full((len(some), n_stretches), np.nan)
    padded[:, : importances.shape[1]] = importances
    return Explanations(width, padded)
