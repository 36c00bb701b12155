"""From the parameters and the input of a fit to its plan.

`share_facts` gathers what the processes that share a fit have to agree on, in one exchange;
`plan_fit` and `plan_epoch` decide everything else, in each process and with the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import reduce
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from seqfeat.exceptions import InputError
from seqfeat.inference.pretrained import StartWeights
from seqfeat.nn.network import Architecture, Weights
from seqfeat.nn.reservoir_fit import ReservoirSettings
from seqfeat.runtime.device import resolve_device
from seqfeat.runtime.ranks import ALONE, Ranks
from seqfeat.series.scaling import ChannelScaling, channel_scaling, identity_scaling
from seqfeat.series.series import Series
from seqfeat.training.checkpoints import Checkpoints, digest
from seqfeat.training.dataset import Dataset, Shard
from seqfeat.training.parameters import FitParameters
from seqfeat.training.targets.encoding import (
    EncodedTargets,
    KnownTargets,
    OwnTargets,
    TargetFacts,
    read_targets,
)
from seqfeat.training.targets.labels import check_labels
from seqfeat.training.targets.weights import relative_weights, series_weights
from seqfeat.training.trainer import TrainingSettings
from seqfeat.version import __version__

__all__ = ["EarlierFit", "Plan", "SharedFacts", "plan_epoch", "plan_fit", "share_facts"]

MAX_PATCHES = 32
"""Maximum steps of the decoder over the longest training series with ``patch_len="auto"``."""
MAX_WINDOW_LEN = 16
"""Timesteps in a window with ``window_len="auto"``; for short series, a sixth of their length."""
MAX_WINDOWS = 128
"""Maximum steps of the encoder over the longest training series with ``window_stride="auto"``."""
MAX_RESERVOIR_WINDOWS = 512
"""The same for a reservoir, which is run once and not in every epoch."""
FITTED_ENCODER_RATE = 0.1
"""Relative learning rate of an encoder whose initial weights were fitted to the series."""
RESERVOIR_DIM = 96
"""Width of the layers of a reservoir with ``hidden_dim=None``."""
N_RECONSTRUCTING = 64
"""Features that reconstruct the series with ``embedding_dim=None``."""
MIN_HELD_OUT_SAMPLES = 20
"""With fewer series, none is held out, and the decoder of a reservoir is not trained."""
N_UPDATES = 1500
"""Updates of the decoder of a reservoir with ``max_iter="auto"``, if epochs permit."""
MIN_EPOCHS, MAX_EPOCHS = 4, 30
"""Fewest and most epochs of such a decoder."""
AUTO_EPOCHS = 60
"""Epochs of a network that is trained as a whole with ``max_iter="auto"``."""
STREAM_RATE = 0.2
"""Learning rate of `partial_fit`, relative to the peak of `fit`."""


@dataclass(frozen=True, eq=False)
class EarlierFit:
    """What an earlier fit learned, for a fit that continues it."""

    architecture: Architecture
    weights: Weights
    scaling: ChannelScaling
    classes: NDArray[Any] | None
    target_scaling: ChannelScaling | None
    n_iter: int
    optimizer_state: Mapping[str, Any] | None


# Facts that all processes share


class _OwnFacts(NamedTuple):
    """What a process tells the others, in a single message."""

    form: str
    n_series: int
    lengths: NDArray[np.int64]
    """A single length if all are equal."""
    is_dense: bool
    statistics: ChannelScaling
    targets: TargetFacts
    total_weight: float
    is_weighted: bool
    seed: int


@dataclass(frozen=True, eq=False)
class SharedFacts:
    """What every process knows after the exchange.

    Attributes
    ----------
    series : Series
        The series of this process.
    shard : Shard
        Their place among the series of all processes.
    statistics : ChannelScaling
        Statistics of the channels over all processes; the identity with ``scale=None``.
    targets : EncodedTargets
        What this process's network learns from beside the series.
    weights : ndarray or None
        How much each of this process's series counts, relative to `mean_weight`; None if all count
        the same, in all processes.
    mean_weight : float
        Mean weight of the series of all processes.
    seed : int
        Rank 0's seed.
    ranks : Ranks
        The processes.
    """

    series: Series
    shard: Shard
    statistics: ChannelScaling
    targets: EncodedTargets
    weights: NDArray[np.float32] | None
    mean_weight: float
    seed: int
    ranks: Ranks = ALONE


def share_facts(
    convert: Callable[[], Series],
    y: Any,
    sample_weight: Any,
    parameters: FitParameters,
    ranks: Ranks,
    *,
    earlier: EarlierFit | None = None,
    classes: Any = None,
) -> SharedFacts:
    """Convert the input, and exchange what all processes need to know about it.

    Parameters
    ----------
    convert : callable
        Returns the series of this process, or raises an error.
    y : array-like or None
        Their labels or numbers.
    sample_weight : array-like or None
        Their weights. Series of weight 0 are left out.
    parameters : FitParameters
    ranks : Ranks
    earlier : EarlierFit, optional
        A fit whose classes, or whose scaling of numbers, remain.
    classes : array-like, optional
        All classes; without them, those that occur in the labels.

    Raises
    ------
    InputError
        If the input is invalid, or if its form or channels differ between processes.
    DistributedError
        If the input of another process is invalid.
    """
    known = KnownTargets(None if classes is None else np.unique(np.asarray(classes)))
    if earlier is not None:
        known = KnownTargets(earlier.classes, earlier.target_scaling)
    uses_targets = parameters.target_weight > 0 if earlier is None else known.is_known
    own = _OwnInput()

    def own_facts() -> _OwnFacts:
        series, targets = convert(), OwnTargets()
        if y is not None:
            check_labels(y, series)
        weights = series_weights(sample_weight, series)
        if uses_targets:
            targets = read_targets(y, series.ids, parameters.target_type, known)
        if weights is not None and not weights.all():
            rows = np.flatnonzero(weights)
            series, targets, weights = series.subset(rows), targets.rows(rows), weights[rows]
            weights = None if (weights == 1.0).all() else weights
        own.series, own.targets, own.weights = series, targets, weights
        lengths, is_scaled = series.lengths, parameters.scale == "channel"
        return _OwnFacts(
            form=_describe_form(series),
            n_series=len(lengths),
            lengths=lengths[:1] if (lengths == lengths[0]).all() else lengths,
            is_dense=series.is_dense,
            statistics=channel_scaling(series, weights) if is_scaled else _no_scaling(series),
            targets=targets.facts(weights),
            total_weight=float(len(series) if weights is None else weights.sum()),
            is_weighted=weights is not None,
            seed=_draw_seed(parameters.random_state),
        )

    facts = ranks.exchange(own_facts)
    _check_alike(facts)
    lengths = np.concatenate([np.broadcast_to(one.lengths, one.n_series) for one in facts])
    mean_weight = sum(one.total_weight for one in facts) / len(lengths)
    weights = None
    if any(one.is_weighted for one in facts):
        absolute = np.ones(len(own.series)) if own.weights is None else own.weights
        weights = relative_weights(absolute, mean_weight)
    return SharedFacts(
        own.series,
        Shard(
            first=sum(one.n_series for one in facts[: ranks.rank]),
            lengths=lengths,
            is_dense=all(one.is_dense for one in facts) and bool((lengths == lengths[0]).all()),
        ),
        reduce(ChannelScaling.merge, [one.statistics for one in facts]),
        own.targets.encode([one.targets for one in facts], known, parameters.class_weight),
        weights,
        mean_weight,
        facts[0].seed,
        ranks,
    )


class _OwnInput:
    """What a process keeps to itself."""

    series: Series
    targets: OwnTargets
    weights: NDArray[np.float64] | None


def _no_scaling(series: Series) -> ChannelScaling:
    return identity_scaling(series.n_channels)


def _draw_seed(random_state: int | np.random.RandomState | None) -> int:
    """Return a seed; without a `random_state` a random one, never from NumPy's global state."""
    if random_state is None:
        return int(np.random.default_rng().integers(2**31))
    return int(check_random_state(random_state).randint(2**31 - 1))


