"""A program for torchrun: all cases, one after the other, results into the folder it is given."""

import sys
import warnings
from pathlib import Path

import numpy as np

from seqfeat import distributed
from tests.shared_fits.cases import CASES, own_rows, small_regions, summary


def main(folder):
    """Fit every case together with the other processes."""
    warnings.simplefilter("ignore")
    with distributed.processes(timeout=60) as ranks:
        for name, (model, X, y) in CASES.items():
            small_regions(name)
            rows = own_rows(len(X), ranks.rank, ranks.world_size)
            distributed.fit(model, X[rows], None if y is None else y[rows])
            np.savez(folder / f"{name}-{ranks.rank}.npz", **summary(model, X))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
