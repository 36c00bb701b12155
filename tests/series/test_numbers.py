import collections
import sys
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
import torch

from seqfeat.exceptions import InputTypeError
from seqfeat.series.numbers import as_numbers, frame_as_numbers, frame_from_library
from seqfeat.series.series import to_object_array
from tests.series.inputs import NAN, as_object_array, error_of, random_values

# Arrays


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int64", "uint16", "bool"])
def test_an_array_keeps_its_dtype_and_is_not_copied(dtype):
    X = (random_values(3, 4) > 0).astype(dtype)
    array = as_numbers(X)
    assert array.dtype == dtype
    assert np.shares_memory(array, X)


@pytest.mark.parametrize(("dtype", "expected"), [("float16", "float32"), ("longdouble", "float64")])
def test_half_and_extended_precision_are_converted(dtype, expected):
    X = random_values(3, 4).astype(dtype)
    array = as_numbers(X)
    assert array.dtype == expected
    np.testing.assert_array_equal(array, X)


def test_an_object_array_of_numbers_becomes_float64():
    array = as_numbers(np.array([[1, 2.5], [np.float32(3), True], [None, pd.NA]], dtype=object))
    assert array.dtype == np.float64
    np.testing.assert_array_equal(array, [[1, 2.5], [3, 1], [NAN, NAN]])


@pytest.mark.parametrize(
    "X",
    [
        random_values(2, 3) + 1j,
        [[1, 2], [3, 4j]],
        np.array([[1, 2], [3, 4j]], dtype=object),
    ],
)
def test_complex_numbers_are_rejected(X):
    message = error_of(as_numbers, X)
    assert message.startswith("Complex data not supported: X ")
    assert "as separate channels" in message


@pytest.mark.parametrize("kind", ["csr_matrix", "csc_array", "coo_array"])
def test_sparse_matrices_are_rejected(kind):
    X = getattr(scipy.sparse, kind)(np.eye(3))
    assert "X.toarray()" in error_of(as_numbers, X, error=InputTypeError)


def test_masked_arrays_are_rejected_with_a_conversion_that_works():
    X = np.ma.masked_array([[1, 2, 3], [4, 5, 6]], mask=[[0, 0, 1], [0, 0, 0]])
    message = error_of(as_numbers, X, error=InputTypeError)
    assert "X.astype(float).filled(np.nan) with missing='mask'" in message
    np.testing.assert_array_equal(
        as_numbers(X.astype(float).filled(np.nan)), [[1, 2, NAN], [4, 5, 6]]
    )


def test_ragged_lists_are_rejected():
    message = error_of(as_numbers, [[1], [2, 3]])
    assert message.startswith("X is not a regular array")
    assert "a list of (n_timesteps, n_channels) arrays" in message


@pytest.mark.parametrize(
    ("X", "says"),
    [
        (np.array([["1", "2"]]), "X has dtype <U1"),
        ([["a", "b"], ["c", "d"]], "X has dtype <U1"),
        (np.array([[b"1", b"2"]]), "X has dtype |S1"),
        ("1.0 2.0", "X has dtype <U7"),
        (np.array([["2020-01-01"]], dtype="datetime64[D]"), "X has dtype datetime64"),
        (np.array([[1]], dtype="timedelta64[s]"), "X has dtype timedelta64"),
        (np.zeros((2, 3), dtype=[("a", float)]), "X has dtype [('a'"),
        (np.array([[1.0, "2"]], dtype=object), "X holds the text '2' at index (0, 1)"),
        (np.array([[{}, 1.0]], dtype=object), "X holds a value of type dict at index (0, 0)"),
        (np.array([[1.0, int]], dtype=object), "type type at index (0, 1), which is not a number"),
        ({"a": [1.0]}, "X is a value of type dict"),
        (object(), "X is a value of type object"),
    ],
)
def test_what_is_not_a_number_is_named_and_never_cast(X, says):
    message = error_of(as_numbers, X, error=InputTypeError)
    assert message.startswith(says) or says in message
    assert "onvert it" in message


def test_series_among_the_elements_are_rejected():
    message = error_of(as_numbers, as_object_array([1.0, np.ones(3)]))
    assert message.startswith(
        "X holds a value of type ndarray at index (1,), which is not a number"
    )
    assert "Pass a list with one (n_timesteps, n_channels) array per series" in message


