"""Whether what an estimator learned is consistent.

A file that executes no code may have been written by anybody, its checksum included. So before a
loaded network runs, everything in it that says how large something is has to agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from seqfeat.exceptions import ModelFileError
from seqfeat.nn.network import Architecture, trained_weight_names, weight_shapes

__all__ = ["RESOLVED", "check_consistent", "check_optimizer_state", "resolved_dimension"]

RESOLVED = ("embedding_dim", "hidden_dim", "patch_len", "window_len", "window_stride")
"""Dimensions of the architecture that are learned attributes as well, with an underscore."""


def resolved_dimension(architecture: Architecture, name: str) -> int:
    """Return a learned dimension; that of the embedding counts the statistics that it keeps."""
    dimension: int = getattr(architecture, "n_features" if name == "embedding_dim" else name)
    return dimension


def check_consistent(estimator: Any) -> None:
    """Raise `ModelFileError` if the learned attributes of an estimator contradict each other."""
    try:
        problem = next(_contradictions(vars(estimator)), None)
    except ModelFileError:
        raise
    except Exception as error:
        # An attribute is missing, or of any other type.
        problem = f"{type(error).__name__}: {error}"
    if problem is not None:
        raise ModelFileError(
            f"this {type(estimator).__name__} contradicts itself: {problem}. Its file was damaged "
            "or made by hand. Restore it from a copy, or fit it again."
        )


def check_optimizer_state(state: Mapping[str, Any], shapes: Sequence[tuple[int, ...]]) -> None:
    """Raise `ModelFileError` if an optimizer's state does not fit weights of the given shapes.

    PyTorch's AdamW does not check it, and writes beyond arrays that are too small.
    """
    for index, moments in state["state"].items():
        shape = shapes[int(index)] if int(index) in range(len(shapes)) else None
        expected = {"step": (), "exp_avg": shape, "exp_avg_sq": shape}
        found = {name: moment.shape for name, moment in moments.items()}
        if found != expected or any(one.dtype != np.float32 for one in moments.values()):
            raise ModelFileError(
                f"the state of the optimizer for weights {index} has the shapes {found}, not "
                f"{expected} of float32. Fit again instead of continuing."
            )


def _contradictions(learned: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong, without a full stop."""
    architecture, weights = Architecture(**learned["architecture_"]), learned["weights_"]
    shapes = weight_shapes(architecture)
    if weights.keys() != shapes.keys():
        yield f"its weights are {sorted(weights)}, but its network has {sorted(shapes)}"
    for name, shape in shapes.items():
        weight = weights[name]
        if weight.shape != shape or weight.dtype != np.float32:
            yield f"{name} is {weight.dtype} of shape {weight.shape}, not float32 of {shape}"
        elif not np.isfinite(weight).all():
            yield f"{name} is not finite"
    for name in RESOLVED:
        value, expected = learned.get(f"{name}_"), resolved_dimension(architecture, name)
        if value not in (None, expected):
            yield f"{name}_ is {value!r}, but its network's is {expected}"

    n_channels = architecture.n_channels
    shape = (n_channels,)
    if learned["n_channels_in_"] != n_channels:
        yield f"n_channels_in_ is {learned['n_channels_in_']!r}, but its network has {n_channels}"
    for name in ("n_observed_", "mean_", "std_"):
        values = learned[name]
        if values.shape != shape or values.dtype != np.float64:
            yield f"{name} is {values.dtype} of shape {values.shape}, not float64 of {shape}"
        elif not np.isfinite(values).all() or (name != "mean_" and (values < 0).any()):
            yield f"{name} is {values}"
    if learned["n_timesteps_in_"] < 1:
        yield f"n_timesteps_in_ is {learned['n_timesteps_in_']}"
    if learned["is_table_"] and n_channels != 1:
        yield f"it was fitted on a table, but its network has {n_channels} channels"

    n_classes = len(learned.get("classes_", ()))
    n_expected = n_classes if architecture.pooling == "reservoir" else architecture.n_classes
    if n_classes != n_expected:
        yield f"classes_ has {n_classes} classes, but its network {architecture.n_classes}"
    if learned.get("_optimizer_state") is not None:
        trained = [shapes[name] for name in trained_weight_names(architecture, shapes)]
        check_optimizer_state(learned["_optimizer_state"], trained)
