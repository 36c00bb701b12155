"""Embeddings and lengths as they came, and series that come out in a dtype that holds them."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import torch

from seqfeat import InputError
from seqfeat.display.model_outputs import reconstruct_rows
from seqfeat.exceptions import InputTypeError, SeqfeatError
from seqfeat.series import as_series
from tests.autoencoders import fit_quietly, small, waves

pytestmark = pytest.mark.usefixtures("one_thread")

UNITS = [(1.0, 1e9), (1e-4, 1.0), (1e200, 0.0), (1e-200, 0.0), (1e-44, 0.0), (1e35, 0.0)]
"""Factor and offset of series that float32 does not hold."""


def fit_in(unit, offset=0.0):
    X = (waves() - 3) * unit + offset
    return fit_quietly(small(), X), X


@pytest.fixture(scope="module")
def fitted():
    return fit_in(1.0)[0]


# The dtype of series (fault 41)


@pytest.mark.parametrize(("unit", "offset"), UNITS)
def test_fault_41_series_that_float32_does_not_hold_come_out_as_float64(unit, offset):
    model, X = fit_in(unit, offset)
    Z = model.transform(X)
    series = model.inverse_transform(Z.astype(np.float32))
    assert series.dtype == np.float64
    # The embeddings, which the network computed as float32, are the same numbers in both dtypes.
    np.testing.assert_array_equal(series, model.inverse_transform(Z))
    np.testing.assert_allclose(series, model.reconstruct(X), rtol=1e-12, atol=1e-4 * unit)
    assert len(np.unique(series)) > 50


@pytest.mark.parametrize(("unit", "offset"), [(1.0, 0.0), (1.0, 1e3), (1e-30, 0.0), (1e20, 0.0)])
def test_fault_41_series_that_float32_holds_come_out_as_float32(unit, offset):
    model, X = fit_in(unit, offset)
    Z = model.transform(X)
    series = model.inverse_transform(Z.astype(np.float32))
    assert series.dtype == np.float32
    np.testing.assert_allclose(series, model.inverse_transform(Z), rtol=1e-6, atol=1e-6 * unit)
    assert model.reconstruct(X.astype(np.float32)).dtype == np.float32
    assert model.reconstruct(X.astype(">f4")).dtype == np.float32


@pytest.mark.parametrize(("unit", "offset"), [(1.0, 1e5), (1e37, 0.0)])
def test_fault_41_float32_series_are_reconstructed_in_the_dtype_that_holds_them(unit, offset):
    X = fit_in(unit, offset)[1].astype(np.float32)
    model = fit_quietly(small(), X)
    reconstruction = model.reconstruct(X)
    assert reconstruction.dtype == np.float64
    np.testing.assert_array_equal(reconstruction, model.reconstruct(X.astype(np.float64)))


def test_fault_41_one_channel_that_float32_does_not_hold_is_enough():
    X = waves()
    X[:, :, 1] += 1e9
    model = fit_quietly(small(), X)
    assert model.inverse_transform(np.zeros((1, 4), np.float32)).dtype == np.float64


def test_fault_41_plots_take_the_same_reconstructions():
    model, X = fit_in(1.0, 1e9)
    series = reconstruct_rows(model, as_series(X), np.array([4, 1]))
    np.testing.assert_array_equal(series, model.reconstruct(X)[[4, 1]])


@pytest.mark.parametrize("value", [1e39, -1e300, np.nan, np.inf])
def test_fault_41_embeddings_that_the_network_cannot_hold_are_named(fitted, value):
    Z = np.zeros((5, 4))
    Z[3, 2] = value
    with pytest.raises(InputError, match=r"in row 3, column 2; .* at most 3\.4e\+38"):
        fitted.inverse_transform(Z)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fault_41_embeddings_of_series_that_are_not_finite_are_named(fitted, dtype):
    Z = np.zeros((5, 4), dtype)
    Z[3] = 3e38
    with pytest.raises(InputError, match="the embedding in row 3 of X decodes to numbers that"):
        fitted.inverse_transform(Z)


# Lengths and embeddings (fault 46)


@pytest.mark.parametrize("n_timesteps", [5, np.int8(5), np.uint64(5)])
def test_fault_46_integers_of_numpy_are_lengths(fitted, n_timesteps):
    Z = np.ones((2, 4))
    expected = fitted.inverse_transform(Z, 5)
    assert expected.shape == (2, 5, 2)
    np.testing.assert_array_equal(fitted.inverse_transform(Z, n_timesteps), expected)


@pytest.mark.parametrize(
    "n_timesteps",
    [2.5, 3.0, "3", True, np.True_, 0, -1, np.nan, [3], np.array(3), torch.tensor(3), pd.NA],
)
def test_fault_46_other_lengths_are_rejected(fitted, n_timesteps):
    with pytest.raises(InputError, match=r"n_timesteps=.*; it must be") as caught:
        fitted.inverse_transform(np.ones((2, 4)), n_timesteps)
    is_integer = isinstance(n_timesteps, int) and n_timesteps is not True
    assert isinstance(caught.value, InputTypeError) != is_integer


@pytest.mark.parametrize("n_timesteps", [10**13, 10**30])
def test_fault_46_lengths_beyond_the_memory_name_the_bytes(fitted, n_timesteps):
    with pytest.raises(InputError, match=f"take {3 * n_timesteps * 2 * 8} bytes, and this"):
        fitted.inverse_transform(np.ones((3, 4)), n_timesteps)


@pytest.mark.parametrize(
    ("Z", "says"),
    [
        (np.ones(4), "X has shape \\(4,\\); embeddings have the shape \\(n_samples, 4\\)"),
        (np.ones((2, 4, 1)), "X has shape"),
        (np.ones((0, 4)), "at least 1 sample"),
        (np.ones((2, 3)), "X has 3 columns, but the embeddings .* have 4"),
        (np.ones((2, 4)).astype(str), "series hold real numbers|dtype <U"),
        (np.full((2, 4), {}), "a value of type dict at index"),
        (np.ones((2, 4)) + 1j, "Complex data"),
        (np.ma.masked_equal(np.eye(4), 0), "masked array"),
        (scipy.sparse.csr_array(np.eye(4)), r"X\.toarray\(\)"),
        (torch.eye(4).to_sparse(), r"X\.to_dense\(\)"),
        (pd.DataFrame([["a"] * 4]), "column 0 ((has dtype)|(holds the text))"),
        (None, "X"),
        ("text", "X"),
    ],
)
def test_fault_46_what_holds_no_embeddings_is_an_error_of_seqfeat(fitted, Z, says):
    with pytest.raises(SeqfeatError, match=says):
        fitted.inverse_transform(Z)


@pytest.mark.parametrize(
    "form",
    [
        list,
        np.ndarray.tolist,
        pd.DataFrame,
        lambda Z: pd.DataFrame(Z, dtype="Float64"),
        lambda Z: pd.DataFrame(Z).astype(object),
        lambda Z: pd.DataFrame(Z).set_axis(["a"] * 4, axis=1),
        lambda Z: torch.tensor(Z, requires_grad=True),
        lambda Z: Z.astype(">f8"),
        lambda Z: Z[::-1, ::-1][::-1, ::-1],
        pl.DataFrame,
    ],
)
def test_fault_46_embeddings_of_any_container_decode_to_the_same_series(fitted, form):
    Z = fitted.transform(waves())
    series = fitted.inverse_transform(form(Z))
    np.testing.assert_array_equal(series, fitted.inverse_transform(Z))


# What leaves the range of float32 on the way


def test_fault_48_series_of_a_tiny_unit_without_scaling_open_again_and_others_are_named():
    X = waves() * 1e-30
    fitted = fit_quietly(small(scale=None, early_stopping=False), X)
    opened = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(opened.transform(X), fitted.transform(X))
    far = X.copy()
    far[2] *= 1e42
    for method in (opened.transform, opened.reconstruct, opened.score, opened.score_samples):
        with pytest.raises(InputError, match=r"^series 2 of X .* too far from the training series"):
            method(far)
