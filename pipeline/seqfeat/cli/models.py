"""Models: new ones from options, and MODEL, one that was saved."""

from __future__ import annotations

import argparse
import inspect
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC, LinearSVC

from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.cli.console import Console, progress_bars
from seqfeat.cli.errors import UserError
from seqfeat.cli.outputs import check_suffix
from seqfeat.cli.sources import count_of
from seqfeat.pipeline import PipelineParts, make_classifier, make_regressor, pipeline_parts
from seqfeat.runtime.device import resolve_device
from seqfeat.saving.card_format import Card
from seqfeat.saving.persistence import load, load_card, save
from seqfeat.series import LabelledSeries
from seqfeat.sklearn_compat import watched

__all__ = [
    "CLASSIFIERS",
    "MODEL_SUFFIXES",
    "Model",
    "fit",
    "make_estimator",
    "open_model",
    "save_model",
    "size_parameter",
]

MODEL_SUFFIXES = (".joblib", ".skops")

CLASSIFIERS: dict[str, Callable[[int], Any]] = {
    "logistic": lambda seed: make_classifier()["classifier"],
    "lda": lambda seed: LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.1),
    "svc": lambda seed: SVC(C=10, random_state=seed),
    "linear-svc": lambda seed: LinearSVC(random_state=seed),
    "forest": lambda seed: RandomForestClassifier(300, random_state=seed),
    "boosting": lambda seed: HistGradientBoostingClassifier(min_samples_leaf=5, random_state=seed),
    "knn": lambda seed: KNeighborsClassifier(),
    "ridge": lambda seed: RidgeClassifier(random_state=seed),
}
"""How to make each choice of ``--classifier`` with a seed; it gets standardized features."""


def make_estimator(options: argparse.Namespace, *, with_labels: bool) -> Any:
    """Return the estimator to train, with the first of the embedding sizes.

    It is a pipeline or, without labels, an autoencoder. Parameters that are out of
    range and a device that does not exist raise an error.
    """
    parameters = _parameters(options)
    if None in options.embedding_dim and options.command == "search":
        raise UserError("--embedding-dim all is not a size to search; name numbers, such as 16,64.")
    LSTMAutoencoder(options.embedding_dim[0], **parameters)._validate_params()
    resolve_device(parameters.get("device", "auto"))
    if not with_labels:
        return LSTMAutoencoder(options.embedding_dim[0], **parameters)
    if options.target is not None:
        return make_regressor(options.embedding_dim[0], **parameters)
    classifier = CLASSIFIERS[options.classifier](options.random_state)
    return make_classifier(options.embedding_dim[0], classifier, **parameters)


def _parameters(options: argparse.Namespace) -> dict[str, Any]:
    """Return the parameters of the autoencoder except for the embedding size."""
    known = sorted(set(inspect.signature(LSTMAutoencoder).parameters) - {"embedding_dim"})
    for name, _ in options.set:
        if name not in known:
            raise UserError(f"--set {name}: unknown parameter; choose from {', '.join(known)}.")
    names = [
        *("max_iter", "target_weight", "contamination", "missing"),
        *("batch_size", "device", "random_state"),
    ]
    given = {name: getattr(options, name) for name in names}
    parameters = {name: value for name, value in given.items() if value is not None}
    if options.early_stopping:
        parameters["early_stopping"] = True
    if options.init is not None:
        check_suffix(options.init, MODEL_SUFFIXES, "--init")
        parameters["init"] = load(options.init)
    return {**parameters, **dict(options.set)}


def size_parameter(estimator: Any) -> str:
    """Return the name of the embedding size among the parameters of an estimator."""
    is_autoencoder = isinstance(estimator, LSTMAutoencoder)
    return "embedding_dim" if is_autoencoder else "autoencoder__embedding_dim"


def fit(estimator: Any, labelled: LabelledSeries, console: Console) -> tuple[Any, float]:
    """Fit an estimator with a progress bar; return it and the seconds it took."""
    console.status(f"Training on {count_of(labelled.X)}...")
    started = time.perf_counter()
    with watched(estimator, progress_bars(console)):
        estimator.fit(*labelled)
    seconds = time.perf_counter() - started
    n_epochs = pipeline_parts(estimator).autoencoder.n_iter_
    console.status(f"Trained {n_epochs} epoch{'' if n_epochs == 1 else 's'} in {seconds:.1f} s.")
    return estimator, seconds


def save_model(estimator: Any, path: str, console: Console, **card: Any) -> int:
    """Save a trained model and return the size of its file; from now on, errors say where it is.

    If it cannot be saved there, because the disk is full or the folder gone, it is saved in the
    current or the temporary folder before the error is raised: a training may have taken days.
    """
    try:
        save(estimator, path, **card)
    except Exception:
        if console.saved_to is None:
            console.saved_to = _save_elsewhere(estimator, Path(path).name, card)
        raise
    console.saved_to = path
    return Path(path).stat().st_size


def _save_elsewhere(estimator: Any, name: str, card: dict[str, Any]) -> str | None:
    for folder in (Path.cwd(), Path(tempfile.gettempdir())):
        place = None
        try:
            place = Path(tempfile.mkdtemp(prefix="seqfeat-", dir=folder))
            return str(save(estimator, place / name, **card))
        except Exception:
            if place is not None:
                shutil.rmtree(place, ignore_errors=True)
    return None


@dataclass(frozen=True)
class Model:
    """A saved model with its card and the parts of its pipeline."""

    path: Path
    card: Card
    estimator: Any
    parts: PipelineParts

    @property
    def reading(self) -> dict[str, Any]:
        """How the training data was read."""
        return self.card.get("reading") or {}

    @property
    def is_classifier(self) -> bool:
        """Whether it can predict classes."""
        return self.parts.classifier is not None

    @property
    def is_regressor(self) -> bool:
        """Whether it can predict numbers."""
        return self.parts.regressor is not None

    def embed(self, X: Any) -> NDArray[Any]:
        """Return the embeddings of series."""
        return np.asarray(self.parts.autoencoder.transform(self.parts.series(X)))

    def check_predicts(self) -> None:
        """Raise an error if the model predicts nothing."""
        if not self.is_classifier and not self.is_regressor:
            raise UserError(
                f"{self.path} was trained without labels and cannot predict classes. Use seqfeat "
                "embed, or train a model with --label COLUMN, or --target COLUMN for numbers."
            )


def open_model(options: argparse.Namespace) -> Model:
    """Load the model that the options name, after checking it against its card."""
    path = Path(options.model)
    check_suffix(options.model, MODEL_SUFFIXES, "MODEL")
    estimator = load(path, trusted=options.trusted)
    model = Model(path, load_card(path), estimator, pipeline_parts(estimator))
    if options.device is not None:
        # The CPU replaces a missing device of the model, but not one that was asked for.
        resolve_device(options.device)
        model.parts.autoencoder.set_params(device=options.device)
    return model
