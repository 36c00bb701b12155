"""What networks are made of, as calls of a program, forward and backward.

Windows, dropout, LSTM layers, linear maps, and the decoder, which is nothing but these. Matrices
lie by time, (L, B, D), with D in whole vectors: B series, L steps.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import pad

from seqfeat.nn.kernels.ir.matmul import PRODUCT_OF_PANELS
from seqfeat.nn.kernels.program import Buffer, External, Program
from seqfeat.nn.kernels.weights import (
    LinearGradients,
    LSTMGradients,
    NetworkGradients,
    PackedLinear,
    PackedLSTM,
    PackedNetwork,
    round_up,
)
from seqfeat.nn.windows import n_windows

__all__ = ["DecoderCalls", "LSTMCalls", "LinearCalls", "cut_windows", "drop_units"]


def cut_windows(
    program: Program, values: Buffer | External, window_len: int, window_stride: int
) -> Buffer:
    """Add the call that cuts series into windows; return them. Shape: (B, T, C) -> (L, B, D)."""
    n_series, n_timesteps, n_channels = values.shape
    n_steps = n_windows(n_timesteps, window_len, window_stride)
    width = round_up(window_len * n_channels, program.lanes)
    windows = program.arena.take(n_steps, n_series, width)
    program.call(
        "cut_windows",
        values=values,
        result=windows,
        window_len=window_len,
        window_stride=window_stride,
    )
    return windows


def drop_units(program: Program, sequences: Buffer, keep: Buffer | None) -> Buffer:
    """Add the call of `seqfeat.nn.network.drop_units`. Shape: (L, B, D), (B, D) -> (L, B, D)."""
    if keep is None:
        return sequences
    result = program.arena.take(*sequences.shape)
    blocks = sequences.shape[0], keep.n_elements
    program.call(
        "multiply",
        x=sequences.view(*blocks),
        y=keep.view(keep.n_elements),
        result=result.view(*blocks),
    )
    return result


class LSTMCalls:
    """An LSTM layer's calls for `n_series` series of `n_steps` steps.

    Without `gradients` there is only a forward pass, and only its outputs are kept.

    Attributes
    ----------
    outputs : Buffer of shape (L, B, U)
    d_sequences : Buffer of shape (L, B, W)
        The gradient of the sequences, where `backward` was asked for it.
    d_constant : Buffer of shape (B, W)
        The gradient of the constant inputs, where there are any.
    """

    d_sequences: Buffer
    d_constant: Buffer

    def __init__(
        self,
        program: Program,
        weights: PackedLSTM,
        n_series: int,
        n_steps: int,
        gradients: LSTMGradients | None = None,
    ) -> None:
        self.program, self.weights, self.gradients = program, weights, gradients
        self.n_series, self.n_steps, self.units = n_series, n_steps, weights.units
        # A single series' steps meet the weights one by one, but its inputs all at once.
        self.inputs_first = gradients is None and n_series == 1
        take, keeps_all = program.arena.take, gradients is not None
        self.gates = take(
            n_steps if keeps_all or self.inputs_first else 1, n_series, 4 * self.units
        )
        self.states = take(n_steps + 1, n_series, self.units)
        self.cells = take(n_steps + 1 if keeps_all else 1, n_series, self.units)
        self.outputs = self.states.rows(1, n_steps + 1)
        self.constant: Buffer | None = None

    def forward(self, sequences: Buffer | Tensor, constant: Buffer | None = None) -> None:
        """Add the calls that write `outputs`.

        Shape: (L, B, D), (B, E). A tensor of sequences has a row for each step that all series
        share, (L, D).
        """
        weights, n_steps, n_series = self.weights, self.n_steps, self.n_series
        self.sequences, self.constant = sequences, constant
        depth, panels = weights.sequence_depth, weights.sequence_panels
        inputs: Buffer | Tensor
        if isinstance(sequences, Tensor):
            inputs = sequences[:, None, :depth].expand(-1, n_series, -1)
        else:
            inputs = sequences.columns(0, depth)
        start: Buffer | Tensor = weights.bias.expand(n_steps, n_series, -1)
        if constant is not None:
            begin = self.program.arena.take(n_series, 4 * self.units)
            self._add_inputs(
                constant.columns(0, weights.constant_dim), weights.constant_panels, begin
            )
            start = begin.view(1, *begin.shape).repeat(n_steps)
        elif self.inputs_first and isinstance(inputs, Buffer):
            # The gates hold what the inputs add until the recurrence overwrites them.
            self._add_inputs(_first_series(inputs), panels, _first_series(self.gates))
            start, inputs, panels = self.gates, inputs.columns(0, 0), panels[:, :0]
        keeps_all = self.gates.shape[0] == n_steps
        self.program.call(
            "lstm_forward",
            start=start,
            inputs=inputs,
            input_panels=panels,
            hidden_panels=weights.hidden_panels,
            gates=self.gates if keeps_all else self.gates.repeat(n_steps),
            outputs=self.states,
            cells=self.cells if self.gradients is not None else self.cells.repeat(n_steps + 1),
        )

    def _add_inputs(self, inputs: Buffer, panels: Tensor, result: Buffer) -> None:
        """Add the call that writes the bias plus what the inputs add, for all rows at once."""
        self.program.call(
            PRODUCT_OF_PANELS.name,
            left=inputs,
            panels=panels,
            start=self.weights.bias.expand(inputs.shape[0], -1),
            result=result,
        )

    def backward(self, d_outputs: Buffer, zeros: Tensor, *, wants_sequences: bool) -> None:
        """Add the calls that find the gradients, after those that read the outputs.

        `zeros` (1, n) are as many as anything is wide.
        """
        weights, found, program = self.weights, self.gradients, self.program
        assert found is not None
        n_steps, n_series, gates = self.n_steps, self.n_series, 4 * self.units
        take = program.arena.take
        width = weights.sequence_width
        is_shared = isinstance(self.sequences, Tensor)
        nothing = take(n_steps, n_series, 0)
        self.d_sequences = take(n_steps, n_series, width) if wants_sequences else nothing
        scratch = take(n_series, self.units), take(n_series, self.units)
        # Those of each series, for what is constant; else the kernel sums over all series.
        sums: Buffer | Tensor = found.bias[None]
        own = [self.gates, self.states, self.cells, *scratch]
        if self.constant is not None:
            sums = take(n_series, gates)
            own.append(sums)
        program.call(
            "lstm_backward",
            gates=self.gates,
            cells=self.cells,
            outputs=self.states,
            d_outputs=d_outputs,
            d_bias=sums,
            hidden_weights=weights.hidden,
            d_hidden_weights=found.hidden,
            inputs=nothing if is_shared else self.sequences,
            d_input_weights=found.sequences[:, :0] if is_shared else found.sequences,
            input_weights=weights.d_input_weights[:, : self.d_sequences.shape[2]],
            d_inputs=self.d_sequences,
            d_hidden=scratch[0],
            d_cells=scratch[1],
            zeros=zeros[0],
        )
        if isinstance(self.sequences, Tensor) and width:
            of_steps = take(n_steps, gates)
            program.call("column_sums", x=self.gates, result=of_steps)
            self._add_transposed(of_steps, self.sequences, found.sequences, zeros)
            program.arena.release(of_steps)
        if self.constant is not None:
            assert isinstance(sums, Buffer)
            self._backward_of_constant(self.constant, sums, found, zeros)
        # All that the forward pass had kept.
        program.arena.release(*own)

    def _backward_of_constant(
        self, constant: Buffer, sums: Buffer, found: LSTMGradients, zeros: Tensor
    ) -> None:
        n_series, width = constant.shape
        self.d_constant = self.program.arena.take(n_series, width)
        self.program.call("column_sums", x=sums.view(1, *sums.shape), result=found.bias[None])
        self._add_transposed(sums, constant, found.constant, zeros)
        self.program.call(
            "product",
            left=sums,
            right=self.weights.d_input_weights,
            start=zeros[:, :width].expand(n_series, -1),
            result=self.d_constant,
        )

    def _add_transposed(
        self, left: Buffer, right: Buffer | Tensor, result: Tensor, zeros: Tensor
    ) -> None:
        """Add ``result = left.T @ right``."""
        self.program.call(
            "product_transposed",
            left=left,
            right=right,
            start=zeros[:, : result.shape[1]].expand(len(result), -1),
            result=result,
        )


def _first_series(matrix: Buffer) -> Buffer:
    """Return what the only series of (L, 1, D) holds. Shape: (L, D)."""
    n_steps, _, width = matrix.shape
    return matrix._replace(shape=(n_steps, width), strides=(matrix.strides[0], 1))


class LinearCalls:
    """A linear map's calls. Shape: (rows, K) -> (rows, N), in whole vectors."""

    def __init__(
        self, program: Program, weights: PackedLinear, gradients: LinearGradients | None = None
    ) -> None:
        self.program, self.weights, self.gradients = program, weights, gradients

    def forward(self, inputs: Buffer) -> Buffer:
        """Add the call that writes the outputs, and return them."""
        weights = self.weights
        n_rows = inputs.n_elements // weights.depth
        self.inputs = inputs.view(n_rows, weights.depth)
        outputs = self.program.arena.take(n_rows, weights.width)
        self.program.call(
            "product",
            left=self.inputs,
            right=weights.transposed,
            start=weights.bias.expand(n_rows, -1),
            result=outputs,
        )
        return outputs

    def backward(self, d_outputs: Buffer, zeros: Tensor) -> Buffer:
        """Add the calls that find the gradients, and return that of the inputs."""
        weights, found = self.weights, self.gradients
        assert found is not None
        n_rows = d_outputs.shape[0]
        d_inputs = self.program.arena.take(n_rows, weights.depth)
        self.program.call(
            "column_sums", x=d_outputs.view(1, *d_outputs.shape), result=found.bias[None]
        )
        d_valid = d_outputs.columns(0, weights.output_dim)
        self.program.call(
            "product_transposed",
            left=d_valid,
            right=self.inputs,
            start=zeros[:, : weights.depth].expand(weights.output_dim, -1),
            result=found.rows,
        )
        self.program.call(
            "product",
            left=d_valid,
            right=weights.rows,
            start=zeros[:, : weights.depth].expand(n_rows, -1),
            result=d_inputs,
        )
        return d_inputs


