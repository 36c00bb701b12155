"""Some series of a set, drawn at random and in memory, to fit initial weights to. Torch only."""

from __future__ import annotations

import torch
from torch import Tensor

from seqfeat.batches import Source, TrainingSet
from seqfeat.ranks import Ranks
from seqfeat.regions import shuffled_regions

__all__ = ["MAX_SERIES", "sample"]

MAX_SERIES = 1024
"""Enough for what initial weights need to know."""


def sample(
    source: Source, batch_size: int, generator: torch.Generator, ranks: Ranks
) -> TrainingSet:
    """Return up to `MAX_SERIES` series of one region, the same ones in every process."""
    region = next(shuffled_regions(len(source), source.values_per_series, batch_size, generator))
    rows = region[torch.randperm(len(region), generator=generator)[:MAX_SERIES]]
    own, places = source.load(region).take(rows)
    if places is None:
        return own
    return _assembled(ranks.gather((places, own)), len(rows), source.is_dense)


def _assembled(
    parts: list[tuple[Tensor, TrainingSet]], n_series: int, is_dense: bool
) -> TrainingSet:
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
    return TrainingSet(values, lengths, None if is_dense else observed)
