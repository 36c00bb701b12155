"""MODEL: a saved model with its card, taken apart."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqfeat.cards import Card
from seqfeat.cli.results import check_suffix
from seqfeat.cli.wording import UserError
from seqfeat.device import resolve_device
from seqfeat.persistence import checked_card, load
from seqfeat.stages import Stages, stages_of

__all__ = ["MODELS", "Model", "open_model"]

MODELS = (".joblib", ".skops")


@dataclass(frozen=True)
class Model:
    """A model that was loaded, with its card and its stages."""

    path: Path
    card: Card
    estimator: Any
    stages: Stages

    @property
    def reading(self) -> dict[str, Any]:
        """How the series of the training were read."""
        return self.card.get("reading") or {}

    @property
    def predicts(self) -> bool:
        """Whether there is a classifier."""
        return self.stages.classifier is not None

    def embed(self, X: Any) -> NDArray[Any]:
        """Return the embeddings of series."""
        return np.asarray(self.stages.autoencoder.transform(self.stages.series(X)))

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
    model = Model(path, checked_card(path), estimator, stages_of(estimator))
    if options.device is not None:
        resolve_device(options.device)  # of a model's own device, absent, the CPU takes the place
        model.stages.autoencoder.set_params(device=options.device)
    return model
