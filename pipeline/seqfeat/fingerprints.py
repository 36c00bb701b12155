"""What tells one fit from another: everything that decides its result. NumPy only."""

from __future__ import annotations

from dataclasses import asdict
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqfeat.checkpoints import digest
from seqfeat.fitting import Plan
from seqfeat.series import Series
from seqfeat.version import __version__

__all__ = ["fingerprint"]


def fingerprint(plan: Plan, *, is_seeded: bool) -> str:
    """Return a name for a fit, alike in all processes that share it, however many they are.

    Reads all series once. A seed that was drawn for this fit only has no part in it.
    """
    labels: Any = [] if plan.targets is None else plan.targets
    start = plan.start_weights
    return digest(
        {
            "version": __version__,
            "architecture": plan.architecture.as_dict(),
            "settings": asdict(plan.settings),
            "is_scaled": bool((plan.scaling.count > 0).any()),
            "validation_fraction": plan.validation_fraction,
            "seed": plan.seed if is_seeded else None,
            "classes": None if plan.classes is None else plan.classes.tolist(),
            "targets": np.concatenate(plan.ranks.gather(np.asarray(labels, dtype=np.int64))),
            "start_weights": None if start is None else dict(start),
            "series": np.concatenate(plan.ranks.gather(_digests(plan.series))),
        }
    )


def _digests(series: Series) -> NDArray[np.uint8]:
    """Return a digest of each series. Shape: (N, 16)."""
    digests = np.empty((len(series), 16), dtype=np.uint8)
    for rows in series.blocks():
        block, lengths = np.asarray(series.values[rows]), series.lengths[rows]
        for at, values, length in zip(
            range(*rows.indices(len(series))), block, lengths, strict=True
        ):
            found = blake2b(values[:length].tobytes(), digest_size=16).digest()
            digests[at] = np.frombuffer(found, dtype=np.uint8)
    return digests
