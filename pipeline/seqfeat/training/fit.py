"""One fit from beginning to end: a `Plan` in, a `FitResult` out.

`run_fit` never sees the estimator, so a fit that fails leaves it unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from torch import Tensor

from seqfeat.inference.evaluation import Evaluation, evaluate
from seqfeat.inference.thresholds import Thresholds, find_thresholds
from seqfeat.nn.backend import Backend
from seqfeat.nn.initialization import fit_encoder, initialize
from seqfeat.nn.kernels import make_backend
from seqfeat.nn.network import RecurrentAutoencoder, build_network, load_weights
from seqfeat.nn.reservoir_fit import GivenReservoir, fit_reservoir
from seqfeat.runtime.device import outside_modes
from seqfeat.runtime.threads import WorkerPool
from seqfeat.runtime.torch_threads import n_cpu_threads, single_threaded, use_one_thread
from seqfeat.runtime.user_warnings import warn_user
from seqfeat.training.dataset import Dataset
from seqfeat.training.embedded import EmbeddedDataset
from seqfeat.training.history import History
from seqfeat.training.plan import Plan
from seqfeat.training.sampler import TrainingData, sample_series
from seqfeat.training.trainer import Observer, Trainer, TrainerState, TrainingSettings

__all__ = ["FitResult", "run_fit", "warn_about"]

CPU = torch.device("cpu")
MIN_R_SQUARED = 0.05
"""Minimum share of the variance that a reconstruction explains without a warning."""
MIN_SPREAD = 1e-3
"""Embeddings with a smaller spread are reported as constant; initially it is about 1."""


@dataclass(frozen=True, eq=False)
class FitResult:
    """A trained network, the history of its training, and how well it reconstructs series.

    Attributes
    ----------
    network : RecurrentAutoencoder
    history : History
    optimizer_state : dict
        What `partial_fit` continues from.
    evaluation : Evaluation
        On the validation set if there is one, else on the training set.
    thresholds : Thresholds or None
        Of anomalies, over all training series.
    """

    network: RecurrentAutoencoder
    history: History
    optimizer_state: dict[str, Any]
    evaluation: Evaluation
    thresholds: Thresholds | None = None


def run_fit(plan: Plan, observer: Observer | None = None) -> FitResult:
    """Fit as planned. `observer` is notified of every epoch, and may stop the training."""
    # Sums and matrix decompositions depend on the number of threads, and in a forked process
    # PyTorch's own would be waited for in vain. Trainer and evaluation have theirs.
    with single_threaded(), outside_modes(plan.device):
        return _run_fit(plan, observer)


def _run_fit(plan: Plan, observer: Observer | None) -> FitResult:
    data, ranks = plan.dataset, plan.ranks
    resumed = ranks.broadcast(plan.checkpoints.newest() if plan.checkpoints else None)
    seed = plan.seed if resumed is None else resumed["seed"]
    generator = torch.Generator(device="cpu").manual_seed(seed)
    train_set, validation_set = _split(plan, seed)

    network = build_network(plan.architecture, plan.start_weights)
    backend = make_backend(network, CPU)
    embedded = None
    if plan.start_weights is None and resumed is None:
        # What is not trained is fitted to all series: held-out ones only judge the training.
        fitted_to = train_set if plan.reservoir is None else data
        embedded = _initialize(backend, fitted_to, plan, generator)
        if validation_set is not None:
            # From here on only its two parts are read.
            data.release()
    if plan.device != CPU:
        backend = make_backend(network, plan.device)

    training_data: TrainingData = train_set
    validation_data: TrainingData | None = validation_set
    if plan.reservoir is not None:
        training_data = EmbeddedDataset(train_set, backend, embedded)
        if validation_set is not None:
            validation_data = EmbeddedDataset(validation_set, backend, embedded)
    trainer = Trainer(
        backend,
        training_data,
        plan.settings,
        generator,
        validation=validation_data,
        ranks=ranks,
        optimizer_state=plan.optimizer_state,
    )
    if resumed is not None:
        trainer.load_state_dict(resumed)
    history = trainer.run(observer, _keep_checkpoints(plan, seed))

    monitored = (train_set if validation_set is None else validation_set).own_rows
    evaluation = evaluate(backend, data.series, data.scaling, rows=monitored, ranks=ranks)
    thresholds = None
    if plan.contamination is not None:
        thresholds = find_thresholds(
            backend, data.series, data.scaling, data.own_rows, plan.contamination, ranks
        )
    return FitResult(network, history, trainer.optimizer_state, evaluation, thresholds)


def _initialize(
    backend: Backend, data: Dataset, plan: Plan, generator: torch.Generator
) -> tuple[Tensor, Tensor] | None:
    """Draw initial weights and fit them to the data; on the CPU, so that a seed decides them.

    Returns rows of the data and their embeddings, where these were found on the way.
    """
    initialize(backend.network, generator)
    pretrained = plan.pretrained
    if pretrained is not None:
        load_weights(backend.network, pretrained.weights)
        if pretrained.is_complete:
            return None
    if plan.reservoir is None and plan.architecture.pooling != "statistics":
        return None
    rows, sample = sample_series(data, plan.settings.batch_size, generator, plan.ranks)
    if plan.reservoir is None:
        fit_encoder(backend, sample, generator)
        return None
    pool = WorkerPool(n_cpu_threads(), use_one_thread)
    given = None if pretrained is None else GivenReservoir(pretrained.projection)
    embeddings = fit_reservoir(backend, sample, plan.reservoir, generator, pool, given)
    return rows[: len(embeddings)], embeddings


def _keep_checkpoints(plan: Plan, seed: int) -> Callable[[int, Callable[[], TrainerState]], None]:
    """Return a function that writes a checkpoint after an epoch if one is due."""

    def keep(n_iter: int, state_dict: Callable[[], TrainerState]) -> None:
        if plan.checkpoints is not None and n_iter % plan.checkpoints.every == 0:
            plan.checkpoints.write(n_iter, {**state_dict(), "seed": seed})

    return keep


# The validation set


def _split(plan: Plan, seed: int) -> tuple[Dataset, Dataset | None]:
    """Return the training set and the validation set, if series are held out."""
    rows, held_out = split_rows(plan, seed)
    if not len(held_out):
        return plan.dataset, None
    return plan.dataset.subset(rows), plan.dataset.subset(held_out)


def split_rows(plan: Plan, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of the training set and of the validation set, ascending.

    Classes keep their shares if each has enough series. At least one series remains to train on.
    """
    n_series = len(plan.dataset)
    rows = np.arange(n_series)
    if plan.validation_fraction is None or n_series < 2:
        return rows, rows[:0]
    n_held_out = int(np.ceil(plan.validation_fraction * n_series))
    n_held_out = min(max(1, n_held_out), n_series - 1)
    targets: NDArray[Any] | None = plan.dataset.targets
    if targets is not None and targets.dtype.kind == "f":
        targets = None  # numbers have no classes to keep the shares of
    if targets is not None:
        targets = np.concatenate(plan.ranks.all_gather(targets))
    train_rows, held_out = train_test_split(
        rows,
        test_size=n_held_out,
        random_state=seed,
        stratify=targets if _can_stratify(targets, n_held_out) else None,
    )
    return np.sort(train_rows), np.sort(held_out)


