"""MODEL: a saved model with its card, and what in it embeds."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sklearn.pipeline import Pipeline

from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.cards import Card
from seqfeat.cli.results import check_suffix
from seqfeat.cli.wording import UserError
from seqfeat.device import resolve_device
from seqfeat.persistence import checked_card, load

__all__ = ["MODELS", "Model", "open_model"]

MODELS = (".joblib", ".skops")


@dataclass(frozen=True)
class Model:
    """A model that was loaded.

    ``estimator`` is all of it, ``embedder`` the part up to the autoencoder, which
    returns embeddings.
    """

    path: Path
    card: Card
    estimator: Any
    embedder: Any
    autoencoder: LSTMAutoencoder

    @property
    def predicts(self) -> bool:
        """Whether there is a classifier."""
        return hasattr(self.estimator, "predict")

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
    card = checked_card(path)
    estimator = getattr(estimator, "best_estimator_", estimator)
    embedder, autoencoder = _parts(estimator, path)
    if options.device is not None:
        resolve_device(options.device)  # of a model's own device, absent, the CPU takes the place
        autoencoder.set_params(device=options.device)
    return Model(path, card, estimator, embedder, autoencoder)


def _parts(estimator: Any, path: Path) -> tuple[Any, LSTMAutoencoder]:
    if isinstance(estimator, LSTMAutoencoder):
        return estimator, estimator
    if isinstance(estimator, Pipeline):
        for place, (_, step) in enumerate(estimator.steps):
            if isinstance(step, LSTMAutoencoder):
                return estimator[: place + 1], step
    raise UserError(
        f"{path} holds a {type(estimator).__name__}; the commands read an LSTMAutoencoder, or a "
        "Pipeline with one among its steps."
    )
