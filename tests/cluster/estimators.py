"""Estimators that record what happens to them in the worker processes, or kill these."""

import os
import signal
import time
import uuid
from contextlib import suppress
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin


class Recorder(TransformerMixin, BaseEstimator):
    """Passes series through, and writes a file for each event, in any process."""

    def __init__(self, folder):
        self.folder = folder

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        import torch  # slow, and not every worker needs it

        self.record("transformed", torch.get_num_threads())
        return X

    def get_feature_names_out(self, input_features=None):
        return input_features

    def __sklearn_is_fitted__(self):
        return True

    def __setstate__(self, state):
        super().__setstate__(state)
        self.record("unpickled")

    def record(self, *event):
        words = [*event, os.getpid(), uuid.uuid4().hex]
        Path(self.folder, "-".join(map(str, words))).touch()


def recorded(folder, kind):
    """Return the details of all events of a kind, and the process of each."""
    events = [path.name.split("-") for path in Path(folder).glob(f"{kind}-*")]
    return [(event[1:-2], int(event[-2])) for event in events]


def clear_records(folder):
    for path in Path(folder).iterdir():
        path.unlink()


class RecordedSeries(list):
    """Series that write a file wherever they are unpickled."""

    def __init__(self, folder, series):
        super().__init__(series)
        self.folder = folder

    def __reduce__(self):
        return _unpickled, (self.folder, list(self))


def _unpickled(folder, series):
    Path(folder, f"unpickled-{os.getpid()}-{uuid.uuid4().hex}").touch()
    return RecordedSeries(folder, series)


class Sleeper(BaseEstimator):
    """Sleeps in `fit`, and records when that began and ended, by the machine's clock."""

    def __init__(self, folder, seconds=0.3):
        self.folder = folder
        self.seconds = seconds

    def fit(self, X, y=None):
        began = time.monotonic()
        time.sleep(self.seconds)
        name = f"fitted-{began}-{time.monotonic()}-{os.getpid()}-{uuid.uuid4().hex}"
        Path(self.folder, name).touch()
        return self

    def score(self, X, y=None):
        return 1.0


class Killer(TransformerMixin, BaseEstimator):
    """Passes series through, and kills the first few processes that fit it, except `spared`."""

    def __init__(self, folder, times, spared):
        self.folder = folder
        self.times = times
        self.spared = spared

    def fit(self, X, y=None):
        if os.getpid() == self.spared:
            return self
        for number in range(self.times):
            with suppress(FileExistsError):
                Path(self.folder, f"killed-{number}").touch(exist_ok=False)
                os.kill(os.getpid(), signal.SIGKILL)
        return self

    def transform(self, X):
        return X


def flattened(X):
    return np.asarray(X).reshape(len(X), -1)
