"""Series to train on and to test on, read and checked before any training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from seqfeat.autoencoder import LSTMAutoencoder, input_attributes
from seqfeat.cli.console import Console
from seqfeat.cli.errors import UserError
from seqfeat.cli.models import check_labels
from seqfeat.cli.sources import Source, ids_of, naming_series
from seqfeat.inference.fitted import validate_series
from seqfeat.series import LabelledSeries, as_series

__all__ = ["as_classes", "comparable", "read_labelled", "read_test", "without_gaps"]


def read_labelled(
    source: Source, autoencoder: LSTMAutoencoder, console: Console
) -> tuple[LabelledSeries, LSTMAutoencoder]:
    """Read series to train on, and refuse such as cannot be learned.

    Returns them and an autoencoder that knows their form and nothing else, to check
    others against.
    """
    labelled = source.read()
    ids = ids_of(labelled.X, 0)
    if len(ids) < 2:
        raise UserError(f"{source.name} holds {len(ids)} series; training needs 2 at least.")
    name = f"--label {source.reading.label}" if source.reading.label else f"labels of {source.name}"
    if labelled.y is not None:
        check_labels(labelled.y, ids, name)
    with naming_series(ids, is_trained=False):
        # Here, as what a training meets are parts of the whole, whose places are others.
        series = as_series(labelled.X, missing=autoencoder.missing)
    alike = clone(autoencoder)
    vars(alike).update(input_attributes(labelled.X, series))
    many = f"{source.name}: {len(ids):,} series{', one a row,' * source.is_wide}"
    if labelled.y is None:
        console.note(f"{many} without labels, so features alone.")
    else:
        console.note(f"{many} of {len(set(labelled.y))} classes.")
    return labelled, alike


def read_test(source: Source, labelled: LabelledSeries, alike: LSTMAutoencoder) -> LabelledSeries:
    """Read series to test on, and refuse such as do not fit those of the training."""
    X, y = source.read()
    ids = ids_of(X, 0)
    try:
        with naming_series(ids, is_trained=False):
            validate_series(alike, X)
        return LabelledSeries(X, _test_labels(y, labelled, ids))
    except UserError as error:
        raise UserError(f"--test {source.name}: {error}") from error


def _test_labels(y: Any, labelled: LabelledSeries, ids: Any) -> Any:
    if labelled.y is None:
        return None
    if y is None:
        raise UserError("there are no labels to compare with.")
    classes = np.unique(np.asarray(labelled.y))
    return comparable(without_gaps(y, ids), classes, "the training")


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
