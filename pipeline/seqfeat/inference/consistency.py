"""What a fitted estimator may hold, as a table: each learned attribute and what it has to be.

A file that executes no code may have been written by anybody, its checksum included. So before
anything of a saved state becomes part of an estimator, every attribute has to have exactly the
type, range and shape that all other code, the kernels above all, relies on. Nothing is converted,
and what does not fit is an error.

What fits cannot be told from what was fitted: numbers that describe another network of the same
weights, such as a smaller `window_stride`, or windows of half the length over twice the channels,
if the scaling says the same. A parameter need not agree with its learned twin either, because
`set_params` changes it after `fit`. Such a file gives the results of the network that it
describes.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import cached_property, partial
from typing import Any

import numpy as np

from seqfeat.exceptions import ModelFileError
from seqfeat.nn.network import MAX_DIMENSION, Architecture, trained_weight_names, weight_shapes
from seqfeat.series.scaling import ChannelScaling

__all__ = ["RESOLVED", "check_consistent", "check_optimizer_state", "resolved_dimension"]

RESOLVED = ("embedding_dim", "hidden_dim", "patch_len", "window_len", "window_stride")
"""Dimensions of the architecture that are learned attributes as well, with an underscore."""
N_FIRST_DIMENSIONS = 9
"""Dimensions of an architecture that the first version saved; the later ones come after these."""
LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
"""Weights come near it where series of a tiny unit are not scaled."""
ARRAYS = (np.ndarray, np.memmap)
"""Types of arrays. joblib maps large ones into the memory of its processes."""

ABSENT = object()
"""Stands for an attribute that is missing."""

Check = Callable[[Any], str | None]
"""Returns what a value has to be, or None if that is what it is."""


def resolved_dimension(architecture: Architecture, name: str) -> int:
    """Return a learned dimension; that of the embedding counts the statistics that it keeps."""
    dimension: int = getattr(architecture, "n_features" if name == "embedding_dim" else name)
    return dimension


def check_consistent(estimator: Any, state: Mapping[str, Any]) -> None:
    """Raise `ModelFileError` if a state is not one that `fit` can leave.

    Parameters
    ----------
    estimator : LSTMAutoencoder
        Only its class matters, which declares the parameters.
    state : mapping
        Its parameters and attributes by name. Without any learned ones there is nothing to check,
        as `fit` checks the parameters.
    """
    if not any(name.endswith("_") for name in ATTRIBUTES.keys() & state.keys()):
        return
    try:
        problem = next(_contradictions(type(estimator), state), None)
    except (ModelFileError, MemoryError):
        raise
    except ValueError as error:
        # From scikit-learn about a parameter, or from here about a part of an attribute.
        problem = str(error)
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
    if problem is not None:
        raise ModelFileError(
            f"this {type(estimator).__name__} contradicts itself: {problem}. Its file was damaged "
            "or made by hand. Restore it from a copy, or fit it again."
        )


def _contradictions(cls: Any, state: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong, without a full stop."""
    cls(**{name: state[name] for name in cls._get_param_names()})._validate_params()
    learned = _Learned(state)
    for name, row in ATTRIBUTES.items():
        value = state.get(name, ABSENT)
        expected = row(learned)(value)
        if expected is not None:
            yield f"{name} is {_describe(value)}, not {expected}"


