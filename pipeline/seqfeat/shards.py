"""A process's own series among those of all processes that share a fit. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqfeat.exceptions import InputError
from seqfeat.ranks import Ranks
from seqfeat.series import Series

__all__ = ["Shard"]


@dataclass(frozen=True, eq=False)
class Shard:
    """Where a process's own series stand among those of all processes.

    Attributes
    ----------
    first : int
        Which of them is the first of its own.
    lengths : ndarray of shape (N,), int64
        Timesteps of all.
    is_dense : bool
        Whether everything was observed, in all processes.
    """

    first: int
    lengths: NDArray[np.int64]
    is_dense: bool

    @classmethod
    def whole(cls, series: Series) -> Shard:
        """Return what a process holds that is alone: all."""
        return cls(0, series.lengths, series.is_dense)

    @classmethod
    def among(cls, ranks: Ranks, series: Series) -> Shard:
        """Return where this process's series stand: behind those of lower ranks.

        Raises
        ------
        InputError
            In every process, if their series differ in channels or in form.
        """
        facts = ranks.gather((len(series), _told(series.lengths), series.is_dense, _form(series)))
        forms = [form for *_, form in facts]
        for rank, form in enumerate(forms):
            if form != forms[0]:
                raise InputError(
                    f"the processes that share this fit hold {forms[0]} in rank 0, but {form} in "
                    f"rank {rank}. Give each of them series of the same form and channels."
                )
        first = sum(n_series for n_series, *_ in facts[: ranks.rank])
        lengths = np.concatenate([np.broadcast_to(told, n_series) for n_series, told, *_ in facts])
        is_dense = all(dense for _, _, dense, _ in facts) and bool((lengths == lengths[0]).all())
        return cls(first, lengths, is_dense)

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def n_timesteps(self) -> int:
        """Timesteps of the longest series of all."""
        return int(self.lengths.max())


def _told(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return lengths for the other processes: a single one where all are equal."""
    return lengths[:1] if (lengths == lengths[0]).all() else lengths


def _form(series: Series) -> str:
    if series.form == "table":
        return f"a table of {series.values.shape[1]} timesteps"
    return f"series with {series.n_channels} channels"