# Objects, integers and containers that NumPy would change or not read (fault 47)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal("0.1"), 0.1),
        (Decimal("NaN"), NAN),
        (Decimal("sNaN"), NAN),
        (Fraction(1, 3), 1 / 3),
        (np.longdouble(1) / 3, 1 / 3),
        (np.bool_(True), 1.0),
        (2**53 + 2, 2.0**53 + 2),
        (pd.NaT, NAN),
        (np.datetime64("NaT"), NAN),
        (np.ma.masked, NAN),
        (torch.tensor(2.0, requires_grad=True), 2.0),
    ],
)
def test_numbers_of_other_libraries_become_the_nearest_float64(value, expected):
    np.testing.assert_array_equal(as_numbers(to_object_array([1.5, value])), [1.5, expected])


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (10**400, "too large"),
        (Fraction(10**400), "too large"),
        (Decimal("1e400"), "it is too large for float64. Change its unit"),
        (2**53 + 1, "float64 does not hold it exactly. Change its unit, or subtract an offset"),
    ],
)
def test_numbers_that_float64_does_not_hold_are_rejected(value, says):
    message = error_of(as_numbers, as_object_array([1.5, value]))
    assert message.startswith("X holds a value of type ")
    assert "at index (1,)" in message
    assert says in message


@pytest.mark.parametrize("value", [np.timedelta64(1, "s"), np.datetime64("2020-01-01"), {}, int])
def test_elements_that_are_no_numbers_are_rejected(value):
    message = error_of(as_numbers, to_object_array([1.5, value]), error=InputTypeError)
    assert "at index (1,), which is not a number" in message


@pytest.mark.parametrize("dtype", ["int64", "uint64", ">u8"])
def test_integers_that_float64_would_round_are_rejected(dtype):
    X = np.array([[2**53, 2**53 + 2, 2**62, 0]], dtype=dtype)
    np.testing.assert_array_equal(as_numbers(X), X)
    X[0, 1] += 1
    message = error_of(as_numbers, X)
    assert message.startswith("X holds the integer 9007199254740995 at index (0, 1)")
    assert "Subtract an offset from the series, or pass X.astype(float)" in message
    as_numbers(X.astype(float))


def test_the_most_extreme_integers_are_exact():
    extremes = np.array([np.iinfo(np.int64).min, 0, 2**62])
    np.testing.assert_array_equal(as_numbers(extremes), extremes)
    assert "18446744073709551615" in error_of(as_numbers, np.array([2**64 - 1], dtype=np.uint64))


@pytest.mark.skipif(np.finfo(np.longdouble).max <= np.finfo(float).max, reason="no such numbers")
def test_extended_precision_beyond_float64_is_rejected():
    message = error_of(as_numbers, np.array([1, np.longdouble(10) ** 400]))
    assert message.startswith("X holds the number 1e+400 at index (1,), which is too large")


class Unreadable:
    def __array__(self, dtype=None, copy=None):
        raise KeyError("nothing here")


@pytest.mark.parametrize(
    ("X", "says"),
    [
        (Unreadable(), "X has type Unreadable and cannot be converted to an array (KeyError: "),
        ((one for one in [1.0]), "for example with list(X)"),
        ({1.0, 2.0}, "for example with list(X)"),
        ({"a": 1.0}.values(), "for example with list(X)"),
        (np.zeros((2, 3), dtype=[("a", float)]), "structured_to_unstructured(X)"),
    ],
)
def test_what_numpy_does_not_read_comes_with_a_way_out(X, says):
    assert says in error_of(as_numbers, X, error=InputTypeError)


@pytest.mark.filterwarnings("ignore:the matrix subclass")
@pytest.mark.parametrize(
    "container",
    [
        np.asfortranarray,
        np.asmatrix,
        memoryview,
        lambda X: X.astype(">f8"),
        lambda X: X[::-1, ::-1][::-1, ::-1],
        lambda X: np.broadcast_to(X, X.shape),
        lambda X: X.view(type("Subclass", (np.ndarray,), {})),
        lambda X: collections.deque(X.tolist()),
        lambda X: pl.DataFrame(X),
        lambda X: X.tolist(),
    ],
)
def test_containers_of_any_kind_hold_the_same_numbers(container):
    X = random_values(3, 4)
    array = as_numbers(container(X))
    assert type(array) is np.ndarray
    np.testing.assert_array_equal(array, X)


# Frames


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (pd.array([1, 2**53 + 1], dtype="Int64"), "the integer 9007199254740993"),
        (np.array([1, 2**53 + 1]), "the integer 9007199254740993"),
        (pd.Series([1, 10**400], dtype=object), "holds a value of type int in row 1"),
        (np.array([1, 2j]), "Complex data not supported"),
    ],
)
def test_no_column_of_a_frame_of_several_dtypes_is_rounded(column, says):
    frame = pd.DataFrame({"a": pd.array([1.5, None], dtype="Float64"), "b": column})
    message = error_of(frame_as_numbers, frame)
    assert message.startswith("column 'b'")
    assert says in message


def test_columns_of_several_dtypes_are_converted_to_a_common_one():
    frame = pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5], "c": [True, False], "d": [1, None]})
    frame["d"] = frame["d"].astype(object)
    np.testing.assert_array_equal(frame_as_numbers(frame), [[1, 0.5, 1, 1], [2, 1.5, 0, NAN]])


