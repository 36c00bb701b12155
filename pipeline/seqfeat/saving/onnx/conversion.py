"""Fitted steps as one ONNX model, with its outputs, axis names and metadata."""

from __future__ import annotations

import json
import warnings
from typing import Any, NamedTuple

import numpy as np
import onnx
import sklearn
from numpy.typing import NDArray
from onnx import TensorProto, helper
from skl2onnx import convert_sklearn, get_model_alias
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType
from skl2onnx.sklapi import CastTransformer
from sklearn.base import is_classifier, is_regressor
from sklearn.compose import TransformedTargetRegressor
from sklearn.pipeline import Pipeline

from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.saving.onnx.encoder import convert_autoencoder, set_autoencoder_shape
from seqfeat.saving.onnx.predictors import find_converter
from seqfeat.version import __version__

__all__ = ["Output", "build_model", "outputs_of"]

ML_OPSET = 3
"""Version of the operators for classical models: the first with float64 in trees."""
N_SERIES, N_TIMESTEPS = "n_series", "n_timesteps"


class Output(NamedTuple):
    """An output of the graph, and the method of the pipeline whose result it is."""

    name: str
    method: str


def outputs_of(steps: list[tuple[str, Any]]) -> list[Output]:
    """Return the outputs for fitted steps, in skl2onnx's order."""
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


def build_model(
    steps: list[tuple[str, Any]],
    outputs: list[Output],
    examples: list[NDArray[Any]],
    dtype: np.dtype[Any],
    opset: int,
    precision: str,
) -> onnx.ModelProto:
    """Convert fitted steps into a complete model.

    Parameters
    ----------
    steps : list of (name, estimator) tuples
        The autoencoder first.
    outputs : list of Output
        Those of `outputs_of`.
    examples : list of ndarray
        For each output, what scikit-learn returns for some series. The model's outputs
        are declared with their shapes and kinds.
    dtype : dtype
        Of the input, and of all outputs except labels.
    opset : int
        The newest version of ONNX's operators to use.
    precision : {"float64", "float32"}
        The dtype in which the last step computes.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = _convert(steps, dtype, opset, precision)
    _declare_outputs(model.graph, outputs, examples, dtype)
    _name_input_axes(model.graph)
    _normalize_versions(model)
    _add_metadata(model, steps[0][1], steps[-1][1], outputs)
    return model


# skl2onnx's graph


def _convert(
    steps: list[tuple[str, Any]], dtype: np.dtype[Any], opset: int, precision: str
) -> onnx.ModelProto:
    """Return skl2onnx's graph of fitted steps.

    Converters are passed to this call only, so that nothing remains registered. Our
    own converters for predictors apply to the last step only: skl2onnx's converters for
    classifiers that wrap other classifiers depend on its own.
    """
    autoencoder, last = steps[0][1], steps[-1][1]
    if precision == "float32":
        steps = [*steps[:-1], ("float32", CastTransformer(dtype=np.float32)), steps[-1]]
    tensor = FloatTensorType if dtype == np.float32 else DoubleTensorType
    shape = [None, None, autoencoder.n_channels_in_]
    if autoencoder.is_table_:
        shape = [None, autoencoder.n_timesteps_in_]
    converters: dict[type, Any] = {LSTMAutoencoder: convert_autoencoder}
    parsers: dict[type, Any] = {LSTMAutoencoder: _parse_autoencoder}
    shapes: dict[type, Any] = {LSTMAutoencoder: set_autoencoder_shape}
    converter = find_converter(last)
    if converter:
        converters[type(last)] = converter
        if is_classifier(last):
            parsers[type(last)] = _parse_classifier
    if isinstance(last, TransformedTargetRegressor):
        parsers[type(last)], shapes[type(last)] = _parse_regressor, _keep_shape
        inner = find_converter(last.regressor_)
        if inner:
            converters[type(last.regressor_)] = inner
    model: onnx.ModelProto = _convert_without_zipmap(
        Pipeline(steps),
        takes_option=is_classifier(last) and not converter,
        initial_types=[("X", tensor(shape))],
        target_opset={"": opset, "ai.onnx.ml": ML_OPSET},
        custom_conversion_functions=converters,
        custom_shape_calculators=shapes,
        custom_parsers=parsers,
    )
    return model


def _convert_without_zipmap(pipeline: Pipeline, takes_option: bool, **settings: Any) -> Any:
    """Convert so that probabilities are an array rather than a dictionary per series."""
    last = pipeline.steps[-1][1]
    if takes_option:
        try:
            return convert_sklearn(pipeline, options={id(last): {"zipmap": False}}, **settings)
        except (NameError, RuntimeError) as error:
            # A converter that the user registered may not know the option.
            if "zipmap" not in str(error):
                raise
    return convert_sklearn(pipeline, options={id(last): {}}, **settings)


def _parse_autoencoder(scope: Any, autoencoder: Any, inputs: list[Any], **_: Any) -> list[Any]:
    """Declare the embeddings as float64, the dtype that the following steps take over."""
    operator = scope.declare_local_operator(None, autoencoder)
    operator.inputs = inputs
    operator.outputs.append(scope.declare_local_variable("embeddings", DoubleTensorType()))
    outputs: list[Any] = operator.outputs
    return outputs


def _parse_classifier(scope: Any, classifier: Any, inputs: list[Any], **_: Any) -> list[Any]:
    """Declare labels and scores, without the dictionaries that skl2onnx's parser adds."""
    operator = scope.declare_local_operator(get_model_alias(type(classifier)), classifier)
    operator.inputs = inputs
    scores = FloatTensorType if isinstance(inputs[0].type, FloatTensorType) else DoubleTensorType
    operator.outputs.append(scope.declare_local_variable("label", Int64TensorType()))
    operator.outputs.append(scope.declare_local_variable("probabilities", scores()))
    outputs: list[Any] = operator.outputs
    return outputs


