"""A program for torchrun: all cases, one after the other, results into the folder it is given."""

import sys
import warnings
from pathlib import Path

import numpy as np
from tests.distributed.cases import CASES, own_rows, small_regions, summary

from seqfeat import distributed

warnings.simplefilter("ignore")
with distributed.processes(timeout=60) as ranks:
    for name, (model, X, y) in CASES.items():
        small_regions(name)
        rows = own_rows(len(X), ranks.rank, ranks.world_size)
        distributed.fit(model, X[rows], None if y is None else y[rows])
        np.savez(Path(sys.argv[1]) / f"{name}-{ranks.rank}.npz", **summary(model, X))
