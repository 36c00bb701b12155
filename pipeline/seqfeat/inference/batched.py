"""Running a trained network over any number of series, in batches.

Memory is bounded by one batch per thread: neither the input nor anything of its size is copied.
Series are processed in order of length, to save padding, and every result comes with its row
numbers. NumPy and torch only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqfeat.exceptions import DeviceMemoryError
from seqfeat.nn.backend import Backend
from seqfeat.nn.batch import Batch
from seqfeat.runtime.device import full_precision, halving_on_out_of_memory
from seqfeat.runtime.threads import WorkerPool
from seqfeat.runtime.torch_threads import n_cpu_threads, single_threaded, use_one_thread
from seqfeat.series.scaling import LARGEST_SCALED, ChannelScaling
from seqfeat.series.series import Series

__all__ = [
    "Reconstruction",
    "decode",
    "embed",
    "embed_scaled",
    "encode_timesteps",
    "reconstruct",
]

MAX_BATCH_SERIES = {"cpu": 256}
"""Maximum number of series in a batch, by type of device."""
ACCELERATOR_BATCH_SERIES = 1024
"""The same for all other devices."""
SMALL_BATCH_SERIES = 64
"""Batch size on a CPU, unless there are very many short series."""
LARGE_BATCH_TIMESTEPS = 2**13
"""Maximum number of timesteps in a larger batch, which bounds its activations."""
LARGE_BATCH_STATES = 2**18
"""The same for the compiled kernels, in timesteps times hidden units; they have less overhead."""
MIN_BATCHES = 8
"""Minimum number of larger batches, which keeps the threads busy."""
MAX_BATCH_VALUES = 2**24
"""Maximum number of values in a batch, so that batches of long series are smaller."""

LAZY_ROWS = 4096
"""Number of consecutive rows of a lazily read array that are sorted by length together."""

Floats = NDArray[np.float32]
T = TypeVar("T")


class Reconstruction(NamedTuple):
    """A batch of series and their reconstructions, both scaled.

    Attributes
    ----------
    rows : ndarray of shape (B,)
        Row numbers of the series.
    scaled : ndarray of shape (B, T, C), float32
        The scaled series, with 0 where nothing was observed.
    observed : ndarray of shape (B, T, C), bool, or None
        Mask of observed values; None if all were observed.
    reconstruction : ndarray of shape (B, T, C), float32
    embeddings : ndarray of shape (B, E), float32
    """

    rows: NDArray[np.int64]
    scaled: Floats
    observed: NDArray[np.bool_] | None
    reconstruction: Floats
    embeddings: Floats


def embed(
    backend: Backend, series: Series, scaling: ChannelScaling
) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    """Embed series in order of length; yield row numbers (B,) and embeddings (B, E)."""
    mean_and_scale = torch.from_numpy(scaling.mean_and_scale)

    def run(rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], Floats]:
        lengths = series.lengths[rows]
        block = series.values[rows, : int(lengths.max())].astype(np.float64, order="C", copy=False)
        embeddings, largest = backend.scale_and_embed(
            torch.from_numpy(block), torch.from_numpy(lengths), mean_and_scale
        )
        if not largest < LARGEST_SCALED:
            scaling.apply(series, rows)  # Raises an error that names the value.
        return rows, embeddings.cpu().numpy()

    size = _batch_size(backend, series.values.shape)
    return _run_batches(backend, run, _order_by_length(series), size)


def encode_timesteps(
    backend: Backend, series: Series, scaling: ChannelScaling
) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    """Yield row numbers (B,), and the encoder's states at each timestep (B, T, D)."""

    def run(rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], Floats]:
        values = torch.from_numpy(scaling.apply(series, rows))
        lengths = torch.from_numpy(series.lengths[rows])
        return rows, backend.timestep_states(values, lengths).cpu().numpy()

    size = _batch_size(backend, series.values.shape)
    return _run_batches(backend, run, _order_by_length(series), size)


def embed_scaled(backend: Backend, series: Batch, rows: Tensor) -> Tensor:
    """Embed rows of series that are scaled already; what the decoder does not read is left out.

    Returns a tensor (number of rows, E), float32, on the CPU.
    """
    shape = len(rows), backend.network.architecture.embedding_dim
    embeddings = torch.empty(shape, dtype=torch.float32, device="cpu")

    def run(places: NDArray[np.int64]) -> tuple[NDArray[np.int64], Tensor]:
        part = series.take(rows[places])
        return places, backend.embed(part.values, part.lengths)[:, : shape[1]].cpu()

    order = np.argsort(series.lengths[rows].numpy(), kind="stable")
    size = _batch_size(backend, (len(rows), *series.values.shape[1:]))
    for places, found in _run_batches(backend, run, order, size):
        embeddings[places] = found
    return embeddings


