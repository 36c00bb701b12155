"""Fitted steps -> skl2onnx's graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from skl2onnx import convert_sklearn, get_model_alias
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType
from skl2onnx.sklapi import CastTransformer
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline

from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.saving.onnx.classifier_graphs import own_converter
from seqfeat.saving.onnx.encoder_graph import convert_autoencoder, set_autoencoder_shape

__all__ = ["convert"]

ML_OPSET = 3
"""The version of the operators for classical models: the first with float64 in trees."""


def convert(
    steps: list[tuple[str, Any]], dtype: np.dtype[Any], opset: int, precision: str
) -> onnx.ModelProto:
    """Return the graph of fitted steps, whose last one computes in `precision`.

    Converters are passed to this one call, so that nothing is left registered. Our
    own for classifiers serve the last step only: what other classifiers do with
    classifiers inside them relies on skl2onnx's.
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
    converter = own_converter(last)
    if converter:
        converters[type(last)] = converter
        if is_classifier(last):
            parsers[type(last)] = _parse_classifier
    model: onnx.ModelProto = _converted_as_arrays(
        Pipeline(steps),
        takes_option=is_classifier(last) and not converter,
        initial_types=[("X", tensor(shape))],
        target_opset={"": opset, "ai.onnx.ml": ML_OPSET},
        custom_conversion_functions=converters,
        custom_shape_calculators={LSTMAutoencoder: set_autoencoder_shape},
        custom_parsers=parsers,
    )
    return model


def _converted_as_arrays(pipeline: Pipeline, takes_option: bool, **settings: Any) -> Any:
    """Convert so that probabilities are an array, not a dictionary for each series."""
    last = pipeline.steps[-1][1]
    if takes_option:
        try:
            return convert_sklearn(pipeline, options={id(last): {"zipmap": False}}, **settings)
        except (NameError, RuntimeError) as error:
            # A converter that somebody registered need not know the option.
            if "zipmap" not in str(error):
                raise
    return convert_sklearn(pipeline, options={id(last): {}}, **settings)


def _parse_autoencoder(scope: Any, autoencoder: Any, inputs: list[Any], **_: Any) -> list[Any]:
    """Declare embeddings in float64, from which the steps behind take their type."""
    operator = scope.declare_local_operator(None, autoencoder)
    operator.inputs = inputs
    operator.outputs.append(scope.declare_local_variable("embeddings", DoubleTensorType()))
    outputs: list[Any] = operator.outputs
    return outputs


def _parse_classifier(scope: Any, classifier: Any, inputs: list[Any], **_: Any) -> list[Any]:
    """Declare label and scores, without a dictionary for each series around them."""
    operator = scope.declare_local_operator(get_model_alias(type(classifier)), classifier)
    operator.inputs = inputs
    scores = FloatTensorType if isinstance(inputs[0].type, FloatTensorType) else DoubleTensorType
    operator.outputs.append(scope.declare_local_variable("label", Int64TensorType()))
    operator.outputs.append(scope.declare_local_variable("probabilities", scores()))
    outputs: list[Any] = operator.outputs
    return outputs
