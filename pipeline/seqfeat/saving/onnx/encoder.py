"""The skl2onnx converter for `LSTMAutoencoder`: scaling, lengths and encoder as ONNX nodes.

The graph repeats what `series.as_series`, `ChannelScaling.apply` and `network.Encoder`
do, for any number of series and timesteps. ONNX has neither ragged lists nor
exceptions. So NaN after the last observed value of a series is padding, and
`_InputChecks` makes the runtime fail, with a descriptive name, where Python would
raise an error.

Shapes use N series, T timesteps, C channels, W timesteps in a window, L steps of the
LSTM, D inputs of a layer, and H and E units of the first and the second layer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from skl2onnx.common.data_types import DoubleTensorType

from seqfeat.nn.network import Architecture
from seqfeat.nn.pooling import MIN_VARIANCE
from seqfeat.nn.reservoir import MIN_STD, THRESHOLD_WIDTH, window_lens
from seqfeat.saving.onnx.graph_writer import GraphWriter
from seqfeat.series.scaling import LARGEST_SCALED

__all__ = ["EMBEDDINGS_NODE", "convert_autoencoder", "set_autoencoder_shape"]

EMBEDDINGS_NODE = "seqfeat_embeddings"
"""Name of the node whose input is the embeddings, float32 of shape (N, E)."""


def set_autoencoder_shape(operator: Any) -> None:
    """Declare the output: (N, E), float64, in which the steps after the encoder compute."""
    operator.outputs[0].type = DoubleTensorType([None, operator.raw_operator.embedding_dim_])


def convert_autoencoder(scope: Any, operator: Any, container: Any) -> None:
    """Add the nodes that turn series into embeddings."""
    g = GraphWriter(scope, container)
    autoencoder = operator.raw_operator
    values = operator.inputs[0].full_name
    if autoencoder.is_table_:
        values = g.unsqueeze(values, 2)
    values = g.cast(values, np.float64)
    scaled, lengths = _preprocess(g, values, autoencoder)
    is_reservoir = autoencoder.architecture_["pooling"] == "reservoir"
    graph = (_ReservoirGraph if is_reservoir else _EncoderGraph)(g, autoencoder)
    embeddings = graph.embed(scaled, lengths)
    g.cast(embeddings, np.float64, name=EMBEDDINGS_NODE, output=operator.outputs[0].full_name)


def _preprocess(g: GraphWriter, values: str, autoencoder: Any) -> tuple[str, str]:
    """Return scaled values, (N, T, C) float32 with 0 for missing ones, and lengths, (N,)."""
    missing = g.node("IsNaN", values)
    lengths = _find_lengths(g, values, missing)
    scaled = g.cast(_standardize(g, values, autoencoder), np.float32)
    scaled = g.node("Where", missing, g.constant(0, np.float32), scaled)
    checks = _InputChecks(g)
    checks.fail_if("infinity", g.any(g.node("IsInf", values), [1, 2]))
    if autoencoder.missing == "error":
        checks.fail_if("NaN", _has_missing_values(g, values, missing, lengths, autoencoder))
    is_empty = g.node("Equal", lengths, g.constant(0, np.int64))
    checks.fail_if("nothing_but_NaN", g.cast(is_empty, np.int32))
    in_range = g.node("Less", g.node("Abs", scaled), g.constant(LARGEST_SCALED, np.float32))
    too_far = g.any(g.node("Not", in_range), [1, 2])
    checks.fail_if("a_value_too_far_from_the_training_data", too_far)
    return scaled, checks.attach(lengths)


class _InputChecks:
    """Nodes that make the runtime fail on invalid series, whichever output is requested.

    Each check is a node that reshapes a single number: to shape (1, 1) if all is well,
    and otherwise to (2, index of the series), which fails on any device. The node takes
    the number from the check before it, and the lengths depend on the last one, so the
    runtime prunes none of them and fails at the first violation.
    """

    def __init__(self, g: GraphWriter) -> None:
        self.g = g
        self.zero = g.constant([[0]], np.int64)

    def fail_if(self, violation: str, is_invalid: str) -> None:
        """Fail if `is_invalid`, int32 of shape (N,), is nonzero for any series."""
        g = self.g
        index = g.node("ArgMax", is_invalid, axis=0, keepdims=1)
        impossible = g.node("Concat", g.constant([2], np.int64), index, axis=0)
        is_any_invalid = g.cast(g.reduce("ReduceMax", is_invalid, [0], keepdims=True), np.bool_)
        shape = g.node("Where", is_any_invalid, impossible, g.constant([1, 1], np.int64))
        name = f"{violation}_in_the_series_whose_index_ends_the_requested_shape"
        self.zero = g.node("Reshape", self.zero, shape, name=name)

    def attach(self, lengths: str) -> str:
        """Return the lengths, shape (N,), so that they depend on all checks."""
        return self.g.node("Add", lengths, self.g.squeeze(self.zero, 0))


def _standardize(g: GraphWriter, values: str, autoencoder: Any) -> str:
    if autoencoder.scale is None:
        return values
    centered = g.node("Sub", values, g.constant(autoencoder.mean_, np.float64))
    return g.node("Div", centered, g.constant(autoencoder.scale_, np.float64))


def _find_lengths(g: GraphWriter, values: str, missing: str) -> str:
    """Return the last timestep with an observed value, counted from 1; 0 if there is none."""
    all_missing = g.reduce("ReduceMin", g.cast(missing, np.int32), [2])
    observed = g.cast(g.node("Not", g.cast(all_missing, np.bool_)), np.int64)
    timesteps = g.arange(g.dimension(values, 1))
    count = g.node("Add", timesteps, g.constant(1, np.int64))
    return g.reduce("ReduceMax", g.node("Mul", observed, count), [1])


def _has_missing_values(
    g: GraphWriter, values: str, missing: str, lengths: str, autoencoder: Any
) -> str:
    """Return which series, int32 of shape (N,), contain NaN that is not padding."""
    if autoencoder.is_table_:
        # A table has a fixed number of columns, so NaN in the last ones is not padding.
        return g.any(missing, [1, 2])
    timesteps = g.arange(g.dimension(values, 1))
    valid = g.node("Less", timesteps, g.unsqueeze(lengths, 1))
    return g.any(g.node("And", missing, g.unsqueeze(valid, 2)), [1, 2])


class _Graph:
    """What both kinds of encoders are made of, with time as the first axis, as ONNX requires."""

    def __init__(self, g: GraphWriter, autoencoder: Any) -> None:
        self.g = g
        self.weights = autoencoder.weights_
        architecture = Architecture(**autoencoder.architecture_)
        self.architecture = architecture
        self.window_stride = architecture.window_stride
        self.n_channels = architecture.n_channels

    def _count_windows(self, n_timesteps: str, window_len: int) -> str:
        """Return the number of windows that cover `n_timesteps`, int64 of any shape."""
        g = self.g
        after_first = g.node("Sub", n_timesteps, g.constant(window_len, np.int64))
        after_first = g.node("Max", after_first, g.constant(0, np.int64))
        rounded_up = g.node("Add", after_first, g.constant(self.window_stride - 1, np.int64))
        n_more = g.node("Div", rounded_up, g.constant(self.window_stride, np.int64))
        return g.node("Add", n_more, g.constant(1, np.int64))

    def _cut_windows(self, scaled: str, window_len: int) -> str:
        """Shape (N, T, C) -> (N, L, W * C); the last window is padded with zeros."""
        g = self.g
        n_timesteps, length = g.dimension(scaled, 1), g.constant([window_len], np.int64)
        stride = g.constant([self.window_stride], np.int64)
        n_steps = self._count_windows(n_timesteps, window_len)
        last_start = g.node("Mul", g.node("Sub", n_steps, g.constant(1, np.int64)), stride)
        padding = g.node("Sub", g.node("Add", last_start, length), n_timesteps)
        before, after = g.constant([0] * 4, np.int64), g.constant([0], np.int64)
        padded = g.node("Pad", scaled, g.node("Concat", before, padding, after, axis=0))
        if self.window_stride == window_len:
            return g.reshape(padded, [0, -1, window_len * self.n_channels])
        starts = g.unsqueeze(g.node("Mul", g.arange(n_steps), stride), 1)
        offsets = g.constant(np.arange(window_len), np.int64)
        windows = g.node("Gather", padded, g.node("Add", starts, offsets), axis=1)
        return g.reshape(windows, [0, 0, -1])

    def _compute_statistics(self, outputs: str, n_steps: str) -> str:
        """Return the pooled statistics. Shape (L, N, D), (N,) -> (N, 4 * D)."""
        g = self.g
        valid = self._valid_steps(outputs, n_steps)
        zero, infinity = g.constant(0, np.float32), g.constant(np.inf, np.float32)
        counts = g.unsqueeze(g.cast(n_steps, np.float32), 1)
        total = g.reduce("ReduceSum", g.node("Where", valid, outputs, zero), [0])
        mean = g.node("Div", total, counts)
        centered = g.node("Where", valid, g.node("Sub", outputs, mean), zero)
        squares = g.reduce("ReduceSum", g.node("Mul", centered, centered), [0])
        least_variance = g.constant(MIN_VARIANCE, np.float32)
        variance = g.node("Add", g.node("Div", squares, counts), least_variance)
        for_max = g.node("Where", valid, outputs, g.node("Neg", infinity))
        for_min = g.node("Where", valid, outputs, infinity)
        extremes = (g.reduce("ReduceMax", for_max, [0]), g.reduce("ReduceMin", for_min, [0]))
        return g.node("Concat", mean, g.node("Sqrt", variance), *extremes, axis=1)

    def _valid_steps(self, outputs: str, n_steps: str) -> str:
        """Return the mask of valid steps. Shape (L, ...), (N,) -> (L, N, 1)."""
        g = self.g
        steps = g.cast(g.arange(g.dimension(outputs, 0)), np.int32)
        return g.unsqueeze(g.node("Less", g.unsqueeze(steps, 1), n_steps), 2)

    def _project(self, pooled: str) -> str:
        """Apply the encoder's projection if it has one. Shape (N, D) -> (N, E)."""
        if "encoder.projection.weight" not in self.weights:
            return pooled
        g = self.g
        weight = g.constant(self.weights["encoder.projection.weight"].T, np.float64)
        bias = g.constant(self.weights["encoder.projection.bias"], np.float64)
        projected = g.node("MatMul", g.cast(pooled, np.float64), weight)
        return g.cast(g.node("Add", projected, bias), np.float32)


