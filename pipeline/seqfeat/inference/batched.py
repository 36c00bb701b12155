"""Running a trained network over any number of series, a batch at a time. Torch only.

Memory is bounded by a batch for each thread: neither the input nor anything of its
size is copied. Series run in order of length, to save padding, and results come back
with the rows they belong to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqfeat.exceptions import DeviceMemoryError
from seqfeat.nn.kernels import compiled_embedder
from seqfeat.nn.network import RecurrentAutoencoder
from seqfeat.runtime.device import (
    full_precision,
    halving_on_out_of_memory,
    is_out_of_memory,
    single_threaded,
    to_device,
    use_one_thread,
)
from seqfeat.runtime.threads import WorkerPool
from seqfeat.series import Series
from seqfeat.series.scaling import ChannelScaling

if TYPE_CHECKING:
    from seqfeat.nn.kernels.embedder import Embedder

__all__ = ["Reconstruction", "decode", "embed", "rebuild"]

BATCH_SERIES = {"cpu": 256, "cuda": 1024}
"""Series in a batch, at most."""
SMALL_BATCH = 64
"""Series in a batch on a CPU unless there are very many, of few timesteps."""
LARGE_BATCH_TIMESTEPS = 2**13
"""Timesteps in a larger batch, at most, which limits its activations."""
LARGE_BATCH_STATES = 2**18
"""States of a layer's units in it, at most, where programs share less overhead than PyTorch."""
LEAST_BATCHES = 8
"""Larger batches leave at least as many, to keep so many threads busy."""
BATCH_VALUES = 2**24
"""Values in a batch, at most, so that long series come in smaller batches."""

STORED_ROWS = 4096
"""Neighbouring series of a stored set that are sorted by length together."""

Floats = NDArray[np.float32]
T = TypeVar("T")


class Reconstruction(NamedTuple):
    """A batch of series and what the network makes of them, both scaled.

    ``scaled`` and ``rebuilt`` have shape (B, T, C), ``observed`` the same or is
    None if everything was observed; ``rows`` are the series' indices and
    ``embeddings`` has shape (B, E).
    """

    rows: NDArray[np.int64]
    scaled: Floats
    observed: NDArray[np.bool_] | None
    rebuilt: Floats
    embeddings: Floats


def embed(
    network: RecurrentAutoencoder, series: Series, scaling: ChannelScaling, device: torch.device
) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    """Yield rows and their embeddings, shapes (B,) and (B, E), in order of length."""
    embedder = compiled_embedder(network) if device.type == "cpu" else None

    def run(rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], Floats]:
        if embedder is not None:
            return rows, _by_program(embedder, series, scaling, rows).numpy()
        embeddings = _encode(network, scaling.apply(series, rows), series, rows, device)
        return rows, embeddings.cpu().numpy()

    size = _batch_size(series.values.shape, device, _most_timesteps(network, embedder))
    return _batched(run, _order_of_length(series), size, device, in_torch=embedder is None)


def rebuild(
    network: RecurrentAutoencoder,
    series: Series,
    scaling: ChannelScaling,
    device: torch.device,
    rows: NDArray[np.int64] | None = None,
) -> Iterator[Reconstruction]:
    """Yield batches of series, or of some rows, beside their reconstructions, by length."""
    embedder = compiled_embedder(network) if device.type == "cpu" else None

    def run(rows: NDArray[np.int64]) -> Reconstruction:
        scaled = scaling.apply(series, rows)
        n_timesteps = scaled.shape[1]
        if embedder is not None:
            embeddings = _by_program(embedder, series, scaling, rows)
        else:
            embeddings = _encode(network, scaled, series, rows, device)
        rebuilt = network.decode(embeddings, n_timesteps).cpu().numpy()
        observed = None if series.is_dense else ~np.isnan(series.values[rows, :n_timesteps])
        return Reconstruction(rows, scaled, observed, rebuilt, embeddings.cpu().numpy())

    size = _batch_size(series.values.shape, device, _most_timesteps(network, embedder))
    return _batched(run, _order_of_length(series, rows), size, device)


def decode(
    network: RecurrentAutoencoder, embeddings: Floats, n_timesteps: int, device: torch.device
) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    """Yield rows and the scaled series, shape (B, T, C), that embeddings stand for."""

    def run(rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], Floats]:
        inputs = to_device(embeddings[rows], device)
        return rows, network.decode(inputs, n_timesteps).cpu().numpy()

    shape = (len(embeddings), n_timesteps, network.architecture.n_channels)
    return _batched(run, np.arange(len(embeddings)), _batch_size(shape, device), device)