class _Learned:
    """What the rows of the table compare with; each row may use what those before it checked."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        self.state = state

    def __getitem__(self, name: str) -> Any:
        return self.state[name]

    @cached_property
    def architecture(self) -> Architecture:
        return Architecture(**self.state["architecture_"])

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return weight_shapes(self.architecture)

    @property
    def scaling(self) -> ChannelScaling:
        return ChannelScaling(*(self[name] for name in ("n_observed_", "mean_", "std_")))


# The checks of single values. Types are compared exactly: a bool is no integer.


def _boolean(value: Any) -> str | None:
    return None if type(value) is bool else "True or False"


def _number(value: Any) -> str | None:
    return None if type(value) is float and not math.isnan(value) else "a float"


def _losses(value: Any) -> str | None:
    is_right = type(value) is list and all(type(x) is float and math.isfinite(x) for x in value)
    return None if is_right else "a list of finite floats"


def _integer(smallest: int, largest: int = MAX_DIMENSION) -> Check:
    expected = f"an integer from {smallest} to {largest}"
    return lambda value: None if type(value) is int and smallest <= value <= largest else expected


def _equal(expected: int | bool) -> Check:
    def check(value: Any) -> str | None:
        return None if type(value) is type(expected) and value == expected else f"{expected!r}"

    return check


def _either(*checks: Check) -> Check:
    def check(value: Any) -> str | None:
        found = [one(value) for one in checks]
        return None if None in found else " or ".join(map(str, found))

    return check


def _missing(value: Any) -> str | None:
    return None if value is ABSENT else "missing"


def _none(value: Any) -> str | None:
    return None if value is None else "None"


def _array(
    dtype: type[np.floating[Any]],
    shape: tuple[int, ...],
    largest: float,
    smallest: float | None = None,
) -> Check:
    """Check an array of finite numbers."""
    smallest = -largest if smallest is None else smallest
    expected = f"{np.dtype(dtype)} of shape {shape} from {smallest:g} to {largest:g}"

    def check(value: Any) -> str | None:
        is_right = (
            type(value) in ARRAYS
            and value.dtype == dtype
            and value.shape == shape
            # NaN is in no range.
            and bool(((value >= smallest) & (value <= largest)).all())
        )
        return None if is_right else expected

    return check


# The checks that compare with other attributes


def _dimensions(value: Any) -> str | None:
    """Check the names; the architecture checks the numbers."""
    known = [field.name for field in fields(Architecture)]
    sets = [set(known[:n]) for n in range(N_FIRST_DIMENSIONS, len(known) + 1)]
    if type(value) is not dict or set(value) not in sets:
        return f"a dict of {', '.join(known)}"
    Architecture(**value)
    return None


def _resolved(name: str, learned: _Learned) -> Check:
    if name not in learned["architecture_"]:
        return _missing
    return _equal(resolved_dimension(learned.architecture, name))


def _longest(learned: _Learned) -> Check:
    """Check the longest training series, which has as many patches as the decoder's period.

    It may have more in a stream, whose later series are longer than those of its first part, and
    in a table whose last columns are empty.
    """
    a = learned.architecture
    is_open = learned["is_table_"] or "_optimizer_state" in learned.state
    largest = MAX_DIMENSION if is_open else a.time_period * a.patch_len
    return _integer((a.time_period - 1) * a.patch_len + 1, largest)


def _n_features(learned: _Learned) -> int:
    n_features: int = learned["n_timesteps_in_"]
    return n_features if learned["is_table_"] else learned.architecture.n_channels


def _names(n_features: int) -> Check:
    def check(value: Any) -> str | None:
        is_right = type(value) is np.ndarray and value.dtype == object
        is_right = is_right and value.shape == (n_features,)
        is_right = is_right and all(isinstance(name, str) for name in value)
        return None if is_right else f"{n_features} strings in an array of objects"

    return check


def _per_channel(learned: _Learned, smallest: float | None = None) -> Check:
    shape = (learned.architecture.n_channels,)
    return _array(np.float64, shape, float(np.finfo(np.float64).max), smallest)


def _divisor(learned: _Learned) -> Check:
    """Check what divides the series against the statistics that it is made from."""
    expected = learned.scaling.scale
    has_range = _per_channel(learned)

    def check(value: Any) -> str | None:
        is_right = has_range(value) is None and np.array_equal(value, expected)
        return None if is_right else f"what follows from mean_ and std_, {expected}"

    return check


def _weights(learned: _Learned) -> Check:
    def check(value: Any) -> str | None:
        shapes = learned.shapes
        if type(value) is not dict:
            return "a dict of weights"
        if value.keys() != shapes.keys():
            unlike = sorted(map(str, value.keys() ^ shapes.keys()))
            raise ValueError(
                f"weights_ and its network differ in {', '.join(unlike[:5])}"
                f"{' and others' if len(unlike) > 5 else ''}"
            )
        for name, shape in shapes.items():
            expected = _array(np.float32, shape, LARGEST_FLOAT32)(value[name])
            if expected is not None:
                raise ValueError(f"{name} is {_describe(value[name])}, not {expected}")
        return None

    return check


def _classes(learned: _Learned) -> Check:
    a = learned.architecture

    def check(value: Any) -> str | None:
        if a.n_classes and (value is ABSENT or np.shape(value) != (a.n_classes,)):
            return f"{a.n_classes} classes"
        is_right = (
            type(value) in ARRAYS
            and value.ndim == 1
            and len(value) >= 2
            and value.dtype.kind in "biufMmUSTO"
            and (value.dtype.kind != "O" or all(isinstance(one, str) for one in value))
            and bool((value[:-1] < value[1:]).all())
        )
        return None if is_right else "an array of at least 2 different classes in order"

    if a.n_classes:
        return check
    # A reservoir weights its statistics by labels, and needs no head for them.
    return _either(_missing, check) if a.pooling == "reservoir" else _missing


def _target_statistics(learned: _Learned, smallest: float | None = None) -> Check:
    """Check what is known of targets that are numbers; a reservoir needs no head for them."""
    n_targets, largest = learned.architecture.n_targets, float(np.finfo(np.float64).max)
    if n_targets:
        return _array(np.float64, (n_targets,), largest, smallest)
    if learned.architecture.pooling != "reservoir" or "classes_" in learned.state:
        return _missing
    shape = np.shape(learned.state.get("target_mean_", ()))
    is_vector = len(shape) == 1 and shape[0] > 0
    return _either(
        _missing, _array(np.float64, shape, largest, smallest) if is_vector else _missing
    )


def _optimizer(learned: _Learned) -> Check:
    def check(value: Any) -> str | None:
        if type(value) is not dict or value.keys() != {"state", "param_groups"}:
            return "a dict of state and param_groups"
        if type(value["state"]) is not dict or any(type(key) is not int for key in value["state"]):
            return "a dict whose state has the numbers of weights as keys"
        names = trained_weight_names(learned.architecture, learned.shapes)
        check_optimizer_state(value, [learned.shapes[name] for name in names])
        return None

    return check


def _output_config(value: Any) -> str | None:
    """Check what `set_output` stores; scikit-learn itself refuses unknown containers."""
    is_right = type(value) is dict and value.keys() <= {"transform"}
    is_right = is_right and all(type(name) is str for name in value.values())
    return None if is_right else "a dict of the container for transform"


def _callbacks(value: Any) -> str | None:
    return None if type(value) is list else "a list of callbacks"


def check_optimizer_state(state: Mapping[str, Any], shapes: Sequence[tuple[int, ...]]) -> None:
    """Raise `ModelFileError` if an optimizer's state does not fit weights of the given shapes.

    PyTorch's AdamW does not check it, and writes beyond arrays that are too small.
    """
    for index, moments in state["state"].items():
        shape = shapes[int(index)] if int(index) in range(len(shapes)) else None
        expected = "left out" if shape is None else _moments(shape)(moments)
        if expected is not None:
            raise ModelFileError(
                f"the state of the optimizer for weights {index} is {_describe(moments)}, not "
                f"{expected}. Fit again instead of continuing."
            )


def _moments(shape: tuple[int, ...]) -> Check:
    """Check the averages of a weight's gradients and of their squares, and the number of steps."""
    checks = {
        "step": _array(np.float32, (), LARGEST_FLOAT32, 0.0),
        "exp_avg": _array(np.float32, shape, LARGEST_FLOAT32),
        "exp_avg_sq": _array(np.float32, shape, LARGEST_FLOAT32, 0.0),
    }

    def check(value: Any) -> str | None:
        if type(value) is not dict or value.keys() != checks.keys():
            return f"a dict of {', '.join(checks)}"
        for name, one in checks.items():
            expected = one(value[name])
            if expected is not None:
                return f"a dict whose {name} is {expected}"
        return None

    return check


