"""Whether a graph gives what the fitted pipeline gives, found out in onnxruntime.

In two parts, so that the check is neither blunt nor at the mercy of rounding. The
graph's embeddings are compared with the encoder's. Then the steps behind the
encoder are given the graph's own embeddings, and have to return the graph's
results: a difference of 1e-7 in an embedding, which may well send a series down
another branch of a tree, is not mistaken for a wrong classifier, and a wrong
classifier cannot hide behind one.
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
from seqfeat.saving.onnx.encoder_graph import EMBEDDINGS_NODE
from seqfeat.saving.onnx.finishing import Output

__all__ = ["check_graph", "draw_series", "embeddings_on_cpu", "result_of"]

TOLERANCE = 1e-5
"""The largest difference, relative to numbers above 1, between the graph and the pipeline."""
MOST_SERIES, LEAST_SERIES = 128, 8
MOST_TIMESTEPS = 2**14
"""Timesteps of all series together, so that a check of long ones takes seconds."""


def draw_series(autoencoder: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return random walks in the units of the training data, of unequal length.

    Shape (N, T, C), NaN behind the shorter ones; (N, T) for a table. With
    ``missing="mask"`` some values inside are missing.
    """
    rng = np.random.default_rng(0)
    n_channels, longest = autoencoder.n_channels_in_, autoencoder.n_timesteps_in_
    if not autoencoder.is_table_:
        longest += autoencoder.patch_len_
    n_series = int(np.clip(MOST_TIMESTEPS // longest, LEAST_SERIES, MOST_SERIES))
    shape = (n_series, longest, n_channels)
    walks = rng.normal(size=shape).cumsum(axis=1) / np.sqrt(1 + np.arange(longest))[:, None]
    X = autoencoder.mean_ + autoencoder.scale_ * walks * rng.uniform(0.3, 2, (n_series, 1, 1))
    may_end = not (autoencoder.is_table_ and autoencoder.missing == "error")
    lengths = rng.integers(1, longest + 1, n_series) if may_end else np.full(n_series, longest)
    lengths[:2] = longest, (1 if may_end else longest)
    X[np.arange(longest) >= lengths[:, None]] = np.nan
    if autoencoder.missing == "mask":
        gaps = rng.random(X.shape) < 0.1
        gaps[:, 0] = gaps[0] = False
        X[gaps] = np.nan
    X = X.astype(dtype)
    drawn: NDArray[Any] = X[:, :, 0] if autoencoder.is_table_ else X
    return drawn


def embeddings_on_cpu(autoencoder: Any, X: NDArray[Any]) -> NDArray[Any]:
    """Return the encoder's embeddings, whatever device it was fitted on."""
    series = [row[: _length(row)] for row in X]
    on_cpu = copy.copy(autoencoder).set_params(device="cpu")
    return np.asarray(on_cpu.transform(series))


def _length(row: NDArray[Any]) -> int:
    observed = ~np.isnan(row.reshape(len(row), -1)).all(axis=1)
    return int(np.flatnonzero(observed)[-1]) + 1


def result_of(tail: list[tuple[str, Any]], method: str, Z: NDArray[Any]) -> NDArray[Any]:
    """Return what the steps behind the encoder make of embeddings."""
    with warnings.catch_warnings():
        # Such as that a step was fitted on a DataFrame of embeddings.
        warnings.simplefilter("ignore")
        for _, step in tail[:-1]:
            Z = np.asarray(step.transform(Z))
        return np.asarray(getattr(tail[-1][1], method)(Z)) if tail else Z


def check_graph(
    model: onnx.ModelProto,
    X: NDArray[Any],
    embeddings: NDArray[Any],
    tail: list[tuple[str, Any]],
    outputs: list[Output],
) -> None:
    """Raise `ExportError` unless the graph's embeddings and results are the pipeline's."""
    found = _run(_with_embeddings(model), X, ["embeddings_to_check"])[0]
    _refuse_other_numbers("embeddings", found, embeddings)
    results = _run(model, X, [output.name for output in outputs])
    for output, result in zip(outputs, results, strict=True):
        expected = result_of(tail, output.method, found.astype(np.float64))
        if output.name == "label":
            _refuse_other_labels(result, expected)
        else:
            _refuse_other_numbers(output.name, result, expected)


def _with_embeddings(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy that returns the embeddings too."""
    revealing = onnx.ModelProto()
    revealing.CopyFrom(model)
    nodes = {node.name: node for node in revealing.graph.node}
    inner = nodes[EMBEDDINGS_NODE].input[0]
    revealing.graph.node.append(onnx.helper.make_node("Identity", [inner], ["embeddings_to_check"]))
    value = onnx.helper.make_tensor_value_info(
        "embeddings_to_check", onnx.TensorProto.FLOAT, [None, None]
    )
    revealing.graph.output.append(value)
    return revealing


def _run(model: onnx.ModelProto, X: NDArray[Any], names: list[str]) -> list[NDArray[Any]]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [np.asarray(result) for result in session.run(names, {"X": X})]


def _refuse_other_numbers(name: str, found: NDArray[Any], expected: NDArray[Any]) -> None:
    if found.shape != expected.shape:
        raise ExportError(f"its {name} have shape {found.shape}, the pipeline's {expected.shape}")
    difference = np.abs(found - expected) / np.maximum(1.0, np.abs(expected))
    difference[~(difference <= np.inf)] = np.inf
    n_wrong = int((difference > TOLERANCE).any(axis=tuple(range(1, found.ndim))).sum())
    if n_wrong:
        raise ExportError(
            f"its {name} differ from the pipeline's by up to {difference.max():.2g}, and by more "
            f"than {TOLERANCE:g} for {n_wrong} of {len(found)} series drawn at random"
        )


def _refuse_other_labels(found: NDArray[Any], expected: NDArray[Any]) -> None:
    n_wrong = int((found != expected).sum()) if found.shape == expected.shape else len(expected)
    if n_wrong:
        raise ExportError(
            f"it labels {n_wrong} of {len(expected)} series drawn at random differently"
        )
