"""The model that a fit starts from, `LSTMAutoencoder(init=...)`: how it is kept, and what it gives.

`PretrainedMixin` keeps it fitted where scikit-learn would clone it. `open_pretrained` returns what
its autoencoder learned, a `Pretrained`, from which `seqfeat.training` takes dimensions, scaling and
weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from seqfeat.exceptions import InputError
from seqfeat.inference.fitted import fitted_scaling, order_channels
from seqfeat.nn.network import Architecture, Weights, weight_shapes
from seqfeat.series.scaling import ChannelScaling
from seqfeat.series.series import Series

__all__ = ["Pretrained", "PretrainedMixin", "StartWeights", "model_steps", "open_pretrained"]

ENCODER_DIMENSIONS = ("pooling", "bidirectional", "hidden_dim", "window_len", "window_stride")
"""Parameters that the encoder fixes, beside the embedding's length."""
OPEN_VALUES = {"hidden_dim": None, "window_len": "auto", "window_stride": "auto"}
"""The values for which a dimension becomes that of the model."""

Parameters = TypeVar("Parameters", bound=Any)


class StartWeights(NamedTuple):
    """What a fit takes over from another model.

    Attributes
    ----------
    weights : dict of str to ndarray
        Weights that replace those that were drawn.
    is_complete : bool
        Whether nothing but training is left, so that none are fitted to the series.
    projection : tuple of ndarray or None
        For a reservoir, the columns of the projection that are for its statistics,
        (embedding_dim, n_statistics), and its bias, if only what reconstructs is fitted anew.
    """

    weights: dict[str, NDArray[np.float32]]
    is_complete: bool
    projection: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None


@dataclass(frozen=True, eq=False)
class Pretrained:
    """What a fitted autoencoder learned, for a fit on other series that starts from it.

    Attributes
    ----------
    architecture : Architecture
    weights : Weights
    scaling : ChannelScaling
    classes : ndarray or None
    reconstruction_fraction : float
        The parameter with which it was fitted.
    channel_names : list of str
        Names of its channels; empty if they had none.
    """

    architecture: Architecture
    weights: Weights
    scaling: ChannelScaling
    classes: NDArray[Any] | None
    reconstruction_fraction: float
    channel_names: list[str]

    def check_channels(self, series: Series) -> Series:
        """Return series with the channels in the order that the weights were trained for.

        Raises
        ------
        InputError
            If they have other channels.
        """
        n_channels, names = self.architecture.n_channels, self.channel_names
        if series.n_channels != n_channels:
            raise InputError(
                f"X has {series.n_channels} channels, but the model of init was fitted on series "
                f"with {n_channels}. Select the same channels, or pass init=None."
            )
        own = None if series.frame_rows is None else list(series.frame_rows.columns)
        if own is not None and names and own != names:
            # The columns become names of features, whose order is that of the frame.
            raise InputError(
                f"the frame has the channels {own}, but the model of init was fitted on {names}. "
                "Select those, in this order, or pass init=None."
            )
        return order_channels(series, names, "the model of init")

    def resolve(
        self, parameters: Parameters, n_timesteps: int, *, uses_targets: bool
    ) -> Parameters:
        """Return parameters whose open dimensions are those of the model.

        Parameters
        ----------
        parameters : FitParameters
        n_timesteps : int
            Length of the longest new series.
        uses_targets : bool
            Whether labels take part in the new fit.

        Raises
        ------
        InputError
            If a parameter contradicts the model.
        """
        a = self.architecture
        fitted = {name: getattr(a, name) for name in ENCODER_DIMENSIONS}
        fitted["embedding_dim"] = None if a.keeps_statistics else a.embedding_dim
        # A scaling that does nothing has seen no values.
        fitted["scale"] = "channel" if self.scaling.count.any() else None
        keeps_components = a.pooling == "reservoir" and not a.keeps_statistics and not uses_targets
        if keeps_components:
            fitted["reconstruction_fraction"] = self.reconstruction_fraction
        resolved = {}
        for name, value in fitted.items():
            wanted = getattr(parameters, name)
            if name in OPEN_VALUES and wanted == OPEN_VALUES[name]:
                resolved[name] = value
            elif wanted != value:
                raise InputError(
                    f"{name}={wanted!r}, but the model of init has {name}={value!r}. Pass "
                    f"{name}={value!r}, or init=None to start anew."
                )
        # Where the decoder is fitted anew, its patches are as long as these series need them.
        has_decoder = a.pooling != "reservoir" or (
            n_timesteps == a.n_linear_steps and not uses_targets
        )
        if parameters.patch_len == "auto" and has_decoder:
            resolved["patch_len"] = a.patch_len
        resolved_parameters: Parameters = replace(parameters, **resolved)
        return resolved_parameters

    def start_weights(
        self, planned: Architecture, classes: NDArray[Any] | None, *, uses_targets: bool
    ) -> StartWeights:
        """Return what a network of the planned dimensions takes over.

        Parameters
        ----------
        planned : Architecture
        classes : ndarray or None
            The classes of the new fit.
        uses_targets : bool
            Whether its labels weight the statistics of a reservoir.
        """
        if planned.pooling == "reservoir":
            return self._of_reservoir(planned, uses_targets=uses_targets)
        names = self._names("encoder.")
        shapes = weight_shapes(planned)
        decoder, head = self._names("decoder."), self._names("head.")
        is_same_head = _are_equal(classes, self.classes)
        if planned.n_targets:
            is_same_head = planned.n_targets == self.architecture.n_targets
        for part, is_alike in ((decoder, True), (head, is_same_head)):
            if is_alike and all(shapes.get(name) == self.weights[name].shape for name in part):
                names += part
        return StartWeights({name: self.weights[name] for name in names}, is_complete=True)

    def _of_reservoir(self, planned: Architecture, *, uses_targets: bool) -> StartWeights:
        if planned == self.architecture and not uses_targets:
            return StartWeights(dict(self.weights), is_complete=True)
        names = [*self._names("encoder.layers."), "encoder.thresholds"]
        weights = {name: self.weights[name] for name in names}
        if uses_targets or planned.keeps_statistics:
            return StartWeights(weights, is_complete=False)
        columns = self.weights["encoder.projection.weight"][:, : planned.n_statistics]
        projection = columns, self.weights["encoder.projection.bias"]
        return StartWeights(weights, is_complete=False, projection=projection)

    def _names(self, beginning: str) -> list[str]:
        return [name for name in self.weights if name.startswith(beginning)]


