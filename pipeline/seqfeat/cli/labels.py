"""Labels as a file has them, and as a model knows them."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["as_classes"]

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


def _is_text(values: Labels) -> bool:
    return values.dtype.kind in "USOT"


def _written(label: Any) -> str:
    """Return a number as people write it: a whole one without a point."""
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return str(label)
