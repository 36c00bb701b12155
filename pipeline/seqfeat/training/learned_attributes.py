"""The learned attributes of an estimator, by name: what a plan decides, and what training does."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from seqfeat.inference.consistency import RESOLVED, resolved_dimension
from seqfeat.nn.network import weights_of
from seqfeat.series.series import Series
from seqfeat.training.fit import FitResult
from seqfeat.training.plan import Plan

__all__ = [
    "describes_input",
    "input_attributes",
    "is_learned",
    "planned_attributes",
    "stream_attributes",
    "trained_attributes",
]


def input_attributes(X: Any, series: Series, n_timesteps: int | None = None) -> dict[str, Any]:
    """Return the learned attributes that describe the input.

    `n_timesteps` is the length of the longest series of all processes that share the fit.
    scikit-learn's features are the columns of a table; for series with channels they are the
    channels, because series may differ in length.
    """
    if series.form == "table":
        n_timesteps = int(series.values.shape[1])
    attributes: dict[str, Any] = {
        "n_channels_in_": series.n_channels,
        "n_timesteps_in_": series.n_timesteps if n_timesteps is None else n_timesteps,
        "n_features_in_": series.n_channels,
        "is_table_": series.form == "table",
    }
    if series.form in ("table", "frame"):
        # Recorded on another object, because a fit that fails later must leave no trace.
        recorder = BaseEstimator()
        validate_data(recorder, X, skip_check_array=True)
        attributes.update(vars(recorder))
    elif series.channel_names is not None:
        attributes["feature_names_in_"] = np.asarray(series.channel_names, dtype=object)
    return attributes


def describes_input(name: str) -> bool:
    """Return whether an attribute says what `fit` saw."""
    return name.endswith("_in_") or name == "is_table_"


def planned_attributes(plan: Plan) -> dict[str, Any]:
    """Return the learned attributes that a plan decides."""
    architecture, scaling = plan.architecture, plan.dataset.scaling
    of_targets = plan.target_scaling
    return {
        "architecture_": architecture.as_dict(),
        **{f"{name}_": resolved_dimension(architecture, name) for name in RESOLVED},
        "n_observed_": scaling.count,
        "mean_": scaling.mean,
        "std_": scaling.std,
        "scale_": scaling.scale,
        **({} if plan.classes is None else {"classes_": plan.classes}),
        **({} if of_targets is None else {"target_mean_": of_targets.mean}),
        **({} if of_targets is None else {"target_scale_": of_targets.scale}),
    }


def trained_attributes(result: FitResult) -> dict[str, Any]:
    """Return the learned attributes that training decides."""
    history, found = result.history, result.thresholds
    return {
        "weights_": weights_of(result.network),
        "loss_curve_": history.loss_curve,
        "validation_loss_curve_": history.validation_loss_curve,
        "n_iter_": history.n_iter,
        "best_iter_": history.best_iter,
        "best_score_": result.evaluation.r_squared,
        **({} if found is None else {"anomaly_threshold_": found.series}),
        **({} if found is None else {"timestep_threshold_": found.timesteps}),
    }


def stream_attributes(result: FitResult, earlier: list[float]) -> dict[str, Any]:
    """Return those that `partial_fit` decides instead, counting the epochs of all its calls."""
    loss_curve = earlier + result.history.loss_curve
    return {
        "loss_curve_": loss_curve,
        "n_iter_": len(loss_curve),
        "best_iter_": len(loss_curve),
        "_optimizer_state": result.optimizer_state,
    }


def is_learned(name: str) -> bool:
    """Return whether `fit` sets an attribute."""
    return name == "_optimizer_state" or (name.endswith("_") and not name.startswith("_"))
