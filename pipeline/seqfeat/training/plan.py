"""From an estimator's parameters and its input to the plan of a fit."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import reduce
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from seqfeat.exceptions import InputError
from seqfeat.inference.fitted import (
    INPUT_ATTRIBUTES,
    fitted_scaling,
    input_attributes,
    validate_series,
)
from seqfeat.nn.network import Architecture, Weights
from seqfeat.runtime.device import resolve_device
from seqfeat.runtime.ranks import ALONE, Ranks, current_ranks
from seqfeat.series import Series, as_series, warn_if_transposed
from seqfeat.series.scaling import ChannelScaling, channel_scaling, identity_scaling
from seqfeat.training.checkpoints import Checkpoints, digest
from seqfeat.training.dataset import Dataset, Shard
from seqfeat.training.labels import check_labels, encode_labels_of_all
from seqfeat.training.parameters import needs_labels
from seqfeat.training.trainer import Settings
from seqfeat.version import __version__

if TYPE_CHECKING:
    from seqfeat.autoencoder import LSTMAutoencoder

__all__ = ["Plan", "draw_seed", "fingerprint", "plan_epoch", "plan_fit"]

MAX_STEPS = 32
"""Recurrent steps that ``patch_len="auto"`` allows the longest training series."""
MAX_WINDOW = 16
"""Timesteps in a window of ``window_len="auto"``; of a short series, a sixth."""
MAX_WINDOWS = 128
"""Recurrent steps that ``window_stride="auto"`` allows the encoder for the longest series."""
ENCODER_RATE = 0.1
"""Learning rate, as a share, of an encoder that begins fitted to its series."""
STREAM_RATE = 0.2
"""Learning rate of `partial_fit`, as a share of the peak rate of `fit`."""


Learned = dict[str, Any]


def plan_fit(estimator: LSTMAutoencoder, X: Any, y: Any) -> tuple[Plan, Learned]:
    """Return the plan of `fit`, and the attributes that its input alone decides."""
    plan, learned = _first_plan(estimator, X, y, classes=None)
    if estimator.early_stopping:
        plan = replace(plan, validation_fraction=estimator.validation_fraction)
    if estimator.warm_start and hasattr(estimator, "weights_"):
        _check_warm_start(estimator, plan)
        plan = replace(plan, start_weights=estimator.weights_)
    directory = estimator.checkpoint_dir
    if directory is not None:
        name = fingerprint(plan, is_seeded=estimator.random_state is not None)
        plan = replace(plan, checkpoints=_checkpoints(estimator, directory, name, plan.ranks))
    return plan, learned


def _checkpoints(
    estimator: LSTMAutoencoder, directory: str | os.PathLike[str], name: str, ranks: Ranks
) -> Checkpoints | None:
    """Return the checkpoints of this fit, which rank 0 keeps."""
    every = estimator.checkpoint_every
    return ranks.attempt(
        lambda: Checkpoints.of_fit(directory, every, name) if ranks.rank == 0 else None
    )


def plan_epoch(estimator: LSTMAutoencoder, X: Any, y: Any, classes: Any) -> tuple[Plan, Learned]:
    """Return the plan of `partial_fit`: one epoch at a constant rate."""
    if hasattr(estimator, "weights_"):
        plan, learned = _next_plan(estimator, X, y)
    else:
        plan, learned = _first_plan(estimator, X, y, classes)
    settings = replace(
        plan.settings,
        max_iter=1,
        learning_rate=STREAM_RATE * estimator.learning_rate_init,
        decay=False,
    )
    return replace(plan, settings=settings), learned


def _first_plan(estimator: LSTMAutoencoder, X: Any, y: Any, classes: Any) -> tuple[Plan, Learned]:
    ranks = current_ranks()
    series = ranks.attempt(lambda: _labelled(as_series(X, missing=estimator.missing), y))
    warn_if_transposed(series)
    shard = Shard.among(ranks, series)
    known, targets = None, None
    if needs_labels(estimator.target_weight):
        known, targets = encode_labels_of_all(ranks, y, series, classes=classes)
    scaling = identity_scaling(series.n_channels)
    if estimator.scale == "channel":
        scaling = _common_scaling(ranks, series)
    n_classes = 0 if known is None else len(known)
    architecture = _architecture(estimator, series.n_channels, shard.n_timesteps, n_classes)
    plan = Plan(
        series,
        scaling,
        architecture,
        _settings(estimator, len(shard)),
        resolve_device(estimator.device),
        ranks.first(draw_seed(estimator.random_state)),
        known,
        targets,
        shard=shard,
        ranks=ranks,
    )
    learned = input_attributes(X, series)
    learned["n_timesteps_in_"] = max(ranks.gather(learned["n_timesteps_in_"]))
    return plan, learned


def _labelled(series: Series, y: Any) -> Series:
    """Return series whose labels these can be, used or not."""
    check_labels(y, series)
    return series


def _common_scaling(ranks: Ranks, series: Series) -> ChannelScaling:
    return reduce(ChannelScaling.merge, ranks.gather(channel_scaling(series)))


def _next_plan(estimator: LSTMAutoencoder, X: Any, y: Any) -> tuple[Plan, Learned]:
    ranks = current_ranks()
    series = ranks.attempt(lambda: _labelled(validate_series(estimator, X), y))
    shard = Shard.among(ranks, series)
    known, targets = getattr(estimator, "classes_", None), None
    if known is not None:
        known, targets = encode_labels_of_all(ranks, y, series, classes=known)
    scaling = fitted_scaling(estimator)
    if estimator.scale == "channel":
        scaling = scaling.merge(_common_scaling(ranks, series))
    plan = Plan(
        series,
        scaling,
        Architecture(**estimator.architecture_),
        _settings(estimator, len(shard)),
        resolve_device(estimator.device),
        ranks.first(_next_seed(estimator)),
        known,
        targets,
        start_weights=estimator.weights_,
        optimizer_state=getattr(estimator, "_optimizer_state", None),
        shard=shard,
        ranks=ranks,
    )
    fitted = vars(estimator)
    learned = {name: fitted[name] for name in INPUT_ATTRIBUTES if name in fitted}
    learned["n_timesteps_in_"] = max(estimator.n_timesteps_in_, shard.n_timesteps)
    return plan, learned


def _next_seed(estimator: LSTMAutoencoder) -> int:
    """Return another seed for each call, so that parts of a stream differ in their noise."""
    seeds = np.random.SeedSequence([draw_seed(estimator.random_state), estimator.n_iter_])
    return int(seeds.generate_state(1)[0] % 2**31)


def _settings(estimator: LSTMAutoencoder, n_samples: int) -> Settings:
    batch_size = estimator.batch_size
    if batch_size == "auto":
        batch_size = auto_batch_size(n_samples)
    return Settings(
        max_iter=estimator.max_iter,
        batch_size=min(int(batch_size), n_samples),
        learning_rate=estimator.learning_rate_init,
        weight_decay=estimator.weight_decay,
        dropout=estimator.dropout,
        masking_ratio=estimator.masking_ratio,
        input_noise=estimator.input_noise,
        target_weight=estimator.target_weight,
        encoder_rate=ENCODER_RATE if estimator.pooling == "statistics" else 1.0,
        n_iter_no_change=estimator.n_iter_no_change,
        tol=estimator.tol,
    )


def _architecture(
    estimator: LSTMAutoencoder, n_channels: int, n_timesteps: int, n_classes: int
) -> Architecture:
    patch_len = estimator.patch_len
    if patch_len == "auto":
        patch_len = -(-n_timesteps // MAX_STEPS)
    return Architecture(
        n_channels=n_channels,
        embedding_dim=int(estimator.embedding_dim),
        hidden_dim=int(estimator.hidden_dim or 2 * estimator.embedding_dim),
        patch_len=int(patch_len),
        bidirectional=bool(estimator.bidirectional),
        pooling=estimator.pooling,
        n_time_features=int(estimator.n_time_features),
        time_period=-(-n_timesteps // int(patch_len)),
        n_classes=n_classes,
        **_windows(estimator, n_timesteps, int(patch_len)),
    )


def _windows(estimator: LSTMAutoencoder, n_timesteps: int, patch_len: int) -> dict[str, int]:
    """Return the encoder's windows: overlapping ones for statistics, or else the patches."""
    overlapping = estimator.pooling == "statistics"
    auto_length = auto_stride = patch_len
    if overlapping:
        auto_stride = -(-n_timesteps // MAX_WINDOWS)
        auto_length = max(min(MAX_WINDOW, n_timesteps // 6), auto_stride)
    length, stride = estimator.window_len, estimator.window_stride
    length = int(auto_length if length == "auto" else length)
    stride = int(min(auto_stride, length) if stride == "auto" else stride)
    if stride > length:
        raise InputError(
            f"window_stride={stride} is larger than the windows' length, {length}, so that the "
            "encoder would not see the timesteps between. Lower window_stride or raise window_len."
        )
    return {"window_len": length, "window_stride": stride}


def _check_warm_start(estimator: LSTMAutoencoder, plan: Plan) -> None:
    fitted = {**estimator.architecture_, "classes": _names(getattr(estimator, "classes_", None))}
    wanted = {**asdict(plan.architecture), "classes": _names(plan.classes)}
    # The period only places the time features; the weights fit any.
    wanted["time_period"] = fitted["time_period"]
    for name, value in wanted.items():
        if value != fitted[name]:
            raise InputError(
                f"warm_start=True continues with a network whose {name} is {fitted[name]}, but "
                f"now it would be {value}. Set warm_start=False to start anew, or keep the "
                "parameters, channels and classes."
            )


def _names(classes: NDArray[Any] | None) -> list[Any] | None:
    return None if classes is None else classes.tolist()


def auto_batch_size(n_samples: int) -> int:
    """Return the batch size that ``"auto"`` stands for.

    An eighth of a small set, so that it gets enough updates; of a larger one,
    growing with the square root of its size, as much as the hardware wants.
    """
    return int(np.clip(min(n_samples / 8, 2 * np.sqrt(n_samples)), 8, 256))


def fingerprint(plan: Plan, *, is_seeded: bool) -> str:
    """Return a name for a fit, alike in all processes that share it, however many they are.

    Reads all series once. A seed that was drawn for this fit only has no part in it.
    """
    labels: Any = [] if plan.targets is None else plan.targets
    start = plan.start_weights
    return digest(
        {
            "version": __version__,
            "architecture": plan.architecture.as_dict(),
            "settings": asdict(plan.settings),
            "is_scaled": bool((plan.scaling.count > 0).any()),
            "validation_fraction": plan.validation_fraction,
            "seed": plan.seed if is_seeded else None,
            "classes": None if plan.classes is None else plan.classes.tolist(),
            "targets": np.concatenate(plan.ranks.gather(np.asarray(labels, dtype=np.int64))),
            "start_weights": None if start is None else dict(start),
            "series": np.concatenate(plan.ranks.gather(_digests(plan.series))),
        }
    )


def _digests(series: Series) -> NDArray[np.uint8]:
    """Return a digest of each series. Shape: (N, 16)."""
    digests = np.empty((len(series), 16), dtype=np.uint8)
    for rows in series.blocks():
        block, lengths = np.asarray(series.values[rows]), series.lengths[rows]
        for at, values, length in zip(
            range(*rows.indices(len(series))), block, lengths, strict=True
        ):
            found = blake2b(values[:length].tobytes(), digest_size=16).digest()
            digests[at] = np.frombuffer(found, dtype=np.uint8)
    return digests


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

    def source(self, chosen: NDArray[np.int64] | None = None) -> Dataset:
        """Return the series that the processes have together, or some, as training reads them."""
        shard = Shard.whole(self.series) if self.shard is None else self.shard
        return Dataset(self.series, self.scaling, shard, self.targets, chosen)

    def keep(self, n_iter: int, state: Callable[[], dict[str, Any]]) -> None:
        """Write a checkpoint where one is due."""
        if self.checkpoints is not None and n_iter % self.checkpoints.every == 0:
            self.checkpoints.write(n_iter, {**state(), "seed": self.seed})


def draw_seed(random_state: int | np.random.RandomState | None) -> int:
    """Return a seed; without a `random_state` one that leaves NumPy's global state alone."""
    if random_state is None:
        return int(np.random.default_rng().integers(2**31))
    return int(check_random_state(random_state).randint(2**31 - 1))
