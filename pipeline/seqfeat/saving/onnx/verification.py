"""Verifying in onnxruntime that a graph returns what the fitted pipeline returns.

The check has two parts, so that it is strict without failing on rounding errors. First,
the graph's embeddings are compared with the encoder's. Then the steps after the
encoder receive the graph's own embeddings and must return the graph's results. A
difference of 1e-7 in an embedding may send a series down another branch of a tree:
this does not pass for a wrong classifier, and a wrong classifier cannot hide behind it.
"""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from seqfeat.exceptions import ExportError
from seqfeat.saving.onnx.conversion import Output
from seqfeat.saving.onnx.encoder import EMBEDDINGS_NODE

__all__ = ["draw_series", "embed_on_cpu", "run_steps", "verify_model"]

TOLERANCE = 1e-5
"""Largest allowed difference between graph and pipeline.

It is relative to values above 1, and for a regressor to the range of what it predicts, plus a tenth
of the largest absolute value, of which float32 has seven digits.
"""
MAX_SERIES, MIN_SERIES = 128, 8
MAX_TIMESTEPS = 2**14
"""Timesteps of all series together, so that verifying long ones takes seconds."""


def draw_series(autoencoder: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Draw random walks of different lengths, in the units of the training data.

    Shape (N, T, C), padded with NaN, or (N, T) for a table. With ``missing="mask"``,
    some values are missing.
    """
    rng = np.random.default_rng(0)
    n_channels, longest = autoencoder.n_channels_in_, autoencoder.n_timesteps_in_
    if not autoencoder.is_table_:
        longest += autoencoder.patch_len_
    n_series = int(np.clip(MAX_TIMESTEPS // longest, MIN_SERIES, MAX_SERIES))
    shape = (n_series, longest, n_channels)
    walks = rng.normal(size=shape).cumsum(axis=1) / np.sqrt(1 + np.arange(longest))[:, None]
    X = autoencoder.mean_ + autoencoder.scale_ * walks * rng.uniform(0.3, 2, (n_series, 1, 1))
    can_pad = not (autoencoder.is_table_ and autoencoder.missing == "error")
    lengths = rng.integers(1, longest + 1, n_series) if can_pad else np.full(n_series, longest)
    lengths[:2] = longest, (1 if can_pad else longest)
    X[np.arange(longest) >= lengths[:, None]] = np.nan
    if autoencoder.missing == "mask":
        gaps = rng.random(X.shape) < 0.1
        gaps[:, 0] = gaps[0] = False
        X[gaps] = np.nan
    X = X.astype(dtype)
    drawn: NDArray[Any] = X[:, :, 0] if autoencoder.is_table_ else X
    return drawn


def embed_on_cpu(autoencoder: Any, X: NDArray[Any]) -> NDArray[Any]:
    """Return the encoder's embeddings of padded series, whatever device it was fitted on."""
    series = [row[: _length(row)] for row in X]
    on_cpu = copy.copy(autoencoder).set_params(device="cpu")
    return np.asarray(on_cpu.transform(series))


def _length(row: NDArray[Any]) -> int:
    observed = ~np.isnan(row.reshape(len(row), -1)).all(axis=1)
    return int(np.flatnonzero(observed)[-1]) + 1


def run_steps(tail: list[tuple[str, Any]], method: str, Z: NDArray[Any]) -> NDArray[Any]:
    """Apply the steps after the encoder to embeddings, and the last one's `method`."""
    with warnings.catch_warnings():
        # For example, because a step was fitted on a DataFrame of embeddings.
        warnings.simplefilter("ignore")
        for _, step in tail[:-1]:
            Z = np.asarray(step.transform(Z))
        return np.asarray(getattr(tail[-1][1], method)(Z)) if tail else Z


def verify_model(
    model: onnx.ModelProto,
    X: NDArray[Any],
    embeddings: NDArray[Any],
    tail: list[tuple[str, Any]],
    outputs: list[Output],
) -> None:
    """Raise `ExportError` unless the graph's embeddings and results match the pipeline's.

    Parameters
    ----------
    model : ModelProto
        The complete model.
    X : ndarray
        Series, padded with NaN.
    embeddings : ndarray
        The encoder's embeddings of `X`.
    tail : list of (name, estimator) tuples
        The steps after the encoder.
    outputs : list of Output
        The model's outputs.
    """
    onnx.checker.check_model(model, full_check=True)
    found = _run_model(_with_embeddings(model), X, ["embeddings_to_check"])[0]
    _compare_numbers("embeddings", found, embeddings)
    results = _run_model(model, X, [output.name for output in outputs])
    for output, result in zip(outputs, results, strict=True):
        expected = run_steps(tail, output.method, found.astype(np.float64))
        if output.name == "label":
            _compare_labels(result, expected)
        else:
            _compare_numbers(output.name, result, expected)


def _with_embeddings(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of the model that outputs the embeddings as well."""
    extended = onnx.ModelProto()
    extended.CopyFrom(model)
    nodes = {node.name: node for node in extended.graph.node}
    inner = nodes[EMBEDDINGS_NODE].input[0]
    extended.graph.node.append(onnx.helper.make_node("Identity", [inner], ["embeddings_to_check"]))
    value = onnx.helper.make_tensor_value_info(
        "embeddings_to_check", onnx.TensorProto.FLOAT, [None, None]
    )
    extended.graph.output.append(value)
    return extended


def _run_model(model: onnx.ModelProto, X: NDArray[Any], names: list[str]) -> list[NDArray[Any]]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [np.asarray(result) for result in session.run(names, {"X": X})]


def _compare_numbers(name: str, found: NDArray[Any], expected: NDArray[Any]) -> None:
    if found.shape != expected.shape:
        raise ExportError(
            f"its {name} have shape {found.shape}, but the pipeline's have {expected.shape}"
        )
    difference = np.abs(found - expected) / _units(name, expected)
    difference[~(difference <= np.inf)] = np.inf
    n_wrong = int((difference > TOLERANCE).any(axis=tuple(range(1, found.ndim))).sum())
    if n_wrong:
        raise ExportError(
            f"its {name} differ from the pipeline's by up to {difference.max():.2g}, and by more "
            f"than {TOLERANCE:g} for {n_wrong} of {len(found)} randomly drawn series"
        )


def _units(name: str, expected: NDArray[Any]) -> NDArray[Any]:
    """Return what a difference is compared with, of a shape that broadcasts."""
    sizes: NDArray[Any] = np.abs(expected)
    units: NDArray[Any] = np.maximum(sizes, 1.0)
    if name == "prediction":
        # The numbers that a regressor predicts may all be millions, or millionths.
        ranges = np.ptp(expected, axis=0) + 0.1 * sizes.max(axis=0)
        units = np.where(ranges > 0, ranges, 1.0)
    return units


def _compare_labels(found: NDArray[Any], expected: NDArray[Any]) -> None:
    n_wrong = int((found != expected).sum()) if found.shape == expected.shape else len(expected)
    if n_wrong:
        raise ExportError(
            f"its labels differ from the pipeline's for {n_wrong} of {len(expected)} randomly "
            "drawn series"
        )