def _parse_regressor(scope: Any, regressor: Any, inputs: list[Any], **_: Any) -> list[Any]:
    """Declare the prediction as float64."""
    operator = scope.declare_local_operator(None, regressor)
    operator.inputs = inputs
    operator.outputs.append(scope.declare_local_variable("variable", DoubleTensorType()))
    outputs: list[Any] = operator.outputs
    return outputs


def _keep_shape(operator: Any) -> None:
    """Leave the shape of the outputs open; that of the model's outputs is declared."""


# Outputs and axes


def _declare_outputs(
    graph: onnx.GraphProto,
    outputs: list[Output],
    examples: list[NDArray[Any]],
    dtype: np.dtype[Any],
) -> None:
    """Replace skl2onnx's outputs by named ones with scikit-learn's shapes and a single dtype."""
    raw_names = [value.name for value in graph.output]
    if len(raw_names) < len(outputs):
        raise ValueError(f"it has no output for {outputs[len(raw_names)].method}")
    del graph.output[:]
    for output, name, example in zip(outputs, raw_names, examples, strict=False):
        _add_output(graph, output.name, _rename_value(graph, name), example, dtype)


def _rename_value(graph: onnx.GraphProto, name: str) -> str:
    """Rename a value, so that its name is free for an output; return its new name."""
    new = f"{name}_of_the_last_step"
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [new if other == name else other for other in names]
    return new


def _add_output(
    graph: onnx.GraphProto, name: str, raw: str, example: NDArray[Any], dtype: np.dtype[Any]
) -> None:
    """Add an output with the shape of the example, computed from the value `raw`."""
    if example.ndim == 1:
        raw = _flatten(graph, raw, name)
    if name == "label":
        kind: int = TensorProto.INT64 if example.dtype.kind in "iufb" else TensorProto.STRING
        node = helper.make_node("Identity", [raw], [name], f"seqfeat_output_{name}")
    else:
        kind = helper.np_dtype_to_tensor_dtype(dtype)
        node = helper.make_node("Cast", [raw], [name], f"seqfeat_output_{name}", to=kind)
    graph.node.append(node)
    shape = [N_SERIES, *example.shape[1:]]
    graph.output.append(helper.make_tensor_value_info(name, kind, shape))


