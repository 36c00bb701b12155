"""What programs of the kernels are made of, one by one, against PyTorch."""

import pytest
import torch
from tests.compiled import compiled_kernels

from seqfeat.nn.kernels.program import Memory, Program
from seqfeat.nn.network import count_windows, windows
from seqfeat.nn.pooling import Summary, own_steps


@pytest.fixture
def program(lanes):
    """An empty program, with vectors of each length."""
    return Program(compiled_kernels(lanes))


def numbers(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def run(program):
    program.finish()
    program.run()


def test_an_empty_program_does_nothing(program):
    run(program)


@pytest.mark.parametrize("n_columns", [1, 5, 16, 37])
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("is_slice", [False, True])
def test_tensors_are_copied_and_added(program, n_columns, axes, is_slice):
    shape = (*(3, 4)[: axes - 1], n_columns)
    around = tuple(size + 2 for size in shape) if is_slice else shape
    own = tuple(slice(size) for size in shape)
    into, source = numbers(*around), numbers(*around, seed=2)
    expected = into.clone()
    expected[own] = 2 * source[own]
    program.copy(into[own], source[own])
    program.add(into[own], source[own])
    run(program)
    torch.testing.assert_close(into, expected, rtol=0, atol=0)


def test_arguments_can_be_changed(program):
    first, second, into = numbers(9), numbers(9, seed=2), torch.zeros(9)
    number = program.call("copy_rows", into.data_ptr(), 9, first.data_ptr(), 9, 1, 9)
    run(program)
    assert torch.equal(into, first)
    program.change(number, into.data_ptr(), 9, second.data_ptr())
    program.run()
    assert torch.equal(into, second)


def test_places_follow_each_other_in_memory():
    memory = Memory(torch.arange(40.0))
    first, second = memory.take(2, 5), memory.take(3, 4)
    assert memory.n_floats == 22
    assert memory.tensor(first).flatten().tolist() == list(range(10))
    assert memory.tensor(second).flatten().tolist() == list(range(10, 22))
    assert memory.tensor(second.behind(1)).flatten().tolist() == list(range(14, 22))
    assert second.address == memory.storage[10:].data_ptr()


def test_released_places_are_taken_again():
    memory = Memory(torch.arange(40.0))
    first, second, third = memory.take(10), memory.take(2, 5), memory.take(10)
    memory.release(first)
    assert memory.take(11).offset == 30
    memory.release(second)
    # Neighbours become one place.
    assert memory.take(15).offset == 0
    assert memory.take(5).offset == 15
    assert memory.take(1).offset == 41
    memory.release(third)
    place = memory.take(4)
    assert (place.offset, place.address) == (20, memory.storage[20:].data_ptr())
    assert memory.n_floats == 42


@pytest.mark.parametrize(("n_units", "depth"), [(1, 1), (5, 3), (16, 32), (20, 37), (48, 16)])
def test_weights_are_packed_into_panels(program, n_units, depth):
    lanes = program.kernels.lanes
    units, width, filled_depth = -(-n_units // lanes) * lanes, 4 * lanes, depth + 3
    rows = numbers(4, n_units, depth)
    panels = torch.zeros(4 * units // width, filled_depth, width)
    sizes = 4, n_units, depth, units
    program.call("pack", rows.data_ptr(), *sizes, panels.data_ptr(), filled_depth, width)
    run(program)
    filled = torch.zeros(4, units, filled_depth)
    filled[:, :n_units, :depth] = rows
    expected = filled.view(-1, width, filled_depth).transpose(1, 2)
    assert torch.equal(panels, expected)


@pytest.mark.parametrize(
    ("n_timesteps", "length", "stride"), [(1, 1, 1), (9, 3, 3), (11, 3, 3), (20, 6, 2), (4, 7, 3)]
)
@pytest.mark.parametrize("n_channels", [1, 5, 16])
def test_windows_are_cut_as_the_network_does(program, n_timesteps, length, stride, n_channels):
    values, lanes = numbers(6, n_timesteps, n_channels), program.kernels.lanes
    expected = windows(values, length, stride)
    _, n_windows, depth = expected.shape
    width = -(-depth // lanes) * lanes
    result = torch.full((n_windows, 6, width), torch.nan)
    sizes = 6, n_timesteps, n_channels, length, stride
    places = result.data_ptr(), n_windows, width // lanes
    program.call("cut_windows", values.data_ptr(), values.stride(0), *sizes, *places)
    run(program)
    assert torch.equal(result[:, :, :depth].transpose(0, 1), expected)
    assert bool((result[:, :, depth:] == 0).all())


@pytest.mark.parametrize(("length", "stride"), [(1, 1), (4, 1), (4, 4), (6, 4), (16, 2)])
def test_windows_are_counted_as_the_network_does(program, length, stride):
    lengths, found = torch.arange(1, 40), torch.zeros(39, dtype=torch.int64)
    program.call("count_windows", lengths.data_ptr(), 39, length, stride, found.data_ptr())
    run(program)
    assert torch.equal(found, count_windows(lengths, length, stride))


@pytest.mark.parametrize("n_columns", [1, 2, 5, 8, 37])
def test_products_in_float64(program, n_columns):
    lanes = program.kernels.double_lanes
    width, depth, n_rows = -(-n_columns // lanes) * lanes, 11, 7
    left, right, bias = (
        torch.zeros(*shape, dtype=torch.float64)
        for shape in [(n_rows, depth), (depth, width), (width,)]
    )
    left.copy_(numbers(n_rows, depth))
    right[:, :n_columns] = numbers(depth, n_columns, seed=2).double() / 3
    bias[:n_columns] = numbers(n_columns, seed=3)
    result = torch.full((n_rows, width), torch.nan, dtype=torch.float64)
    program.call(
        "product_exact",
        *(left.data_ptr(), depth, right.data_ptr(), width, width // lanes, depth),
        *(bias.data_ptr(), 0, result.data_ptr(), width, n_rows),
    )
    run(program)
    torch.testing.assert_close(result, left @ right + bias, rtol=1e-14, atol=1e-14)


def test_float32_becomes_float64_and_back(program):
    lanes = program.kernels.lanes
    values, wide = numbers(3, lanes), torch.zeros(3, lanes, dtype=torch.float64)
    program.call("widen", values.data_ptr(), 3, wide.data_ptr())
    run(program)
    assert torch.equal(wide, values.double())
    wide = wide / 3
    back, again = torch.zeros(3, lanes - 1), Program(program.kernels)
    again.call("narrow", back.data_ptr(), wide.data_ptr(), lanes, 3, lanes - 1)
    run(again)
    assert torch.equal(back, wide[:, : lanes - 1].float())


@pytest.mark.parametrize("is_ragged", [False, True])
def test_pooling_is_that_of_the_network(program, is_ragged):
    lanes = program.kernels.lanes
    n_steps, width = torch.tensor([7, 1, 4, 7, 2] if is_ragged else [7] * 5), 2 * lanes
    outputs = numbers(7, 5, width)
    # Steps that share the largest and the least value.
    outputs[0], outputs[1], outputs[3] = 9.0, -9.0, 9.0
    by_series = outputs.transpose(0, 1).contiguous()
    own = own_steps(by_series, n_steps)
    expected = Summary.of(by_series.double(), n_steps, None if own is None else own.double())
    row = 4 * width + lanes
    pooled, d_pooled = torch.zeros(5, row), numbers(5, row, seed=2)
    scratch, d_outputs = torch.zeros(5, 4, width), torch.full((7, 5, width), torch.nan)
    begin = outputs.data_ptr(), n_steps.data_ptr(), 5, 2, 7
    program.call("pool", *begin, pooled.data_ptr(), row, width)
    places = pooled.data_ptr(), d_pooled.data_ptr(), row, width
    program.call("pool_backward", *begin, *places, scratch.data_ptr(), d_outputs.data_ptr())
    run(program)
    found = torch.split(pooled[:, : 4 * width], width, dim=1)
    for one, other in zip(found, expected.values, strict=True):
        torch.testing.assert_close(one, other.float(), rtol=1e-5, atol=1e-6)
    d_expected = expected.gradient(*torch.split(d_pooled[:, : 4 * width].double(), width, dim=1))
    torch.testing.assert_close(d_outputs.transpose(0, 1), d_expected.float(), rtol=1e-4, atol=1e-5)


def test_the_last_steps_and_their_gradient(program):
    lanes, n_steps = program.kernels.lanes, torch.tensor([3, 1, 6, 2])
    outputs, result = numbers(6, 4, lanes), torch.zeros(4, lanes)
    d_outputs = torch.full((6, 4, lanes), torch.nan)
    places = n_steps.data_ptr(), 4, 1
    program.call("last_steps", outputs.data_ptr(), *places, result.data_ptr())
    program.call("put_last_steps", result.data_ptr(), *places, 6, d_outputs.data_ptr())
    run(program)
    series = torch.arange(4)
    assert torch.equal(result, outputs[n_steps - 1, series])
    expected = torch.zeros_like(outputs)
    expected[n_steps - 1, series] = result
    assert torch.equal(d_outputs, expected)


@pytest.mark.parametrize("name", ["add", "subtract", "multiply"])
def test_blocks_are_combined_with_one(program, name):
    lanes = program.kernels.lanes
    x, y, result = numbers(3, 2 * lanes), numbers(2 * lanes, seed=2), torch.zeros(3, 2 * lanes)
    program.call(name, x.data_ptr(), 3, y.data_ptr(), 2, result.data_ptr())
    run(program)
    assert torch.equal(result, getattr(torch, name)(x, y))


def test_sums_of_squares_and_of_columns(program):
    lanes = program.kernels.lanes
    x, squares, sums = numbers(2, 5, 3 * lanes), torch.zeros(lanes), torch.zeros(2, 3 * lanes)
    program.call("square_sums", x.data_ptr(), 2 * 5 * 3, squares.data_ptr())
    program.call("column_sums", x.data_ptr(), 2, 5, 3, sums.data_ptr())
    run(program)
    torch.testing.assert_close(squares.sum(), x.square().sum())
    torch.testing.assert_close(sums, x.sum(dim=1))
