"""Series to train on and to test on, read and checked before any training."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import clone

from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.cli.console import Console
from seqfeat.cli.estimators import check_labels
from seqfeat.cli.labels import comparable, without_gaps
from seqfeat.cli.sources import Source, ids_of
from seqfeat.cli.streams import naming_series
from seqfeat.cli.wording import UserError
from seqfeat.input_contract import input_attributes, series_like_fitted
from seqfeat.series import LabelledSeries, as_series

__all__ = ["read_labelled", "read_test"]


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
            series_like_fitted(alike, X)
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