def _describe(value: Any) -> str:
    if value is ABSENT:
        return "missing"
    if isinstance(value, np.ndarray):
        kind = "" if type(value) in ARRAYS else f"{type(value).__name__}, "
        return f"{kind}{value.dtype} of shape {value.shape}: {reprlib.repr(value.tolist())}"
    if type(value) is dict:
        return f"a dict of {reprlib.repr(list(value))[1:-1]}"
    return f"{reprlib.repr(value)}, of type {type(value).__name__}"


ATTRIBUTES: dict[str, Callable[[_Learned], Check]] = {
    "architecture_": lambda learned: _dimensions,
    **{f"{name}_": partial(_resolved, name) for name in RESOLVED},
    # What the input was
    "n_channels_in_": lambda learned: _equal(learned.architecture.n_channels),
    "is_table_": lambda learned: (
        _boolean if learned.architecture.n_channels == 1 else _equal(False)
    ),
    "n_timesteps_in_": _longest,
    "n_features_in_": lambda learned: _equal(_n_features(learned)),
    "feature_names_in_": lambda learned: _either(_missing, _names(_n_features(learned))),
    "classes_": _classes,
    "target_mean_": _target_statistics,
    "target_scale_": lambda learned: _target_statistics(learned, 0.0),
    # The scaling
    "n_observed_": lambda learned: _per_channel(learned, 0.0),
    "mean_": _per_channel,
    "std_": lambda learned: _per_channel(learned, 0.0),
    "scale_": _divisor,
    # The training
    "weights_": _weights,
    "loss_curve_": lambda learned: _losses,
    "validation_loss_curve_": lambda learned: _either(_none, _losses),
    "n_iter_": lambda learned: _integer(0, len(learned["loss_curve_"])),
    "best_iter_": lambda learned: _integer(0, learned["n_iter_"]),
    "best_score_": lambda learned: _number,
    "anomaly_threshold_": lambda learned: _either(_missing, _number),
    "timestep_threshold_": lambda learned: _either(_missing, _number),
    "_optimizer_state": lambda learned: _either(_missing, _none, _optimizer(learned)),
    # What scikit-learn adds
    "_sklearn_output_config": lambda learned: _either(_missing, _output_config),
    "_skl_callbacks": lambda learned: _either(_missing, _callbacks),
}
"""Each attribute and what it has to be, given what those before it are."""
