"""Training and test series with their labels, checked before any training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.multiclass import type_of_target

from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.cli.console import Console, format_list
from seqfeat.cli.errors import UserError, rewording_errors
from seqfeat.cli.sources import DataSource, count_of, recordings_of, series_ids
from seqfeat.inference.fitted import validate_series
from seqfeat.series import LabelledSeries, as_series
from seqfeat.series.files.names import as_names
from seqfeat.training.learned_attributes import input_attributes

__all__ = [
    "check_all_labelled",
    "like_classes",
    "match_classes",
    "read_test_set",
    "read_training_set",
]

MIN_SERIES_PER_CLASS = 2


def read_training_set(
    source: DataSource, autoencoder: LSTMAutoencoder, console: Console
) -> tuple[LabelledSeries, LSTMAutoencoder]:
    """Read series to train on, and check that a model can learn from them.

    Returns
    -------
    labelled : LabelledSeries
        The series and their labels, if there are any.
    template : LSTMAutoencoder
        An autoencoder that knows the form of the series and nothing else, to check a
        test set with.
    """
    labelled = _drop_unlabelled_windows(source.read(console), console)
    ids = series_ids(labelled.X)
    if len(ids) < 2:
        raise UserError(f"{source.name} has {count_of(labelled.X)}; training needs at least 2.")
    target, label = source.reading.target, source.reading.label
    if target is not None:
        _check_targets(labelled.y, ids, target[0], source)
    elif labelled.y is not None:
        _check_labels(labelled.y, ids, f"--label {label}" if label else f"labels of {source.name}")
    # The estimators see only parts of the set, in which a series has another position.
    with rewording_errors(ids, has_model=False):
        series = as_series(labelled.X, missing=autoencoder.missing)
    template = clone(autoencoder)
    vars(template).update(input_attributes(labelled.X, series))
    what = f"{count_of(labelled.X)}{' (one per row)' if source.is_wide else ''}"
    if labelled.y is None:
        console.status(f"Read {what} without labels from {source.name}; learning features only.")
    elif target is not None:
        lowest, highest = np.min(labelled.y), np.max(labelled.y)
        console.status(
            f"Read {what} from {source.name}; {target[0]} is {lowest:.4g} to {highest:.4g}."
        )
    else:
        n_classes = len(set(labelled.y))
        console.status(f"Read {what} of {n_classes} classes from {source.name}.")
    return labelled, template


def _drop_unlabelled_windows(labelled: LabelledSeries, console: Console | None) -> LabelledSeries:
    """Return series without those windows that have no label, and say how many these are."""
    X, y = labelled
    if y is None or recordings_of(X) is None:
        return labelled
    is_missing = pd.isna(y).to_numpy()
    if not is_missing.any() or is_missing.all():
        return labelled
    if console is not None:
        console.status(f"Left out {is_missing.sum():,} of {len(X):,} windows, which have no label.")
    # Integers beside None are objects, and integers again without it.
    return LabelledSeries(X[~is_missing], y[~is_missing].infer_objects())


def _check_targets(y: Any, ids: pd.Index[Any], target: str, source: DataSource) -> None:
    """Check that a regressor can learn these numbers."""
    if y is None:
        raise UserError(f"--target {target}: {source.name} holds no array y of numbers to predict.")
    numbers = np.asarray(y, dtype=np.float64)
    missing = np.isnan(numbers)
    if missing.any():
        raise UserError(
            f"--target {target}: {missing.sum():,} of {len(missing):,} series have no number, the "
            f"first one being {ids[int(np.argmax(missing))]}. Add the numbers, or drop the series."
        )
    if np.ptp(numbers) == 0:
        raise UserError(
            f"--target {target}: all series have the number {numbers[0]:g}, so that there is "
            "nothing to learn. Name another column."
        )


def _check_labels(y: Any, ids: pd.Index[Any], name: str) -> None:
    """Check that a classifier can learn these labels."""
    labels = np.asarray(y, dtype=object)
    missing = np.asarray(pd.isna(labels))
    if missing.any():
        raise UserError(
            f"{name}: {missing.sum():,} of {len(labels):,} series have no label, the first one "
            f"being {ids[int(np.argmax(missing))]}. Add the labels, or drop these series."
        )
    if type_of_target(np.asarray(y)) not in ("binary", "multiclass"):
        raise UserError(
            f"{name}: the labels are continuous numbers such as {labels[0]!r}, not classes. Pass "
            "--target to predict numbers, name a column with classes, or omit --label to learn "
            "features only."
        )
    classes, counts = np.unique(np.asarray(y), return_counts=True)
    if len(classes) < 2:
        raise UserError(f"{name}: all series have the label {classes[0]}; need at least 2 classes.")
    if counts.min() < MIN_SERIES_PER_CLASS:
        rarest = classes[int(np.argmin(counts))]
        raise UserError(
            f"{name}: only 1 series has the label {rarest}; each class needs at least "
            f"{MIN_SERIES_PER_CLASS}. Add series to it, or drop it."
        )


def read_test_set(
    source: DataSource, labelled: LabelledSeries, template: LSTMAutoencoder
) -> LabelledSeries:
    """Read series to test on, and check that they match the training set and its template."""
    X, y = _drop_unlabelled_windows(source.read(), None)
    ids = series_ids(X)
    try:
        with rewording_errors(ids, has_model=False):
            validate_series(template, X)
        if source.reading.target is not None:
            _check_targets(y, ids, source.reading.target[0], source)
            return LabelledSeries(X, y)
        return LabelledSeries(X, _read_test_labels(y, labelled, ids))
    except UserError as error:
        raise UserError(f"--test {source.name}: {error}") from error


def _read_test_labels(y: Any, labelled: LabelledSeries, ids: pd.Index[Any]) -> Any:
    if labelled.y is None:
        return None
    if y is None:
        raise UserError("the series have no labels, but the training series do.")
    classes = np.unique(np.asarray(labelled.y))
    return match_classes(check_all_labelled(y, ids), classes, "the training data")


def check_all_labelled(labels: Any, ids: pd.Index[Any]) -> NDArray[Any]:
    """Return labels as an array after checking that none is missing."""
    missing = np.asarray(pd.isna(np.asarray(labels, dtype=object)))
    if missing.any():
        first = ids[int(np.argmax(missing))]
        raise UserError(f"series {first} has no label. Add it, or drop the series.")
    return np.asarray(labels)


def match_classes(labels: NDArray[Any], classes: NDArray[Any], owner: str) -> NDArray[Any]:
    """Return labels as `like_classes` does, after checking that at least one is a class.

    `owner` says whose classes they are.
    """
    matched = like_classes(labels, classes)
    if not np.isin(matched, classes).any():
        raise UserError(
            f"none of the labels ({format_list(np.unique(matched), head=5)}) is a class of "
            f"{owner} ({format_list(classes, head=5)}). Check --label, and how both are spelled."
        )
    return matched


def like_classes(labels: NDArray[Any], classes: NDArray[Any]) -> NDArray[Any]:
    """Return labels in the type of the classes, if they then match.

    A table says 1 for the class that a file of the archive calls '1', and vice versa; but
    '01' is another name. Labels that are not among the classes are converted as well if all
    labels can be; otherwise all stay as they are.

    Examples
    --------
    >>> import numpy as np
    >>> from seqfeat.cli.training_sets import like_classes
    >>> like_classes(np.array([1, 2, 7]), np.array(["1", "2"])).tolist()
    ['1', '2', '7']
    >>> like_classes(np.array(["1", "2"]), np.array([1, 2])).tolist()
    [1, 2]
    """
    is_text = _is_text(labels)
    if is_text == _is_text(classes):
        return labels
    if not is_text:
        texts = np.array([_as_text(label) for label in labels.tolist()])
        return texts if np.isin(texts, classes).any() else labels
    by_text = {_as_text(one): one for one in classes.tolist()}
    if by_text.keys() >= set(labels.tolist()):
        return np.array([by_text[label] for label in labels.tolist()], dtype=classes.dtype)
    return np.asarray(as_names(pd.Series(labels)))


def _is_text(values: NDArray[Any]) -> bool:
    return values.dtype.kind in "USOT"


def _as_text(label: Any) -> str:
    """Write a label as people do: a whole number without a decimal point."""
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return str(label)
