"""One update of AdamW against PyTorch's."""

import math

import pytest
import torch

from seqfeat.nn.kernels.ir.adamw import COEFFICIENTS
from seqfeat.nn.kernels.program import call_kernel
from tests.nn.kernels.arrays import numbers


@pytest.mark.parametrize("n_values", [1, 7, 64, 100])
def test_an_update_is_that_of_pytorch(kernels, guarded, n_values):
    lr, beta1, beta2, decay, eps, clip = 0.01, 0.9, 0.99, 0.1, 1e-8, 0.3
    parameter = torch.nn.Parameter(numbers(n_values))
    theirs = torch.optim.AdamW([parameter], lr, (beta1, beta2), eps, decay, fused=True)
    weights, means, squares = (
        guarded(parameter.detach()),
        *(guarded(torch.zeros(n_values)) for _ in range(2)),
    )
    for step in range(1, 6):
        gradients = guarded(numbers(n_values, seed=step))
        parameter.grad = gradients * clip
        theirs.step()
        values = {
            "clip": clip,
            "decay": 1 - lr * decay,
            "new_mean": 1 - beta1,
            "old_square": beta2,
            "new_square": 1 - beta2,
            "step_size": lr / (1 - beta1**step),
            "root_correction": 1 / math.sqrt(1 - beta2**step),
            "eps": eps,
        }
        call_kernel(
            kernels,
            "adamw",
            weights=weights,
            gradients=gradients,
            means=means,
            squares=squares,
            coefficients=guarded(torch.tensor([values[name] for name in COEFFICIENTS])),
        )
        torch.testing.assert_close(weights, parameter.detach(), rtol=1e-6, atol=1e-7)
    state = theirs.state[parameter]
    torch.testing.assert_close(means, state["exp_avg"], rtol=1e-5, atol=1e-8)
    torch.testing.assert_close(squares, state["exp_avg_sq"], rtol=1e-5, atol=1e-10)
