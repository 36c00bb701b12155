"""Targets as the network gets them, in processes that share a fit: read, exchange facts, encode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqfeat.series.scaling import ChannelScaling
from seqfeat.training.targets.labels import class_labels, encode_labels
from seqfeat.training.targets.numbers import (
    are_numbers,
    standardize_numbers,
    target_numbers,
    target_statistics,
)
from seqfeat.training.targets.weights import class_weights

__all__ = ["EncodedTargets", "KnownTargets", "OwnTargets", "TargetFacts", "read_targets"]

Floats = NDArray[np.float64]


class KnownTargets(NamedTuple):
    """What is known of the targets before they are read, from an earlier fit or its caller."""

    classes: NDArray[Any] | None = None
    scaling: ChannelScaling | None = None
    """Of numbers."""

    @property
    def is_known(self) -> bool:
        """Whether anything is."""
        return self.classes is not None or self.scaling is not None


class TargetFacts(NamedTuple):
    """What a process tells the others about its targets."""

    kind: str
    """In the words of an error."""
    classes: NDArray[Any] | None
    counts: Floats | None
    """Total weight of the series of each class."""
    statistics: ChannelScaling | None
    """Of numbers."""


class EncodedTargets(NamedTuple):
    """Targets as the network gets them; all None if they are not used.

    Attributes
    ----------
    classes : ndarray or None
        All classes, sorted.
    scaling : ChannelScaling or None
        The scaling of numbers.
    values : ndarray or None
        Class indices of this process's series, (N,) int64, or their standardized numbers, (N, K)
        float32.
    factors : ndarray or None
        The weight of the class of each series, (N,) float32; None if all are the same.
    """

    classes: NDArray[Any] | None = None
    scaling: ChannelScaling | None = None
    values: NDArray[np.int64] | NDArray[np.float32] | None = None
    factors: NDArray[np.float32] | None = None


class OwnTargets(NamedTuple):
    """The targets of a process: labels or numbers, or neither if they are not used."""

    labels: NDArray[Any] | None = None
    numbers: Floats | None = None

    def rows(self, rows: NDArray[np.int64]) -> OwnTargets:
        """Return the targets of some of the series."""
        return OwnTargets(*(None if part is None else part[rows] for part in self))

    def facts(self, weights: Floats | None) -> TargetFacts:
        """Describe the targets of series with such weights."""
        if self.numbers is not None:
            kind = f"{self.numbers.shape[1]} numbers as targets"
            return TargetFacts(kind, None, None, target_statistics(self.numbers, weights))
        if self.labels is None:
            return TargetFacts("", None, None, None)
        classes, index = np.unique(self.labels, return_inverse=True)
        counts = np.bincount(index, weights, minlength=len(classes)).astype(np.float64)
        return TargetFacts("labels", classes, counts, None)

    def encode(
        self,
        facts: Sequence[TargetFacts],
        known: KnownTargets,
        class_weight: Mapping[Any, Any] | str | None,
    ) -> EncodedTargets:
        """Encode the targets, given the facts of all processes, which agree in their kind."""
        if self.numbers is not None:
            scaling = known.scaling
            if scaling is None:
                found = [one.statistics for one in facts if one.statistics is not None]
                scaling = reduce(ChannelScaling.merge, found)
            return EncodedTargets(None, scaling, standardize_numbers(self.numbers, scaling))
        if self.labels is None:
            return EncodedTargets()
        classes = known.classes
        if classes is None:
            classes = np.unique(np.concatenate([one.classes for one in facts]))
        values = encode_labels(self.labels, classes)
        if class_weight is None:
            return EncodedTargets(classes, None, values)
        counts = np.zeros(len(classes))
        for one in facts:
            counts[np.searchsorted(classes, one.classes)] += one.counts  # type: ignore[arg-type]
        factors = class_weights(class_weight, classes, counts).astype(np.float32)
        return EncodedTargets(classes, None, values, factors[values])


def read_targets(
    y: Any, ids: pd.Index[Any] | None, target_type: str, known: KnownTargets
) -> OwnTargets:
    """Return targets as labels or as numbers, checked.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
    ids : Index of length n_samples, or None
        The names of the series, for errors.
    target_type : {"auto", "continuous", "multiclass"}
        What targets are, unless it is known.
    known : KnownTargets
        Labels have to be among its classes.

    Raises
    ------
    InputError, InputTypeError
        If the targets are neither; see `class_labels` and `target_numbers`.
    """
    if known.scaling is not None or (known.classes is None and are_numbers(y, target_type)):
        return OwnTargets(numbers=target_numbers(y, ids))
    labels = class_labels(y, ids)
    if known.classes is not None:
        encode_labels(labels, known.classes)
    return OwnTargets(labels=labels)
