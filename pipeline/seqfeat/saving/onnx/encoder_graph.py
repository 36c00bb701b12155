"""`LSTMAutoencoder` for skl2onnx: scaling, lengths and the encoder as ONNX nodes.

What `scaling.ChannelScaling.apply`, `series.as_series` and `network.Encoder` do,
with N and T left open. ONNX knows neither errors nor lists of unequal series, so
NaN behind a series is its end, and `Refusals` makes the runtime fail by name on
what Python would refuse.

Shapes use N series, T timesteps, C channels, W timesteps in a window, L recurrent
steps, D inputs of a layer, H and E units of the first and the second layer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from skl2onnx.common.data_types import DoubleTensorType

from seqfeat.nn.network import Architecture
from seqfeat.nn.pooling import MIN_VARIANCE
from seqfeat.saving.onnx.graph import GraphWriter
from seqfeat.series.scaling import LARGEST_SCALED

__all__ = ["EMBEDDINGS_NODE", "convert_autoencoder", "set_autoencoder_shape"]

EMBEDDINGS_NODE = "seqfeat_embeddings"
"""Name of the node whose input is the embeddings, float32, shape (N, E)."""


def set_autoencoder_shape(operator: Any) -> None:
    """Declare the output: (N, E), float64, in which the steps behind the encoder compute."""
    operator.outputs[0].type = DoubleTensorType([None, operator.raw_operator.embedding_dim_])


def convert_autoencoder(scope: Any, operator: Any, container: Any) -> None:
    """Add the nodes that turn series into embeddings."""
    g = GraphWriter(scope, container)
    autoencoder = operator.raw_operator
    values = operator.inputs[0].full_name
    if autoencoder.is_table_:
        values = g.unsqueeze(values, 2)
    values = g.cast(values, np.float64)
    scaled, lengths = _scaled_and_lengths(g, values, autoencoder)
    embeddings = _EncoderGraph(g, autoencoder).embed(scaled, lengths)
    g.cast(embeddings, np.float64, name=EMBEDDINGS_NODE, output=operator.outputs[0].full_name)


class _Refusals:
    """Nodes that make the runtime fail, whatever output is asked for.

    A node reshapes one number into a shape of one number if all is well and else
    into (2, index of the series), which no runtime can do on any device. Each
    takes the number from the node before, and the lengths take it from the last,
    so that none is pruned and the first thing that is wrong is named.
    """

    def __init__(self, g: GraphWriter) -> None:
        self.g = g
        self.zero = g.constant([[0]], np.int64)

    def refuse(self, what: str, bad: str) -> None:
        """Fail where `bad`, int32 of shape (N,), is not 0."""
        g = self.g
        index = g.node("ArgMax", bad, axis=0, keepdims=1)
        refused = g.node("Concat", g.constant([2], np.int64), index, axis=0)
        is_bad = g.cast(g.reduce("ReduceMax", bad, [0], keepdims=True), np.bool_)
        shape = g.node("Where", is_bad, refused, g.constant([1, 1], np.int64))
        name = f"{what}_in_the_series_whose_index_ends_the_requested_shape"
        self.zero = g.node("Reshape", self.zero, shape, name=name)

    def attach(self, lengths: str) -> str:
        """Return lengths, shape (N,), that exist only if nothing was refused."""
        return self.g.node("Add", lengths, self.g.squeeze(self.zero, 0))


def _scaled_and_lengths(g: GraphWriter, values: str, autoencoder: Any) -> tuple[str, str]:
    """Return scaled values, (N, T, C) float32, 0 where nothing was observed, and lengths, (N,)."""
    missing = g.node("IsNaN", values)
    lengths = _lengths(g, values, missing)
    scaled = g.cast(_standardised(g, values, autoencoder), np.float32)
    scaled = g.node("Where", missing, g.constant(0, np.float32), scaled)
    refusals = _Refusals(g)
    refusals.refuse("infinity", g.any(g.node("IsInf", values), [1, 2]))
    if autoencoder.missing == "error":
        refusals.refuse("NaN", _missing_inside(g, values, missing, lengths, autoencoder))
    empty = g.node("Equal", lengths, g.constant(0, np.int64))
    refusals.refuse("nothing_but_NaN", g.cast(empty, np.int32))
    in_range = g.node("Less", g.node("Abs", scaled), g.constant(LARGEST_SCALED, np.float32))
    too_far = g.any(g.node("Not", in_range), [1, 2])
    refusals.refuse("a_value_too_far_from_the_training_data", too_far)
    return scaled, refusals.attach(lengths)


def _standardised(g: GraphWriter, values: str, autoencoder: Any) -> str:
    if autoencoder.scale is None:
        return values
    centred = g.node("Sub", values, g.constant(autoencoder.mean_, np.float64))
    return g.node("Div", centred, g.constant(autoencoder.scale_, np.float64))


def _lengths(g: GraphWriter, values: str, missing: str) -> str:
    """Return the last timestep with an observed channel, from 1; 0 if there is none."""
    all_missing = g.reduce("ReduceMin", g.cast(missing, np.int32), [2])
    observed = g.cast(g.node("Not", g.cast(all_missing, np.bool_)), np.int64)
    steps = g.steps(g.dimension(values, 1))
    position = g.node("Add", steps, g.constant(1, np.int64))
    return g.reduce("ReduceMax", g.node("Mul", observed, position), [1])


def _missing_inside(
    g: GraphWriter, values: str, missing: str, lengths: str, autoencoder: Any
) -> str:
    """Tell which series, int32 of shape (N,), miss values that they should have."""
    if autoencoder.is_table_:
        # A table has a fixed number of columns: NaN in the last ones is no shorter series.
        return g.any(missing, [1, 2])
    steps = g.steps(g.dimension(values, 1))
    inside = g.node("Less", steps, g.unsqueeze(lengths, 1))
    return g.any(g.node("And", missing, g.unsqueeze(inside, 2)), [1, 2])


class _EncoderGraph:
    """`network.Encoder` as nodes; time comes first, as ONNX has it."""

    def __init__(self, g: GraphWriter, autoencoder: Any) -> None:
        self.g = g
        self.weights = autoencoder.weights_
        architecture = Architecture(**autoencoder.architecture_)
        self.window_len = architecture.window_len
        self.window_stride = architecture.window_stride
        self.n_channels = architecture.n_channels
        self.pooling = architecture.pooling
        self.bidirectional = architecture.bidirectional
        self.directions = ["forward", "backward"] if self.bidirectional else ["forward"]

    def embed(self, scaled: str, lengths: str) -> str:
        """Shape (N, T, C), (N,) -> (N, E)."""
        g = self.g
        sequences, n_steps = scaled, lengths
        if self.window_len > 1:
            n_steps = self._count_windows(lengths)
            sequences = self._windows(scaled)
        n_steps = g.cast(n_steps, np.int32)
        sequences = g.node("Transpose", sequences, perm=[1, 0, 2])
        hidden, _ = self._layer(0, sequences, n_steps)
        outputs, states = self._layer(1, self._joined(hidden), n_steps)
        if self.pooling == "statistics":
            both = g.node("Concat", self._joined(hidden), self._joined(outputs), axis=2)
            return self._projected(self._statistics(both, n_steps))
        return self._projected(self._pooled(outputs, states, n_steps))

    def _count_windows(self, n_timesteps: str) -> str:
        """Return how many windows cover so many timesteps, int64 of any shape."""
        g = self.g
        behind_first = g.node("Sub", n_timesteps, g.constant(self.window_len, np.int64))
        behind_first = g.node("Max", behind_first, g.constant(0, np.int64))
        rounded_up = g.node("Add", behind_first, g.constant(self.window_stride - 1, np.int64))
        more = g.node("Div", rounded_up, g.constant(self.window_stride, np.int64))
        return g.node("Add", more, g.constant(1, np.int64))

    def _windows(self, scaled: str) -> str:
        """Shape (N, T, C) -> (N, L, W * C), with zeros behind the end."""
        g = self.g
        n_timesteps, length = g.dimension(scaled, 1), g.constant([self.window_len], np.int64)
        stride = g.constant([self.window_stride], np.int64)
        n_steps = self._count_windows(n_timesteps)
        last_start = g.node("Mul", g.node("Sub", n_steps, g.constant(1, np.int64)), stride)
        padding = g.node("Sub", g.node("Add", last_start, length), n_timesteps)
        before, after = g.constant([0] * 4, np.int64), g.constant([0], np.int64)
        padded = g.node("Pad", scaled, g.node("Concat", before, padding, after, axis=0))
        if self.window_stride == self.window_len:
            return g.reshape(padded, [0, -1, self.window_len * self.n_channels])
        starts = g.unsqueeze(g.node("Mul", g.steps(n_steps), stride), 1)
        within = g.constant(np.arange(self.window_len), np.int64)
        stacked = g.node("Gather", padded, g.node("Add", starts, within), axis=1)
        return g.reshape(stacked, [0, 0, -1])

    def _layer(self, index: int, sequences: str, n_steps: str) -> tuple[str, str]:
        """Shape (L, N, D), (N,) -> (L, directions, N, H), (directions, N, H)."""
        g = self.g
        w, r, b = (g.constant(array) for array in self._layer_weights(index))
        direction = "bidirectional" if self.bidirectional else "forward"
        hidden_dim = self._weight("forward", index, "weight_hh").shape[1]
        return g.lstm(sequences, w, r, b, n_steps, hidden_size=hidden_dim, direction=direction)

    def _layer_weights(self, index: int) -> list[NDArray[np.float32]]:
        """Return W, R and B, with a first axis of directions."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        w, r, b_ih, b_hh = (
            np.stack([_onnx_gates(self._weight(way, index, name)) for way in self.directions])
            for name in names
        )
        return [w, r, np.concatenate([b_ih, b_hh], axis=1)]

    def _weight(self, direction: str, index: int, name: str) -> NDArray[np.float32]:
        weight: NDArray[np.float32] = self.weights[f"encoder.{direction}_layers.{index}.{name}_l0"]
        return weight

    def _joined(self, outputs: str) -> str:
        """Shape (L, directions, N, H) -> (L, N, directions * H)."""
        if not self.bidirectional:
            return self.g.squeeze(outputs, 1)
        pool = self.g.node("Transpose", outputs, perm=[0, 2, 1, 3])
        return self.g.reshape(pool, [0, 0, -1])

    def _pooled(self, outputs: str, states: str, n_steps: str) -> str:
        """Shape (L, directions, N, E), (directions, N, E), (N,) -> (N, directions * E)."""
        g = self.g
        if self.pooling == "last":
            # The backward direction ends at the series' first step, as its last state has it.
            return g.reshape(g.node("Transpose", states, perm=[1, 0, 2]), [0, -1])
        pooled = self._over_steps(outputs, n_steps)
        return g.reshape(g.node("Transpose", pooled, perm=[1, 0, 2]), [0, -1])

    def _over_steps(self, outputs: str, n_steps: str) -> str:
        """Shape (L, directions, N, E), (N,) -> (directions, N, E)."""
        g = self.g
        inside = g.unsqueeze(self._inside(outputs, n_steps), 1)
        if self.pooling == "max":
            outputs = g.node("Where", inside, outputs, g.constant(-np.inf, np.float32))
            return g.reduce("ReduceMax", outputs, [0])
        outputs = g.node("Where", inside, outputs, g.constant(0, np.float32))
        total = g.reduce("ReduceSum", outputs, [0])
        return g.node("Div", total, g.unsqueeze(g.cast(n_steps, np.float32), 1))

    def _inside(self, outputs: str, n_steps: str) -> str:
        """Tell which steps are a series' own. Shape (L, ...), (N,) -> (L, N, 1)."""
        g = self.g
        steps = g.cast(g.steps(g.dimension(outputs, 0)), np.int32)
        return g.unsqueeze(g.node("Less", g.unsqueeze(steps, 1), n_steps), 2)

    def _statistics(self, outputs: str, n_steps: str) -> str:
        """`network.statistics`. Shape (L, N, D), (N,) -> (N, 4 * D)."""
        g = self.g
        inside = self._inside(outputs, n_steps)
        zero, infinity = g.constant(0, np.float32), g.constant(np.inf, np.float32)
        counts = g.unsqueeze(g.cast(n_steps, np.float32), 1)
        total = g.reduce("ReduceSum", g.node("Where", inside, outputs, zero), [0])
        mean = g.node("Div", total, counts)
        centred = g.node("Where", inside, g.node("Sub", outputs, mean), zero)
        squares = g.reduce("ReduceSum", g.node("Mul", centred, centred), [0])
        least_variance = g.constant(MIN_VARIANCE, np.float32)
        variance = g.node("Add", g.node("Div", squares, counts), least_variance)
        largest = g.node("Where", inside, outputs, g.node("Neg", infinity))
        least = g.node("Where", inside, outputs, infinity)
        extremes = (g.reduce("ReduceMax", largest, [0]), g.reduce("ReduceMin", least, [0]))
        return g.node("Concat", mean, g.node("Sqrt", variance), *extremes, axis=1)

    def _projected(self, pooled: str) -> str:
        if "encoder.projection.weight" not in self.weights:
            return pooled
        g = self.g
        weight = g.constant(self.weights["encoder.projection.weight"].T, np.float64)
        bias = g.constant(self.weights["encoder.projection.bias"], np.float64)
        projected = g.node("MatMul", g.cast(pooled, np.float64), weight)
        return g.cast(g.node("Add", projected, bias), np.float32)


def _onnx_gates(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Reorder the gates from torch's input, forget, cell, output to input, output, forget, cell."""
    gates = np.split(weight, 4)
    return np.concatenate([gates[0], gates[3], gates[1], gates[2]])
