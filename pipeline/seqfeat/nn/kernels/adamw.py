"""AdamW by the kernels, on the state of PyTorch's own optimizer."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seqfeat.nn.kernels.ir.adamw import COEFFICIENTS
from seqfeat.nn.kernels.program import Program
from seqfeat.nn.kernels.weights import DECODER, ENCODER, HALVES, PackedNetwork

__all__ = ["CompiledAdamW"]


class CompiledAdamW:
    """Takes the steps of a `torch.optim.AdamW`.

    It works on the optimizer's learning rates and state, so that either can continue at any time.
    PyTorch's own bookkeeping takes as long as updating 100,000 weights.

    Parameters
    ----------
    optimizer : torch.optim.AdamW
    weights : PackedNetwork
    gradients : list of Tensor
        Gradients of all trained parameters, in order.

    Attributes
    ----------
    state : dict
        The optimizer's state that is worked on. After `optimizer.load_state_dict`, the optimizer
        has another one, and another `CompiledAdamW` is needed.
    """

    def __init__(
        self, optimizer: torch.optim.AdamW, weights: PackedNetwork, gradients: list[Tensor]
    ) -> None:
        self.optimizer, self.weights = optimizer, weights
        self.state = optimizer.state
        of_encoder = set(weights.network.encoder.parameters())
        gradient_of = dict(zip(weights.trained, gradients, strict=True))
        self._share_step_count()
        self.programs = [Program(weights.kernels) for _ in HALVES]
        self.coefficients = []
        for group in optimizer.param_groups:
            coefficients = torch.zeros(len(COEFFICIENTS), dtype=torch.float32, device="cpu")
            self.coefficients.append(coefficients.numpy())
            for weight in group["params"]:
                state = self.state[weight]
                self.programs[ENCODER if weight in of_encoder else DECODER].call(
                    "adamw",
                    weights=weight.detach().view(-1),
                    gradients=gradient_of[weight].view(-1),
                    means=state["exp_avg"].view(-1),
                    squares=state["exp_avg_sq"].view(-1),
                    coefficients=coefficients,
                )
        # The weights are packed at once, while they are in the cache.
        for half in HALVES:
            if half == DECODER or weights.trains_encoder:
                self.programs[half].extend(weights.programs[half])
            self.programs[half].finish()
        # What learning rate schedulers look for before they warn of a step that was left out.
        optimizer._opt_called = True  # type: ignore[attr-defined]

    def _share_step_count(self) -> None:
        """Give parameters without state their initial one; count steps in one tensor.

        The count is written through NumPy: the first operation of PyTorch after the kernels takes
        0.1 ms, as nothing of it is left in the cache.
        """
        states = self.state
        weights = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        for weight in weights:
            if not states[weight]:
                step = torch.zeros((), dtype=torch.float32, device="cpu")
                means, squares = torch.zeros_like(weight), torch.zeros_like(weight)
                states[weight] = {"step": step, "exp_avg": means, "exp_avg_sq": squares}
        steps = torch.stack([state["step"] for state in states.values()])
        for step, state in zip(steps, states.values(), strict=True):
            state["step"] = step
        self.step_counts = steps.numpy()

    def prepare_step(self, clip: float) -> list[Program]:
        """Return the programs of the next step, one for each half of the weights.

        `clip` is the factor of the gradients.
        """
        n_steps = int(self.step_counts[0]) + 1
        self.step_counts[:] = n_steps
        for group, coefficients in zip(self.optimizer.param_groups, self.coefficients, strict=True):
            rate, (beta1, beta2) = group["lr"], group["betas"]
            coefficients[:] = [
                clip,
                1 - rate * group["weight_decay"],
                1 - beta1,
                beta2,
                1 - beta2,
                rate / (1 - beta1**n_steps),
                1 / math.sqrt(1 - beta2**n_steps),
                group["eps"],
            ]
        return self.programs

    def finish_step(self) -> None:
        """Tell PyTorch that the weights were written to; they are packed already."""
        torch.autograd.graph.increment_version(self.weights.trained)
        self.weights.mark_fresh()
