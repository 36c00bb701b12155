"""One fit from beginning to end: a `Plan` in, an `FitResult` out.

`run_fit` scales the series, splits off the validation set, builds and trains
the network and measures the result. It changes nothing but what it returns, so
that a fit which fails leaves its estimator as it was.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from seqfeat.inference.evaluation import Evaluation, evaluate
from seqfeat.nn.initialization import fit_encoder, initialize
from seqfeat.nn.network import RecurrentAutoencoder, build_network
from seqfeat.runtime.device import single_threaded
from seqfeat.training.history import History
from seqfeat.training.plan import Plan
from seqfeat.training.sampler import sample
from seqfeat.training.trainer import Settings, train

__all__ = ["FitResult", "run_fit", "warn_about"]

LEAST_R_SQUARED = 0.05
"""A reconstruction that explains less is reported as a collapse."""
LEAST_SPREAD = 1e-3
"""Embeddings that vary less are reported as constant; they begin with a spread of about 1."""


@dataclass(frozen=True, eq=False)
class FitResult:
    """A trained network, how it came about and how well it rebuilds the watched series.

    ``quality`` is measured on the validation set, or else on the training set.
    """

    network: RecurrentAutoencoder
    history: History
    quality: Evaluation


class Observer(Protocol):
    """What is told of every epoch."""

    def begin_epoch(self) -> None:
        """Take note that an epoch begins."""

    def end_epoch(self, network: RecurrentAutoencoder, history: History) -> bool:
        """Take note that an epoch ended; return whether to stop."""


def run_fit(plan: Plan, observer: Observer) -> FitResult:
    """Fit as planned. `observer` sees every epoch and may stop the training."""
    resumed = plan.ranks.first(plan.checkpoints.newest() if plan.checkpoints else None)
    if resumed is not None:
        plan = replace(plan, seed=resumed["seed"])
    generator = torch.Generator().manual_seed(plan.seed)
    network = build_network(plan.architecture, plan.start_weights)
    rows, held_out = split_rows(plan)
    data, validation = plan.source(), None
    if len(held_out):
        data, validation = plan.source(rows), plan.source(held_out)
    if plan.start_weights is None and resumed is None:
        # Its matrix decompositions, too, depend on the number of threads.
        with single_threaded():
            initialize(network, generator)
            if plan.architecture.pooling == "statistics":
                batch_size = plan.settings.batch_size
                fit_encoder(network, sample(data, batch_size, generator, plan.ranks), generator)
    history = train(
        network,
        data,
        plan.settings,
        generator,
        validation=validation,
        device=plan.device,
        ranks=plan.ranks,
        on_epoch_begin=observer.begin_epoch,
        on_epoch_end=lambda history: observer.end_epoch(network, history),
        optimizer_state=plan.optimizer_state,
        resumed=resumed,
        keep=plan.keep,
    )
    watched = (data if validation is None else validation).own_rows
    quality = evaluate(
        network, plan.series, plan.scaling, plan.device, rows=watched, ranks=plan.ranks
    )
    return FitResult(network, history, quality)


def split_rows(plan: Plan) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return training rows and validation rows, ascending, split by series.

    Classes keep their shares where each has enough series for it. A single
    series is never held out.
    """
    rows = np.arange(len(plan.source()))
    if plan.validation_fraction is None or len(rows) < 2:
        return rows, rows[:0]
    n_held_out = int(np.ceil(plan.validation_fraction * len(rows)))
    n_held_out = min(max(1, n_held_out), len(rows) - 1)
    targets = plan.targets
    if targets is not None:
        targets = np.concatenate(plan.ranks.gather(targets))
    train_rows, held_out = train_test_split(
        rows,
        test_size=n_held_out,
        random_state=plan.seed,
        stratify=targets if _can_stratify(targets, n_held_out) else None,
    )
    return np.sort(train_rows), np.sort(held_out)


def _can_stratify(targets: NDArray[np.int64] | None, n_held_out: int) -> bool:
    if targets is None:
        return False
    counts = np.bincount(targets)
    counts = counts[counts > 0]
    return bool(counts.min() >= 2 and len(counts) <= min(n_held_out, len(targets) - n_held_out))


def warn_about(outcome: FitResult, settings: Settings) -> None:
    """Warn of a fit that ended badly, and say what to change."""
    for message in _complaints(outcome, settings):
        warnings.warn(message, ConvergenceWarning, stacklevel=5)


def _complaints(outcome: FitResult, settings: Settings) -> Iterator[str]:
    history, quality = outcome.history, outcome.quality
    if history.stop_reason == "diverged":
        yield (
            f"the loss was not finite in epoch {history.n_iter + 1}; the weights of epoch "
            f"{history.best_iter} were kept. Lower learning_rate_init (it is "
            f"{settings.learning_rate:g})."
        )
    if history.stop_reason == "interrupted":
        yield (
            f"fit was interrupted in epoch {history.n_iter + 1} of {settings.max_iter}; the "
            f"weights of epoch {history.best_iter} were kept and the estimator is fitted."
        )
    if history.n_iter == 0:
        return
    if quality.r_squared < LEAST_R_SQUARED:
        yield (
            f"the reconstruction explains {quality.r_squared:.3f} of the variance (R squared; 0 is "
            "'predicts the mean'), so the embeddings say little about the series. Raise max_iter "
            f"(it is {settings.max_iter}), patch_len, which shortens the recurrence, or "
            "embedding_dim; a series of pure noise cannot be rebuilt."
        )
    if len(quality.n_values) > 1 and quality.embedding_spread < LEAST_SPREAD:
        yield (
            "the embedding is constant: its largest standard deviation over the series is "
            f"{quality.embedding_spread:.1e}, so a classifier cannot tell them apart. Check that "
            "the series differ; else raise max_iter or lower learning_rate_init."
        )
