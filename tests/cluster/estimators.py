"""Steps of pipelines that tell where they ran, for the tests on a cluster and its workers."""

import os
import signal
import time
import uuid
from contextlib import suppress
from pathlib import Path

from sklearn.base import BaseEstimator, TransformerMixin


class Diary(TransformerMixin, BaseEstimator):
    """Passes series on, and leaves a file for each thing that happens to it in any process."""

    def __init__(self, folder):
        self.folder = folder

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        import torch  # slow; some workers do without

        self.note("transformed", torch.get_num_threads())
        return X

    def get_feature_names_out(self, input_features=None):
        return input_features

    def __sklearn_is_fitted__(self):
        return True

    def __setstate__(self, state):
        super().__setstate__(state)
        self.note("opened")

    def note(self, *what):
        words = [*what, os.getpid(), uuid.uuid4().hex]
        Path(self.folder, "-".join(map(str, words))).touch()


def diary_entries(folder, kind):
    """Return what was noted, and by which process."""
    entries = [path.name.split("-") for path in Path(folder).glob(f"{kind}-*")]
    return [(entry[1:-2], int(entry[-2])) for entry in entries]


class Noted(list):
    """Series that leave a file wherever a pickle of them is opened."""

    def __init__(self, folder, series):
        super().__init__(series)
        self.folder = folder

    def __reduce__(self):
        return _opened, (self.folder, list(self))


def _opened(folder, series):
    Path(folder, f"opened-{os.getpid()}-{uuid.uuid4().hex}").touch()
    return Noted(folder, series)


class Occupied(BaseEstimator):
    """Notes when its fits begin and end, in seconds of the machine's clock."""

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


class Killed(TransformerMixin, BaseEstimator):
    """Passes series on, and kills its process, unless that is `spared`, the first few times."""

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