def _are_equal(first: NDArray[Any] | None, second: NDArray[Any] | None) -> bool:
    if first is None or second is None:
        return first is second
    return first.dtype.kind == second.dtype.kind and np.array_equal(first, second)


def model_steps(model: Any) -> Iterator[Any]:
    """Yield the steps of a model, including those of nested pipelines and searches."""
    if isinstance(model, FrozenEstimator):
        yield from model_steps(model.estimator)
        return
    best = getattr(model, "best_estimator_", None)
    if best is not None:
        yield from model_steps(best)
    elif isinstance(model, Pipeline):
        for _, step in model.steps:
            yield from model_steps(step)
    elif model is not None and model != "passthrough":
        yield model


def open_pretrained(init: Any, kind: type) -> Pretrained | None:
    """Return what the only autoencoder in a model learned.

    Parameters
    ----------
    init : estimator or None
        An autoencoder, or a pipeline or search that holds one; the parameter of that name.
    kind : type
        The class of the autoencoder.

    Raises
    ------
    InputError
        If there is not exactly one autoencoder, or if it is not fitted.
    """
    if init is None:
        return None
    found: list[Any] = [step for step in model_steps(init) if isinstance(step, kind)]
    if len(found) != 1:
        raise InputError(
            f"init is {type(init).__name__}, in which there are {len(found)} steps that are an "
            "LSTMAutoencoder. Pass a fitted LSTMAutoencoder, or a fitted pipeline or search that "
            "holds exactly one."
        )
    (model,) = found
    if not hasattr(model, "weights_"):
        raise InputError(
            "the LSTMAutoencoder of init is not fitted. Fit it first, or load a fitted one. A "
            "search over init clones its candidates: wrap them in a FrozenEstimator, which stays "
            "fitted."
        )
    scaling = fitted_scaling(model)
    return Pretrained(
        Architecture(**model.architecture_),
        model.weights_,
        ChannelScaling(scaling.count.copy(), scaling.mean.copy(), scaling.std.copy()),
        getattr(model, "classes_", None),
        model.reconstruction_fraction,
        [] if model.is_table_ else list(getattr(model, "feature_names_in_", [])),
    )


class PretrainedMixin:
    """Keep the model of `init` as it was fitted, in clones and copies of the estimator."""

    init: Any

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name.

        Those of the model of `init` are none of them, since it is not fitted again.

        Parameters
        ----------
        deep : bool, default=True
            Has no effect.

        Returns
        -------
        params : dict
        """
        params: dict[str, Any] = super().get_params(deep=False)  # type: ignore[misc]
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name.

        Parameters
        ----------
        **params : dict

        Returns
        -------
        self : estimator

        Raises
        ------
        ValueError
            If there is no parameter of a name.
        """
        nested = [name for name in params if name.startswith("init__")]
        if nested:
            raise InputError(
                f"{nested[0]} would change the model of init, which stays as it was fitted. Set "
                f"{nested[0].removeprefix('init__')} of this estimator instead."
            )
        changed: Self = super().set_params(**params)  # type: ignore[misc]
        return changed

    def __sklearn_clone__(self) -> Self:
        # As `~sklearn.base.clone` would do it, except that it would clone `init` as well.
        bare = type(self).__new__(type(self))
        vars(bare).update(vars(self), init=None)
        clone: Self = super(PretrainedMixin, bare).__sklearn_clone__()  # type: ignore[misc]
        clone.init = self.init
        return clone

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()  # type: ignore[assignment]
        if state.get("init") is None:
            return state
        return {**state, "init": _without_its_own(state["init"], PretrainedMixin)}


def _without_its_own(init: Any, kind: type) -> Any:
    """Return only the autoencoder of a model, without the model that its own fit started from.

    Otherwise, each of many fits that continue one another would be saved with all before it.
    """
    found = [step for step in model_steps(init) if isinstance(step, kind)]
    if len(found) != 1:
        return init
    (model,) = found
    if getattr(model, "init", None) is None:
        return model
    bare = type(model).__new__(type(model))
    vars(bare).update(vars(model), init=None)
    return bare
