"""This library as a contestant of the plain loops, timed by scikit-learn's callbacks."""

import time
from typing import Any

from seqfeat import LSTMAutoencoder

SEED_NETWORK = {"patch_len": 1, "n_time_features": 0, "pooling": "last", "input_noise": 0.0}
"""Parameters that make the network the plain one, weight for weight."""


class EpochClock:
    """Writes down the seconds of each epoch."""

    def __init__(self) -> None:
        self.epochs: list[float] = []

    def setup(self, estimator: Any, context: Any) -> None: ...

    def teardown(self, estimator: Any, context: Any) -> None: ...

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        self.started = time.perf_counter()

    def on_fit_task_end(self, estimator: Any, context: Any) -> None:
        if context.task_name == "epoch":
            self.epochs.append(time.perf_counter() - self.started)


class QualityClock(EpochClock):
    """Writes down when so much of the variance of `X` is left, and stops there.

    The clock stands still while the reconstruction is looked at.
    """

    def __init__(self, X: Any, enough: float) -> None:
        super().__init__()
        self.X, self.enough = X, enough
        self.unexplained = 1.0
        self.looked = 0.0

    def setup(self, estimator: Any, context: Any) -> None:
        self.began = time.perf_counter()

    def on_fit_task_end(
        self, estimator: Any, context: Any, *, fitted_estimator: Any = None
    ) -> bool:
        if context.task_name != "epoch":
            return False
        now = time.perf_counter()
        self.seconds = now - self.began - self.looked
        self.unexplained = 1 - fitted_estimator.score(self.X)
        self.looked += time.perf_counter() - now
        return self.unexplained <= self.enough


class Seqfeat:
    def __init__(self, X: Any, embedding_dim: int, batch_size: Any, **parameters: Any) -> None:
        self.X = X
        self.autoencoder = LSTMAutoencoder(
            embedding_dim, batch_size=batch_size, random_state=0, **parameters
        )

    def train(self, n_epochs: int) -> list[float]:
        """Return the seconds of epochs behind the first of a fit, in which it gets its memory.

        A plain loop does that before the clock starts; a fit of its own each time.
        """
        clock = EpochClock()
        self.autoencoder.set_params(max_iter=1 + n_epochs).set_callbacks(clock).fit(self.X)
        return clock.epochs[1:]
