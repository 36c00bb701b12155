"""Products of matrices, and packing, against PyTorch."""

import pytest
import torch

from seqfeat.nn.kernels.program import call_kernel
from tests.nn.kernels.arrays import numbers


@pytest.mark.parametrize("n_vectors", [0, 1, 2, 3, 7, 9])
@pytest.mark.parametrize("n_rows", [1, 7, 29])
@pytest.mark.parametrize("is_transposed", [False, True])
def test_a_product_of_two_matrices(kernels, guarded, n_vectors, n_rows, is_transposed):
    depth, columns = 9, n_vectors * kernels.lanes
    left, right = numbers(n_rows, depth), guarded(numbers(depth, columns + 5, seed=2))
    start = guarded(numbers(n_rows, columns, seed=3))
    result = guarded.empty(n_rows, columns + 3)
    call_kernel(
        kernels,
        "product_transposed" if is_transposed else "product",
        left=guarded(left.T if is_transposed else left),
        right=right[:, :columns],
        start=start,
        result=result[:, :columns],
    )
    assert bool(result[:, columns:].isnan().all())
    expected = start + left @ right[:, :columns]
    torch.testing.assert_close(result[:, :columns], expected, rtol=1e-5, atol=1e-5)


def test_the_start_may_be_one_row_for_all_and_the_place_of_the_result(kernels, guarded):
    left, right = guarded(numbers(5, 3)), guarded(numbers(3, kernels.lanes, seed=2))
    bias = guarded(numbers(kernels.lanes, seed=3))
    result = guarded.empty(5, kernels.lanes)
    call_kernel(kernels, "product", left=left, right=right, start=bias.expand(5, -1), result=result)
    torch.testing.assert_close(result, bias + left @ right)
    again = result.clone()
    call_kernel(kernels, "product", left=left, right=right, start=result, result=result)
    torch.testing.assert_close(result, again + left @ right)


def test_a_row_has_the_same_bits_among_any_others(kernels):
    left, right = numbers(37, 50), numbers(50, 5 * kernels.lanes, seed=2)
    start = torch.zeros(37, 5 * kernels.lanes)
    together = torch.empty_like(start)
    call_kernel(kernels, "product", left=left, right=right, start=start, result=together)
    for n_rows in (1, 2, 3, 5, 12, 36):
        own = torch.empty(n_rows, 5 * kernels.lanes)
        call_kernel(
            kernels, "product", left=left[:n_rows], right=right, start=start[:n_rows], result=own
        )
        assert torch.equal(own, together[:n_rows])


@pytest.mark.parametrize("n_columns", [1, 2, 5, 8, 37])
def test_products_in_float64(kernels, guarded, n_columns):
    lanes = kernels.double_lanes
    width, depth, n_rows = -(-n_columns // lanes) * lanes, 11, 7
    left = guarded(numbers(n_rows, depth, dtype=torch.float64))
    right = guarded(numbers(depth, width, seed=2, dtype=torch.float64) / 3)
    bias = guarded(numbers(width, seed=3, dtype=torch.float64))
    result = guarded.empty(n_rows, width, dtype=torch.float64)
    call_kernel(
        kernels,
        "product_float64",
        left=left,
        right=right,
        start=bias.expand(n_rows, -1),
        result=result,
    )
    torch.testing.assert_close(result, left @ right + bias, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(("n_units", "depth"), [(1, 1), (5, 3), (16, 32), (20, 37), (48, 16)])
def test_weights_are_packed_into_panels(kernels, guarded, n_units, depth):
    lanes = kernels.lanes
    units, width, padded_depth = -(-n_units // lanes) * lanes, 4 * lanes, depth + 3
    rows = guarded(numbers(4, n_units, depth))
    panels = guarded(torch.zeros(4 * units // width, padded_depth, width))
    call_kernel(kernels, "pack", rows=rows, panels=panels, padded_units=units)
    padded = torch.zeros(4, units, padded_depth)
    padded[:, :n_units, :depth] = rows
    assert torch.equal(panels, padded.view(-1, width, padded_depth).transpose(1, 2))


@pytest.mark.parametrize("n_steps", [1, 6])
def test_packed_panels_give_the_product(kernels, guarded, n_steps):
    lanes, depth = kernels.lanes, 10
    weights = numbers(4, lanes, depth)
    panels = guarded(torch.zeros(1, depth, 4 * lanes))
    call_kernel(kernels, "pack", rows=weights, panels=panels, padded_units=lanes)
    left, bias = guarded(numbers(n_steps, depth, seed=2)), guarded(numbers(4 * lanes, seed=3))
    result = guarded.empty(n_steps, 4 * lanes)
    call_kernel(
        kernels,
        "product_of_panels_4",
        left=left,
        panels=panels,
        start=bias.expand(n_steps, -1),
        result=result,
    )
    expected = bias + left @ weights.view(4 * lanes, depth).T
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-5)
