"""Inference by programs of the kernels, on any number of threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from seqfeat.nn.kernels.encoder import EncoderCalls
from seqfeat.nn.kernels.layers import DecoderCalls
from seqfeat.nn.kernels.program import Buffer, External, Program
from seqfeat.nn.kernels.program_cache import Cacheable, ProgramCache
from seqfeat.nn.kernels.reservoir import ReservoirCalls
from seqfeat.nn.kernels.weights import PackedNetwork
from seqfeat.nn.windows import of_timesteps
from seqfeat.runtime.fork_safety import ForkSafeLock

__all__ = ["Embedder"]

MAX_FLOATS_KEPT = 2**22
"""Of a cache's storage between two batches; a larger one is given back."""

P = TypeVar("P", bound=Cacheable)


class Embedder:
    """Encodes and decodes batches with a network's weights as they are now.

    A series' results have the same bits in any batch.
    """

    def __init__(self, weights: PackedNetwork) -> None:
        self.weights = weights
        self.is_frozen = not any(weight.requires_grad for weight in weights.parameters)
        self.lock = ForkSafeLock()
        self.idle: list[ProgramCache] = []

    def embed(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Embed scaled series. Shape: (B, T, C) float32, (B,) int64 -> (B, E) float32."""
        n_series, n_timesteps, _ = values.shape
        cache, program = self._take(EmbeddingProgram, n_series, n_timesteps)
        embeddings = program.embed(values, lengths)
        self._give_back(cache)
        return embeddings

    def scale_and_embed(
        self, values: Tensor, lengths: Tensor, mean_and_scale: Tensor
    ) -> tuple[Tensor, np.float32]:
        """Scale and embed series, in which NaN means not observed.

        Shape: (B, T, C) float64, (B,) int64, (2, C) float64 -> (B, E) float32, and the largest
        magnitude of a scaled value.
        """
        n_series, n_timesteps, _ = values.shape
        cache, program = self._take(ScalingProgram, n_series, n_timesteps)
        result = program.scale_and_embed(values, lengths, mean_and_scale)
        self._give_back(cache)
        return result

    def summarize(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Pool scaled series, without the projection. Shape: (B, T, C), (B,) -> (B, D)."""
        n_series, n_timesteps, _ = values.shape
        cache, program = self._take(SummaryProgram, n_series, n_timesteps)
        pooled = program.summarize(values, lengths)
        self._give_back(cache)
        return pooled

    def timestep_states(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Return the encoder's states at each timestep. Shape: (B, T, C), (B,) -> (B, T, D)."""
        n_series, n_timesteps, _ = values.shape
        cache, program = self._take(StatesProgram, n_series, n_timesteps)
        states = program.timestep_states(values, lengths)
        self._give_back(cache)
        return states

    def decode(self, embeddings: Tensor, n_timesteps: int) -> Tensor:
        """Reconstruct scaled series. Shape: (B, E) float32 -> (B, T, C) float32."""
        embeddings = embeddings[:, : self.weights.network.architecture.embedding_dim].contiguous()
        cache, program = self._take(DecodingProgram, len(embeddings), n_timesteps)
        series = program.decode(embeddings)
        self._give_back(cache)
        return series

    def decode_recurrently(self, embeddings: Tensor, n_timesteps: int) -> Tensor:
        """Reconstruct scaled series by the decoder's layers alone, as `decode` does."""
        cache, program = self._take(RecurrentDecodingProgram, len(embeddings), n_timesteps)
        series = program.decode(embeddings)
        self._give_back(cache)
        return series

    def _take(
        self, write: Callable[[PackedNetwork, int, int], P], n_series: int, n_timesteps: int
    ) -> tuple[ProgramCache, P]:
        """Return a cache that nobody else works with, and its program for a batch."""
        with self.lock:
            # Frozen weights are packed once; to see that they have not changed takes a while.
            if not (self.is_frozen and self.weights.versions_for_inference):
                self.weights.refresh_for_inference()
            cache = self.idle.pop() if self.idle else ProgramCache()
        key = write, n_series, n_timesteps
        return cache, cache.get(key, lambda: write(self.weights, n_series, n_timesteps))

    def _give_back(self, cache: ProgramCache) -> None:
        """Keep a cache for the next batch. One whose program failed is not given back."""
        with self.lock:
            if len(cache.storage) <= MAX_FLOATS_KEPT:
                self.idle.append(cache)


class EncoderProgram:
    """From series to pooled values."""

    def __init__(self, weights: PackedNetwork, n_series: int, n_timesteps: int) -> None:
        self.weights, self.architecture = weights, weights.network.architecture
        self.shape = n_series, n_timesteps, self.architecture.n_channels
        self.program = Program(weights.kernels)
        self.arena = self.program.arena
        self.lengths = self.program.external(n_series, dtype=torch.int64)
        calls = EncoderCalls if weights.trains_encoder else ReservoirCalls
        self.encoder = calls(self.program, weights, n_series, n_timesteps)
        self.pooled = self.encoder.forward(self._scaled_values(), self.lengths)
        self._write_result()

    def _scaled_values(self) -> Any:
        """Return scaled values, as they are handed over."""
        self.values = self.program.external(*self.shape)
        return self.values

    def _write_result(self) -> None:
        """Add what comes after the pooling."""

    def finish(self, storage: Tensor) -> None:
        """Make ready to run in a storage."""
        self.program.finish(storage)


class EmbeddingProgram(EncoderProgram):
    """From scaled series to embeddings; the projection is in float64."""

    def _write_result(self) -> None:
        n_series, a = self.shape[0], self.architecture
        self.embeddings = self.program.external(n_series, a.n_features)
        if a.keeps_statistics:
            features = self.arena.take(n_series, a.n_features)
            code = self.arena.take(n_series, a.embedding_dim)
            self._project(code)
            self._copy(features.columns(0, a.embedding_dim), code)
            self._copy_statistics(features.columns(a.embedding_dim, a.n_features))
            self._copy(self.embeddings, features)
        elif self.weights.float64_projection is not None:
            self._project(self.embeddings)
        else:
            self._copy(self.embeddings, self.pooled.columns(0, a.embedding_dim))

    def _copy(self, target: Buffer | External, source: Buffer) -> None:
        self.program.call("copy_rows", target=target, source=source)

    def _project(self, embeddings: Buffer | External) -> None:
        """Add the calls that write the projection of the last of the pooled values."""
        linear, n_series = self.weights.float64_projection, self.shape[0]
        assert linear is not None
        take, pooled = self.arena.take, self.pooled
        if pooled.shape[1] != linear.depth:
            pooled = take(n_series, linear.depth)
            width = self.pooled.shape[1]
            self._copy(pooled, self.pooled.columns(width - linear.depth, width))
        wide = take(n_series, linear.depth, dtype=torch.float64)
        result = take(n_series, linear.width, dtype=torch.float64)
        self.program.call(
            "float32_to_float64",
            x=pooled.view(pooled.n_elements),
            result=wide.view(wide.n_elements),
        )
        self.program.call(
            "product_float64",
            left=wide,
            right=linear.transposed,
            start=linear.bias.expand(n_series, -1),
            result=result,
        )
        self.program.call(
            "float64_to_float32", x=result.columns(0, embeddings.shape[1]), result=embeddings
        )

    def _copy_statistics(self, target: Buffer) -> None:
        """Add the calls that copy the statistics of a reservoir, without padding."""
        columns, dim, start = self.weights.summary_columns, self.architecture.hidden_dim, 0
        for number, width in enumerate(columns.padded_dims[:-1]):
            own = target.columns(number * dim, (number + 1) * dim)
            self._copy(own, self.pooled.columns(start, start + dim))
            start += width

    def embed(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Return the embeddings of scaled values."""
        embeddings = self._new_embeddings()
        self.values.set(values)
        self.lengths.set(lengths)
        self.program.run()
        return embeddings

    def _new_embeddings(self) -> Tensor:
        """Return a tensor in which the next run writes the embeddings."""
        embeddings = torch.empty(self.embeddings.shape, dtype=torch.float32, device="cpu")
        self.embeddings.set(embeddings)
        return embeddings


class ScalingProgram(EmbeddingProgram):
    """From series as they came, in float64, to embeddings."""

    def _scaled_values(self) -> Any:
        self.unscaled = self.program.external(*self.shape, dtype=torch.float64)
        self.mean_and_scale = self.program.external(2, self.shape[2], dtype=torch.float64)
        scaled = self.arena.take(*self.shape)
        largest = torch.zeros(1, dtype=torch.float32, device="cpu")
        self.program.call(
            "scale",
            values=self.unscaled,
            mean_and_scale=self.mean_and_scale,
            result=scaled,
            largest=largest,
        )
        self.largest = largest.numpy()
        return scaled

    def scale_and_embed(
        self, values: Tensor, lengths: Tensor, mean_and_scale: Tensor
    ) -> tuple[Tensor, np.float32]:
        """Return the embeddings, and the largest magnitude of a scaled value."""
        embeddings = self._new_embeddings()
        self.unscaled.set(values)
        self.mean_and_scale.set(mean_and_scale)
        self.lengths.set(lengths)
        self.program.run()
        return embeddings, self.largest[0]


class SummaryProgram(EncoderProgram):
    """From scaled series to what the projection gets to see, without padding."""

    def summarize(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Return the pooled values of scaled series."""
        self.values.set(values)
        self.lengths.set(lengths)
        self.program.run()
        columns, pooled = self.weights.summary_columns, self.program.tensor(self.pooled)
        n_values = columns.n_groups * sum(columns.dims)
        result = torch.empty(len(pooled), n_values, dtype=torch.float32, device="cpu")
        for own, padded in columns.parts(result, pooled):
            own.copy_(padded)
        return result


class StatesProgram:
    """From scaled series to the states of the encoder at each timestep."""

    def __init__(self, weights: PackedNetwork, n_series: int, n_timesteps: int) -> None:
        self.architecture = a = weights.network.architecture
        self.n_timesteps = n_timesteps
        self.program = program = Program(weights.kernels)
        self.arena = program.arena
        self.lengths = program.external(n_series, dtype=torch.int64)
        self.values = program.external(n_series, n_timesteps, a.n_channels)
        calls = EncoderCalls if weights.trains_encoder else ReservoirCalls
        encoder = calls(program, weights, n_series, n_timesteps)
        self.layers = encoder.states(self.values, self.lengths)
        self.dims = [a.hidden_dim] * len(self.layers)
        if weights.trains_encoder:
            self.dims[-1] = a.embedding_dim

    def finish(self, storage: Tensor) -> None:
        """Make ready to run in a storage."""
        self.program.finish(storage)

    def timestep_states(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Return the states, without padding, in the order of the layers."""
        self.values.set(values)
        self.lengths.set(lengths)
        self.program.run()
        stride, n_directions = self.architecture.window_stride, 1 + self.architecture.bidirectional
        parts = []
        for (buffer, window_len), dim in zip(self.layers, self.dims, strict=True):
            # They lie by time, and the units of each direction in whole vectors.
            for outputs in self.program.tensor(buffer).transpose(0, 1).chunk(n_directions, dim=2):
                own = outputs[:, :, :dim]
                parts.append(of_timesteps(own, lengths, self.n_timesteps, window_len, stride))
        return torch.cat(parts, dim=2)


class RecurrentDecodingProgram:
    """From embeddings to scaled series, by the decoder's layers."""

    def __init__(self, weights: PackedNetwork, n_series: int, n_timesteps: int) -> None:
        self.weights = weights
        self.architecture = a = weights.network.architecture
        self.program = program = Program(weights.kernels)
        self.arena = program.arena
        n_patches = -(-n_timesteps // a.patch_len)
        decoder = DecoderCalls(program, weights, n_series, n_patches)
        self.embeddings = program.external(n_series, a.embedding_dim)
        self.series = program.external(n_series, n_timesteps, a.n_channels)
        embeddings = program.arena.take(n_series, decoder.first.units)
        program.call(
            "copy_rows", target=embeddings.columns(0, a.embedding_dim), source=self.embeddings
        )
        patches = decoder.forward(embeddings)
        self._write_series(embeddings, patches.view(n_patches, n_series, patches.shape[1]))

    def _write_series(self, embeddings: Buffer, patches: Buffer) -> None:
        """Add the calls that write the series, given the patches (L, B, D)."""
        self._join(patches, self.series)

    def _join(self, patches: Buffer, series: Buffer | External) -> None:
        self.program.call(
            "join_patches",
            patches=patches,
            result=series,
            patch_len=self.architecture.patch_len,
        )

    def finish(self, storage: Tensor) -> None:
        """Make ready to run in a storage."""
        self.program.finish(storage)

    def decode(self, embeddings: Tensor) -> Tensor:
        """Return the series that embeddings stand for."""
        series = torch.empty(self.series.shape, dtype=torch.float32, device="cpu")
        self.embeddings.set(embeddings)
        self.series.set(series)
        self.program.run()
        return series


class DecodingProgram(RecurrentDecodingProgram):
    """From embeddings to scaled series, by the layers and the linear map."""

    def _write_series(self, embeddings: Buffer, patches: Buffer) -> None:
        program, linear = self.program, self.weights.linear
        if linear is None:
            self._join(patches, self.series)
            return
        joined, n_series = self.arena.take(*self.series.shape), embeddings.shape[0]
        self._join(patches, joined)
        first = self.arena.take(n_series, linear.width)
        program.call(
            "product",
            left=embeddings.columns(0, linear.depth),
            right=linear.transposed,
            start=linear.bias.expand(n_series, -1),
            result=first,
        )
        rows = joined.as_rows()
        n_added = min(linear.output_dim, rows.shape[1])
        program.call("add_rows", target=rows.columns(0, n_added), source=first.columns(0, n_added))
        program.call("copy_rows", target=self.series.as_rows(), source=rows)