def reconstruct(
    backend: Backend,
    series: Series,
    scaling: ChannelScaling,
    rows: NDArray[np.int64] | None = None,
) -> Iterator[Reconstruction]:
    """Reconstruct series in order of length: the given rows, or all of them."""

    def run(rows: NDArray[np.int64]) -> Reconstruction:
        scaled, observed = scaling.apply_observed(series, rows)
        values, lengths = torch.from_numpy(scaled), torch.from_numpy(series.lengths[rows])
        embeddings = backend.embed(values, lengths)
        reconstruction = backend.decode(embeddings, scaled.shape[1])
        return Reconstruction(
            rows, scaled, observed, reconstruction.cpu().numpy(), embeddings.cpu().numpy()
        )

    size = _batch_size(backend, series.values.shape)
    return _run_batches(backend, run, _order_by_length(series, rows), size)


def decode(
    backend: Backend, embeddings: Floats, n_timesteps: int
) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    """Decode embeddings; yield row numbers (B,) and scaled series (B, T, C)."""

    def run(rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], Floats]:
        series = backend.decode(torch.from_numpy(embeddings[rows]), n_timesteps)
        return rows, series.cpu().numpy()

    shape = (len(embeddings), n_timesteps, backend.network.architecture.n_channels)
    order = np.arange(len(embeddings))
    return _run_batches(backend, run, order, _batch_size(backend, shape))


def _run_batches(
    backend: Backend,
    run: Callable[[NDArray[np.int64]], T],
    order: NDArray[np.int64],
    size: int,
) -> Iterator[T]:
    """Call `run` for batches of rows, and yield its results in order.

    If a batch does not fit into memory, the batch size is halved and the batch retried. On a CPU,
    each of torch's threads runs a batch of its own. Threads that share a batch wait for each other
    at every step of an LSTM, on a busy machine for longer than they work; and this way, results do
    not depend on the number of threads.
    """
    device = backend.device

    def halve() -> bool:
        nonlocal size
        if size == 1:
            raise DeviceMemoryError(
                f"{device} ran out of memory with a single series in the batch. Use shorter "
                "series, a model with a smaller hidden_dim, or device='cpu'."
            )
        size //= 2
        return True

    def run_in_torch(rows: NDArray[np.int64]) -> T:
        # Entered for each batch, so that no mode leaks to the caller between batches.
        with torch.inference_mode(), full_precision(device):
            return run(rows)

    # The kernels need none of PyTorch's modes, and entering them takes as long as a small batch.
    run_one = run if backend.is_compiled else run_in_torch
    n_threads = 1
    if device.type == "cpu" and len(order) > size:
        n_threads = max(1, min(n_cpu_threads(), -(-len(order) // size)))
    start = 0
    with ExitStack() as stack:
        run_all: Callable[..., Iterable[T]] = map
        if n_threads > 1:
            run_all = stack.enter_context(WorkerPool(n_threads, use_one_thread)).map
        while start < len(order):
            stop = min(start + n_threads * size, len(order))
            batches = [order[first : first + size] for first in range(start, stop, size)]
            results: list[T] = []
            with halving_on_out_of_memory(halve, device), single_threaded():
                results = list(run_all(run_one, batches))
            yield from results
            start = stop if results else start


def _order_by_length(series: Series, rows: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    rows = np.arange(len(series.lengths)) if rows is None else rows
    if series.is_lazy:
        order = np.lexsort((series.lengths[rows], rows // LAZY_ROWS))
    else:
        order = np.argsort(series.lengths[rows], kind="stable")
    in_order: NDArray[np.int64] = rows[order]
    return in_order


def _batch_size(backend: Backend, shape: tuple[int, ...]) -> int:
    n_series, n_timesteps, n_channels = shape
    device_type = backend.device.type
    size = MAX_BATCH_VALUES // max(1, n_timesteps * n_channels)
    size = min(MAX_BATCH_SERIES.get(device_type, ACCELERATOR_BATCH_SERIES), size)
    if device_type == "cpu":
        # The more series share a call of the LSTM, the less overhead there is per series.
        max_timesteps = LARGE_BATCH_TIMESTEPS
        if backend.is_compiled:
            max_timesteps = LARGE_BATCH_STATES // backend.network.architecture.hidden_dim
        large = min(n_series // MIN_BATCHES, max_timesteps // max(1, n_timesteps))
        size = min(size, max(SMALL_BATCH_SERIES, large))
    return max(1, size)
