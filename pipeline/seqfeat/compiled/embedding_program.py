"""An encoder's program for inference: from series as they came to embeddings."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from seqfeat.compiled.encoder_program import EncoderProgram
from seqfeat.recurrence.program import rounded_up

__all__ = ["EmbeddingProgram"]


class EmbeddingProgram(EncoderProgram):
    """Scales series and embeds them; what comes before and behind the network is in float64."""

    def _begin(self) -> None:
        s, a = self.shape, self.architecture
        self.is_too_large = ctypes.c_int64()
        n_values = s.n_series * s.n_timesteps * a.n_channels
        self.scaled = self.memory.take(rounded_up(n_values, self.lanes))
        flag = ctypes.addressof(self.is_too_large)
        sizes = s.n_series * s.n_timesteps, a.n_channels
        self.scale = self.program.call("scale", 0, 0, 0, *sizes, self.scaled.address, flag)

    def _encode(self) -> None:
        super()._encode()
        n_series, embedding_dim = self.shape.n_series, self.architecture.embedding_dim
        linear, pooled = self.weights.exact_projection, self.pooled
        if linear is None:
            places = 0, embedding_dim, pooled.address, pooled.shape[1]
            self.hand_over = self.program.call("copy_rows", *places, n_series, embedding_dim)
            return
        # Places are counted in float32, of which there are two in a float64.
        wide = self.memory.take(n_series, 2 * linear.depth)
        exact = self.memory.take(n_series, 2 * linear.width)
        self._call("widen", pooled.address, pooled.n_floats // self.lanes, wide.address)
        self._call(
            "product_exact",
            *(wide.address, linear.depth, linear.transposed.data_ptr(), linear.width),
            *(linear.width // linear.lanes, linear.depth, linear.bias.data_ptr(), 0),
            *(exact.address, linear.width, n_series),
        )
        sizes = linear.width, n_series, embedding_dim
        self.hand_over = self.program.call("narrow", 0, exact.address, *sizes)

    def finish(self) -> None:
        """Make ready to run."""
        super().finish()
        row = self.shape.n_timesteps * self.architecture.n_channels
        self.program.change(self.cut_inputs, self.scaled.address, row)

    def embed(self, values: Tensor, lengths: Tensor, scaling: Tensor) -> Tensor | None:
        """Return embeddings (B, E), or None where scaled values are too large.

        Values (B, T, C) in float64 and in order in memory, of which `lengths` (B,) count; means
        and scales (2, C) in float64.
        """
        embeddings = torch.empty(self.shape.n_series, self.architecture.embedding_dim)
        mean, program = scaling.data_ptr(), self.program
        program.change(self.count_windows, lengths.data_ptr())
        program.change(self.scale, values.data_ptr(), mean, mean + 8 * scaling.shape[1])
        program.change(self.hand_over, embeddings.data_ptr())
        program.run()
        return None if self.is_too_large.value else embeddings
