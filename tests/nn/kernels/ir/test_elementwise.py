"""Arithmetic on arrays against PyTorch."""

import numpy as np
import pytest
import torch

from seqfeat.nn.kernels.program import call_kernel
from tests.nn.kernels.arrays import numbers


@pytest.mark.parametrize("name", ["add", "subtract", "multiply"])
def test_blocks_are_combined_with_one(kernels, guarded, name):
    width = 3 * kernels.lanes
    x, y = guarded(numbers(5, width)), guarded(numbers(width, seed=2))
    result = guarded.empty(5, width)
    call_kernel(kernels, name, x=x, y=y, result=result)
    assert torch.equal(result, getattr(torch, name)(x, y))


def test_the_result_may_take_the_place_of_an_operand(kernels, guarded):
    x, y = guarded(numbers(4, kernels.lanes)), guarded(numbers(kernels.lanes, seed=2))
    expected = x * y
    call_kernel(kernels, "multiply", x=x, y=y, result=x)
    assert torch.equal(x, expected)


@pytest.mark.parametrize("n_columns", [1, 5, 16, 37])
def test_rows_are_copied_and_added(kernels, guarded, n_columns):
    target, source = guarded(numbers(4, n_columns + 3)), guarded(numbers(4, n_columns, seed=2))
    before = target.clone()
    inside = target[:, 1 : n_columns + 1]
    call_kernel(kernels, "copy_rows", target=inside, source=source)
    call_kernel(kernels, "add_rows", target=inside, source=source)
    before[:, 1 : n_columns + 1] = 2 * source
    assert torch.equal(target, before)


@pytest.mark.parametrize("n_columns", [1, 5, 16, 37])
def test_squares_of_sums_are_added_up_in_float64(kernels, guarded, n_columns):
    target, source = guarded(numbers(4, n_columns)), guarded(1e4 * numbers(4, n_columns, seed=2))
    squares = guarded(torch.zeros(kernels.double_lanes, dtype=torch.float64))
    expected = target + source
    for _ in range(2):
        call_kernel(kernels, "add_rows_and_square", target=target, source=source, squares=squares)
        source.zero_()
    assert torch.equal(target, expected)
    total = 2 * expected.double().square().sum()
    torch.testing.assert_close(squares.sum(), total, rtol=1e-14, atol=0)


def test_sums_of_squares_and_of_columns(kernels, guarded):
    lanes = kernels.lanes
    x = guarded(numbers(2, 5, 3 * lanes))
    squares, sums = guarded.empty(lanes), guarded.empty(2, 3 * lanes)
    call_kernel(kernels, "square_sums", x=x.view(-1), result=squares)
    call_kernel(kernels, "column_sums", x=x, result=sums)
    torch.testing.assert_close(squares.sum(), x.square().sum())
    torch.testing.assert_close(sums, x.sum(dim=1))


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 7, 5), (2, 40, 1)])
def test_series_are_scaled_as_numpy_scales_them(kernels, guarded, shape):
    rng = np.random.default_rng(0)
    values = 1000 * rng.normal(size=shape) + 5e6
    values.flat[0] = np.nan
    mean, scale = rng.normal(size=(2, shape[2])) + 3
    expected = ((values - mean) / scale).astype(np.float32)
    expected[np.isnan(expected)] = 0.0
    result, largest = guarded.empty(*shape), guarded.empty(1)
    call_kernel(
        kernels,
        "scale",
        values=guarded(torch.from_numpy(values)),
        mean_and_scale=guarded(torch.from_numpy(np.array([mean, scale]))),
        result=result,
        largest=largest,
    )
    assert np.array_equal(result.numpy(), expected)
    assert largest.item() == np.abs(expected).max()


@pytest.mark.parametrize(("value", "expected"), [(-3e30, 3e30), (np.inf, np.inf), (-1e300, np.inf)])
def test_the_largest_magnitude_is_told_whatever_it_is(kernels, value, expected):
    values = torch.zeros(2, 3, 1, dtype=torch.float64)
    values[1, 1] = value
    largest = torch.zeros(1)
    call_kernel(
        kernels,
        "scale",
        values=values,
        mean_and_scale=torch.tensor([[0.0], [1.0]], dtype=torch.float64),
        result=torch.zeros(2, 3, 1),
        largest=largest,
    )
    assert largest.item() == np.float32(expected)


def test_float32_becomes_float64_and_back(kernels, guarded):
    lanes = kernels.lanes
    values, wide = guarded(numbers(3 * lanes)), guarded.empty(3 * lanes, dtype=torch.float64)
    call_kernel(kernels, "float32_to_float64", x=values, result=wide)
    assert torch.equal(wide, values.double())
    wide /= 3
    back = guarded.empty(3, lanes - 1)
    call_kernel(kernels, "float64_to_float32", x=wide.view(3, lanes)[:, :-1], result=back)
    assert torch.equal(back, wide.view(3, lanes)[:, :-1].float())
