"""Programs, their memory, and the contract: no unchecked argument reaches a kernel (fault 39)."""

import pytest
import torch

from seqfeat.nn.kernels.ir.jit import KERNELS
from seqfeat.nn.kernels.ir.kernel import Size
from seqfeat.nn.kernels.program import Arena, Program, call_kernel
from tests.nn.kernels.arrays import numbers


def storage(n_floats):
    return torch.full((n_floats,), torch.nan)


# The contract


def product(kernels, **changes):
    """Return good arguments of a product, but for some changes."""
    width = 2 * kernels.lanes
    good = {
        "left": numbers(5, 3),
        "right": numbers(3, width, seed=2),
        "start": numbers(5, width, seed=3),
        "result": torch.zeros(5, width),
    }
    return {**good, **changes}


def refuse(kernels, match, **changes):
    arguments = {k: v for k, v in product(kernels, **changes).items() if v is not None}
    before = arguments["result"].clone() if "result" in arguments else None
    for call in (
        lambda: call_kernel(kernels, "product", **arguments),
        lambda: Program(kernels).call("product", **arguments),
    ):
        with pytest.raises(TypeError, match=match):
            call()
    if before is not None and before.is_cpu:
        assert torch.equal(arguments["result"].nan_to_num(), before.nan_to_num())


def test_good_arguments_are_accepted(kernels):
    arguments = product(kernels)
    call_kernel(kernels, "product", **arguments)
    expected = arguments["start"] + arguments["left"] @ arguments["right"]
    torch.testing.assert_close(arguments["result"], expected)


def test_a_missing_argument_is_named(kernels):
    refuse(kernels, r"product\(left: .*missing \['start'\], unknown \[\]", start=None)


def test_an_unknown_argument_is_named(kernels):
    refuse(kernels, r"missing \[\], unknown \['bias'\]", bias=numbers(3))


@pytest.mark.parametrize("one", ["left", "right", "start", "result"])
def test_swapped_arguments_are_refused(kernels, one):
    arguments = product(kernels)
    for other in {"left", "right", "start", "result"} - {one}:
        if arguments[one].shape != arguments[other].shape:
            refuse(kernels, "axis", **{one: arguments[other], other: arguments[one]})


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("left", (4, 3)),
        ("left", (5, 4)),
        ("left", (15,)),
        ("right", (2, 32)),
        ("start", (4, 32)),
        ("result", (5, 31)),
        ("result", (5, 1, 32)),
        ("result", (0,)),
    ],
)
def test_another_shape_is_refused(kernels, name, shape):
    refuse(kernels, name, **{name: torch.zeros(shape)})


def test_widths_that_are_no_whole_vectors_are_refused(kernels):
    odd = kernels.lanes + 1
    arguments = {"right": numbers(3, odd), "start": numbers(5, odd), "result": torch.zeros(5, odd)}
    refuse(kernels, "axis 1 of right", **arguments)


@pytest.mark.parametrize("name", ["left", "right", "start", "result"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.int64, torch.bool])
def test_another_dtype_is_refused(kernels, name, dtype):
    refuse(kernels, f"{name} is {dtype}", **{name: product(kernels)[name].to(dtype)})


def test_another_device_is_refused(kernels):
    refuse(
        kernels,
        "left is torch.strided, on meta",
        left=torch.zeros(5, 3, device="meta"),
    )


def test_a_sparse_tensor_is_refused(kernels):
    refuse(kernels, "left is .*torch.sparse_coo", left=torch.zeros(5, 3).to_sparse())


def test_an_array_whose_rows_are_not_contiguous_is_refused(kernels):
    width = 2 * kernels.lanes
    refuse(kernels, "right of shape .* has the strides", right=numbers(width, 3).T)


@pytest.mark.parametrize("value", [7, 3.0, "left", None, [1.0]])
def test_what_is_no_array_is_refused(kernels, value):
    arguments = product(kernels)
    arguments["left"] = value
    with pytest.raises(TypeError, match="left"):
        call_kernel(kernels, "product", **arguments)


def join_patches(kernels, patch_len):
    patches, result = torch.zeros(3, 2, kernels.lanes), torch.zeros(2, 3, 1)
    call_kernel(kernels, "join_patches", patches=patches, result=result, patch_len=patch_len)


