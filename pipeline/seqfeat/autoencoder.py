"""`LSTMAutoencoder`, the transformer: series in, one embedding per series out.

It composes `series`, `scaling`, `fitting` and `inference`, and does no
arithmetic of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils import Tags, check_array
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from seqfeat.device import resolve_device
from seqfeat.exceptions import InputError
from seqfeat.fitting import Outcome, Plan, carry_out, draw_seed, warn_about, weights_of
from seqfeat.inference import Evaluation, decode, embed, evaluate, rebuild
from seqfeat.input_contract import INPUT_ATTRIBUTES, input_attributes, series_like_fitted
from seqfeat.labels import encode_labels
from seqfeat.network import Architecture, RecurrentAutoencoder
from seqfeat.network_cache import cached_network
from seqfeat.scaling import ChannelScaling, channel_scaling, identity_scaling
from seqfeat.series import Series, as_series, warn_if_transposed
from seqfeat.training import History, Settings

__all__ = ["LSTMAutoencoder"]

MAX_STEPS = 32
"""Recurrent steps that ``patch_len="auto"`` allows the longest training series."""
STREAM_RATE = 0.2
"""Learning rate of `partial_fit`, as a share of the peak rate of `fit`."""


class LSTMAutoencoder(
    ClassNamePrefixFeaturesOutMixin, CallbackSupportMixin, TransformerMixin, BaseEstimator
):
    """Turn each time series into one vector with an LSTM autoencoder."""

    _parameter_constraints: dict[str, list[Any]] = {
        "embedding_dim": [Interval(Integral, 1, None, closed="left")],
        "hidden_dim": [Interval(Integral, 1, None, closed="left"), None],
        "patch_len": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "n_time_features": [Interval(Integral, 0, None, closed="left")],
        "bidirectional": ["boolean"],
        "pooling": [StrOptions({"last", "mean", "max"})],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "scale": [StrOptions({"channel"}), None],
        "missing": [StrOptions({"error", "mask"})],
        "masking_ratio": [Interval(Real, 0, 1, closed="left")],
        "input_noise": [Interval(Real, 0, None, closed="left")],
        "target_weight": [Interval(Real, 0, 1, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "device": [str],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        embedding_dim: int = 64,
        *,
        hidden_dim: int | None = None,
        patch_len: int | str = "auto",
        n_time_features: int = 16,
        bidirectional: bool = False,
        pooling: str = "last",
        dropout: float = 0.0,
        scale: str | None = "channel",
        missing: str = "error",
        masking_ratio: float = 0.0,
        input_noise: float = 0.6,
        target_weight: float = 0.0,
        max_iter: int = 60,
        batch_size: int | str = "auto",
        learning_rate_init: float = 5e-3,
        weight_decay: float = 0.01,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 20,
        tol: float = 1e-4,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        device: str = "auto",
        verbose: int | bool = 0,
    ) -> None:
        self.embedding_dim = embedding_dim
        self.hidden_dim = hidden_dim
        self.patch_len = patch_len
        self.n_time_features = n_time_features
        self.bidirectional = bidirectional
        self.pooling = pooling
        self.dropout = dropout
        self.scale = scale
        self.missing = missing
        self.masking_ratio = masking_ratio
        self.input_noise = input_noise
        self.target_weight = target_weight
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.weight_decay = weight_decay
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    # Learning

    @with_callbacks  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: ArrayLike | None = None) -> Self:
        """Train the autoencoder.

        Parameters
        ----------
        X : array-like
            Series of shape (n_samples, n_timesteps, n_channels), a table of shape
            (n_samples, n_timesteps), or a list of n_samples arrays of shape
            (n_timesteps_i, n_channels) or (n_timesteps_i,).
        y : array-like of shape (n_samples,), default=None
            Class labels; ignored unless ``target_weight > 0``.

        Returns
        -------
        self : LSTMAutoencoder

        Raises
        ------
        InvalidParameterError
            If a parameter is out of range.
        InputError
            If `X` cannot be used; see `seqfeat.series.as_series`.
        DeviceError
            If ``device`` is not there.
        TrainingError
            If the loss was not finite in the first epoch. Whatever is raised, an
            earlier fit stays whole.

        Warns
        -----
        ConvergenceWarning
            If training diverged or was interrupted and earlier weights were kept,
            if the reconstruction explains next to nothing, or if all embeddings
            are the same.
        LayoutWarning
            If there are more channels than timesteps.
        """
        self._validate_params()
        series = as_series(X, missing=self.missing)
        warn_if_transposed(series)
        plan, learned = self._plan(X, y, series, classes=None)
        if self.early_stopping:
            plan = replace(plan, validation_fraction=self.validation_fraction)
        if self.warm_start and hasattr(self, "weights_"):
            self._check_warm_start(plan.architecture)
            plan = replace(plan, start_weights=self.weights_)
        return self._learn(plan, learned, X, y)

    @with_callbacks  # type: ignore[untyped-decorator]
    def partial_fit(
        self, X: Any, y: ArrayLike | None = None, classes: ArrayLike | None = None
    ) -> Self:
        """Pass once over a part of a stream, updating scaling and weights.

        The first call builds the network from its series; later ones go on from
        there. Means and standard deviations are merged exactly, as in
        `~sklearn.preprocessing.StandardScaler`. A stream has no end for the
        learning rate to decay to: it is constant, a fifth of
        ``learning_rate_init``.

        Parameters
        ----------
        X : array-like
            Series, as in `fit`.
        y : array-like of shape (n_samples,), default=None
            Class labels; ignored unless ``target_weight > 0``.
        classes : array-like of shape (n_classes,), default=None
            All classes that will ever occur. Without them the first call has to
            hold every class.

        Returns
        -------
        self : LSTMAutoencoder
        """
        self._validate_params()
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        if not hasattr(self, "weights_"):
            series = as_series(X, missing=self.missing)
            warn_if_transposed(series)
            plan, learned = self._plan(X, y, series, classes=classes)
        else:
            plan, learned = self._plan_to_continue(X, y)
        settings = replace(
            plan.settings,
            max_iter=1,
            learning_rate=STREAM_RATE * self.learning_rate_init,
            decay=False,
        )
        return self._learn(replace(plan, settings=settings), learned, X, y, is_stream=True)

    def _plan(
        self, X: Any, y: Any, series: Series, classes: Any
    ) -> tuple[Plan, dict[str, Any]]:
        """Return the plan of a first fit, and what its input alone teaches."""
        known, targets = None, None
        if self.target_weight > 0:
            known, targets = encode_labels(y, series, classes=classes)
        scaling = identity_scaling(series.n_channels)
        if self.scale == "channel":
            scaling = channel_scaling(series)
        plan = Plan(
            series,
            scaling,
            self._architecture_for(series, 0 if known is None else len(known)),
            self._settings(len(series)),
            resolve_device(self.device),
            draw_seed(self.random_state),
            known,
            targets,
        )
        return plan, input_attributes(X, series)

    def _plan_to_continue(self, X: Any, y: Any) -> tuple[Plan, dict[str, Any]]:
        """Return the plan of another `partial_fit`."""
        series = series_like_fitted(self, X)
        architecture = Architecture(**self.architecture_)
        known, targets = getattr(self, "classes_", None), None
        if known is not None:
            known, targets = encode_labels(y, series, classes=known)
        scaling = self._scaling()
        if self.scale == "channel":
            scaling = scaling.merge(channel_scaling(series))
        plan = Plan(
            series,
            scaling,
            architecture,
            self._settings(len(series)),
            resolve_device(self.device),
            draw_seed(self.random_state),
            known,
            targets,
            start_weights=self.weights_,
            optimizer_state=getattr(self, "_optimizer_state", None),
        )
        learned = {name: getattr(self, name) for name in INPUT_ATTRIBUTES if hasattr(self, name)}
        learned["n_timesteps_in_"] = max(self.n_timesteps_in_, series.n_timesteps)
        return plan, learned

    def _learn(
        self, plan: Plan, learned: dict[str, Any], X: Any, y: Any, is_stream: bool = False
    ) -> Self:
        """Carry out a plan, and only then change this estimator."""
        context = self._init_callback_context(max_subtasks=plan.settings.max_iter)
        context.call_on_fit_task_begin(estimator=self, X=X, y=y)
        learned = {
            **learned,
            "architecture_": asdict(plan.architecture),
            "embedding_dim_": plan.architecture.embedding_dim,
            "hidden_dim_": plan.architecture.hidden_dim,
            "patch_len_": plan.architecture.patch_len,
            "n_observed_": plan.scaling.count,
            "mean_": plan.scaling.mean,
            "deviation_": plan.scaling.deviation,
            "scale_": plan.scaling.scale,
        }
        if plan.classes is not None:
            learned["classes_"] = plan.classes
        report = EpochReporter(self, context, learned, X, y)
        outcome = carry_out(plan, report)
        learned |= self._learned_by(outcome, is_stream)
        for name in [name for name in vars(self) if is_learned(name)]:
            delattr(self, name)
        vars(self).update(learned)
        warn_about(outcome, plan.settings)
        context.call_on_fit_task_end(estimator=self, X=X, y=y)
        return self

    def _learned_by(self, outcome: Outcome, is_stream: bool) -> dict[str, Any]:
        history = outcome.history
        learned = {
            "weights_": weights_of(outcome.network),
            "loss_curve_": history.loss_curve,
            "validation_loss_curve_": history.validation_loss_curve,
            "n_iter_": history.n_iter,
            "best_iter_": history.best_iter,
            "best_score_": outcome.quality.r_squared,
        }
        if is_stream:
            earlier = getattr(self, "loss_curve_", [])
            learned["loss_curve_"] = earlier + history.loss_curve
            learned["n_iter_"] = learned["best_iter_"] = len(learned["loss_curve_"])
            learned["_optimizer_state"] = history.optimizer_state
        return learned

    def _settings(self, n_samples: int) -> Settings:
        batch_size = self.batch_size
        if batch_size == "auto":
            batch_size = auto_batch_size(n_samples)
        return Settings(
            max_iter=self.max_iter,
            batch_size=min(int(batch_size), n_samples),
            learning_rate=self.learning_rate_init,
            weight_decay=self.weight_decay,
            dropout=self.dropout,
            masking_ratio=self.masking_ratio,
            input_noise=self.input_noise,
            target_weight=self.target_weight,
            n_iter_no_change=self.n_iter_no_change,
            tol=self.tol,
        )

    def _architecture_for(self, series: Series, n_classes: int) -> Architecture:
        patch_len = self.patch_len
        if patch_len == "auto":
            patch_len = -(-series.n_timesteps // MAX_STEPS)
        return Architecture(
            n_channels=series.n_channels,
            embedding_dim=int(self.embedding_dim),
            hidden_dim=int(self.hidden_dim or 2 * self.embedding_dim),
            patch_len=int(patch_len),
            bidirectional=bool(self.bidirectional),
            pooling=self.pooling,
            n_time_features=int(self.n_time_features),
            time_period=-(-series.n_timesteps // int(patch_len)),
            n_classes=n_classes,
        )

    def _check_warm_start(self, architecture: Architecture) -> None:
        fitted = Architecture(**self.architecture_)
        # The period only places the time features; the weights fit any.
        architecture = replace(architecture, time_period=fitted.time_period)
        for name, value in asdict(architecture).items():
            if value != self.architecture_[name]:
                raise InputError(
                    f"warm_start=True continues with a network whose {name} is "
                    f"{self.architecture_[name]}, but now it would be {value}. Set "
                    "warm_start=False to start anew, or keep the parameters and channels."
                )

    def _scaling(self) -> ChannelScaling:
        return ChannelScaling(self.n_observed_, self.mean_, self.deviation_)

    # Using what was learned

    def transform(self, X: Any) -> NDArray[np.floating[Any]]:
        """Embed each series.

        Parameters
        ----------
        X : array-like
            Series in any form that `fit` takes, with as many channels.

        Returns
        -------
        embeddings : ndarray of shape (n_samples, embedding_dim)
            float32 for float32 input and else float64. Row i depends on series i
            alone.
        """
        check_is_fitted(self)
        series = series_like_fitted(self, X)
        network, device = cached_network(self)
        embeddings = np.empty((len(series), self.embedding_dim_), dtype=_output_dtype(series))
        for rows, batch in embed(network, series, self._scaling(), device):
            embeddings[rows] = batch
        return embeddings

    def inverse_transform(
        self, X: ArrayLike, n_timesteps: int | None = None
    ) -> NDArray[np.floating[Any]]:
        """Decode embeddings into series, in the units of the input.

        Parameters
        ----------
        X : array-like of shape (n_samples, embedding_dim)
            Embeddings.
        n_timesteps : int, default=None
            Length of the series; None is that of the longest training series.

        Returns
        -------
        series : ndarray of shape (n_samples, n_timesteps, n_channels)
            Or (n_samples, n_timesteps) if `fit` saw a table.
        """
        check_is_fitted(self)
        Z = check_array(X, dtype=[np.float64, np.float32], input_name="X")
        if Z.shape[1] != self.embedding_dim_:
            raise InputError(
                f"X has {Z.shape[1]} columns, but the embeddings of this LSTMAutoencoder have "
                f"{self.embedding_dim_}. Pass what transform returned."
            )
        n_timesteps = self.n_timesteps_in_ if n_timesteps is None else n_timesteps
        if n_timesteps < 1:
            raise InputError(f"n_timesteps={n_timesteps}; a series has at least 1 timestep.")
        network, device = cached_network(self)
        series = np.empty((len(Z), n_timesteps, self.n_channels_in_), dtype=Z.dtype)
        for rows, scaled in decode(network, Z.astype(np.float32), n_timesteps, device):
            series[rows] = self._scaling().invert(scaled)
        return series[:, :, 0] if self.is_table_ else series

    def reconstruct(self, X: Any) -> NDArray[np.floating[Any]] | list[NDArray[np.floating[Any]]]:
        """Encode and decode each series.

        Parameters
        ----------
        X : array-like
            Series in any form that `fit` takes.

        Returns
        -------
        reconstruction : ndarray or list of ndarray
            The form of `X`, in its units: missing values are filled with what the
            network makes of them, and NaN remains only behind the end of a series.
        """
        check_is_fitted(self)
        series = series_like_fitted(self, X)
        network, device = cached_network(self)
        result = np.full(series.values.shape, np.nan, dtype=_output_dtype(series))
        for batch in rebuild(network, series, self._scaling(), device):
            values = self._scaling().invert(batch.rebuilt)
            steps = np.arange(values.shape[1])
            values[steps >= series.lengths[batch.rows, None]] = np.nan
            result[batch.rows, : values.shape[1]] = values
        return series.like_input(result)

    def score(self, X: Any, y: ArrayLike | None = None) -> float:
        """Return the share of the variance that the reconstruction explains.

        R squared over all observed values, in scaled units, each channel about
        its mean in `X`: 1 is a perfect reconstruction and 0 is no better than
        predicting the mean. With it, `GridSearchCV` compares embedding sizes
        without labels.

        Parameters
        ----------
        X : array-like
            Series in any form that `fit` takes.
        y : None
            Ignored.

        Returns
        -------
        score : float
        """
        return self._evaluate(X).r_squared

    def score_samples(self, X: Any) -> NDArray[np.float64]:
        """Return the negative mean squared reconstruction error of each series.

        The lower, the less the series is like those of `fit`: an anomaly score.

        Parameters
        ----------
        X : array-like
            Series in any form that `fit` takes.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            In scaled units, over the observed values.
        """
        quality = self._evaluate(X)
        return -quality.squared_error / quality.n_values

    def _evaluate(self, X: Any) -> Evaluation:
        check_is_fitted(self)
        series = series_like_fitted(self, X)
        network, device = cached_network(self)
        return evaluate(network, series, self._scaling(), device)

    # What scikit-learn asks

    @property
    def _n_features_out(self) -> int:
        return int(self.embedding_dim_)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = self.missing == "mask"
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.target_tags.required = isinstance(self.target_weight, Real) and self.target_weight > 0
        return tags


class EpochReporter:
    """Tells scikit-learn's callbacks, and a verbose user, of each epoch."""

    def __init__(
        self, estimator: LSTMAutoencoder, context: Any, learned: dict[str, Any], X: Any, y: Any
    ) -> None:
        self.estimator = estimator
        self.context = context
        self.learned = learned
        self.data = {"estimator": estimator, "X": X, "y": y}
        self.begin()

    def begin(self) -> None:
        """Open the next epoch's task, if there is one."""
        if len(self.context._children_map) < self.context.max_subtasks:
            self.epoch = self.context.subcontext(task_name="epoch")
            self.epoch.call_on_fit_task_begin(**self.data)

    def __call__(self, network: RecurrentAutoencoder, history: History) -> bool:
        """Close the epoch's task and open the next; return whether to stop."""
        if self.estimator.verbose:
            print(_progress_line(history, self.context.max_subtasks))
        stop = self.epoch.call_on_fit_task_end(
            **self.data,
            reconstruction_attributes=lambda: {**self.learned, "weights_": weights_of(network)},
        )
        if not stop:
            self.begin()
        return bool(stop)


def _progress_line(history: History, max_iter: int) -> str:
    line = f"Epoch {history.n_iter}/{max_iter}, loss = {history.loss_curve[-1]:.5f}"
    if history.validation_loss_curve:
        line += f", validation loss = {history.validation_loss_curve[-1]:.5f}"
    return line


def auto_batch_size(n_samples: int) -> int:
    """Return the batch size that ``"auto"`` stands for.

    It grows with the square root of the number of series, from 16 to 256, so
    that small sets get enough steps and large ones use the hardware.
    """
    return int(np.clip(2 * np.sqrt(n_samples), 16, 256))


def is_learned(name: str) -> bool:
    """Tell whether an attribute was set by a fit."""
    return name == "_optimizer_state" or (name.endswith("_") and not name.startswith("_"))


def _output_dtype(series: Series) -> np.dtype[Any]:
    return np.dtype(np.float32 if series.values.dtype == np.float32 else np.float64)
