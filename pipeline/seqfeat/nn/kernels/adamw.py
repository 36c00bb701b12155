"""AdamW by the kernels, on the state of PyTorch's own optimizer."""

from __future__ import annotations

import math

import torch

from seqfeat.nn.kernels.backpropagation import Backpropagation
from seqfeat.nn.kernels.ir.adamw import COEFFICIENTS
from seqfeat.nn.kernels.program import Program
from seqfeat.nn.kernels.weights import DECODER, ENCODER, HALVES, zeros
from seqfeat.runtime.threads import WorkerPool

__all__ = ["CompiledAdamW"]


class CompiledAdamW:
    """Takes the steps of a `torch.optim.AdamW`.

    It works on the optimizer's learning rates and state, so that either can continue at any time,
    with the gradients of a `Backpropagation`, clipped together to `max_norm`. PyTorch's own
    bookkeeping takes as long as updating 100,000 weights.
    """

    def __init__(
        self, optimizer: torch.optim.AdamW, backpropagation: Backpropagation, max_norm: float
    ) -> None:
        self.optimizer, self.backpropagation, self.max_norm = optimizer, backpropagation, max_norm
        weights = backpropagation.weights
        of_encoder = set(weights.network.encoder.parameters())
        gradients = dict(zip(weights.parameters, backpropagation.gradients, strict=True))
        self._share_step_count()
        self.programs = [Program(weights.kernels) for _ in HALVES]
        self.coefficients = [zeros(len(COEFFICIENTS)) for _ in optimizer.param_groups]
        for group, coefficients in zip(optimizer.param_groups, self.coefficients, strict=True):
            for weight in group["params"]:
                state = optimizer.state[weight]
                self.programs[ENCODER if weight in of_encoder else DECODER].call(
                    "adamw",
                    weights=weight.detach().view(-1),
                    gradients=gradients[weight].view(-1),
                    means=state["exp_avg"].view(-1),
                    squares=state["exp_avg_sq"].view(-1),
                    coefficients=coefficients,
                )
        # The weights are packed at once, while they are in the cache.
        for program, packing in zip(self.programs, weights.programs, strict=True):
            program.extend(packing)
            program.finish()
        # What learning rate schedulers look for before they warn of a step that was left out.
        optimizer._opt_called = True  # type: ignore[attr-defined]

    def _share_step_count(self) -> None:
        """Give parameters without state the state that they begin with; count steps in one tensor.

        The count is written through NumPy: the first operation of PyTorch after the kernels takes
        0.1 ms, as nothing of it is left in the cache.
        """
        states = self.optimizer.state
        for group in self.optimizer.param_groups:
            for weight in (weight for weight in group["params"] if not states[weight]):
                states[weight] = {
                    "step": zeros(),
                    "exp_avg": zeros(*weight.shape),
                    "exp_avg_sq": zeros(*weight.shape),
                }
        steps = torch.stack([state["step"] for state in states.values()])
        for step, state in zip(steps, states.values(), strict=True):
            state["step"] = step
        self.step_counts = steps.numpy()

    def step(self, pool: WorkerPool) -> float:
        """Update the weights once, and return the norm of the gradients."""
        backpropagation = self.backpropagation
        norm = backpropagation.norm
        clip = min(1.0, self.max_norm / (norm + 1e-6)) if math.isfinite(norm) else math.nan
        n_steps = int(self.step_counts[0]) + 1
        self.step_counts[:] = n_steps
        for group, coefficients in zip(self.optimizer.param_groups, self.coefficients, strict=True):
            rate, (beta1, beta2) = group["lr"], group["betas"]
            coefficients.numpy()[:] = [
                clip,
                1 - rate * group["weight_decay"],
                1 - beta1,
                beta2,
                1 - beta2,
                rate / (1 - beta1**n_steps),
                1 / math.sqrt(1 - beta2**n_steps),
                group["eps"],
            ]
        backpropagation.for_each_half(lambda half: self.programs[half].run(), pool)
        torch.autograd.graph.increment_version(backpropagation.weights.parameters)
        backpropagation.weights.mark_fresh()
        return norm
