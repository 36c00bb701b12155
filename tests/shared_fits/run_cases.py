"""A program for torchrun: runs all fits with the other processes, and writes their results.

It shows that a process group survives fits that fail, as long as all processes do.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
from sklearn.base import clone

from seqfeat import distributed
from seqfeat.training.trainer import Trainer
from tests.shared_fits.cases import CASES, memory_of, own_rows, summary


def main(folder):
    warnings.simplefilter("ignore")
    with distributed.processes(timeout=60) as ranks:
        for name, (_, X, _) in CASES.items():
            model = fit(name, ranks)
            np.savez(folder / f"{name}-{ranks.rank}.npz", **summary(model, X))
        report = {
            "infinite": error_of(lambda: fit("dense", ranks, infinite)),
            "channels": error_of(lambda: fit("dense", ranks, one_channel)),
            "evaluated": evaluated_series(lambda: fit("stopped", ranks)),
        }
        (folder / f"report-{ranks.rank}.json").write_text(json.dumps(report))


def fit(name, ranks, change=lambda X: X):
    """Fit a case to this process's shard; rank 1 changes its own."""
    model, X, y = CASES[name]
    rows = own_rows(len(X), ranks.rank, ranks.world_size)
    model, X, y = clone(model), X[rows].copy(), None if y is None else y[rows]
    with memory_of(name):
        return distributed.fit(model, change(X) if ranks.rank == 1 else X, y)


def infinite(X):
    X[3, 2, 0] = np.inf
    return X


def one_channel(X):
    return X[:, :, :1]


def error_of(work):
    try:
        work()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def evaluated_series(work):
    """Return how many held-out series this process evaluated, in each epoch."""
    counts = []
    evaluate = Trainer._error_sums

    def counting(self, data):
        counts.append(len(data))
        return evaluate(self, data)

    Trainer._error_sums = counting
    try:
        work()
    finally:
        Trainer._error_sums = evaluate
    return counts


if __name__ == "__main__":
    main(Path(sys.argv[1]))