def _describe_form(series: Series) -> str:
    if series.form == "table":
        return f"a table of {series.values.shape[1]} timesteps"
    return f"series with {series.n_channels} channels"


def _check_alike(facts: list[_OwnFacts]) -> None:
    """Raise if processes that share a fit hold different things."""
    for forms, advice in (
        ([one.form for one in facts], "Pass series of the same form and channels to all of them"),
        ([one.targets.kind for one in facts], "Set target_type, so that all read y alike"),
    ):
        rank = next((rank for rank, form in enumerate(forms) if form != forms[0]), None)
        if rank is not None:
            raise InputError(
                f"the processes that share this fit hold {forms[0]} in rank 0, but {forms[rank]} "
                f"in rank {rank}. {advice}."
            )


# The plan


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that determines the result of a fit.

    Attributes
    ----------
    dataset : Dataset
        The series of all processes, scaled when they are read.
    architecture : Architecture
    settings : TrainingSettings
    device : torch.device
    seed : int
    classes : ndarray or None
        The classes, if labels are used.
    target_scaling : ChannelScaling or None
        The scaling of the targets, if these are numbers and are used.
    validation_fraction : float or None
        Share of the series to hold out; None monitors the training loss.
    reservoir : ReservoirSettings or None
        What the embedding of a reservoir is to hold, if there is one.
    pretrained : StartWeights or None
        What is taken over from the model of `init`, unless an earlier fit is continued.
    start_weights, optimizer_state
        What an earlier fit ended with, if this one continues it.
    checkpoints : Checkpoints or None
        Where the state of the training is saved; only rank 0 has them.
    contamination : float or None
        Share of the series that thresholds take as anomalous; None if there are to be none.
    ranks : Ranks
        The processes that share the fit.
    """

    dataset: Dataset
    architecture: Architecture
    settings: TrainingSettings
    device: torch.device
    seed: int
    classes: NDArray[Any] | None = None
    target_scaling: ChannelScaling | None = None
    validation_fraction: float | None = None
    reservoir: ReservoirSettings | None = None
    pretrained: StartWeights | None = None
    start_weights: Weights | None = None
    optimizer_state: Mapping[str, Any] | None = None
    checkpoints: Checkpoints | None = None
    contamination: float | None = None
    ranks: Ranks = ALONE


def plan_fit(parameters: FitParameters, facts: SharedFacts, earlier: EarlierFit | None) -> Plan:
    """Return the plan of `fit`; with ``warm_start`` it continues the `earlier` one."""
    plan = _plan_from_scratch(parameters, facts)
    plan = replace(plan, contamination=parameters.contamination)
    if _holds_out(parameters, len(plan.dataset)):
        plan = replace(plan, validation_fraction=parameters.validation_fraction)
    if earlier is not None:
        n_linear_steps = earlier.architecture.n_linear_steps
        architecture = replace(plan.architecture, n_linear_steps=n_linear_steps)
        plan = replace(plan, architecture=architecture, start_weights=earlier.weights)
        _check_warm_start(earlier, plan)
    if parameters.checkpoint_dir is not None:
        plan = replace(plan, checkpoints=_checkpoints(parameters, plan))
    return plan


def plan_epoch(parameters: FitParameters, facts: SharedFacts, earlier: EarlierFit | None) -> Plan:
    """Return the plan of `partial_fit`: one epoch at a constant learning rate."""
    if earlier is not None:
        parameters = replace(parameters, init=None)
    plan = _plan_from_scratch(parameters, facts)
    model = parameters.init if earlier is None else earlier
    if model is not None and parameters.scale == "channel":
        scaling = model.scaling.merge(facts.statistics)
        plan = replace(plan, dataset=_dataset(facts, scaling))
    if earlier is not None:
        plan = replace(
            plan,
            architecture=earlier.architecture,
            seed=_next_seed(facts.seed, earlier.n_iter),
            start_weights=earlier.weights,
            optimizer_state=earlier.optimizer_state,
        )
    rate = STREAM_RATE * parameters.learning_rate_init
    settings = replace(plan.settings, max_iter=1, learning_rate=rate, decay=False)
    return replace(plan, settings=settings)


def _plan_from_scratch(parameters: FitParameters, facts: SharedFacts) -> Plan:
    targets, init = facts.targets, parameters.init
    uses_targets = targets.values is not None
    if init is not None:
        n_timesteps = facts.shard.n_timesteps
        parameters = init.resolve(parameters, n_timesteps, uses_targets=uses_targets)
    n_classes = 0 if targets.classes is None else len(targets.classes)
    n_targets = 0 if targets.scaling is None else len(targets.scaling.mean)
    if parameters.embedding_dim is None:
        _check_statistics(parameters)
    if parameters.pooling == "reservoir":
        _check_reservoir(parameters)
        # Labels weight the statistics; no head is needed.
        n_classes = n_targets = 0
    architecture = _architecture(parameters, facts.series.n_channels, facts.shard.n_timesteps)
    architecture = replace(architecture, n_classes=n_classes, n_targets=n_targets)
    pretrained = None
    if init is not None:
        pretrained = init.start_weights(architecture, targets.classes, uses_targets=uses_targets)
    return Plan(
        _dataset(facts, facts.statistics if init is None else init.scaling),
        architecture,
        _settings(parameters, len(facts.shard.lengths)),
        resolve_device(parameters.device),
        facts.seed,
        targets.classes,
        targets.scaling,
        reservoir=_reservoir_settings(parameters, facts.mean_weight),
        pretrained=pretrained,
        ranks=facts.ranks,
    )


def _reservoir_settings(parameters: FitParameters, mean_weight: float) -> ReservoirSettings | None:
    if parameters.pooling != "reservoir":
        return None
    return ReservoirSettings(
        parameters.reconstruction_fraction, parameters.target_weight, mean_weight
    )


def _check_statistics(parameters: FitParameters) -> None:
    """Refuse what has no meaning where all statistics are features."""
    if parameters.pooling != "reservoir":
        raise InputError(
            f"embedding_dim=None, all statistics, needs pooling='reservoir', but it is "
            f"{parameters.pooling!r}. Set embedding_dim to a number, or that pooling."
        )
    if parameters.target_weight > 0:
        raise InputError(
            f"target_weight={parameters.target_weight} has no effect with embedding_dim=None, "
            "where all statistics are features. Set target_weight=0, or embedding_dim to a number."
        )


def _check_reservoir(parameters: FitParameters) -> None:
    """Refuse what has no meaning for an encoder that is not trained."""
    for name in ("bidirectional", "masking_ratio", "input_noise"):
        value = getattr(parameters, name)
        if value:
            raise InputError(
                f"{name}={value!r} has no effect with pooling='reservoir', whose encoder is not "
                f"trained. Set {name}={type(value)(0)!r}, or another pooling, such as 'statistics'."
            )


def _holds_out(parameters: FitParameters, n_samples: int) -> bool:
    """Return whether a validation set decides when to stop."""
    if parameters.early_stopping != "auto":
        return bool(parameters.early_stopping)
    return parameters.pooling == "reservoir" and n_samples >= MIN_HELD_OUT_SAMPLES


def _dataset(facts: SharedFacts, scaling: ChannelScaling) -> Dataset:
    weights, factors = facts.weights, facts.targets.factors
    target_weights = weights if factors is None else factors
    if weights is not None and factors is not None:
        target_weights = weights * factors
    values = facts.targets.values
    return Dataset(facts.series, scaling, facts.shard, values, weights, target_weights)


def _next_seed(seed: int, n_iter: int) -> int:
    """Return a different seed for each part of a stream, so that they differ in their noise."""
    return int(np.random.SeedSequence([seed, n_iter]).generate_state(1)[0] % 2**31)


def _settings(parameters: FitParameters, n_samples: int) -> TrainingSettings:
    p, batch_size = parameters, parameters.batch_size
    if batch_size == "auto":
        # An eighth of a small set, so that it gets enough updates. For larger sets, it grows with
        # the square root of their size, up to what the hardware can use.
        batch_size = int(np.clip(min(n_samples / 8, 2 * np.sqrt(n_samples)), 8, 256))
    batch_size = min(int(batch_size), n_samples)
    return TrainingSettings(
        max_iter=_max_iter(p, n_samples, batch_size),
        batch_size=batch_size,
        learning_rate=p.learning_rate_init,
        weight_decay=p.weight_decay,
        dropout=p.dropout,
        masking_ratio=p.masking_ratio,
        input_noise=p.input_noise,
        target_weight=p.target_weight,
        encoder_rate=FITTED_ENCODER_RATE if p.pooling == "statistics" else 1.0,
        n_iter_no_change=p.n_iter_no_change,
        tol=p.tol,
        keeps_start=p.pooling == "reservoir",
    )


def _max_iter(parameters: FitParameters, n_samples: int, batch_size: int) -> int:
    """Return the maximum number of epochs."""
    if parameters.max_iter != "auto":
        return int(parameters.max_iter)
    if parameters.pooling != "reservoir":
        return AUTO_EPOCHS
    if n_samples < MIN_HELD_OUT_SAMPLES:
        return 0
    n_epochs = round(N_UPDATES * batch_size / n_samples)
    return int(np.clip(n_epochs, MIN_EPOCHS, MAX_EPOCHS))


def _architecture(parameters: FitParameters, n_channels: int, n_timesteps: int) -> Architecture:
    p, patch_len = parameters, parameters.patch_len
    is_reservoir = p.pooling == "reservoir"
    embedding_dim = N_RECONSTRUCTING if p.embedding_dim is None else int(p.embedding_dim)
    patch_len = int(-(-n_timesteps // MAX_PATCHES) if patch_len == "auto" else patch_len)
    window_len, window_stride = _windows(p, n_timesteps, patch_len)
    return Architecture(
        n_channels=n_channels,
        embedding_dim=embedding_dim,
        hidden_dim=int(p.hidden_dim or (RESERVOIR_DIM if is_reservoir else 2 * embedding_dim)),
        patch_len=patch_len,
        bidirectional=bool(p.bidirectional),
        pooling=p.pooling,
        n_time_features=int(p.n_time_features),
        time_period=-(-n_timesteps // patch_len),
        window_len=window_len,
        window_stride=window_stride,
        n_linear_steps=n_timesteps if is_reservoir else 0,
        keeps_statistics=p.embedding_dim is None,
    )


def _windows(parameters: FitParameters, n_timesteps: int, patch_len: int) -> tuple[int, int]:
    """Return length and stride of the windows: overlapping for statistics, else the patches."""
    auto_len = auto_stride = patch_len
    if parameters.pooling in ("statistics", "reservoir"):
        is_reservoir = parameters.pooling == "reservoir"
        auto_stride = -(-n_timesteps // (MAX_RESERVOIR_WINDOWS if is_reservoir else MAX_WINDOWS))
        auto_len = max(min(MAX_WINDOW_LEN, n_timesteps // 6), auto_stride)
    length, stride = parameters.window_len, parameters.window_stride
    length = int(auto_len if length == "auto" else length)
    stride = int(min(auto_stride, length) if stride == "auto" else stride)
    if stride > length:
        raise InputError(
            f"window_stride={stride} is larger than the length of a window, {length}, so the "
            "encoder would skip the timesteps in between. Lower window_stride or raise window_len."
        )
    return length, stride


def _check_warm_start(earlier: EarlierFit, plan: Plan) -> None:
    fitted = {**asdict(earlier.architecture), "classes": _as_list(earlier.classes)}
    wanted = {**asdict(plan.architecture), "classes": _as_list(plan.classes)}
    # The period only positions the time features; it does not change the weights' shapes.
    wanted["time_period"] = fitted["time_period"]
    for name, value in wanted.items():
        if value != fitted[name]:
            raise InputError(
                f"warm_start=True continues with a network whose {name} is {fitted[name]}, but "
                f"now it would be {value}. Set warm_start=False to start anew, or keep the "
                "parameters, channels and classes."
            )


def _as_list(classes: NDArray[Any] | None) -> list[Any] | None:
    return None if classes is None else classes.tolist()


# Checkpoints


def _checkpoints(parameters: FitParameters, plan: Plan) -> Checkpoints | None:
    """Return the checkpoints of a fit, in rank 0; None in all others."""
    directory, ranks = parameters.checkpoint_dir, plan.ranks
    assert directory is not None
    name = _fingerprint(plan, is_seeded=parameters.random_state is not None)

    def open_folder() -> Checkpoints | None:
        if ranks.rank != 0:
            return None
        return Checkpoints.of_fit(directory, parameters.checkpoint_every, name)

    return ranks.attempt(open_folder)


def _fingerprint(plan: Plan, *, is_seeded: bool) -> str:
    """Return a name for a fit, a digest of everything that determines its result.

    It is the same in all processes, and does not depend on their number. Without a
    `random_state`, the seed has no part in it. Reads all series once.
    """
    data, start, pretrained = plan.dataset, plan.start_weights, plan.pretrained
    own = (
        *(
            np.zeros(0) if part is None else np.asarray(part, dtype=np.float64)
            for part in (data.targets, data.weights, data.target_weights)
        ),
        _digests(data.series),
    )
    all_targets, weights, target_weights, all_series = (
        np.concatenate(parts) for parts in zip(*plan.ranks.all_gather(own), strict=True)
    )
    return digest(
        {
            "version": __version__,
            "architecture": plan.architecture.as_dict(),
            "settings": asdict(plan.settings),
            "is_scaled": bool((data.scaling.count > 0).any()),
            "validation_fraction": plan.validation_fraction,
            "reservoir": None if plan.reservoir is None else plan.reservoir._asdict(),
            "seed": plan.seed if is_seeded else None,
            "classes": _as_list(plan.classes),
            "targets": all_targets,
            "weights": weights,
            "target_weights": target_weights,
            "start_weights": None if start is None else dict(start),
            "pretrained": None if pretrained is None else pretrained._asdict(),
            "init_scaling": None if pretrained is None else data.scaling.mean_and_scale,
            "series": all_series,
        }
    )


def _digests(series: Series) -> NDArray[np.uint8]:
    """Return a digest of each series. Shape: (N, 16)."""
    digests = np.empty((len(series), 16), dtype=np.uint8)
    for rows in series.blocks():
        block, lengths = np.asarray(series.values[rows]), series.lengths[rows]
        numbers = range(*rows.indices(len(series)))
        for number, values, length in zip(numbers, block, lengths, strict=True):
            found = blake2b(values[:length].tobytes(), digest_size=16).digest()
            digests[number] = np.frombuffer(found, dtype=np.uint8)
    return digests
