"""PyTorch's tensors as series: the same numbers, or an error that says what to call."""

import warnings

import numpy as np
import pytest
import torch

from seqfeat.exceptions import InputError, InputTypeError
from seqfeat.series import as_series, from_channels_first
from tests.series.inputs import error_of, random_values

VALUES = random_values(3, 4, 2)


def tensor(**options):
    return torch.tensor(VALUES, **options)


@pytest.mark.parametrize(
    ("X", "dtype"),
    [
        (tensor(), "float64"),
        (tensor(requires_grad=True), "float64"),
        (2 * tensor(requires_grad=True), "float64"),
        (torch.nn.Parameter(tensor().float()), "float32"),
        (tensor().half(), "float32"),
        (tensor().bfloat16(), "float32"),
        (tensor().to(torch.float8_e4m3fn), "float32"),
        (tensor().transpose(0, 2), "float64"),
        (torch.complex(tensor(), tensor()).conj().imag, "float64"),
        (tensor()[:1].expand(5, 4, 2), "float64"),
        (tensor().mul(100).int(), "int32"),
        (tensor() > 0, "bool"),
    ],
)
def test_fault_47_tensors_are_read_as_they_are(X, dtype):
    expected = X.detach().double().resolve_neg().numpy()
    for form in (X, list(X)):
        values = as_series(form).values
        assert values.dtype == dtype
        np.testing.assert_array_equal(values, expected)


def quantized():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # They are deprecated.
        return torch.quantize_per_tensor(tensor().float(), 0.1, 0, torch.qint8)


@pytest.mark.parametrize(
    ("X", "error", "way_out"),
    [
        (tensor().to_sparse(), InputTypeError, "X.to_dense()"),
        (tensor().to("meta"), InputTypeError, "pass one on the CPU"),
        (quantized(), InputTypeError, "X.dequantize()"),
        (torch.complex(tensor(), tensor()), InputError, "X.real and X.imag"),
    ],
)
def test_fault_47_tensors_that_hold_no_real_numbers_come_with_a_way_out(X, error, way_out):
    assert way_out in error_of(as_series, X, error=error)
    message = error_of(from_channels_first, [X[0], X[0]], error=error)
    assert message.startswith("series 0: ")
    assert way_out in message


@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
def test_fault_47_nested_tensors_are_unbound(layout):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # They are experimental.
        X = torch.nested.nested_tensor([tensor()[0], tensor()[1, :2]], layout=layout)
    for form in (X, list(X.unbind())):
        series = as_series(form)
        assert series.lengths.tolist() == [4, 2]
        np.testing.assert_array_equal(series.values[1, :2], VALUES[1, :2])
    assert [one.shape for one in from_channels_first(X)] == [(2, 4), (2, 2)]


def test_fault_47_tensors_of_unequal_length_are_a_list_of_series():
    items = [tensor(requires_grad=True)[0], tensor().bfloat16()[1, :2]]
    series = as_series(items)
    assert series.lengths.tolist() == [4, 2]
    np.testing.assert_array_equal(series.values[0], VALUES[0])
