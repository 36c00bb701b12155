"""This library as a contestant, timed by scikit-learn's callbacks."""

import time
from typing import Any

from seqfeat import LSTMAutoencoder

SEED_NETWORK = {"patch_len": 1, "n_time_features": 0, "pooling": "last", "input_noise": 0.0}
"""Parameters that make our network the plain one, weight for weight."""


class EpochClock:
    """Records the seconds of each epoch."""

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
    """Records the seconds until little enough of the variance of `X` is unexplained; then stops.

    Evaluating the reconstruction does not count.
    """

    def __init__(self, X: Any, enough: float) -> None:
        super().__init__()
        self.X, self.enough = X, enough
        self.unexplained = 1.0
        self.evaluating = 0.0

    def setup(self, estimator: Any, context: Any) -> None:
        self.began = time.perf_counter()

    def on_fit_task_end(
        self, estimator: Any, context: Any, *, fitted_estimator: Any = None
    ) -> bool:
        if context.task_name != "epoch":
            return False
        now = time.perf_counter()
        self.seconds = now - self.began - self.evaluating
        self.unexplained = 1 - fitted_estimator.score(self.X)
        self.evaluating += time.perf_counter() - now
        return self.unexplained <= self.enough


class Seqfeat:
    """Our autoencoder as a contestant; see `plain`."""

    def __init__(self, X: Any, embedding_dim: int, batch_size: Any, **parameters: Any) -> None:
        self.X = X
        self.autoencoder = LSTMAutoencoder(
            embedding_dim, batch_size=batch_size, random_state=0, **parameters
        )

    def train(self, n_epochs: int) -> list[float]:
        """Return the seconds of each epoch of a new fit, except the first.

        The first one allocates memory, which a plain loop has done before the clock starts.
        """
        clock = EpochClock()
        self.autoencoder.set_params(max_iter=1 + n_epochs).set_callbacks(clock).fit(self.X)
        return clock.epochs[1:]
