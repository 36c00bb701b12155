"""The kernels of the default encoder against PyTorch's functions."""

import pytest
import torch

from seqfeat.nn.kernels.program import call_kernel
from seqfeat.nn.reservoir import pool_reservoir, standardize_series
from tests.nn.kernels.arrays import numbers


@pytest.mark.parametrize("is_ragged", [False, True])
def test_shares_and_stretches_above_thresholds(kernels, guarded, is_ragged):
    width = 2 * kernels.lanes
    n_valid = guarded(torch.tensor([9, 1, 4, 9, 2] if is_ragged else [9] * 5))
    outputs, thresholds = guarded(0.1 * numbers(9, 5, width)), guarded(0.1 * numbers(width, seed=2))
    # Pooled values lie between others.
    pooled = guarded.empty(5, 3 * width)
    inside = pooled[:, : 2 * width].view(5, 2, width)
    call_kernel(
        kernels,
        "pool_above",
        outputs=outputs,
        n_valid=n_valid,
        thresholds=thresholds,
        stretches=guarded.empty(5, width),
        pooled=inside,
    )
    assert bool(pooled[:, 2 * width :].isnan().all())
    expected = pool_reservoir(outputs.transpose(0, 1), n_valid, thresholds)
    expected = expected.view(5, 6, width)[:, 4:]
    assert 0.1 < float(expected.mean()) < 0.9
    torch.testing.assert_close(inside, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n_channels", [1, 3])
def test_series_are_standardized(kernels, guarded, n_channels):
    lengths = torch.tensor([9, 1, 4, 7])
    values = 3 + 5 * numbers(4, 9, n_channels)
    values[3, :, 0] = 1e4  # a constant channel
    values = values * (torch.arange(9) < lengths[:, None])[:, :, None]
    result = guarded.empty(4, 9, n_channels)
    call_kernel(
        kernels,
        "standardize_series",
        values=guarded(values),
        lengths=guarded(lengths),
        result=result,
    )
    torch.testing.assert_close(result, standardize_series(values, lengths), rtol=1e-5, atol=1e-6)
