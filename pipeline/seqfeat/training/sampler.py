"""Which series of a set are in memory together, so that the set need not be.

A set is divided into blocks of neighbouring series, of a few MiB, which storage
reads at once. Training shuffles the blocks, reads some of them together, a region,
and shuffles the series within it. A set no larger than a region is one, and then
its series are shuffled freely. All of this follows from sizes alone: the same
series lead to the same batches, wherever they are stored and whoever holds them.
Torch only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from seqfeat.nn.batch import Batch, Chunk, common_length
from seqfeat.runtime.ranks import Ranks

__all__ = [
    "MAX_SERIES",
    "REGION_BYTES",
    "Source",
    "bucket_batches",
    "is_one_region",
    "regions_in_order",
    "sample",
    "shuffled_regions",
]

REGION_BYTES = 64 * 2**20
"""Bytes of scaled series, float32, that are in memory together."""
BLOCKS_PER_REGION = 32
"""The more, the better the series are mixed, and the smaller the pieces that are read."""


def is_one_region(n_series: int, values_per_series: int) -> bool:
    """Tell whether a set is small enough to be in memory as a whole."""
    return n_series * values_per_series * 4 <= REGION_BYTES


def regions_in_order(n_series: int, values_per_series: int) -> Iterator[Tensor]:
    """Yield the rows of one region after the other, ascending."""
    size = max(1, REGION_BYTES // (4 * values_per_series))
    for start in range(0, n_series, size):
        yield torch.arange(start, min(start + size, n_series))


def shuffled_regions(
    n_series: int, values_per_series: int, batch_size: int, generator: torch.Generator
) -> Iterator[Tensor]:
    """Yield the rows of one region after the other, ascending, of blocks in random order.

    But for the set's last series, a block holds whole batches, so that there are as
    many batches as in a set of one region.
    """
    if is_one_region(n_series, values_per_series):
        yield torch.arange(n_series)
        return
    block_bytes = REGION_BYTES // BLOCKS_PER_REGION
    size = max(1, block_bytes // (4 * values_per_series * batch_size)) * batch_size
    blocks = torch.randperm(-(-n_series // size), generator=generator)
    n_together = max(1, REGION_BYTES // (4 * values_per_series * size))
    for together in torch.split(blocks, n_together):
        starts = together.sort().values.tolist()
        yield torch.cat(
            [torch.arange(block * size, min((block + 1) * size, n_series)) for block in starts]
        )


MAX_SERIES = 1024
"""Enough for what initial weights need to know."""


def sample(source: Source, batch_size: int, generator: torch.Generator, ranks: Ranks) -> Batch:
    """Return up to `MAX_SERIES` series of one region, the same ones in every process."""
    region = next(shuffled_regions(len(source), source.values_per_series, batch_size, generator))
    rows = region[torch.randperm(len(region), generator=generator)[:MAX_SERIES]]
    own, places = source.load(region).take(rows)
    if places is None:
        return own
    return _assembled(ranks.gather((places, own)), len(rows), source.is_dense)


def _assembled(parts: list[tuple[Tensor, Batch]], n_series: int, is_dense: bool) -> Batch:
    """Return what several processes hold of one set, as one."""
    n_timesteps = max(part.values.shape[1] for _, part in parts)
    shape = (n_series, n_timesteps, parts[0][1].values.shape[2])
    values, observed = torch.zeros(shape), torch.zeros(shape, dtype=torch.bool)
    lengths = torch.zeros(n_series, dtype=torch.int64)
    for places, part in parts:
        own = part.values.shape[1]
        values[places, :own] = part.values
        lengths[places] = part.lengths
        if part.observed is not None:
            observed[places, :own] = part.observed
    return Batch(values, lengths, None if is_dense else observed)


class Source(Protocol):
    """A set of series, wherever they are, of which parts can be had."""

    @property
    def lengths(self) -> Tensor:
        """Timesteps of every series, of all processes."""

    @property
    def is_dense(self) -> bool:
        """Whether everything was observed, in all processes."""

    @property
    def values_per_series(self) -> int:
        """Values of the longest series."""

    def __len__(self) -> int:
        """Return the number of series of all processes."""

    def load(self, rows: Tensor) -> Chunk:
        """Return those of the rows, ascending, that this process holds, or more."""


def bucket_batches(
    lengths: Tensor, batch_size: int, generator: torch.Generator
) -> Iterator[Tensor]:
    """Yield shuffled batches of row indices in which series are about equally long.

    Rows are shuffled, sorted by length within `BUCKET_BATCHES` batches, and the
    batches shuffled again: little padding, and another composition each epoch.
    """
    order = torch.randperm(len(lengths), generator=generator)
    if common_length(lengths) is not None:
        yield from torch.split(order, batch_size)
        return
    batches: list[Tensor] = []
    for bucket in torch.split(order, BUCKET_BATCHES * batch_size):
        bucket = bucket[torch.argsort(lengths[bucket], stable=True)]
        batches.extend(torch.split(bucket, batch_size))
    for index in torch.randperm(len(batches), generator=generator).tolist():
        yield batches[index]


BUCKET_BATCHES = 32
"""Batches whose series are sorted by length together."""
