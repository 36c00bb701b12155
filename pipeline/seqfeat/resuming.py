"""The whole state of a training between two epochs, to be taken up again. Torch only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from seqfeat.history import History, as_arrays, as_tensors
from seqfeat.schedule import Patience

if TYPE_CHECKING:
    from seqfeat.training import Trainer

__all__ = ["State", "restore", "state_of"]

State = dict[str, Any]


def state_of(
    trainer: Trainer, history: History, patience: Patience, best: dict[str, Tensor]
) -> State:
    """Return all that the epochs to come depend on, as NumPy arrays, numbers and texts."""
    return {
        "weights": as_arrays(trainer.network.state_dict()),
        "best_weights": as_arrays(best),
        "optimizer": as_arrays(trainer.optimizer.state_dict()),
        "schedule": _plain(trainer.schedule.state_dict()),
        "generator": as_arrays(trainer.generator.get_state()),
        "micro_batch": trainer.micro_batch,
        "patience": vars(patience).copy(),
        "history": {
            "loss_curve": list(history.loss_curve),
            "validation_loss_curve": history.validation_loss_curve,
            "best_iter": history.best_iter,
            "best_loss": history.best_loss,
            "stop_reason": history.stop_reason,
        },
    }


def restore(
    state: Mapping[str, Any], trainer: Trainer, history: History, patience: Patience
) -> dict[str, Tensor]:
    """Take up a state, and return the best weights so far."""
    trainer.network.load_state_dict(as_tensors(state["weights"]))
    optimizer = as_tensors(state["optimizer"])
    # JSON has no numbers for keys.
    optimizer["state"] = {int(index): value for index, value in optimizer["state"].items()}
    trainer.optimizer.load_state_dict(optimizer)
    trainer.schedule.load_state_dict({**trainer.schedule.state_dict(), **state["schedule"]})
    trainer.generator.set_state(torch.tensor(state["generator"]))
    trainer.micro_batch = state["micro_batch"]
    vars(patience).update(state["patience"])
    vars(history).update(state["history"])
    best: dict[str, Tensor] = {
        name: torch.tensor(value, device=trainer.device)
        for name, value in state["best_weights"].items()
    }
    return best


def _plain(schedule: State) -> State:
    """Return the scheduler's counters, without its functions."""
    return {name: value for name, value in schedule.items() if name != "lr_lambdas"}
