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

import torch
from torch import Tensor

__all__ = ["REGION_BYTES", "is_one_region", "regions_in_order", "shuffled_regions"]

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
