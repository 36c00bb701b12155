"""Labels as a file has them, and as a model knows them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from seqfeat.cli.wording import UserError

__all__ = ["as_classes", "comparable", "without_gaps"]

Labels = np.ndarray[Any, Any]


def as_classes(labels: Labels, classes: Labels) -> Labels:
    """Return labels as what the model's classes are, where they are written alike.

    A table says 1 for the class that an archive calls '1', and the other way round.
    Labels that are none of the classes stay, if they can be of the classes' kind;
    otherwise all stay as they are.

    Examples
    --------
    >>> import numpy as np
    >>> from seqfeat.cli.labels import as_classes
    >>> as_classes(np.array([1, 2, 7]), np.array(["1", "2"])).tolist()
    ['1', '2', '7']
    >>> as_classes(np.array(["1", "2"]), np.array([1, 2])).tolist()
    [1, 2]
    """
    are_texts = _is_text(labels)
    if are_texts == _is_text(classes):
        return labels
    if not are_texts:
        texts = np.array([_written(label) for label in labels.tolist()])
        return texts if np.isin(texts, classes).any() else labels
    try:
        numbers = labels.astype(classes.dtype)
    except ValueError:
        return labels
    return numbers


def without_gaps(labels: Any, ids: pd.Index[Any]) -> Labels:
    """Return the labels of series to compare with, of which none may be missing."""
    missing = np.asarray(pd.isna(np.asarray(labels, dtype=object)))
    if missing.any():
        raise UserError(f"series {ids[int(np.argmax(missing))]} has no label; drop it.")
    return np.asarray(labels)


def comparable(labels: Labels, classes: Labels, owner: str) -> Labels:
    """Return labels as what the classes are, and refuse them if they are all foreign.

    `owner` says whose classes they are.
    """
    found = as_classes(labels, classes)
    if not np.isin(found, classes).any():
        raise UserError(
            f"none of the labels ({_some(np.unique(found))}) is among the classes of {owner} "
            f"({_some(classes)}). Check --label, and that they are written alike."
        )
    return found


def _some(names: Labels) -> str:
    shown = list(map(str, names[:5]))
    return ", ".join(shown if len(names) <= 5 else [*shown, "..."])


def _is_text(values: Labels) -> bool:
    return values.dtype.kind in "USOT"


def _written(label: Any) -> str:
    """Return a number as people write it: a whole one without a point."""
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return str(label)
