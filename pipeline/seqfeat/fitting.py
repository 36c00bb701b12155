"""One fit from beginning to end: a `Plan` in, an `Outcome` out.

`carry_out` scales the series, splits off the validation set, builds and trains
the network and measures the result. It changes nothing but what it returns, so
that a fit which fails leaves its estimator as it was.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state

from seqfeat.checkpoints import Checkpoints
from seqfeat.device import single_threaded
from seqfeat.history import History
from seqfeat.inference import Evaluation, evaluate
from seqfeat.initialization import fit_encoder, initialize
from seqfeat.network import Architecture, RecurrentAutoencoder
from seqfeat.ranks import ALONE, Ranks
from seqfeat.sampling import sample
from seqfeat.scaled import ScaledSeries
from seqfeat.scaling import ChannelScaling
from seqfeat.series import Series
from seqfeat.shards import Shard
from seqfeat.training import Settings, train

__all__ = [
    "Outcome",
    "Plan",
    "build_network",
    "carry_out",
    "draw_seed",
    "is_learned",
    "learned_attributes",
    "planned_attributes",
    "stream_attributes",
    "warn_about",
    "weights_of",
]

LEAST_R_SQUARED = 0.05
"""A reconstruction that explains less is reported as a collapse."""
LEAST_SPREAD = 1e-3
"""Embeddings that vary less are reported as constant; they begin with a spread of about 1."""

Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that decides a fit.

    ``start_weights`` and ``optimizer_state`` continue an earlier one;
    ``validation_fraction=None`` watches the training loss. Where processes share a
    fit, ``series`` and ``targets`` are this one's own, and ``shard`` says of which.
    """

    series: Series
    scaling: ChannelScaling
    architecture: Architecture
    settings: Settings
    device: torch.device
    seed: int
    classes: NDArray[Any] | None = None
    targets: NDArray[np.int64] | None = None
    validation_fraction: float | None = None
    start_weights: Weights | None = None
    optimizer_state: Mapping[str, Any] | None = None
    checkpoints: Checkpoints | None = None
    shard: Shard | None = None
    ranks: Ranks = ALONE

    def source(self, chosen: NDArray[np.int64] | None = None) -> ScaledSeries:
        """Return the series that the processes have together, or some, as training reads them."""
        shard = Shard.whole(self.series) if self.shard is None else self.shard
        return ScaledSeries(self.series, self.scaling, shard, self.targets, chosen)

    def keep(self, n_iter: int, state: Callable[[], dict[str, Any]]) -> None:
        """Write a checkpoint where one is due."""
        if self.checkpoints is not None and n_iter % self.checkpoints.every == 0:
            self.checkpoints.write(n_iter, {**state(), "seed": self.seed})


@dataclass(frozen=True, eq=False)
class Outcome:
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


def carry_out(plan: Plan, observer: Observer) -> Outcome:
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
    return Outcome(network, history, quality)


def build_network(
    architecture: Architecture, weights: Weights | None = None
) -> RecurrentAutoencoder:
    """Return a network on the CPU, with the given weights or with undefined ones."""
    network = RecurrentAutoencoder(architecture).requires_grad_(True)
    if weights is not None:
        network.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    return network


def planned_attributes(plan: Plan) -> dict[str, Any]:
    """Return what an estimator keeps of a plan, by attribute name."""
    a, scaling = plan.architecture, plan.scaling
    return {
        "architecture_": a.as_dict(),
        "embedding_dim_": a.embedding_dim,
        "hidden_dim_": a.hidden_dim,
        "patch_len_": a.patch_len,
        "window_len_": a.window_len,
        "window_stride_": a.window_stride,
        "n_observed_": scaling.count,
        "mean_": scaling.mean,
        "deviation_": scaling.deviation,
        "scale_": scaling.scale,
        **({} if plan.classes is None else {"classes_": plan.classes}),
    }


def learned_attributes(outcome: Outcome) -> dict[str, Any]:
    """Return what an estimator keeps of its training, by attribute name."""
    history = outcome.history
    return {
        "weights_": weights_of(outcome.network),
        "loss_curve_": history.loss_curve,
        "validation_loss_curve_": history.validation_loss_curve,
        "n_iter_": history.n_iter,
        "best_iter_": history.best_iter,
        "best_score_": outcome.quality.r_squared,
    }


def weights_of(network: RecurrentAutoencoder) -> dict[str, NDArray[np.float32]]:
    """Return copies of the weights as NumPy arrays on the CPU."""
    return {
        name: weight.detach().cpu().numpy().copy() for name, weight in network.state_dict().items()
    }


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


def stream_attributes(outcome: Outcome, earlier: list[float]) -> dict[str, Any]:
    """Return what an estimator keeps of one epoch over a part of a stream."""
    loss_curve = earlier + outcome.history.loss_curve
    return {
        "loss_curve_": loss_curve,
        "n_iter_": len(loss_curve),
        "best_iter_": len(loss_curve),
        "_optimizer_state": outcome.history.optimizer_state,
    }


def draw_seed(random_state: int | np.random.RandomState | None) -> int:
    """Return a seed; without a `random_state` one that leaves NumPy's global state alone."""
    if random_state is None:
        return int(np.random.default_rng().integers(2**31))
    return int(check_random_state(random_state).randint(2**31 - 1))


def warn_about(outcome: Outcome, settings: Settings) -> None:
    """Warn of a fit that ended badly, and say what to change."""
    for message in _complaints(outcome, settings):
        warnings.warn(message, ConvergenceWarning, stacklevel=5)


def _complaints(outcome: Outcome, settings: Settings) -> Iterator[str]:
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


def is_learned(name: str) -> bool:
    """Tell whether an attribute was set by a fit."""
    return name == "_optimizer_state" or (name.endswith("_") and not name.startswith("_"))