def _can_stratify(targets: NDArray[np.int64] | None, n_held_out: int) -> bool:
    if targets is None:
        return False
    counts = np.bincount(targets)
    counts = counts[counts > 0]
    return bool(counts.min() >= 2 and len(counts) <= min(n_held_out, len(targets) - n_held_out))


# Warnings


def warn_about(result: FitResult, settings: TrainingSettings) -> None:
    """Warn about a fit that ended badly, and say what to change."""
    for message in _complaints(result, settings):
        warn_user(message, ConvergenceWarning)


def _complaints(result: FitResult, settings: TrainingSettings) -> Iterator[str]:
    history, evaluation = result.history, result.evaluation
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
    if evaluation.r_squared < MIN_R_SQUARED:
        advice = f"max_iter (it is {settings.max_iter}), patch_len, which shortens the recurrence,"
        if settings.keeps_start:
            advice = "reconstruction_fraction"
        yield (
            f"the reconstruction explains {evaluation.r_squared:.3f} of the variance (R squared; "
            "0 means 'predicts the mean'), so the embeddings say little about the shape of the "
            f"series. Raise {advice} or embedding_dim; series of pure noise cannot be "
            "reconstructed."
        )
    if len(evaluation.n_values) > 1 and evaluation.embedding_spread < MIN_SPREAD:
        yield (
            "the embedding is constant: its largest standard deviation over the series is "
            f"{evaluation.embedding_spread:.1e}, so a classifier cannot tell them apart. Check "
            "that the series differ; if they do, raise max_iter or lower learning_rate_init."
        )