def _flatten(graph: onnx.GraphProto, raw: str, name: str) -> str:
    """Return one number or label per series, of which skl2onnx makes one or two columns."""
    flat = f"{name}_flat"
    if name == "decision_function":
        # For two classes, a single column, or the negative and then scikit-learn's value.
        index = onnx.numpy_helper.from_array(np.array(-1), f"{name}_column")
        graph.initializer.append(index)
        graph.node.append(helper.make_node("Gather", [raw, index.name], [flat], axis=1))
        return flat
    shape = onnx.numpy_helper.from_array(np.array([-1]), f"{name}_shape")
    graph.initializer.append(shape)
    graph.node.append(helper.make_node("Reshape", [raw, shape.name], [flat]))
    return flat


def _name_input_axes(graph: onnx.GraphProto) -> None:
    axes = graph.input[0].type.tensor_type.shape.dim
    axes[0].dim_param = N_SERIES
    if len(axes) == 3:
        axes[1].dim_param = N_TIMESTEPS


# Versions and metadata


def _normalize_versions(model: onnx.ModelProto) -> None:
    """Declare each opset once, and the oldest file format that supports them."""
    versions: dict[str, int] = {}
    for opset in model.opset_import:
        versions[opset.domain] = max(opset.version, versions.get(opset.domain, 0))
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(*item) for item in versions.items())
    # Older runtimes reject newer formats.
    model.ir_version = helper.find_min_ir_version_for(list(model.opset_import), True)


def _add_metadata(
    model: onnx.ModelProto, autoencoder: Any, last: Any, outputs: list[Output]
) -> None:
    """Document where the model came from, its input and its outputs."""
    model.producer_name, model.producer_version = "seqfeat", __version__
    model.domain = ""
    model.graph.name = "seqfeat"
    input_format = _describe_input(autoencoder)
    model.graph.input[0].doc_string = input_format
    for value, output in zip(model.graph.output, outputs, strict=True):
        value.doc_string = f"The result of {output.method}."
    model.doc_string = (
        f"Input: time series. Output: {' and '.join(output.name for output in outputs)}.\n"
        f"{input_format}"
    )
    metadata = {
        "seqfeat_version": __version__,
        "scikit-learn_version": sklearn.__version__,
        "input": input_format,
        "missing": autoencoder.missing,
        "n_channels": str(autoencoder.n_channels_in_),
        "n_timesteps_in_training": str(autoencoder.n_timesteps_in_),
        "embedding_dim": str(autoencoder.embedding_dim_),
    }
    if hasattr(last, "classes_"):
        metadata["classes"] = json.dumps(np.asarray(last.classes_).tolist())
    helper.set_model_props(model, metadata)


def _describe_input(autoencoder: Any) -> str:
    """Describe the input's shape, the meaning of NaN, and the errors."""
    if autoencoder.is_table_:
        shape = f"X has shape (n_series, {autoencoder.n_timesteps_in_}): one channel."
        padding = "" if autoencoder.missing == "error" else " NaN at the end of a row is padding."
    else:
        shape = f"X has shape (n_series, n_timesteps, {autoencoder.n_channels_in_})."
        padding = " Shorter series are padded with NaN at the end."
    nan = (
        " Any other NaN is a missing value."
        if autoencoder.missing == "mask"
        else " Any other NaN is an error."
        if padding
        else " NaN is an error."
    )
    return (
        f"{shape}{padding}{nan} Infinity, series that contain only NaN, and values too far from "
        "the training data are errors: the name of the node that fails describes the error, and "
        "the last number of its requested shape is the index of the series."
    )