class _EncoderGraph(_Graph):
    """`network.Encoder` as ONNX nodes."""

    def __init__(self, g: GraphWriter, autoencoder: Any) -> None:
        super().__init__(g, autoencoder)
        self.window_len = self.architecture.window_len
        self.pooling = self.architecture.pooling
        self.bidirectional = self.architecture.bidirectional
        self.directions = ["forward", "backward"] if self.bidirectional else ["forward"]

    def embed(self, scaled: str, lengths: str) -> str:
        """Embed scaled series. Shape (N, T, C), (N,) -> (N, E)."""
        g = self.g
        sequences, n_steps = scaled, lengths
        if self.window_len > 1:
            n_steps = self._count_windows(lengths, self.window_len)
            sequences = self._cut_windows(scaled, self.window_len)
        n_steps = g.cast(n_steps, np.int32)
        sequences = g.node("Transpose", sequences, perm=[1, 0, 2])
        hidden, _ = self._run_layer(0, sequences, n_steps)
        outputs, states = self._run_layer(1, self._join_directions(hidden), n_steps)
        if self.pooling == "statistics":
            joined = self._join_directions(hidden), self._join_directions(outputs)
            both = g.node("Concat", *joined, axis=2)
            return self._project(self._compute_statistics(both, n_steps))
        return self._project(self._pool(outputs, states, n_steps))

    def _run_layer(self, index: int, sequences: str, n_steps: str) -> tuple[str, str]:
        """Shape (L, N, D), (N,) -> (L, directions, N, H), (directions, N, H)."""
        g = self.g
        w, r, b = (g.constant(array) for array in self._layer_weights(index))
        direction = "bidirectional" if self.bidirectional else "forward"
        hidden_dim = self._weight("forward", index, "weight_hh").shape[1]
        return g.lstm(sequences, w, r, b, n_steps, hidden_size=hidden_dim, direction=direction)

    def _layer_weights(self, index: int) -> list[NDArray[np.float32]]:
        """Return ONNX's W, R and B, whose first axis is the direction."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        w, r, b_ih, b_hh = (
            np.stack([_reorder_gates(self._weight(way, index, name)) for way in self.directions])
            for name in names
        )
        return [w, r, np.concatenate([b_ih, b_hh], axis=1)]

    def _weight(self, direction: str, index: int, name: str) -> NDArray[np.float32]:
        weight: NDArray[np.float32] = self.weights[f"encoder.{direction}_layers.{index}.{name}_l0"]
        return weight

    def _join_directions(self, outputs: str) -> str:
        """Shape (L, directions, N, H) -> (L, N, directions * H)."""
        if not self.bidirectional:
            return self.g.squeeze(outputs, 1)
        outputs = self.g.node("Transpose", outputs, perm=[0, 2, 1, 3])
        return self.g.reshape(outputs, [0, 0, -1])

    def _pool(self, outputs: str, states: str, n_steps: str) -> str:
        """Shape (L, directions, N, E), (directions, N, E), (N,) -> (N, directions * E)."""
        g = self.g
        if self.pooling == "last":
            # The backward direction ends at the first step, as its last state does.
            return g.reshape(g.node("Transpose", states, perm=[1, 0, 2]), [0, -1])
        pooled = self._pool_steps(outputs, n_steps)
        return g.reshape(g.node("Transpose", pooled, perm=[1, 0, 2]), [0, -1])

    def _pool_steps(self, outputs: str, n_steps: str) -> str:
        """Return maximum or mean. Shape (L, directions, N, E), (N,) -> (directions, N, E)."""
        g = self.g
        valid = g.unsqueeze(self._valid_steps(outputs, n_steps), 1)
        if self.pooling == "max":
            outputs = g.node("Where", valid, outputs, g.constant(-np.inf, np.float32))
            return g.reduce("ReduceMax", outputs, [0])
        outputs = g.node("Where", valid, outputs, g.constant(0, np.float32))
        total = g.reduce("ReduceSum", outputs, [0])
        return g.node("Div", total, g.unsqueeze(g.cast(n_steps, np.float32), 1))


class _ReservoirGraph(_Graph):
    """`reservoir.ReservoirEncoder` as ONNX nodes."""

    def embed(self, scaled: str, lengths: str) -> str:
        """Embed scaled series. Shape (N, T, C), (N,) -> (N, E)."""
        g, a = self.g, self.architecture
        views = scaled, self._standardize_series(scaled, lengths)
        lens = window_lens(a.window_len, a.window_stride)
        layers = [(view, length) for view in views for length in lens]
        parts = [
            self._summarize(number, view, lengths, length)
            for number, (view, length) in enumerate(layers)
        ]
        first = self._first_steps(scaled)
        if a.keeps_statistics:
            return g.node("Concat", self._project(first), *parts, axis=1)
        return self._project(g.node("Concat", *parts, first, axis=1))

    def _standardize_series(self, scaled: str, lengths: str) -> str:
        g = self.g
        steps = g.arange(g.dimension(scaled, 1))
        valid = g.unsqueeze(g.node("Less", steps, g.unsqueeze(lengths, 1)), 2)
        counts = g.unsqueeze(g.unsqueeze(g.cast(lengths, np.float64), 1), 2)
        zero, one = g.constant(0, np.float64), g.constant(1, np.float64)
        values = g.cast(scaled, np.float64)
        mean = g.node("Div", g.reduce("ReduceSum", values, [1], keepdims=True), counts)
        centered = g.node("Where", valid, g.node("Sub", values, mean), zero)
        squares = g.reduce("ReduceSum", g.node("Mul", centered, centered), [1], keepdims=True)
        std = g.node("Sqrt", g.node("Div", squares, counts))
        least = g.node("Add", g.node("Abs", mean), one)
        least = g.node("Mul", least, g.constant(MIN_STD, np.float64))
        std = g.node("Where", g.node("Greater", std, least), std, one)
        return g.cast(g.node("Div", centered, std), np.float32)

    def _summarize(self, number: int, view: str, lengths: str, window_len: int) -> str:
        """Return one layer's statistics. Shape (N, T, C), (N,) -> (N, S * H)."""
        g, name = self.g, f"encoder.layers.{number}"
        n_steps = g.cast(self._count_windows(lengths, window_len), np.int32)
        sequences = g.node("Transpose", self._cut_windows(view, window_len), perm=[1, 0, 2])
        w, r, b_ih, b_hh = (
            _reorder_gates(self.weights[f"{name}.{kind}_l0"])
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        layer = (g.constant(array[None]) for array in (w, r, np.concatenate([b_ih, b_hh])))
        states, _ = g.lstm(sequences, *layer, n_steps, hidden_size=r.shape[1], direction="forward")
        states = g.squeeze(states, 1)
        above = self._above(states, n_steps, number)
        counts = g.unsqueeze(g.cast(n_steps, np.float32), 1)
        share = g.node("Div", g.reduce("ReduceSum", above, [0]), counts)
        longest = g.node("Div", self._longest_stretch(above), counts)
        return g.node("Concat", self._compute_statistics(states, n_steps), share, longest, axis=1)

    def _above(self, states: str, n_steps: str, number: int) -> str:
        """Return how far each valid state is above its threshold, from 0 to 1."""
        g, width = self.g, np.float32(THRESHOLD_WIDTH)
        zero, one = g.constant(0, np.float32), g.constant(1, np.float32)
        distance = g.node("Sub", states, g.constant(self.weights["encoder.thresholds"][number]))
        above = g.node("Div", distance, g.constant(width))
        above = g.node("Clip", g.node("Add", above, g.constant(0.5, np.float32)), zero, one)
        return g.node("Where", self._valid_steps(states, n_steps), above, zero)

    def _longest_stretch(self, above: str) -> str:
        """Return the longest stretch above the threshold. Shape (L, N, H) -> (N, H)."""
        g = self.g
        first = g.reduce("ReduceSum", above, [0])
        nothing = g.node("Sub", first, first)
        return g.scan([nothing, nothing], above, _stretch_body())[1]

    def _first_steps(self, scaled: str) -> str:
        """Return the first timesteps, with zeros after a shorter series. Shape (N, T0 * C)."""
        g, n_linear_steps = self.g, self.architecture.n_linear_steps
        before, after = g.constant([0] * 4, np.int64), g.constant([n_linear_steps, 0], np.int64)
        padded = g.node("Pad", scaled, g.node("Concat", before, after, axis=0))
        start, stop = g.constant([0], np.int64), g.constant([n_linear_steps], np.int64)
        first = g.node("Slice", padded, start, stop, g.constant([1], np.int64))
        return g.reshape(first, [0, n_linear_steps * self.n_channels])


def _stretch_body() -> onnx.GraphProto:
    """Return the graph of one step: present and longest stretch, given those before."""
    names = ("stretch", "longest", "above", "next_stretch", "next_longest")
    floats = {
        name: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in names
    }
    one = onnx.numpy_helper.from_array(np.array(1, np.float32), name="one")
    nodes = [
        onnx.helper.make_node("Add", ["stretch", "one"], ["longer"]),
        onnx.helper.make_node("Mul", ["longer", "above"], ["next_stretch"]),
        onnx.helper.make_node("Max", ["longest", "next_stretch"], ["next_longest"]),
    ]
    inputs = [floats[name] for name in names[:3]]
    outputs = [floats[name] for name in names[3:]]
    return onnx.helper.make_graph(nodes, "stretch_step", inputs, outputs, initializer=[one])


def _reorder_gates(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Reorder gates from PyTorch's input, forget, cell, output to input, output, forget, cell."""
    input_gate, forget_gate, cell_gate, output_gate = np.split(weight, 4)
    return np.concatenate([input_gate, output_gate, forget_gate, cell_gate])
