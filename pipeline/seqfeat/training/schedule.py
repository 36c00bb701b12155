"""The schedule of the learning rate, and early stopping."""

from __future__ import annotations

import math

__all__ = ["EarlyStopping", "one_cycle"]

WARM_UP_SHARE = 0.2
"""Share of the steps over which the learning rate rises to its peak."""
INITIAL_RATE = 0.04
"""Learning rate of the first step, as a share of the peak."""


class EarlyStopping:
    """Counts epochs in which the monitored loss does not improve by at least `tol`.

    Epochs of the warm-up do not count: a plateau before the learning rate's peak means nothing.
    """

    def __init__(self, n_iter_no_change: int, tol: float, max_iter: int) -> None:
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.left = n_iter_no_change
        self.least = math.inf
        self.warm_up = math.ceil(WARM_UP_SHARE * max_iter)

    def should_stop(self, loss: float, n_iter: int) -> bool:
        """Return whether to stop after the `n_iter`-th epoch, which had this loss."""
        if loss < self.least - self.tol or n_iter <= self.warm_up:
            self.left = self.n_iter_no_change
        else:
            self.left -= 1
        self.least = min(self.least, loss)
        return self.left <= 0


def one_cycle(step: int, n_steps: int) -> float:
    """Return the learning rate of a step as a share of its peak (Smith & Topin, 2018).

    It rises along half a cosine over the first fifth of the steps, then falls to 0. Without a
    number of steps, ``n_steps=0``, it is constant.
    """
    if n_steps == 0:
        return 1.0
    warm_up = max(1.0, WARM_UP_SHARE * n_steps)
    if step < warm_up:
        rise = 0.5 - 0.5 * math.cos(math.pi * step / warm_up)
        return INITIAL_RATE + (1 - INITIAL_RATE) * rise
    return 0.5 + 0.5 * math.cos(math.pi * min(1.0, (step - warm_up) / max(1.0, n_steps - warm_up)))
