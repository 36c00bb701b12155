"""The encoder's part of a program: from values to pooled outputs, and back.

Matrices lie by time, (L, B, D), with D in whole vectors: B series, L recurrent steps.
The other shapes are those of `seqfeat.nn.network`.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from seqfeat.nn.kernels.ir.pooling import POOL, POOL_BACKWARD
from seqfeat.nn.kernels.layers import LSTMCalls, cut_windows, drop_units
from seqfeat.nn.kernels.program import Buffer, External, Program
from seqfeat.nn.kernels.weights import LSTMGradients, PackedLSTM, PackedNetwork
from seqfeat.nn.pooling import STATISTICS
from seqfeat.nn.windows import n_windows

__all__ = ["EncoderCalls"]


class EncoderCalls:
    """The calls of an encoder for batches of one shape.

    Parameters
    ----------
    program : Program
    weights : PackedNetwork
    n_series, n_timesteps : int
    gradients : list of list of LSTMGradients, optional
        Where those of the layers of each direction go; without them there is only a forward pass.
    """

    def __init__(
        self,
        program: Program,
        weights: PackedNetwork,
        n_series: int,
        n_timesteps: int,
        gradients: list[list[LSTMGradients]] | None = None,
    ) -> None:
        self.program, self.weights = program, weights
        self.architecture = a = weights.network.architecture
        self.n_series = n_series
        n_steps = n_windows(n_timesteps, a.window_len, a.window_stride)
        self.n_valid = torch.ones(n_series, dtype=torch.int64, device="cpu")
        self.layers = [
            EncoderLayer(
                program,
                [direction[number] for direction in weights.encoder],
                self.n_valid,
                n_steps,
                None if gradients is None else [direction[number] for direction in gradients],
            )
            for number in range(2)
        ]

    def forward(
        self, values: Buffer | External, lengths: External, keep: Buffer | None = None
    ) -> Buffer:
        """Add the calls that pool the outputs, and return what is pooled.

        `keep` (B, D) drops units between the layers. Shape: (B, T, C), (B,) -> (B, D).
        """
        a, program = self.architecture, self.program
        program.call(
            "count_windows",
            lengths=lengths,
            result=self.n_valid,
            window_len=a.window_len,
            window_stride=a.window_stride,
        )
        windows = cut_windows(program, values, a.window_len, a.window_stride)
        first, second = self.layers
        self.keep = keep
        self.hidden = drop_units(program, first.forward(windows), keep)
        self.outputs = second.forward(self.hidden)
        self.pooled = self._pool()
        return self.pooled

    def states(self, values: Buffer | External, lengths: External) -> list[tuple[Buffer, int]]:
        """Add the calls that write the outputs that are pooled, and return these.

        With each comes the length of the windows that it read.
        """
        self.forward(values, lengths)
        layers = [self.outputs]
        if self.architecture.pooling == "statistics":
            layers.insert(0, self.hidden)
        return [(one, self.architecture.window_len) for one in layers]

    def backward(self, d_pooled: Buffer, zeros: Tensor) -> None:
        """Add the calls that find the gradients of the weights, given that of the pooled values."""
        program, (first, second) = self.program, self.layers
        if self.architecture.pooling == "statistics":
            d_hidden, d_outputs = self._pool_backward(d_pooled)
        else:
            d_hidden, d_outputs = None, self._pool_one_backward(d_pooled)
        through = second.backward(d_outputs, zeros, wants_sequences=True)
        if d_hidden is not None:
            flat = through.view(1, through.n_elements)
            program.call("add", x=flat, y=d_hidden.view(d_hidden.n_elements), result=flat)
        first.backward(drop_units(program, through, self.keep), zeros, wants_sequences=False)

    # Pooling

    def _pool(self) -> Buffer:
        pooling, width = self.architecture.pooling, self.outputs.shape[2]
        if pooling == "statistics":
            width = len(STATISTICS[pooling]) * (self.hidden.shape[2] + width)
        pooled = self.program.arena.take(self.n_series, width)
        if pooling == "last":
            for outputs, n_valid, columns in self._last_steps(self.outputs, pooled):
                self.program.call(
                    "gather_last_steps", outputs=outputs, n_valid=n_valid, result=columns
                )
            return pooled
        for sequences, columns in self._pooled_parts(pooled):
            self.program.call(
                POOL[pooling].name, outputs=sequences, n_valid=self.n_valid, pooled=columns
            )
        return pooled

    def _pooled_parts(self, pooled: Buffer) -> Iterator[tuple[Buffer, Buffer]]:
        """Yield the sequences that are pooled, each with its columns, (B, statistics, D)."""
        pooling = self.architecture.pooling
        n_statistics, row = len(STATISTICS[pooling]), pooled.shape[1]
        offset = pooled.offset
        sequences = [self.hidden, self.outputs] if pooling == "statistics" else [self.outputs]
        for one in sequences:
            width = one.shape[2]
            shape, strides = (self.n_series, n_statistics, width), (row, row // n_statistics, 1)
            yield one, Buffer(offset, shape, strides)
            offset += width

    def _pool_backward(self, d_pooled: Buffer) -> list[Buffer]:
        """Return the gradients of all sequences that were pooled."""
        results, pooling, take = [], self.architecture.pooling, self.program.arena.take
        parts = zip(self._pooled_parts(self.pooled), self._pooled_parts(d_pooled), strict=True)
        for (sequences, columns), (_, d_columns) in parts:
            results.append(take(*sequences.shape))
            self.program.call(
                POOL_BACKWARD[pooling].name,
                outputs=sequences,
                n_valid=self.n_valid,
                pooled=columns,
                d_pooled=d_columns,
                scratch=take(self.n_series, 4, sequences.shape[2]),
                d_outputs=results[-1],
            )
        return results

    def _pool_one_backward(self, d_pooled: Buffer) -> Buffer:
        """Return the gradient of the outputs, if these alone were pooled."""
        if self.architecture.pooling != "last":
            return self._pool_backward(d_pooled)[0]
        d_outputs = self.program.arena.take(*self.outputs.shape)
        for outputs, n_valid, columns in self._last_steps(d_outputs, d_pooled):
            self.program.call(
                "scatter_last_steps", gradient=columns, n_valid=n_valid, result=outputs
            )
        return d_outputs

    def _last_steps(
        self, outputs: Buffer, pooled: Buffer
    ) -> Iterator[tuple[Buffer, Tensor, Buffer]]:
        """Yield each direction's outputs, the number of steps up to its last, and its columns.

        The backward direction ends at the series' first step.
        """
        n_directions = len(self.weights.encoder)
        units = outputs.shape[2] // n_directions
        for number, n_valid in zip(
            range(n_directions), (self.n_valid, torch.ones_like(self.n_valid)), strict=False
        ):
            start, stop = number * units, (number + 1) * units
            yield outputs.columns(start, stop), n_valid, pooled.columns(start, stop)


class EncoderLayer:
    """One layer of the encoder, in one direction or both.

    The backward direction is a second forward LSTM over the reversed series; its outputs are
    reversed again and lie next to those of the forward direction.
    """

    def __init__(
        self,
        program: Program,
        weights: list[PackedLSTM],
        n_valid: Tensor,
        n_steps: int,
        gradients: list[LSTMGradients] | None,
    ) -> None:
        self.program, self.n_valid = program, n_valid
        self.directions = [
            LSTMCalls(
                program,
                one,
                len(n_valid),
                n_steps,
                None if gradients is None else gradients[number],
            )
            for number, one in enumerate(weights)
        ]

    @property
    def width(self) -> int:
        """Width of the outputs, those of both directions side by side."""
        return sum(direction.units for direction in self.directions)

    def forward(self, sequences: Buffer) -> Buffer:
        """Add the calls that write the outputs. Shape: (L, B, D) -> (L, B, directions * U)."""
        take = self.program.arena.take
        forwards = self.directions[0]
        forwards.forward(sequences)
        if len(self.directions) == 1:
            return forwards.outputs
        backwards = self.directions[1]
        backwards.forward(self._reverse(sequences, take(*sequences.shape)))
        n_steps, n_series, units = forwards.outputs.shape
        outputs = take(n_steps, n_series, 2 * units)
        first, second = outputs.columns(0, units), outputs.columns(units, 2 * units)
        self.program.call("copy_rows", target=_rows(first), source=_rows(forwards.outputs))
        self._reverse(backwards.outputs, second)
        return outputs

    def backward(self, d_outputs: Buffer, zeros: Tensor, *, wants_sequences: bool) -> Buffer:
        """Add the calls that find the gradients; return that of the sequences, if it is wanted."""
        forwards = self.directions[0]
        if len(self.directions) == 1:
            forwards.backward(d_outputs, zeros, wants_sequences=wants_sequences)
            return forwards.d_sequences
        take, backwards = self.program.arena.take, self.directions[1]
        n_steps, n_series, width = d_outputs.shape
        units = width // 2
        forwards.backward(d_outputs.columns(0, units), zeros, wants_sequences=wants_sequences)
        d_reversed = self._reverse(d_outputs.columns(units, width), take(n_steps, n_series, units))
        backwards.backward(d_reversed, zeros, wants_sequences=wants_sequences)
        d_sequences = forwards.d_sequences
        if wants_sequences:
            found = self._reverse(backwards.d_sequences, take(*d_sequences.shape))
            flat = d_sequences.view(1, d_sequences.n_elements)
            self.program.call("add", x=flat, y=found.view(found.n_elements), result=flat)
        return d_sequences

    def _reverse(self, sequences: Buffer, result: Buffer) -> Buffer:
        self.program.call("reverse_steps", sequences=sequences, n_valid=self.n_valid, result=result)
        return result


def _rows(matrix: Buffer) -> Buffer:
    """Return (L, B, D) as a matrix of L * B rows."""
    n_steps, n_series, width = matrix.shape
    return matrix._replace(shape=(n_steps * n_series, width), strides=matrix.strides[1:])