class DecoderCalls:
    """The calls of a decoder for batches of one shape; without `gradients` only forward."""

    def __init__(
        self,
        program: Program,
        weights: PackedNetwork,
        n_series: int,
        n_patches: int,
        gradients: NetworkGradients | None = None,
    ) -> None:
        self.program, self.weights = program, weights
        times = weights.network.decoder.time_features(n_patches, weights.zeros)
        self.times = pad(times, (0, -times.shape[1] % program.lanes)).contiguous()
        """Time features, the same for all series. Shape: (L, D)."""
        first, second = weights.decoder
        of_layers = (None, None) if gradients is None else gradients.decoder
        self.first = LSTMCalls(program, first, n_series, n_patches, of_layers[0])
        self.second = LSTMCalls(program, second, n_series, n_patches, of_layers[1])
        self.output = LinearCalls(
            program, weights.output, None if gradients is None else gradients.output
        )

    def forward(self, embeddings: Buffer, keep: Buffer | None = None) -> Buffer:
        """Add the calls that write the patches, and return these.

        `keep` (B, E) drops units between the layers. Shape: (B, E) -> (L * B, D).
        """
        self.keep = keep
        self.first.forward(self.times, embeddings)
        self.second.forward(drop_units(self.program, self.first.outputs, keep))
        return self.output.forward(self.second.outputs)

    def backward(self, d_patches: Buffer, zeros: Tensor) -> Buffer:
        """Add the calls that find the gradients; return that of the embeddings.

        The memory of the patches' gradient is released.
        """
        release = self.program.arena.release
        d_outputs = self.output.backward(d_patches, zeros)
        release(d_patches)
        second = self.second
        second.backward(d_outputs.view(*second.outputs.shape), zeros, wants_sequences=True)
        release(d_outputs)
        d_first = drop_units(self.program, second.d_sequences, self.keep)
        self.first.backward(d_first, zeros, wants_sequences=False)
        release(second.d_sequences)
        return self.first.d_constant