@pytest.mark.parametrize("value", [-1, 2.5, True, "3", None, torch.tensor(3)])
def test_a_size_is_an_int_of_0_or_more(kernels, value):
    with pytest.raises(TypeError, match="patch_len"):
        join_patches(kernels, value)


@pytest.mark.parametrize(
    ("patch_len", "requirement"),
    [(99, "patch_len \\* n_channels <= n_vectors \\* lanes"), (0, "n_patches \\* patch_len >=")],
)
def test_what_shapes_do_not_say_is_required_of_the_sizes(kernels, patch_len, requirement):
    with pytest.raises(TypeError, match=f"not {requirement}.*'lanes': {kernels.lanes}"):
        join_patches(kernels, patch_len)


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_every_kernel_refuses_a_call_without_arguments(kernels, name):
    with pytest.raises(TypeError, match=f"{name}\\(.*missing"):
        call_kernel(kernels, name)


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_every_kernel_refuses_arrays_of_another_dtype(kernels, name):
    arguments = {
        parameter: 1
        if isinstance(one, Size)
        else torch.zeros([1] * len(one.shape), dtype=torch.bool)
        for parameter, one in KERNELS[name].parameters.items()
    }
    with pytest.raises(TypeError, match=r"torch\.bool"):
        call_kernel(kernels, name, **arguments)


# Memory


def test_buffers_follow_each_other_at_multiples_of_a_cache_line(kernels):
    arena = Arena()
    first, second = arena.take(2, 5), arena.take(3, 4)
    third = arena.take(3, dtype=torch.float64)
    assert (first.offset, second.offset, third.offset) == (0, 16, 32)
    assert arena.n_floats == 48


def test_released_memory_is_taken_again():
    arena = Arena()
    first, second, third = arena.take(16), arena.take(2, 8), arena.take(16)
    arena.release(first)
    assert arena.take(17).offset == 48
    arena.release(second)
    # Neighbours become one.
    assert arena.take(32).offset == 0
    assert arena.take(1).offset == 80
    arena.release(third)
    assert arena.take(2, 2).offset == 32
    assert arena.n_floats == 96


def test_views_of_a_buffer_are_those_of_a_tensor(kernels):
    program = Program(kernels)
    buffer = program.arena.take(4, 6)
    wide = program.arena.take(4, 6, dtype=torch.float64)
    program.finish(torch.arange(program.arena.n_floats, dtype=torch.float32))
    for one in (buffer, wide):
        whole = program.tensor(one)
        assert torch.equal(program.tensor(one.rows(1, 3)), whole[1:3])
        assert torch.equal(program.tensor(one.columns(2, 5)), whole[:, 2:5])
        assert torch.equal(program.tensor(one.rows(1, 3).columns(2, 5)), whole[1:3, 2:5])
        assert torch.equal(program.tensor(one.view(3, 8)), whole.view(3, 8))
        assert torch.equal(program.tensor(one.rows(2, 3).repeat(5)), whole[2:3].expand(5, -1))


def test_views_that_reach_beyond_a_buffer_are_refused():
    buffer = Arena().take(4, 6)
    for view in (
        lambda: buffer.rows(2, 5),
        lambda: buffer.columns(-1, 3),
        lambda: buffer.view(5, 5),
        lambda: buffer.columns(0, 3).view(12),
        lambda: buffer.repeat(2),
    ):
        with pytest.raises(ValueError, match="Buffer"):
            view()


# Programs


def test_an_empty_program_does_nothing(kernels):
    program = Program(kernels)
    program.finish()
    program.run()


@pytest.mark.parametrize("n_columns", [1, 5, 16, 37])
@pytest.mark.parametrize(("axes", "is_slice"), [(1, True), (2, False), (3, True), (3, False)])
def test_tensors_of_up_to_three_axes_are_copied_and_added(kernels, n_columns, axes, is_slice):
    shape = (*(3, 4)[: axes - 1], n_columns)
    around = tuple(size + 2 for size in shape) if is_slice else shape
    own = tuple(slice(size) for size in shape)
    target, source = numbers(*around), numbers(*around, seed=2)
    expected = target.clone()
    expected[own] = 2 * source[own]
    squares = torch.zeros(kernels.double_lanes, dtype=torch.float64)
    program = Program(kernels)
    program.copy_all([(target[own], source[own])])
    program.add_all([(target[own], source[own])])
    program.add_and_square_all([(target[own], torch.zeros(shape))], squares)
    program.finish()
    program.run()
    assert torch.equal(target, expected)
    torch.testing.assert_close(squares.sum(), expected[own].double().square().sum())


