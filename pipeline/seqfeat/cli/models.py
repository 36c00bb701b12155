"""MODEL: a saved model with its card, taken apart."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC, LinearSVC
from sklearn.utils.multiclass import type_of_target

from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.cli.errors import UserError
from seqfeat.cli.outputs import check_suffix
from seqfeat.pipeline import PipelineParts, make_classifier, pipeline_parts
from seqfeat.runtime.device import resolve_device
from seqfeat.saving.cards import Card
from seqfeat.saving.persistence import checked_card, load

__all__ = ["MODELS", "Model", "check_labels", "make_estimator", "open_model", "size_parameter"]

MODELS = (".joblib", ".skops")


@dataclass(frozen=True)
class Model:
    """A model that was loaded, with its card and its parts."""

    path: Path
    card: Card
    estimator: Any
    parts: PipelineParts

    @property
    def reading(self) -> dict[str, Any]:
        """How the series of the training were read."""
        return self.card.get("reading") or {}

    @property
    def predicts(self) -> bool:
        """Whether there is a classifier."""
        return self.parts.classifier is not None

    def embed(self, X: Any) -> NDArray[Any]:
        """Return the embeddings of series."""
        return np.asarray(self.parts.autoencoder.transform(self.parts.series(X)))

    def need_predictions(self) -> None:
        """Refuse a model that has learned features only."""
        if not self.predicts:
            raise UserError(
                f"{self.path} has learned features without labels and cannot predict. Use seqfeat "
                "embed, or train with --label COLUMN."
            )


def open_model(options: argparse.Namespace) -> Model:
    """Load the model that the options name, after checking it against its card."""
    path = Path(options.model)
    check_suffix(options.model, MODELS, "MODEL")
    estimator = load(path, trusted=options.trusted)
    model = Model(path, checked_card(path), estimator, pipeline_parts(estimator))
    if options.device is not None:
        resolve_device(options.device)  # of a model's own device, absent, the CPU takes the place
        model.parts.autoencoder.set_params(device=options.device)
    return model


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
