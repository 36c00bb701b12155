"""AdamW by the kernels, on the state of PyTorch's own."""

from __future__ import annotations

import ctypes
import math

import torch

from seqfeat.nn.kernels.backpropagation import Backpropagation
from seqfeat.nn.kernels.ir.adamw import N_SETTINGS
from seqfeat.nn.kernels.program import Program
from seqfeat.nn.kernels.weights import DECODER, ENCODER, HALVES
from seqfeat.runtime.threads import WorkerPool

__all__ = ["CompiledAdamW"]


class CompiledAdamW:
    """Takes the steps of a `torch.optim.AdamW` that has a state already.

    It works on the optimizer's rates and state, so that either can go on at any time, with the
    gradients that `backpropagation` left, clipped all together to `max_norm`. PyTorch's
    bookkeeping takes as long as 100 thousand weights.
    """

    def __init__(
        self, optimizer: torch.optim.AdamW, backpropagation: Backpropagation, max_norm: float
    ) -> None:
        self.optimizer, self.backpropagation, self.max_norm = optimizer, backpropagation, max_norm
        kernels = backpropagation.weights.kernels
        self.programs = [Program(kernels) for _ in HALVES]
        of_encoder = set(backpropagation.network.encoder.parameters())
        gradients = dict(zip(backpropagation.parameters, backpropagation.gradients, strict=True))
        # One vector for all parameters, and written as plain floats: the first operation of torch
        # after the kernels takes 0.1 ms, as nothing of it is left in the cache.
        self.steps = torch.stack([state["step"] for state in optimizer.state.values()])
        self.written_steps = (ctypes.c_float * len(self.steps)).from_address(self.steps.data_ptr())
        for step, state in zip(self.steps, optimizer.state.values(), strict=True):
            state["step"] = step
        self.settings = [(ctypes.c_float * N_SETTINGS)() for _ in optimizer.param_groups]
        for group, settings in zip(optimizer.param_groups, self.settings, strict=True):
            for weight in group["params"]:
                state = optimizer.state[weight]
                arrays = weight, gradients[weight], state["exp_avg"], state["exp_avg_sq"]
                places = [array.data_ptr() for array in arrays]
                program = self.programs[ENCODER if weight in of_encoder else DECODER]
                program.call("adamw", *places, weight.numel(), ctypes.addressof(settings))
        # Programs take the weights over at once, while they are in the cache.
        for program, taking_over in zip(
            self.programs, backpropagation.weights.programs, strict=True
        ):
            program.rows += taking_over.rows
            program.finish()
        # What the schedules of learning rates ask for before they warn of steps left out.
        optimizer._opt_called = True  # type: ignore[attr-defined]

    def step(self, pool: WorkerPool) -> float:
        """Update the weights once, and return how long the gradients were."""
        norm = self.backpropagation.norm
        clip = min(1.0, self.max_norm / (norm + 1e-6)) if math.isfinite(norm) else math.nan
        n_steps = int(self.written_steps[0]) + 1
        self.written_steps[:] = [n_steps] * len(self.written_steps)
        for group, settings in zip(self.optimizer.param_groups, self.settings, strict=True):
            rate, (mean_share, square_share) = group["lr"], group["betas"]
            settings[:] = [
                clip,
                1 - rate * group["weight_decay"],
                1 - mean_share,
                square_share,
                1 - square_share,
                rate / (1 - mean_share**n_steps),
                1 / math.sqrt(1 - square_share**n_steps),
                group["eps"],
            ]
        backpropagation = self.backpropagation
        backpropagation.on_halves(lambda half: self.programs[half].run(), pool)
        torch.autograd.graph.increment_version(backpropagation.parameters)
        backpropagation.weights.refreshed()
        return norm
