"""What happened in a training, and the optimizer's state as arrays. Torch only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

__all__ = ["History", "as_arrays", "as_tensors"]


@dataclass
class History:
    """What happened: losses of every epoch, and how it ended.

    ``stop_reason`` is ``"max_iter"``, ``"no_improvement"``, ``"callback"``,
    ``"interrupted"`` or ``"diverged"``. ``best_iter`` counts from 1, and is 0 if
    no epoch ended.
    """

    loss_curve: list[float] = field(default_factory=list)
    validation_loss_curve: list[float] | None = None
    best_iter: int = 0
    best_loss: float = math.inf
    stop_reason: str = "max_iter"
    optimizer_state: dict[str, Any] = field(default_factory=dict)

    @property
    def n_iter(self) -> int:
        """Epochs that ended."""
        return len(self.loss_curve)

    def record(self, loss: float, watched: float) -> bool:
        """Append an epoch's losses; return whether it is the best so far."""
        self.loss_curve.append(loss)
        if self.validation_loss_curve is not None:
            self.validation_loss_curve.append(watched)
        if watched >= self.best_loss:
            return False
        self.best_loss = watched
        self.best_iter = self.n_iter
        return True


def as_arrays(state: Any) -> Any:
    """Replace tensors by NumPy arrays in nested dicts and lists."""
    if isinstance(state, Tensor):
        return state.detach().cpu().numpy().copy()
    if isinstance(state, dict):
        return {key: as_arrays(value) for key, value in state.items()}
    return [as_arrays(value) for value in state] if isinstance(state, list) else state


def as_tensors(state: Any) -> Any:
    """Undo `as_arrays`."""
    if hasattr(state, "__array__"):
        return torch.tensor(state)
    if isinstance(state, Mapping):
        return {key: as_tensors(value) for key, value in state.items()}
    return [as_tensors(value) for value in state] if isinstance(state, list) else state
