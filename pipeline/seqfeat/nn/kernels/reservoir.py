"""The default encoder's part of a program: from values to statistics.

There is no way back, because a reservoir is not trained. Shapes are those of
`seqfeat.nn.reservoir`; sequences lie by time, (L, B, H), with H in whole vectors.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn.functional import pad

from seqfeat.nn.kernels.ir.pooling import POOL
from seqfeat.nn.kernels.layers import LSTMCalls, cut_windows
from seqfeat.nn.kernels.program import Buffer, External, Program
from seqfeat.nn.kernels.weights import PackedLSTM, PackedNetwork
from seqfeat.nn.pooling import STATISTICS
from seqfeat.nn.reservoir import N_VIEWS, RESERVOIR_STATISTICS, ReservoirEncoder
from seqfeat.nn.windows import n_windows

__all__ = ["ReservoirCalls"]


class ReservoirCalls:
    """The calls of a reservoir for batches of one shape."""

    def __init__(
        self, program: Program, weights: PackedNetwork, n_series: int, n_timesteps: int
    ) -> None:
        encoder = weights.network.encoder
        assert isinstance(encoder, ReservoirEncoder)
        self.program, self.weights, self.encoder = program, weights, encoder
        self.n_series, self.n_timesteps = n_series, n_timesteps
        missing = -encoder.thresholds.shape[1] % program.lanes
        self.thresholds = pad(encoder.thresholds.detach(), (0, missing)).contiguous()

    def forward(self, values: Buffer | External, lengths: External) -> Buffer:
        """Add the calls that write the statistics and the first timesteps, and return these."""
        program = self.program
        depth = self.weights.summary_columns.depth
        pooled = program.arena.take(self.n_series, depth)
        number = 0
        for number, (layer, view, length) in enumerate(self._inputs(values, lengths)):
            width = len(RESERVOIR_STATISTICS) * layer.units
            columns = pooled.columns(number * width, (number + 1) * width)
            self._pool(layer, view, length, lengths, number, columns)
        self._copy_first_steps(values, pooled.columns((number + 1) * width, depth))
        return pooled

    def states(self, values: Buffer | External, lengths: External) -> list[tuple[Buffer, int]]:
        """Add the calls that write the layers' outputs; return these and their windows' length."""
        return [
            (self._run_layer(layer, view, length)[1].outputs, length)
            for layer, view, length in self._inputs(values, lengths)
        ]

    def _inputs(
        self, values: Buffer | External, lengths: External
    ) -> Iterator[tuple[PackedLSTM, Buffer | External, int]]:
        """Yield each layer, the view of the series that it reads, and the length of its windows."""
        program, (layers,) = self.program, self.weights.encoder
        standardized = program.arena.take(*values.shape)
        program.call("standardize_series", values=values, lengths=lengths, result=standardized)
        views = [view for view in (values, standardized) for _ in self.encoder.window_lens]
        lens = list(self.encoder.window_lens) * N_VIEWS
        yield from zip(layers, views, lens, strict=True)

    def _run_layer(
        self, layer: PackedLSTM, view: Buffer | External, window_len: int
    ) -> tuple[Buffer, LSTMCalls]:
        """Add the calls that write one layer's outputs."""
        stride = self.encoder.window_stride
        n_steps = n_windows(self.n_timesteps, window_len, stride)
        windows = cut_windows(self.program, view, window_len, stride)
        calls = LSTMCalls(self.program, layer, self.n_series, n_steps)
        calls.forward(windows)
        return windows, calls

    def _pool(
        self,
        layer: PackedLSTM,
        view: Buffer | External,
        window_len: int,
        lengths: External,
        number: int,
        pooled: Buffer,
    ) -> None:
        """Add the calls that write one layer's statistics."""
        program, stride = self.program, self.encoder.window_stride
        arena, units = program.arena, layer.units
        n_valid = torch.ones(self.n_series, dtype=torch.int64, device="cpu")
        program.call(
            "count_windows",
            lengths=lengths,
            result=n_valid,
            window_len=window_len,
            window_stride=stride,
        )
        windows, calls = self._run_layer(layer, view, window_len)
        row, of_states = pooled.strides[0], len(STATISTICS["statistics"])
        n_above = len(RESERVOIR_STATISTICS) - of_states
        program.call(
            POOL["statistics"].name,
            outputs=calls.outputs,
            n_valid=n_valid,
            pooled=Buffer(pooled.offset, (self.n_series, of_states, units), (row, units, 1)),
        )
        stretches = arena.take(self.n_series, units)
        above = pooled.columns(of_states * units, pooled.shape[1])
        program.call(
            "pool_above",
            outputs=calls.outputs,
            n_valid=n_valid,
            thresholds=self.thresholds[number],
            stretches=stretches,
            pooled=Buffer(above.offset, (self.n_series, n_above, units), (row, units, 1)),
        )
        # The next layer works in the same memory, while it is in the cache.
        arena.release(windows, calls.gates, calls.states, calls.cells, stretches)

    def _copy_first_steps(self, values: Buffer | External, target: Buffer) -> None:
        """Add the calls that copy the first timesteps, with zeros after them."""
        n_read = self.encoder.n_linear_steps * values.shape[2]
        rows = values.as_rows()
        n_copied = min(n_read, rows.shape[1])
        self.program.call(
            "copy_rows", target=target.columns(0, n_copied), source=rows.columns(0, n_copied)
        )
        n_zeros = target.shape[1] - n_copied
        zeros = self.weights.zeros[:, :n_zeros].expand(self.n_series, -1)
        if n_zeros:
            self.program.call(
                "copy_rows", target=target.columns(n_copied, target.shape[1]), source=zeros
            )
