"""The rows of the frame that an estimator was fitted on, to notice series that lie on both sides.

scikit-learn's splitters cut a frame with several rows for each series by its rows. Every series is
then in the training set and in the test set, and any score is good.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.exceptions import InputError

__all__ = ["check_not_cut", "remember_rows"]

# Beside the estimator and not its attribute, as it is of no use once that is saved or copied.
_fitted_on: WeakKeyDictionary[Any, pd.MultiIndex] = WeakKeyDictionary()


def remember_rows(estimator: Any, X: Any) -> None:
    """Remember which rows of which series an estimator was fitted on, if `X` is a frame of rows."""
    index = _index_of_rows(X)
    if index is None:
        _fitted_on.pop(estimator, None)
    else:
        _fitted_on[estimator] = index


def check_not_cut(estimator: Any, X: Any, *, may_continue: bool = False) -> None:
    """Raise if `X` has other rows of series that the estimator was fitted on.

    With `may_continue`, series may go on after what was fitted, as in monitoring.
    """
    index, fitted = _index_of_rows(X), _fitted_on.get(estimator)
    if index is None or fitted is None or index is fitted:
        return
    is_known = index.get_level_values(0).isin(fitted.get_level_values(0).unique())
    is_cut = is_known & ~index.isin(fitted)
    if not is_cut.any() or (may_continue and _continues(index[is_known], fitted)):
        return
    name = index.get_level_values(0)[int(np.argmax(is_cut))]
    raise InputError(
        f"X and the frame of fit hold different rows of series {name}, so a score would be that of "
        "a series that is known already. scikit-learn's splitters cut a frame by rows; they keep "
        "series whole in what from_long returns: X, y = seqfeat.series.from_long(frame, series_id, "
        "time). If these are other series of the same names, give them names of their own."
    )


def _index_of_rows(X: Any) -> pd.MultiIndex | None:
    index = X.index if isinstance(X, pd.DataFrame) else None
    return index if isinstance(index, pd.MultiIndex) and index.nlevels == 2 else None


def _continues(index: pd.MultiIndex, fitted: pd.MultiIndex) -> bool:
    """Return whether all rows are later than those of the same series in the fit."""
    try:
        first, last = _times(index).min(), _times(fitted).max()
        is_later: NDArray[np.bool_] = np.asarray(first > last.reindex(first.index))
    except TypeError:
        return False
    return bool(is_later.all())


def _times(index: pd.MultiIndex) -> Any:
    """Return the times of each series."""
    return pd.Series(index.get_level_values(1)).groupby(index.get_level_values(0))
