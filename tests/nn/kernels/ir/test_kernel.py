"""Declarations of kernels, and the signatures that follow from them."""

import pytest
from llvmlite import ir

from seqfeat.nn.kernels.ir.jit import KERNELS, ROW_SIZE
from seqfeat.nn.kernels.ir.kernel import Axis, Kernel, Size, doubles, floats, indices
from seqfeat.nn.kernels.ir.vectors import VectorCode

SCALE_ROWS = Kernel(
    "scale_rows",
    "shift >= 0",
    x=floats("n_rows", "n_vectors * lanes", strides=["x_row"]),
    factors=doubles("n_rows"),
    lengths=indices("n_rows"),
    result=floats("n_rows + 1", "n_vectors * lanes", strides=["x_row"]),
    shift=Size(),
)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("n_rows", ("n_rows", 1, 0)),
        ("n_steps + 1", ("n_steps", 1, 1)),
        ("4 * n_vectors * lanes", ("n_vectors", 32, 0)),
        ("n_vectors * double_lanes", ("n_vectors", 4, 0)),
        ("4 * lanes", (None, 0, 32)),
        ("7", (None, 0, 7)),
    ],
)
def test_an_axis_is_read_from_an_expression(expression, expected):
    assert Axis.parse(expression, {"lanes": 8, "double_lanes": 4}) == expected


def test_pointers_come_first_with_their_strides_and_then_the_sizes():
    assert [argument.name for argument in SCALE_ROWS.signature] == [
        "x",
        "x_row",
        "factors",
        "lengths",
        "result",
        "n_rows",
        "n_vectors",
        "shift",
    ]
    assert [argument.name for argument in SCALE_ROWS.signature if argument.is_pointer] == [
        "x",
        "factors",
        "lengths",
        "result",
    ]


def test_a_kernel_says_what_it_takes():
    assert str(SCALE_ROWS) == (
        "scale_rows(x: float32 (n_rows, n_vectors * lanes), factors: float64 (n_rows), "
        "lengths: int64 (n_rows), result: float32 (n_rows + 1, n_vectors * lanes), shift: int)"
    )


def test_the_llvm_function_has_the_arguments_of_the_signature():
    code = VectorCode(ir.Module(), 8)
    builder, arguments = SCALE_ROWS.begin(code)
    builder.ret_void()
    function = code.module.get_global("scale_rows")
    assert [value.name for value in function.args] == [one.name for one in SCALE_ROWS.signature]
    assert vars(arguments).keys() == {one.name for one in SCALE_ROWS.signature}
    kinds = [isinstance(value.type, ir.PointerType) for value in function.args]
    assert kinds == [one.is_pointer for one in SCALE_ROWS.signature]


def test_a_call_from_another_kernel_names_every_argument():
    code = VectorCode(ir.Module(), 8)
    builder, arguments = SCALE_ROWS.begin(code)
    values = vars(arguments)
    SCALE_ROWS.emit_call(code, builder, **values)
    with pytest.raises(TypeError, match=r"scale_rows takes .*'shift'"):
        SCALE_ROWS.emit_call(code, builder, **{k: v for k, v in values.items() if k != "shift"})
    with pytest.raises(TypeError, match=r"not .*'more'"):
        SCALE_ROWS.emit_call(code, builder, **values, more=values["shift"])


def test_every_kernel_fits_into_a_row_of_a_program():
    assert all(len(kernel.signature) < ROW_SIZE for kernel in KERNELS.values())
    assert all(kernel.name == name for name, kernel in KERNELS.items())
