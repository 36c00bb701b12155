"""An LSTM layer's calls of the kernels in a program, forward and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from seqfeat.nn.kernels.ir.jit import Kernels
from seqfeat.nn.kernels.program import NOWHERE, Memory, Place, Program, rounded_up
from seqfeat.nn.lstm import LSTMLayer

__all__ = [
    "Copy",
    "ExactWeights",
    "LayerCalls",
    "LayerGradients",
    "LayerWeights",
    "LinearCalls",
    "LinearGradients",
    "LinearWeights",
    "place_of",
]

Copy = tuple[Tensor, Tensor]
"""Into what, and from what."""


class LayerWeights:
    """A layer's weights as its calls take them; `program` brings them up to date.

    The first `constant_dim` values of the input do not change from step to step.
    """

    def __init__(self, layer: LSTMLayer, constant_dim: int = 0) -> None:
        self.packed = layer.packed()
        self.hidden_dim, self.constant_dim = layer.hidden_size, constant_dim
        self.sequence_dim = layer.input_size - constant_dim
        self.program = Program(self.packed.kernels)
        self.program.rows += self.packed.program.rows
        # In whole vectors. Nobody asks for the gradient of a sequence beside something constant.
        columns = self.packed.inputs[:, : constant_dim or self.sequence_dim]
        self.inputs = columns
        width = rounded_up(columns.shape[1], self.packed.kernels.lanes)
        if width > columns.shape[1]:
            # Rows that end with others' values will do for products, but not for results.
            self.inputs = torch.zeros(len(columns), width)
            self.program.copy(self.inputs[:, : columns.shape[1]], columns)


def place_of(into: Tensor | None, *shape: int) -> Tensor:
    """Return `into` if it has the shape, or else a place that has."""
    return into if into is not None and into.shape == shape else torch.empty(shape)


class LayerGradients:
    """Where a layer's calls put the gradients of its weights, units filled up to whole vectors.

    Parameters
    ----------
    weights : LayerWeights
    into : tuple of Tensor
        Those of the parameters, in order.
    is_first : bool
        Whether they overwrite what is there, and may lie there themselves.
    """

    def __init__(self, weights: LayerWeights, into: tuple[Tensor, ...], is_first: bool) -> None:
        lanes, gates = weights.packed.kernels.lanes, 4 * weights.packed.units
        self.weights, self.into = weights, into
        inputs, hidden, bias, _ = into if is_first else (None,) * 4
        self.constant = place_of(inputs, gates, rounded_up(weights.constant_dim, lanes))
        self.sequences = place_of(inputs, gates, rounded_up(weights.sequence_dim, lanes))
        self.hidden = place_of(hidden, gates, weights.packed.units)
        self.bias = place_of(bias, gates)

    def copies(self) -> Iterator[Copy]:
        """Yield what brings them into those of the parameters."""
        d_inputs, d_hidden, *d_biases = self.into
        constant_dim, hidden_dim = self.weights.constant_dim, self.weights.hidden_dim

        def gates(rows: Tensor, width: int) -> Tensor:
            return rows.view(4, -1, rows.shape[1])[:, :hidden_dim, :width]

        d_inputs = d_inputs.view(4, hidden_dim, -1)
        if constant_dim:
            yield d_inputs[:, :, :constant_dim], gates(self.constant, constant_dim)
        if self.weights.sequence_dim:
            found = gates(self.sequences, self.weights.sequence_dim)
            yield d_inputs[:, :, constant_dim:], found
        yield d_hidden.view(4, hidden_dim, -1), gates(self.hidden, hidden_dim)
        for d_bias in d_biases:
            yield d_bias.view(4, hidden_dim), self.bias.view(4, -1)[:, :hidden_dim]


class LayerCalls:
    """One layer's share of a program for `n_series` series of `n_steps` steps.

    Without `gradients` only forward, and only the outputs are kept. Matrices lie by time:
    (L, B, D), D in whole vectors.
    """

    def __init__(
        self,
        memory: Memory,
        weights: LayerWeights,
        n_series: int,
        n_steps: int,
        gradients: LayerGradients | None = None,
    ) -> None:
        self.memory, self.weights, self.gradients = memory, weights, gradients
        self.n_series, self.n_steps = n_series, n_steps
        n_kept = n_steps if gradients is not None else 0
        # A single series' steps go past the weights one by one, but not its inputs.
        self.inputs_first = gradients is None and n_series == 1
        self.lanes, self.units = weights.packed.kernels.lanes, weights.packed.units
        n_gates = n_steps if self.inputs_first else max(n_kept, 1)
        self.gates = memory.take(n_gates, n_series, 4 * self.units)
        self.all_outputs = memory.take(n_steps + 1, n_series, self.units)
        self.cells = memory.take(n_kept + 1, n_series, self.units)
        self.outputs = self.all_outputs.behind(1)
        self.is_shared = False
        self.constant: Place | None = None

    def forward(
        self,
        program: Program,
        sequences: Place,
        constant: Place | None = None,
        *,
        is_shared: bool = False,
    ) -> None:
        """Add the calls that write `outputs`; shared sequences (L, D) are those of all series."""
        packed, n_series, depth = self.weights.packed, self.n_series, self.weights.sequence_dim
        self.sequences, self.constant, self.is_shared = sequences, constant, is_shared
        panels, row = packed.by_input, sequences.shape[-1]
        start, start_step, start_row = packed.bias.data_ptr(), 0, 0
        state_step, gates = n_series * self.units, 4 * self.units
        kept_step = state_step if self.gradients is not None else 0
        # 0 where each step's gates take the place of those before.
        gates_step = 4 * state_step if self.gates.shape[0] > 1 else 0
        if constant is not None:
            begin = self.memory.take(n_series, gates)
            self._add_inputs(program, constant, self.weights.constant_dim, begin)
            start, start_row = begin.address, gates
        elif self.inputs_first:
            self._add_inputs(program, sequences, depth, self.gates)
            start, start_step, start_row, depth = self.gates.address, gates_step, gates, 0
        program.call(
            "lstm_forward",
            *(start, start_step, start_row),
            *(sequences.address, row if is_shared else n_series * row, 0 if is_shared else row),
            depth,
            panels.data_ptr() + 4 * self.weights.constant_dim * panels.stride(1),
            *(panels.stride(0), packed.by_hidden.data_ptr()),
            *(self.gates.address, gates_step, self.all_outputs.address),
            *(self.cells.address, kept_step, n_series, self.n_steps, self.units // self.lanes),
        )

    def _add_inputs(self, program: Program, inputs: Place, depth: int, into: Place) -> None:
        """Add the call that writes what the first inputs add to the bias, for all rows at once."""
        panels, bias, row = self.weights.packed.by_input, self.weights.packed.bias, inputs.shape[-1]
        program.call(
            "product_4",
            *(inputs.address, row, panels.data_ptr(), panels.stride(1), panels.stride(0)),
            *(len(panels), depth, bias.data_ptr(), 0),
            *(into.address, into.shape[-1], inputs.n_floats // row),
        )

    def backward(
        self, program: Program, d_outputs: Place, zeros: int, *, wants_sequences: bool
    ) -> None:
        """Add the calls that find the gradients, behind those of `forward` and all that read it.

        `zeros` is the address of as many as anything is wide.
        """
        n_series, n_vectors = self.n_series, self.units // self.lanes
        weights, take, call = self.weights, self.memory.take, program.call
        found, gates = self.gradients, 4 * self.units
        assert found is not None
        width = rounded_up(weights.sequence_dim, self.lanes)
        scratch = take(2 * n_series * self.units + max(self.units, width))
        self.d_sequences = take(self.n_steps, n_series, width) if wants_sequences else NOWHERE
        # Of each series for what is constant; else the kernel finds the bias's gradient.
        if self.constant is None:
            over_steps, sums = NOWHERE, (found.bias.data_ptr(), 1)
        else:
            over_steps = take(n_series, gates)
            sums = over_steps.address, n_series
        call(
            "lstm_backward",
            *(self.gates.address, self.cells.address),
            *(d_outputs.address, n_series * self.units, self.units),
            *(weights.packed.hidden.data_ptr(), scratch.address),
            *sums,
            *(self.all_outputs.address, found.hidden.data_ptr()),
            *(self.sequences.address, found.sequences.data_ptr()),
            0 if self.is_shared else width // self.lanes,
            *(weights.inputs.data_ptr(), self.d_sequences.address),
            width // self.lanes if wants_sequences else 0,
            *(n_series, self.n_steps, n_vectors),
        )
        if self.is_shared and width:
            of_steps = take(self.n_steps, gates)
            call(
                "column_sums",
                *(self.gates.address, self.n_steps, n_series, 4 * n_vectors, of_steps.address),
            )
            self._transposed(program, of_steps, self.sequences, found.sequences, zeros)
            self.memory.release(of_steps)
        if self.constant is not None:
            self._backward_of_constant(program, self.constant, over_steps, found, zeros)
        # All that the pass forward had kept; who wants the outputs has read them.
        own = self.gates, self.all_outputs, self.cells, scratch, over_steps
        self.memory.release(*own)

    def _backward_of_constant(
        self,
        program: Program,
        constant: Place,
        over_steps: Place,
        found: LayerGradients,
        zeros: int,
    ) -> None:
        width = constant.shape[1]
        self.d_constant = self.memory.take(self.n_series, width)
        sizes = 1, self.n_series, 4 * self.units // self.lanes
        program.call("column_sums", over_steps.address, *sizes, found.bias.data_ptr())
        self._transposed(program, over_steps, constant, found.constant, zeros)
        right = self.weights.inputs
        program.call(
            "product",
            *(over_steps.address, 4 * self.units),
            *(right.data_ptr(), right.stride(0), width // self.lanes, 4 * self.units),
            *(zeros, 0, self.d_constant.address, width, self.n_series),
        )

    def _transposed(
        self, program: Program, left: Place, right: Place, result: Tensor, zeros: int
    ) -> None:
        """Add ``result = left.T @ right``."""
        program.call(
            "product_transposed",
            *(left.address, left.shape[1], right.address, right.shape[1]),
            *(right.shape[1] // self.lanes, left.shape[0], zeros, 0),
            *(result.data_ptr(), result.shape[1], result.shape[0]),
        )


class LinearWeights:
    """A linear map's weights as its calls take them; `program` brings them up to date.

    Its inputs are `n_groups` times the same parts, each of which lies in whole vectors.
    """

    def __init__(
        self, linear: nn.Linear, part_dims: Sequence[int], n_groups: int, kernels: Kernels
    ) -> None:
        lanes = kernels.lanes
        weight, bias = linear.weight.detach(), linear.bias.detach()
        self.output_dim = len(weight)
        self.part_dims, self.n_groups = part_dims, n_groups
        self.filled_dims = [rounded_up(dim, lanes) for dim in part_dims]
        self.width = rounded_up(self.output_dim, lanes)
        self.depth = n_groups * sum(self.filled_dims)
        self.program = Program(kernels)
        self.rows = weight
        if weight.shape[1] != self.depth:
            self.rows = torch.zeros(self.output_dim, self.depth)
            for own, filled in self.parts(weight, self.rows):
                self.program.copy(filled, own)
        self.transposed, self.bias = torch.zeros(self.depth, self.width), torch.zeros(self.width)
        sizes = 1, self.output_dim, self.depth, self.output_dim
        into = self.transposed.data_ptr(), self.depth, self.width
        self.program.call("pack", self.rows.data_ptr(), *sizes, *into)
        self.program.copy(self.bias[: self.output_dim], bias)

    def parts(self, own: Tensor, filled: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield each part of the columns of (N, K), without and with what fills it up."""
        own = own.view(self.output_dim, self.n_groups, -1)
        filled = filled.view(self.output_dim, self.n_groups, -1)
        starts = 0, 0
        for dim, filled_dim in zip(self.part_dims, self.filled_dims, strict=True):
            first, second = starts
            yield own[:, :, first : first + dim], filled[:, :, second : second + dim]
            starts = first + dim, second + filled_dim


