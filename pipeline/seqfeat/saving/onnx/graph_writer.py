"""Adding nodes to the graph that skl2onnx builds."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, DTypeLike, NDArray
from skl2onnx.common.data_types import guess_numpy_type

__all__ = ["GraphWriter", "add_classifier_outputs"]

AXES_AS_INPUT_SINCE = {"ReduceSum": 13, "ReduceMax": 18, "ReduceMin": 18}
"""The opset since which an operator takes its axes as an input rather than an attribute."""


class GraphWriter:
    """Add nodes and constants to a graph; every method returns the name of its result.

    Parameters
    ----------
    scope, container
        The arguments that skl2onnx passes to a converter.
    """

    def __init__(self, scope: Any, container: Any) -> None:
        self.scope = scope
        self.container = container

    def node(
        self,
        op_type: str,
        *inputs: str,
        name: str | None = None,
        output: str | None = None,
        **attributes: Any,
    ) -> str:
        """Add an operator with one output."""
        output = output or self.scope.get_unique_variable_name(op_type.lower())
        name = name or self.scope.get_unique_operator_name(op_type)
        self.container.add_node(op_type, list(inputs), [output], name=name, **attributes)
        return output

    def lstm(self, *inputs: str, **attributes: Any) -> tuple[str, str]:
        """Add an LSTM; return the names of its outputs and of its last hidden states."""
        names = [self.scope.get_unique_variable_name(f"lstm_{output}") for output in ("y", "y_h")]
        name = self.scope.get_unique_operator_name("LSTM")
        self.container.add_node("LSTM", list(inputs), names, name=name, **attributes)
        return names[0], names[1]

    def scan(self, states: list[str], sequence: str, body: onnx.GraphProto) -> list[str]:
        """Run a graph over the first axis of a sequence; return the final states."""
        names = [self.scope.get_unique_variable_name("state") for _ in states]
        name = self.scope.get_unique_operator_name("Scan")
        self.container.add_node(
            "Scan", [*states, sequence], names, name=name, body=body, num_scan_inputs=1
        )
        return names

    def constant(self, values: ArrayLike, dtype: DTypeLike = None) -> str:
        """Add a constant tensor."""
        array = np.asarray(values, dtype=dtype)
        tensor = onnx.numpy_helper.from_array(array)
        name: str = self.scope.get_unique_variable_name("constant")
        self.container.add_initializer(name, tensor.data_type, array.shape, tensor)
        return name

    def classes(self, classes: NDArray[Any]) -> str:
        """Add class labels, integers or strings."""
        name: str = self.scope.get_unique_variable_name("classes")
        if classes.dtype.kind in "iub":
            kind, values = onnx.TensorProto.INT64, [int(label) for label in classes]
        elif all(isinstance(label, str) for label in classes):
            kind, values = onnx.TensorProto.STRING, [label.encode() for label in classes]
        else:
            raise ValueError(f"class labels {classes[:3]} are neither integers nor strings")
        self.container.add_initializer(name, kind, [len(values)], values)
        return name

    def cast(self, x: str, dtype: DTypeLike, **options: Any) -> str:
        """Convert to another dtype."""
        kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.node("Cast", x, to=kind, **options)

    def reduce(self, op_type: str, x: str, axes: list[int], keepdims: bool = False) -> str:
        """Reduce over axes, in the form that the opset requires."""
        if self.container.target_opset_onnx >= AXES_AS_INPUT_SINCE[op_type]:
            return self.node(op_type, x, self.constant(axes, np.int64), keepdims=int(keepdims))
        return self.node(op_type, x, axes=axes, keepdims=int(keepdims))

    def any(self, x: str, axes: list[int]) -> str:
        """Return, as int32, whether any element along the axes is true."""
        return self.reduce("ReduceMax", self.cast(x, np.int32), axes)

    def dimension(self, x: str, axis: int) -> str:
        """Return the length of an axis, shape (1,)."""
        shape = self.node("Shape", x)
        return self.node("Gather", shape, self.constant([axis], np.int64))

    def squeeze(self, x: str, axis: int) -> str:
        """Remove an axis of length 1."""
        return self.node("Squeeze", x, self.constant([axis], np.int64))

    def unsqueeze(self, x: str, axis: int) -> str:
        """Insert an axis of length 1."""
        return self.node("Unsqueeze", x, self.constant([axis], np.int64))

    def reshape(self, x: str, shape: list[int], **options: Any) -> str:
        """Reshape; 0 keeps the length of an axis and -1 infers it."""
        return self.node("Reshape", x, self.constant(shape, np.int64), **options)

    def arange(self, stop: str) -> str:
        """Return 0, 1, ... stop - 1, for a `stop` of shape (1,)."""
        start, step = self.constant(0, np.int64), self.constant(1, np.int64)
        return self.node("Range", start, self.squeeze(stop, 0), step)


def add_classifier_outputs(
    g: GraphWriter, operator: Any, scores: str, votes: str | None = None
) -> None:
    """Set the outputs of a classifier: labels and scores.

    The label is the first class with the most votes, or with the largest score if there
    are no votes.
    """
    label, variable = operator.outputs
    best = g.node("ArgMax", votes or scores, axis=1, keepdims=0)
    classes = g.classes(operator.raw_operator.classes_)
    g.node("Gather", classes, best, output=label.full_name, axis=0)
    g.cast(scores, guess_numpy_type(variable.type), output=variable.full_name)