def test_a_frame_of_one_dtype_is_not_copied():
    X = random_values(3, 4).astype(np.float32)
    array = frame_as_numbers(pd.DataFrame(X, copy=False))
    assert array.dtype == np.float32
    assert np.shares_memory(array, X)


@pytest.mark.parametrize("dtype", ["Int64", "Float64"])
def test_missing_values_of_nullable_columns_become_nan(dtype):
    frame = pd.DataFrame({"a": [1, 2], "b": [3, None]}, dtype=dtype)
    array = frame_as_numbers(frame)
    assert array.dtype == np.float64
    np.testing.assert_array_equal(array, [[1, 3], [2, NAN]])


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (["x", "y"], "column 'b' has dtype str; series hold real numbers. Drop the column"),
        (pd.to_datetime(["2024-01-01"] * 2), "column 'b' has dtype datetime64"),
        (pd.Series([1.0, "x"], dtype=object), "column 'b' holds the text 'x' in row 1"),
        (pd.Series([{}, 1.0], dtype=object), "column 'b' holds a value of type dict in row 0"),
    ],
)
def test_columns_that_do_not_hold_numbers_are_named(column, says):
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": column})
    assert error_of(frame_as_numbers, frame, error=InputTypeError).startswith(says)


def test_cells_that_are_series_are_no_numbers():
    nested = pd.DataFrame({"a": [pd.Series([1.0, 2.0])]})
    message = error_of(frame_as_numbers, nested)
    assert message.startswith("column 'a' holds a value of type Series in row 0")
    assert "a table whose cells are all of them series" in message


BEYOND = 2**53 + 1


@pytest.mark.parametrize(
    "X",
    [
        [BEYOND, 0.5],
        [[BEYOND, 0.5], [1, 2]],
        (2**63 + 1, -1),
        [np.int64(BEYOND), np.float64(0.5)],
        [BEYOND, None],
        as_object_array([Decimal(BEYOND), 0.5]),
        as_object_array([Fraction(BEYOND), 0.5]),
        pd.Series([BEYOND, None], dtype="Int64"),
        pd.Series([2**64 - 1, 1], dtype="UInt64"),
        pd.Series([BEYOND, None], dtype="int64[pyarrow]"),
        pd.DataFrame({"u": [BEYOND, 1], "v": [0.5, 1.5]}),
        pd.DataFrame({"u": pd.array([BEYOND, None], "Int64"), "v": [0.5, 1.5]}),
        pd.DataFrame({"u": pd.array([Decimal(BEYOND)], pd.ArrowDtype(pa.decimal128(20, 0)))}),
        pl.Series([BEYOND, None]),
        pl.Series([2**64 - 1, None], dtype=pl.UInt64),
        pl.DataFrame({"u": [BEYOND, None], "v": [0.5, 1.5]}),
        pl.DataFrame({"u": [BEYOND, 1], "v": [0.5, 1.5]}),
        pl.DataFrame({"u": [2**64 - 1, 1]}, schema={"u": pl.UInt64}),
        pl.DataFrame({"u": [Decimal(BEYOND), None]}),
        pa.array([BEYOND, None]),
        pa.table({"u": [BEYOND, None], "v": [0.5, 1.5]}),
    ],
)
def test_fault_63_integers_are_not_rounded_in_any_container(X):
    assert "float64" in error_of(as_numbers, X)


@pytest.mark.parametrize("large", [1e300, 2.0**60, -1e17])
@pytest.mark.parametrize(
    "form",
    [
        lambda values: values,
        lambda values: pd.Series(values),
        lambda values: pl.Series(values),
        lambda values: pl.DataFrame({"u": values})["u"],
        lambda values: pa.array(values),
    ],
)
def test_large_floats_are_no_integers(form, large):
    np.testing.assert_array_equal(as_numbers(form([large, 0.5, NAN])), [large, 0.5, NAN])


def test_integers_that_float64_holds_are_read_beside_floats():
    values = as_numbers([2**60, 0.5, None, Decimal(2**60)])
    np.testing.assert_array_equal(values, [2.0**60, 0.5, NAN, 2.0**60])


@pytest.mark.parametrize("values", [[BEYOND, None], [2**64 - 1, None], [1.5, None], ["001", "NA"]])
def test_frames_of_polars_need_no_pyarrow(monkeypatch, values):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    frame = pl.DataFrame({"u": values}, schema={"u": pl.UInt64} if values[0] == 2**64 - 1 else None)
    found = frame_from_library(frame)["u"].tolist()
    assert [None if pd.isna(one) else one for one in found] == values
    assert type(found[0]) is type(values[0])