class ExactWeights:
    """The same in float64, for a product that leaves no rounding to float32."""

    def __init__(self, weights: LinearWeights) -> None:
        self.weights, self.depth = weights, weights.depth
        self.lanes = weights.program.kernels.double_lanes
        self.width = rounded_up(weights.output_dim, self.lanes)
        self.transposed = torch.zeros(self.depth, self.width, dtype=torch.float64)
        self.bias = torch.zeros(self.width, dtype=torch.float64)

    def refresh(self) -> None:
        """Take over what they are now."""
        output_dim = self.weights.output_dim
        self.transposed[:, :output_dim] = self.weights.rows.T
        self.bias[:output_dim] = self.weights.bias[:output_dim]


class LinearGradients:
    """Where a linear map's calls put the gradients of its weights, in whole vectors.

    Parameters are as for a layer's.
    """

    def __init__(self, weights: LinearWeights, into: tuple[Tensor, ...], is_first: bool) -> None:
        self.weights, self.into = weights, into
        weight, bias = into if is_first else (None, None)
        self.rows = place_of(weight, weights.output_dim, weights.depth)
        self.bias = place_of(bias, weights.width)

    def copies(self) -> Iterator[Copy]:
        """Yield what brings them into those of the parameters."""
        d_weight, d_bias = self.into
        yield from self.weights.parts(d_weight, self.rows)
        yield d_bias, self.bias[: self.weights.output_dim]


