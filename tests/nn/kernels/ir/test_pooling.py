"""Poolings and their gradients against formulas in float64."""

import pytest
import torch

from seqfeat.nn.kernels.program import call_kernel
from seqfeat.nn.pooling import MIN_VARIANCE, STATISTICS
from tests.nn.kernels.arrays import numbers

FORMULAS = {
    "mean": lambda x: x.mean(dim=0),
    "std": lambda x: (x.var(dim=0, correction=0) + MIN_VARIANCE).sqrt(),
    "max": lambda x: x.amax(dim=0),
    "min": lambda x: x.amin(dim=0),
}


@pytest.mark.parametrize("pooling", list(STATISTICS))
@pytest.mark.parametrize("is_ragged", [False, True])
def test_pooling_and_its_gradient_are_those_of_the_network(kernels, guarded, pooling, is_ragged):
    width, n_statistics = 2 * kernels.lanes, len(STATISTICS[pooling])
    n_valid = guarded(torch.tensor([7, 1, 4, 7, 2] if is_ragged else [7] * 5))
    outputs = numbers(7, 5, width)
    # Steps that share the maximum and the minimum.
    outputs[0], outputs[1], outputs[3] = 9.0, -9.0, 9.0
    outputs = guarded(outputs)
    # Pooled values lie between others.
    row = (n_statistics + 1) * width
    pooled, d_pooled = guarded.empty(5, row), guarded(numbers(5, row, seed=2))
    inside, d_inside = (
        one[:, : n_statistics * width].view(5, n_statistics, width) for one in (pooled, d_pooled)
    )
    call_kernel(kernels, f"pool_{pooling}", outputs=outputs, n_valid=n_valid, pooled=inside)
    assert bool(pooled[:, n_statistics * width :].isnan().all())
    d_outputs = guarded.empty(7, 5, width)
    call_kernel(
        kernels,
        f"pool_{pooling}_backward",
        outputs=outputs,
        n_valid=n_valid,
        pooled=inside,
        d_pooled=d_inside,
        scratch=guarded.empty(5, 4, width),
        d_outputs=d_outputs,
    )
    exact = outputs.double().requires_grad_()
    expected = torch.stack(
        [
            torch.stack([FORMULAS[name](exact[:n, series]) for name in STATISTICS[pooling]])
            for series, n in enumerate(n_valid.tolist())
        ]
    )
    torch.testing.assert_close(inside, expected.detach().float(), rtol=1e-5, atol=1e-6)
    (d_expected,) = torch.autograd.grad((expected * d_inside).sum(), exact)
    torch.testing.assert_close(d_outputs, d_expected.float(), rtol=1e-4, atol=1e-5)
