"""From options to estimators."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC, LinearSVC
from sklearn.utils.multiclass import type_of_target

from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.classifier import make_classifier
from seqfeat.cli.wording import UserError
from seqfeat.device import resolve_device

__all__ = ["check_labels", "make_estimator", "size_parameter"]

MAKERS: dict[str, Callable[[int], Any]] = {
    "lda": lambda seed: None,  # what make_classifier chooses
    "logistic": lambda seed: LogisticRegression(max_iter=1000, random_state=seed),
    "svc": lambda seed: SVC(C=10, random_state=seed),
    "linear-svc": lambda seed: LinearSVC(random_state=seed),
    "forest": lambda seed: RandomForestClassifier(300, random_state=seed),
    "boosting": lambda seed: HistGradientBoostingClassifier(min_samples_leaf=5, random_state=seed),
    "knn": lambda seed: KNeighborsClassifier(),
    "ridge": lambda seed: RidgeClassifier(random_state=seed),
}
"""Classifiers of features that have been standardised."""

FEWEST_PER_CLASS = 2


def make_estimator(options: argparse.Namespace, *, with_labels: bool) -> Any:
    """Return what shall be trained, of the first size: a pipeline, or a mere autoencoder.

    Raises an error if a parameter is out of range or the device is not there.
    """
    parameters = _parameters(options)
    LSTMAutoencoder(options.embedding_dim[0], **parameters)._validate_params()
    resolve_device(parameters.get("device", "auto"))
    if not with_labels:
        return LSTMAutoencoder(options.embedding_dim[0], **parameters)
    classifier = MAKERS[options.classifier](options.random_state)
    return make_classifier(options.embedding_dim[0], classifier, **parameters)


def size_parameter(estimator: Any) -> str:
    """Return what the size of the embedding is called in a search."""
    is_alone = isinstance(estimator, LSTMAutoencoder)
    return "embedding_dim" if is_alone else "autoencoder__embedding_dim"


def _parameters(options: argparse.Namespace) -> dict[str, Any]:
    known = sorted(set(inspect.signature(LSTMAutoencoder).parameters) - {"embedding_dim"})
    for name, _ in options.set:
        if name not in known:
            raise UserError(
                f"--set {name}: there is no such parameter; there are {', '.join(known)}."
            )
    named = ("max_iter", "target_weight", "missing", "batch_size", "device", "random_state")
    given = {name: getattr(options, name) for name in named}
    parameters = {name: value for name, value in given.items() if value is not None}
    if options.early_stopping:
        parameters["early_stopping"] = True
    return {**parameters, **dict(options.set)}


def check_labels(y: Any, ids: pd.Index[Any], name: str) -> None:
    """Refuse labels that no classifier learns, before any training."""
    labels = np.asarray(y, dtype=object)
    missing = np.asarray(pd.isna(labels))
    if missing.any():
        raise UserError(
            f"{name}: {missing.sum():,} of {len(labels):,} series have no label, the first of them "
            f"{ids[int(np.argmax(missing))]}. Fill them, or drop these series."
        )
    if type_of_target(np.asarray(y)) not in ("binary", "multiclass"):
        raise UserError(
            f"{name}: {labels[0]!r} and the others are no classes but numbers on a scale. Name a "
            "column of classes, or leave --label out and learn features alone."
        )
    classes, counts = np.unique(np.asarray(y), return_counts=True)
    if len(classes) < 2:
        raise UserError(f"{name}: all series have the label {classes[0]}; 2 classes are needed.")
    if counts.min() < FEWEST_PER_CLASS:
        rare = classes[int(np.argmin(counts))]
        raise UserError(
            f"{name}: only 1 series has the label {rare}; each class needs 2 at least. Add series, "
            "or drop it."
        )