class LinearCalls:
    """A linear map's share of a program. Shape: (rows, K) -> (rows, N), in whole vectors."""

    def __init__(self, memory: Memory, gradients: LinearGradients) -> None:
        self.memory, self.gradients, self.weights = memory, gradients, gradients.weights

    def forward(self, program: Program, inputs: Place) -> Place:
        """Add the call that writes the outputs, and return where."""
        weights = self.weights
        self.inputs, self.n_rows = inputs, inputs.n_floats // weights.depth
        outputs = self.memory.take(self.n_rows, weights.width)
        program.call(
            "product",
            *(inputs.address, weights.depth, weights.transposed.data_ptr(), weights.width),
            *(weights.width // program.kernels.lanes, weights.depth, weights.bias.data_ptr(), 0),
            *(outputs.address, weights.width, self.n_rows),
        )
        return outputs

    def backward(self, program: Program, d_outputs: Place, zeros: int) -> Place:
        """Add the calls that find the gradients, and return where that of the inputs is."""
        weights, n_rows, lanes = self.weights, self.n_rows, program.kernels.lanes
        depth, width = weights.depth, weights.width
        found = self.gradients
        d_inputs = self.memory.take(n_rows, depth)
        sizes = 1, n_rows, width // lanes
        program.call("column_sums", d_outputs.address, *sizes, found.bias.data_ptr())
        program.call(
            "product_transposed",
            *(d_outputs.address, width, self.inputs.address, depth, depth // lanes, n_rows),
            *(zeros, 0, found.rows.data_ptr(), depth, weights.output_dim),
        )
        program.call(
            "product",
            *(d_outputs.address, width, weights.rows.data_ptr(), depth, depth // lanes),
            *(weights.output_dim, zeros, 0, d_inputs.address, depth, n_rows),
        )
        return d_inputs