def _by_program(
    embedder: Embedder, series: Series, scaling: ChannelScaling, rows: NDArray[np.int64]
) -> Tensor:
    """Embed a batch; refuse what `ChannelScaling.apply` does."""
    lengths = series.lengths[rows]
    block = series.values[rows, : int(lengths.max())].astype(np.float64, order="C", copy=False)
    tensor = torch.from_numpy
    found = embedder.embed(tensor(block), tensor(lengths), tensor(scaling.mean_and_scale))
    if found is None:
        scaling.apply(series, rows)  # Says which value is too large.
    assert found is not None
    return found


def _encode(
    network: RecurrentAutoencoder,
    scaled: Floats,
    series: Series,
    rows: NDArray[np.int64],
    device: torch.device,
) -> Tensor:
    """Embed a batch by PyTorch; a single series beside itself, as it rounds one otherwise."""
    values, lengths = to_device(scaled, device), to_device(series.lengths[rows], device)
    if len(values) == 1:
        try:
            return network.encode(values.expand(2, -1, -1), lengths.expand(2))[:1]
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
    return network.encode(values, lengths)


def _batched(
    run: Callable[[NDArray[np.int64]], T],
    order: NDArray[np.int64],
    size: int,
    device: torch.device,
    *,
    in_torch: bool = True,
) -> Iterator[T]:
    """Yield what `run` makes of one batch of rows after the other.

    A batch that does not fit into memory is halved and tried again. Without PyTorch's
    operations there is nothing to set for them, which takes as long as a small batch.
    """

    def halve() -> bool:
        nonlocal size
        if size == 1:
            raise DeviceMemoryError(
                f"{device} ran out of memory with a single series in the batch. Use a shorter "
                "series, a model with a smaller hidden_dim, or device='cpu'."
            )
        size //= 2
        return True

    def run_in_torch(rows: NDArray[np.int64]) -> T:
        # Entered for each batch, so that no mode leaks to the caller between two of them.
        with torch.inference_mode(), full_precision(device):
            return run(rows)

    run_one = run_in_torch if in_torch else run
    mode: Callable[[], AbstractContextManager[None]] = single_threaded if in_torch else nullcontext
    start, n_side_by_side = 0, _batches_side_by_side(len(order), size, device)
    threads = WorkerPool(n_side_by_side, use_one_thread) if in_torch else WorkerPool(n_side_by_side)
    with threads as pool:
        while start < len(order):
            stop = min(start + n_side_by_side * size, len(order))
            batches = [order[first : first + size] for first in range(start, stop, size)]
            results: list[T] = []
            with halving_on_out_of_memory(halve, device), mode():
                results = list(pool.map(run_one, batches))
            yield from results
            start = stop if results else start


def _batches_side_by_side(n_series: int, size: int, device: torch.device) -> int:
    """Return how many batches run at once: on a CPU one on each of torch's threads.

    Threads that share one batch wait for each other at every step of an LSTM, on a
    busy machine for longer than they work. And results do not depend on their number.
    """
    n_batches = -(-n_series // size)
    return max(1, min(torch.get_num_threads(), n_batches)) if device.type == "cpu" else 1


def _order_of_length(series: Series, rows: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    rows = np.arange(len(series)) if rows is None else rows
    if series.is_lazy:
        order = np.lexsort((series.lengths[rows], rows // STORED_ROWS))
    else:
        order = np.argsort(series.lengths[rows], kind="stable")
    in_order: NDArray[np.int64] = rows[order]
    return in_order


def _most_timesteps(network: RecurrentAutoencoder, embedder: Embedder | None) -> int:
    if embedder is None:
        return LARGE_BATCH_TIMESTEPS
    return LARGE_BATCH_STATES // network.architecture.hidden_dim


def _batch_size(
    shape: tuple[int, ...], device: torch.device, most_timesteps: int = LARGE_BATCH_TIMESTEPS
) -> int:
    n_series, n_timesteps, n_channels = shape
    size = min(BATCH_SERIES[device.type], BATCH_VALUES // max(1, n_timesteps * n_channels))
    if device.type == "cpu":
        # The more series share an LSTM call, the less its overhead costs each of them.
        large = min(n_series // LEAST_BATCHES, most_timesteps // max(1, n_timesteps))
        size = min(size, max(SMALL_BATCH, large))
    return max(1, size)
