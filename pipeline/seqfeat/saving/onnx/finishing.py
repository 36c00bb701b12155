"""What a graph of skl2onnx still needs: honest outputs, named axes, and its papers."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np
import onnx
import sklearn
from numpy.typing import NDArray
from onnx import TensorProto, helper
from sklearn.base import is_regressor

from seqfeat.version import __version__

__all__ = ["Output", "add_papers", "finish", "outputs_of"]

N_SERIES, N_TIMESTEPS = "n_series", "n_timesteps"


class Output(NamedTuple):
    """An output of the graph, and the method of the pipeline that it equals."""

    name: str
    method: str


def outputs_of(steps: list[tuple[str, Any]]) -> list[Output]:
    """Return the outputs that fitted steps have, in skl2onnx's order."""
    last = steps[-1][1]
    if len(steps) == 1:
        return [Output("embeddings", "transform")]
    if not hasattr(last, "predict"):
        return [Output("features", "transform")]
    if is_regressor(last):
        return [Output("prediction", "predict")]
    label = Output("label", "predict")
    if hasattr(last, "predict_proba"):
        return [label, Output("probabilities", "predict_proba")]
    if hasattr(last, "decision_function"):
        return [label, Output("decision_function", "decision_function")]
    return [label]


def finish(
    model: onnx.ModelProto,
    outputs: list[Output],
    results: list[NDArray[Any]],
    dtype: np.dtype[Any],
) -> None:
    """Name inputs, outputs and axes; give each output scikit-learn's shape and one dtype.

    `results` are what scikit-learn returns for some series, for their shapes.
    """
    graph = model.graph
    raw = [value.name for value in graph.output]
    if len(raw) < len(outputs):
        raise ValueError(f"it has no output for {outputs[len(raw)].method}")
    del graph.output[:]
    for output, name, result in zip(outputs, raw, results, strict=False):
        _add_output(graph, output, _renamed(graph, name), result, dtype)
    axes = graph.input[0].type.tensor_type.shape.dim
    axes[0].dim_param = N_SERIES
    if len(axes) == 3:
        axes[1].dim_param = N_TIMESTEPS


def _renamed(graph: onnx.GraphProto, name: str) -> str:
    """Free the name of an output, and return the new one."""
    new = f"{name}_of_the_last_step"
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [new if other == name else other for other in names]
    return new


def _add_output(
    graph: onnx.GraphProto,
    output: Output,
    raw: str,
    result: NDArray[Any],
    dtype: np.dtype[Any],
) -> None:
    name = output.name
    if result.ndim == 1:
        raw = _flattened(graph, raw, name)
    if name == "label":
        kind: int = TensorProto.INT64 if result.dtype.kind in "iufb" else TensorProto.STRING
        node = helper.make_node("Identity", [raw], [name], f"seqfeat_output_{name}")
    else:
        kind = helper.np_dtype_to_tensor_dtype(dtype)
        node = helper.make_node("Cast", [raw], [name], f"seqfeat_output_{name}", to=kind)
    graph.node.append(node)
    shape = [N_SERIES, *result.shape[1:]]
    graph.output.append(helper.make_tensor_value_info(name, kind, shape))


def _flattened(graph: onnx.GraphProto, raw: str, name: str) -> str:
    """Return one number or label a series, where skl2onnx has one or two columns."""
    flat = f"{name}_flat"
    if name == "decision_function":
        # Of two classes there are both signs of what scikit-learn returns, or one column.
        index = onnx.numpy_helper.from_array(np.array(-1), f"{name}_column")
        graph.initializer.append(index)
        graph.node.append(helper.make_node("Gather", [raw, index.name], [flat], axis=1))
        return flat
    shape = onnx.numpy_helper.from_array(np.array([-1]), f"{name}_shape")
    graph.initializer.append(shape)
    graph.node.append(helper.make_node("Reshape", [raw, shape.name], [flat]))
    return flat


def add_papers(model: onnx.ModelProto, autoencoder: Any, last: Any, outputs: list[Output]) -> None:
    """State who made the model, from what, and what it takes and returns."""
    versions: dict[str, int] = {}
    for opset in model.opset_import:
        versions[opset.domain] = max(opset.version, versions.get(opset.domain, 0))
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(*item) for item in versions.items())
    # The oldest format that has these operators, for the sake of older runtimes.
    model.ir_version = helper.find_min_ir_version_for(list(model.opset_import), True)
    model.producer_name, model.producer_version = "seqfeat", __version__
    model.domain = ""
    model.graph.name = "seqfeat"
    contract = _contract(autoencoder)
    model.graph.input[0].doc_string = contract
    for value, output in zip(model.graph.output, outputs, strict=True):
        value.doc_string = f"What {output.method} returns."
    model.doc_string = (
        f"Time series in, {' and '.join(output.name for output in outputs)} out.\n{contract}"
    )
    papers = {
        "seqfeat_version": __version__,
        "scikit-learn_version": sklearn.__version__,
        "input": contract,
        "missing": autoencoder.missing,
        "n_channels": str(autoencoder.n_channels_in_),
        "n_timesteps_in_training": str(autoencoder.n_timesteps_in_),
        "embedding_dim": str(autoencoder.embedding_dim_),
    }
    if hasattr(last, "classes_"):
        papers["classes"] = json.dumps(np.asarray(last.classes_).tolist())
    helper.set_model_props(model, papers)


def _contract(autoencoder: Any) -> str:
    if autoencoder.is_table_:
        shape = f"X has shape (n_series, {autoencoder.n_timesteps_in_}): one channel."
        end = "" if autoencoder.missing == "error" else " NaN at the end ends a series."
    else:
        shape = f"X has shape (n_series, n_timesteps, {autoencoder.n_channels_in_})."
        end = " A series shorter than others is filled up with NaN."
    inside = (
        " Any other NaN is a missing value."
        if autoencoder.missing == "mask"
        else " Any other NaN is an error."
        if end
        else " NaN is an error."
    )
    return (
        f"{shape}{end}{inside} Infinity, a series of nothing but NaN and values too far from "
        "the training data are errors; the node that fails names the error, and the last number "
        "of its requested shape is the index of the series."
    )
