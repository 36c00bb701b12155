"""The decoder's part of a program: from embeddings to patches, and back."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import pad

from seqfeat.nn.kernels.encoder import drop_units
from seqfeat.nn.kernels.layers import LinearCalls, LSTMCalls
from seqfeat.nn.kernels.program import Buffer, Program
from seqfeat.nn.kernels.weights import NetworkGradients, PackedNetwork

__all__ = ["DecoderCalls"]


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
