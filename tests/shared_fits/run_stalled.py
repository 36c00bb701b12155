"""A program for two processes that are slow for longer than the timeout, and then stall.

Writes the error that each process got to ``FOLDER/RUN-RANK.json``.
"""

import ctypes
import json
import os
import signal
import sys
import time
import warnings
from pathlib import Path

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from seqfeat import DistributedError, LSTMAutoencoder, distributed
from seqfeat.sklearn_compat import FitCallback
from tests.shared_fits.cases import labels, walks

RANK = int(os.environ["RANK"])
TIMEOUT = 4.0
SLOW_SECONDS = 5


class Interrupting(FitCallback):
    """A callback that does something to one process after the first epoch."""

    def __init__(self, rank, interrupt):
        self.rank, self.interrupt = rank, interrupt

    def setup(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        if self.rank == RANK and context.task_name == "epoch" and context.task_id == 0:
            self.interrupt()

    def teardown(self, estimator, context):
        pass


class SlowClassifier(LogisticRegression):
    """Keeps Python's lock while it is fitted, as long calls of LAPACK do in SciPy."""

    def fit(self, X, y):
        ctypes.PyDLL(None).sleep(SLOW_SECONDS)
        return super().fit(X, y)


def slow(folder):
    """Rank 1 takes long for an epoch, and rank 0 for the classifier."""
    model = make_pipeline(autoencoder(1, be_slow), SlowClassifier())
    fit(folder, "slow", model, labels()[RANK::2])


def stalled(folder):
    """Rank 0, which holds the store, stops in the middle of a fit."""
    fit(folder, "stalled", autoencoder(0, stop))


def autoencoder(rank, interrupt):
    model = LSTMAutoencoder(4, max_iter=3, random_state=0, device="cpu")
    return model.set_callbacks(Interrupting(rank, interrupt))


def be_slow():
    time.sleep(SLOW_SECONDS)


def stop():
    os.kill(os.getpid(), signal.SIGSTOP)


def fit(folder, run, model, y=None):
    error = None
    try:
        distributed.fit(model, walks()[RANK::2], y)
    except DistributedError as raised:
        error = str(raised)
    (folder / f"{run}-{RANK}.json").write_text(json.dumps({"error": error}))


def main(folder):
    with distributed.processes(TIMEOUT):
        slow(folder)
        stalled(folder)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]))
