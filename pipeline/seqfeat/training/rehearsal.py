"""Whether a classifier or regressor can learn from a set of series, tried out before the training.

What fails in it fails only once the features exist, after the training. Most of it can be known
before: too few series for its folds or neighbours, fewer series than features, series that are all
the same, numbers of which there is no logarithm, parameters that exclude each other. So the steps
after the autoencoder are fitted to random features first. Identical series get identical features,
as they do in earnest.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone, is_regressor
from sklearn.pipeline import Pipeline

from seqfeat.exceptions import InputError
from seqfeat.series.conversion import as_series
from seqfeat.series.lazy_array import is_lazy

__all__ = ["rehearse"]

MANY = 10
"""Distinct series from which on a class is not scarce; a regressor is tried with twice as many."""
N_FEATURES = 256
"""Random features that stand for those of ``embedding_dim=None``, of which there are thousands."""
N_TRIALS = 2
"""Draws of the features where series are identical."""
MAX_ROWS = 5000
"""Features of so many series take too long to try."""

Rows = NDArray[np.int64]
Steps = Sequence[tuple[str, Any]]
Keys = Callable[[int], bytes]
"""Returns the same for identical series, given their positions, and else something different."""


def rehearse(X: Any, targets: NDArray[Any], steps: Steps, n_features: int | None) -> None:
    """Fit copies of the steps to random features, unless there are many series of each class.

    Parameters
    ----------
    X : array-like
        The series; if they are not valid, or not as many as the targets, nothing is done.
    targets : ndarray of shape (n_samples,) or (n_samples, n_targets)
        Their classes, or their numbers if the last step is a regressor.
    steps : sequence of (str, estimator)
        The steps after the autoencoder, the classifier or regressor being the last one.
    n_features : int or None
        Number of features of each series.

    Raises
    ------
    InputError
        If a step cannot be fitted to so few or such series, or the last one not predict.
    """
    for _, step in steps:
        if hasattr(step, "_parameter_constraints"):
            step._validate_params()
    try:
        n_series, keys = _series_keys(X)
    except Exception:
        return  # the autoencoder says what is wrong with X
    if n_series != len(targets) or n_series == 0:
        return
    width = N_FEATURES if n_features is None else n_features
    if is_regressor(steps[-1][1]):
        _rehearse_regressor(targets, keys, steps, width)
    else:
        _rehearse_classifier(targets, keys, steps, width)


def _rehearse_classifier(labels: NDArray[Any], keys: Keys, steps: Steps, width: int) -> None:
    n_series = len(labels)
    classes, codes = np.unique(labels, return_inverse=True)
    size = max(2 * MANY, -(-2 * width // len(classes)))
    tried = [
        _choose_rows(np.flatnonzero(codes == code), keys, size) for code in range(len(classes))
    ]
    rows, fewest = np.concatenate([rows for rows, _ in tried]), min(n for _, n in tried)
    is_scarce = len(classes) == 1 or fewest < MANY or n_series < 2 * width
    if not is_scarce or len(rows) > MAX_ROWS:
        return
    error = _try(steps, labels[rows], [keys(int(row)) for row in rows], width)
    if error is not None and len(rows) < n_series:
        # A step may need more series of a class than were chosen.
        error = _try(steps, labels, [keys(row) for row in range(n_series)], width)
    if error is not None:
        reason, way_out = _describe(steps, labels, [keys(row) for row in range(n_series)], width)
        raise _refusal(steps, error, reason, way_out)


def _rehearse_regressor(numbers: NDArray[Any], keys: Keys, steps: Steps, width: int) -> None:
    n_series = len(numbers)
    # The smallest and the largest numbers are those of which a step may make NaN or infinity.
    extremes = np.unique([numbers.argmin(axis=0), numbers.argmax(axis=0)])
    others = np.delete(np.arange(n_series), extremes)
    size = max(2 * MANY, len(extremes))
    rows, _ = _choose_rows(np.concatenate([extremes, others]), keys, size)
    tried_keys = [keys(int(row)) for row in rows]
    error = _try(steps, numbers[rows], tried_keys, width)
    if error is None:
        return
    harmless = np.linspace(1.0, 2.0, numbers[rows].size).reshape(numbers[rows].shape)
    if _try(steps, harmless, tried_keys, width) is None:
        reason = f"y has numbers from {numbers.min():g} to {numbers.max():g}"
        way_out = "Transform y, or pass another regressor=..., such as RidgeCV()."
        raise _refusal(steps, error, reason, way_out)
    if len(rows) < n_series:
        # A step may need more series than were chosen.
        if n_series > MAX_ROWS:
            return
        tried_keys = [keys(row) for row in range(n_series)]
        error = _try(steps, numbers, tried_keys, width)
        if error is None:
            return
    n_distinct = len(set(tried_keys))
    if n_distinct == n_series:
        reason = f"there are {n_series} for {width} features"
    elif n_distinct == 1:
        reason = f"all {n_series} are identical"
    else:
        reason = f"only {n_distinct} of {n_series} are different"
    way_out = "Add series, or pass another regressor=..., such as RidgeCV()."
    raise _refusal(steps, error, reason, way_out)


def _refusal(steps: Steps, error: Exception, reason: str, way_out: str) -> InputError:
    """Return the error for steps that cannot be fitted, with `error` as its cause."""
    refusal = InputError(
        f"{type(steps[-1][1]).__name__} cannot be trained on these series: {reason} "
        f"({str(error).strip().splitlines()[0].rstrip('.')}). {way_out}"
    )
    refusal.__cause__ = error
    return refusal


def _series_keys(X: Any) -> tuple[int, Keys]:
    """Return the number of series, and what tells which of them are identical."""
    if is_lazy(X):
        # Reading one row means reading its chunk.
        return int(X.shape[0]), lambda row: str(row).encode()
    if isinstance(X, np.ndarray) and X.dtype != object and X.ndim > 1:
        return len(X), lambda row: _digest(X[row])
    series = as_series(X, missing="mask")
    values, lengths = series.values, series.lengths
    return len(series), lambda row: _digest(values[row, : lengths[row]])


def _digest(values: NDArray[Any]) -> bytes:
    return blake2b(np.ascontiguousarray(values).tobytes(), digest_size=16).digest()


def _choose_rows(rows: Rows, keys: Keys, size: int) -> tuple[Rows, int]:
    """Return up to `size` rows of a class, distinct ones first, and how many of them are."""
    first: dict[bytes, int] = {}
    repeated: list[int] = []
    for row in rows:
        if first.setdefault(keys(int(row)), int(row)) != row:
            repeated.append(int(row))
        if len(first) == size:
            break
    chosen = [*first.values(), *repeated[: size - len(first)]]
    return np.array(chosen, dtype=np.int64), len(first)


def _try(steps: Steps, targets: NDArray[Any], keys: list[bytes], width: int) -> Exception | None:
    """Fit copies of the steps to random features, and return the error if that fails."""
    _, codes = np.unique(np.array(keys, dtype=object), return_inverse=True)
    n_distinct = int(codes.max()) + 1
    # With identical rows, rounding decides whether a matrix is singular.
    n_trials = N_TRIALS if n_distinct < len(keys) else 1
    for trial in range(n_trials):
        random = np.random.default_rng(trial).standard_normal((n_distinct, width))
        if trial:
            # A few series have as few principal components; the other features are then 0.
            random[:, max(1, n_distinct - 1) :] = 0.0
        # A network computes in float32, so embeddings are such numbers, also as float64.
        features = random.astype(np.float32).astype((np.float64, np.float32)[trial % 2])[codes]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                _copy(steps).fit(features, targets).predict(features[:MANY])
            except (ValueError, ArithmeticError, IndexError) as error:
                return error
            except Exception:
                return None  # no matter of the series
    return None


def _copy(steps: Steps) -> Pipeline:
    """Return unfitted copies, with a seed, as they would draw from the global random state."""
    model = clone(Pipeline(list(steps)))
    parameters = model.get_params()
    seeds = [name for name in parameters if name.endswith("random_state")]
    return model.set_params(**{name: 0 for name in seeds if parameters[name] is None})


def _describe(steps: Steps, labels: NDArray[Any], keys: list[bytes], width: int) -> tuple[str, str]:
    """Say what is special about series to which a classifier cannot be fitted, and a way out."""
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) == 1:
        return f"there is only one class, {classes.tolist()[0]!r}", "Add series of another class."
    way_out = "Add series, or pass another classifier=..., such as LogisticRegression()."
    many = np.repeat(classes, min(2 * width + MANY, max(MANY, MAX_ROWS // len(classes))))
    if _try(steps, many, [str(row).encode() for row in range(len(many))], width) is not None:
        return f"of {len(classes)} classes, whatever their series", way_out
    if len(set(keys)) == 1:
        return f"all {len(keys)} are identical", way_out
    n_distinct = np.array(
        [len({keys[row] for row in np.flatnonzero(labels == name)}) for name in classes]
    )
    scarcest = int(np.argmin(n_distinct))
    name, count, number = classes.tolist()[scarcest], counts[scarcest], n_distinct[scarcest]
    if number < count:
        same = "are identical" if number == 1 else f"are only {number} different ones"
        return f"the {count} series of class {name!r} {same}", way_out
    if count < MANY:
        return f"class {name!r} has {count} series", way_out
    return f"there are {len(labels)} for {width} features", way_out