def test_tensors_of_different_shapes_are_not_copied(kernels):
    with pytest.raises(TypeError, match=r"shapes \(2, 3\) and \(3, 2\) differ"):
        Program(kernels).copy_all([(numbers(2, 3), numbers(3, 2))])


def make_adder(kernels, width):
    """Return a program that adds two external arrays in a buffer, and copies the sum out."""
    program = Program(kernels)
    x, y, result = (program.external(1, width) for _ in range(3))
    total = program.arena.take(1, width)
    program.call("copy_rows", target=total, source=x)
    program.call("add_rows", target=total, source=y)
    program.call("copy_rows", target=result, source=total)
    return program, x, y, result


def test_externals_are_set_before_each_run(kernels):
    program, x, y, result = make_adder(kernels, 9)
    program.finish(storage(program.arena.n_floats))
    for seed in (1, 3):
        values = numbers(1, 9, seed=seed), numbers(1, 9, seed=seed + 1), torch.zeros(1, 9)
        for one, tensor in zip((x, y, result), values, strict=True):
            one.set(tensor)
        program.run()
        assert torch.equal(values[2], values[0] + values[1])
        # Nothing is kept alive, and nothing old is read again.
        with pytest.raises(ValueError, match=r"these shapes were not set: \[\(1, 9\)"):
            program.run()


@pytest.mark.parametrize(
    "wrong",
    [
        torch.zeros(1, 8),
        torch.zeros(9),
        torch.zeros(1, 9, dtype=torch.float64),
        torch.zeros(1, 9, device="meta"),
        torch.zeros(1, 18)[:, ::2],
    ],
    ids=["shape", "axes", "dtype", "device", "order"],
)
def test_what_does_not_fit_an_external_is_refused(kernels, wrong):
    program, x, *_ = make_adder(kernels, 9)
    program.finish(storage(program.arena.n_floats))
    with pytest.raises(TypeError, match=r"contiguous torch.float32 of shape \(1, 9\)"):
        x.set(wrong)


def test_a_program_runs_in_parts(kernels):
    program, x, y, result = make_adder(kernels, 5)
    program.finish(storage(program.arena.n_floats))
    values = numbers(1, 5), numbers(1, 5, seed=2), torch.zeros(1, 5)
    for one, tensor in zip((x, y, result), values, strict=True):
        one.set(tensor)
    program.run(0, 2)
    assert torch.equal(values[2], torch.zeros(1, 5))
    program.run(2)
    assert torch.equal(values[2], values[0] + values[1])


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (lambda n: None, ValueError),
        (lambda n: torch.zeros(n - 1), ValueError),
        (lambda n: torch.zeros(n, dtype=torch.float64), TypeError),
        (lambda n: torch.zeros(n, device="meta"), TypeError),
    ],
    ids=["none", "short", "dtype", "device"],
)
def test_a_storage_that_does_not_hold_the_buffers_is_refused(kernels, given, error):
    program, *_ = make_adder(kernels, 20)
    with pytest.raises(error, match="storage"):
        program.finish(given(program.arena.n_floats))


def test_only_calls_with_tensors_of_their_own_are_taken_over(kernels):
    target, source = torch.zeros(2, 3), numbers(2, 3)
    program, other = Program(kernels), Program(kernels)
    other.copy_all([(target, source)])
    program.extend(other)
    program.finish()
    program.run()
    assert torch.equal(target, source)
    with pytest.raises(ValueError, match="without buffers and externals"):
        program.extend(make_adder(kernels, 3)[0])


def test_a_program_keeps_its_tensors_alive(kernels):
    target = torch.zeros(4, 1000)
    program = Program(kernels)
    program.copy_all([(target, numbers(4, 1000))])
    program.finish()
    # Were it gone, others would take its memory.
    others = [torch.zeros(4, 1000) for _ in range(10)]
    program.run()
    assert torch.equal(target, numbers(4, 1000))
    assert all(not bool(other.any()) for other in others)
