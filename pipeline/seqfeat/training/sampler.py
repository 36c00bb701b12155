"""Which series are in memory together, and which of them make up a batch.

A data set need not fit into memory. It is divided into blocks of consecutive series, a few MiB
each, which storage reads in one go. Training shuffles the blocks, reads several of them at a time
as a chunk, and shuffles the series within the chunk. A set no larger than a chunk is a single
chunk, and its series are shuffled freely. All of this follows from sizes alone: the same series
lead to the same batches, wherever they are stored and whichever process holds them. Torch only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from seqfeat.nn.batch import Batch, Chunk, common_length
from seqfeat.runtime.ranks import Ranks

__all__ = [
    "CHUNK_BYTES",
    "TrainingData",
    "bucket_batches",
    "chunks_in_order",
    "is_one_chunk",
    "sample_series",
    "shuffled_chunks",
]

CHUNK_BYTES = 64 * 2**20
"""Maximum size of a chunk, as float32."""
BLOCKS_PER_CHUNK = 32
"""More blocks mix the series better, but are smaller pieces to read."""
BUCKET_BATCHES = 32
"""Number of batches whose series are sorted by length together."""
MAX_SAMPLE_SERIES = 8192
"""Maximum number of series to which initial weights are fitted."""
MAX_SAMPLE_BYTES = 2**24
"""Maximum size of these as float32; of the longest series there are fewer."""
MIN_SAMPLE_SERIES = 64
"""But no fewer than this."""


class TrainingData(Protocol):
    """A set of series to train on, shared by all processes.

    A `Batch` is a set in memory; a `seqfeat.training.dataset.Dataset` need not be.
    """

    @property
    def lengths(self) -> Tensor:
        """Timesteps of every series."""

    @property
    def is_dense(self) -> bool:
        """Whether everything was observed."""

    @property
    def is_weighted(self) -> bool:
        """Whether series or targets count differently, in all processes."""

    @property
    def values_per_series(self) -> int:
        """Number of values of the longest series."""

    def __len__(self) -> int:
        """Return the number of series."""

    def load(self, rows: Tensor) -> Chunk:
        """Return a chunk of the rows, ascending, as far as this process holds them."""


def is_one_chunk(n_series: int, values_per_series: int) -> bool:
    """Return whether a set is small enough to be a single chunk."""
    return n_series * values_per_series * 4 <= CHUNK_BYTES


def _arange(start: int, stop: int) -> Tensor:
    return torch.arange(start, stop, dtype=torch.int64, device="cpu")


def _shuffle(count: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(count, generator=generator, dtype=torch.int64, device="cpu")


def chunks_in_order(data: TrainingData) -> Iterator[Tensor]:
    """Yield the rows of each chunk, ascending."""
    size = max(1, CHUNK_BYTES // (4 * data.values_per_series))
    for start in range(0, len(data), size):
        yield _arange(start, min(start + size, len(data)))


def shuffled_chunks(
    data: TrainingData, batch_size: int, generator: torch.Generator
) -> Iterator[Tensor]:
    """Yield the rows, ascending, of chunks that consist of random blocks.

    All blocks but the last hold whole batches, so that there are as many batches as in a set
    that is a single chunk.
    """
    n_series, values_per_series = len(data), data.values_per_series
    if is_one_chunk(n_series, values_per_series):
        yield _arange(0, n_series)
        return
    block_bytes = CHUNK_BYTES // BLOCKS_PER_CHUNK
    size = max(1, block_bytes // (4 * values_per_series * batch_size)) * batch_size
    blocks = _shuffle(-(-n_series // size), generator)
    n_together = max(1, CHUNK_BYTES // (4 * values_per_series * size))
    for together in torch.split(blocks, n_together):
        starts = [block * size for block in together.sort().values.tolist()]
        yield torch.cat([_arange(start, min(start + size, n_series)) for start in starts])


def bucket_batches(
    lengths: Tensor, batch_size: int, generator: torch.Generator
) -> Iterator[Tensor]:
    """Yield shuffled batches of row numbers in which series have similar lengths.

    Rows are shuffled, sorted by length within groups of `BUCKET_BATCHES` batches, and the
    batches are shuffled again. This takes little padding, and every epoch has new batches.
    """
    order = _shuffle(len(lengths), generator)
    if common_length(lengths) is not None:
        yield from torch.split(order, batch_size)
        return
    batches: list[Tensor] = []
    for bucket in torch.split(order, BUCKET_BATCHES * batch_size):
        bucket = bucket[torch.argsort(lengths[bucket], stable=True)]
        batches.extend(torch.split(bucket, batch_size))
    for index in _shuffle(len(batches), generator).tolist():
        yield batches[index]


def sample_series(
    data: TrainingData, batch_size: int, generator: torch.Generator, ranks: Ranks
) -> tuple[Tensor, Batch]:
    """Return up to `MAX_SAMPLE_SERIES` random rows of a chunk and their series.

    They are the same in every process. Whatever is drawn next does not depend on how many there
    are, so that a series given twice is the same as one that counts twice.
    """
    seed = int(torch.randint(2**62, (), generator=generator, dtype=torch.int64, device="cpu"))
    generator = torch.Generator(device="cpu").manual_seed(seed)
    chunk = next(shuffled_chunks(data, batch_size, generator))
    size = max(MIN_SAMPLE_SERIES, MAX_SAMPLE_BYTES // (4 * data.values_per_series))
    rows = chunk[_shuffle(len(chunk), generator)[: min(size, MAX_SAMPLE_SERIES)]]
    own, positions = data.load(chunk).take(rows)
    if positions is None:
        return rows, own
    return rows, _join(ranks.all_gather((positions, own)), len(rows), data.is_dense)


def _join(parts: list[tuple[Tensor, Batch]], n_series: int, is_dense: bool) -> Batch:
    """Join the parts of a batch that several processes hold."""
    n_timesteps = max(part.values.shape[1] for _, part in parts)
    shape = (n_series, n_timesteps, parts[0][1].values.shape[2])
    values = torch.zeros(shape, dtype=torch.float32, device="cpu")
    observed = torch.zeros(shape, dtype=torch.bool, device="cpu")
    lengths = torch.zeros(n_series, dtype=torch.int64, device="cpu")
    joined: dict[str, Tensor | None] = {}
    for name in ("targets", "weights", "target_weights"):
        first = getattr(parts[0][1], name)
        joined[name] = None
        if first is not None:
            shape_of_first = (n_series, *first.shape[1:])
            joined[name] = torch.zeros(shape_of_first, dtype=first.dtype, device="cpu")
    for positions, part in parts:
        own = part.values.shape[1]
        values[positions, :own] = part.values
        lengths[positions] = part.lengths
        if part.observed is not None:
            observed[positions, :own] = part.observed
        for name, of_all in joined.items():
            if of_all is not None:
                of_all[positions] = getattr(part, name)
    return Batch(values, lengths, None if is_dense else observed, **joined)
