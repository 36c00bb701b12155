"""What the estimator accepts as series and as labels, and how it rejects everything else.

The tests in `tests/series` cover each conversion and each check alone; here they meet the whole
estimator. Numbers are those of the project's list of faults.
"""

import copy
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from seqfeat import InputError
from seqfeat.exceptions import InputTypeError, LayoutWarning, SeqfeatError
from tests.autoencoders import (
    CORRUPTED,
    METHODS,
    assert_same_model,
    fit_quietly,
    learned,
    pad,
    ragged_waves,
    small,
    waves,
    with_value,
)

NAN = np.nan

# A few epochs on a few series are enough to meet a fault, and too few to learn anything.
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def error_of_fit(X, error=InputError, **params):
    """Return the message with which `fit` rejects `X`, in an error of seqfeat and of Python."""
    with pytest.raises(error) as caught:
        small(**params).fit(X)
    assert isinstance(caught.value, SeqfeatError)
    assert isinstance(caught.value, ValueError)
    return str(caught.value)


def assert_fits_finite(estimator, X, y=None):
    Z = estimator.fit(X, y).transform(X)
    assert Z.shape == (len(X), estimator.embedding_dim)
    assert np.isfinite(Z).all()
    assert np.isfinite(estimator.best_score_)
    assert np.isfinite(estimator.score_samples(X)).all()
    assert all(np.isfinite(weight).all() for weight in estimator.weights_.values())


@pytest.fixture(scope="module")
def fitted():
    return fit_quietly(small(), waves())


@pytest.fixture(scope="module")
def fitted_on_table():
    return fit_quietly(small(), waves()[:, :, 0])


# 1 to 5: missing values, infinity, and empty axes


@pytest.mark.parametrize("form", [np.asarray, list, lambda X: X[:, :, 1]])
def test_fault_01_nan_is_rejected(form):
    message = error_of_fit(form(with_value(NAN)))
    assert "series 7 has NaN at timestep 3" in message
    assert "missing='mask'" in message


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("value", "says"),
    [
        pytest.param(NAN, "series 7 has NaN at timestep 3, channel 1", id="fault_01"),
        pytest.param(np.inf, "series 7 has inf at timestep 3, channel 1", id="fault_04"),
        pytest.param(
            1e30, r"series 7 has the value 1e\+30 at timestep 3, channel 1", id="fault_13"
        ),
    ],
)
def test_values_that_cannot_be_used_are_named_after_fit_too(fitted, method, value, says):
    with pytest.raises(InputError, match=says):
        getattr(fitted, method)(with_value(value))


ENCODERS = pytest.mark.parametrize(
    ("pooling", "bidirectional"),
    [
        ("reservoir", False),
        ("statistics", False),
        ("last", True),
        ("mean", False),
        ("max", False),
    ],
)


@ENCODERS
def test_fault_02_padded_series_give_the_model_of_unpadded_series(pooling, bidirectional):
    items = ragged_waves()
    params = {"missing": "mask", "pooling": pooling, "bidirectional": bidirectional}
    unpadded = small(**params).fit(items)
    assert_same_model(small(**params).fit(pad(items)), unpadded)
    assert_same_model(small(**params).fit(pad(items, 11)[:, :8]), unpadded)


@ENCODERS
def test_fault_02_padded_series_have_the_embeddings_of_unpadded_series(pooling, bidirectional):
    items = ragged_waves()
    model = small(missing="mask", pooling=pooling, bidirectional=bidirectional, patch_len=3)
    model.fit(items)
    Z = model.transform(pad(items, 20))
    np.testing.assert_allclose(Z, model.transform(items), rtol=1e-5, atol=1e-7)
    for row, item in zip(Z, items, strict=True):
        np.testing.assert_allclose(model.transform(item[None])[0], row, rtol=1e-5, atol=1e-7)


def test_fault_02_scaling_and_scores_ignore_missing_values():
    X = pad(ragged_waves())
    X[2, 1] = X[5, 0, 1] = NAN
    model = small(missing="mask").fit(X)
    np.testing.assert_allclose(model.mean_, np.nanmean(X, axis=(0, 1)), rtol=1e-12)
    np.testing.assert_allclose(model.scale_, np.nanstd(X, axis=(0, 1)), rtol=1e-12)
    np.testing.assert_array_equal(model.n_observed_, (~np.isnan(X)).sum(axis=(0, 1)))
    squares = ((model.reconstruct(X) - X) / model.scale_) ** 2
    expected = -np.nanmean(squares, axis=(1, 2))
    np.testing.assert_allclose(model.score_samples(X), expected, rtol=1e-4)
    scaled = (X - np.nanmean(X, axis=(0, 1))) / model.scale_
    r_squared = 1 - np.nansum(squares) / np.nansum(scaled**2)
    assert model.score(X) == pytest.approx(r_squared, rel=1e-5)


def test_fault_02_the_encoder_sees_the_mean_in_place_of_a_missing_value():
    X = with_value(NAN)
    model = small(missing="mask").fit(X)
    filled = np.where(np.isnan(X), model.mean_, X)
    np.testing.assert_array_equal(model.transform(X), model.transform(filled))


def test_fault_02_a_series_may_lack_a_channel():
    X = waves()
    X[3, :, 1] = NAN
    assert_fits_finite(small(missing="mask"), X)


@pytest.mark.parametrize("form", [np.asarray, list, lambda X: X[:, :, 0]])
def test_fault_03_an_all_nan_series_is_named(form):
    message = error_of_fit(form(with_value(NAN, at=4)), missing="mask")
    assert message.startswith("series 4 contains nothing but NaN")
    assert "Drop it" in message


def test_fault_03_a_series_without_timesteps_is_named():
    items = ragged_waves()
    items[4] = items[4][:0]
    message = error_of_fit(items)
    assert message.startswith("series 4 has 0 timesteps")
    assert "Drop it" in message


@pytest.mark.parametrize("missing", ["error", "mask"])
def test_fault_04_infinity_is_rejected(missing):
    message = error_of_fit(with_value(-np.inf), missing=missing)
    assert "series 7 has -inf at timestep 3, channel 1" in message


@pytest.mark.parametrize("shape", [(0, 8, 2), (12, 0, 2), (12, 8, 0), (0, 8), (12, 0)])
def test_fault_05_an_axis_of_length_0_is_rejected(fitted, shape):
    message = error_of_fit(np.empty(shape))
    assert str(shape) in message
    assert "minimum of 1 is required" in message
    with pytest.raises(InputError, match="minimum of 1 is required"):
        fitted.transform(np.empty(shape))


# 6: as little as possible


@pytest.mark.parametrize(
    ("n_samples", "early_stopping"), [(1, False), (1, True), (2, True), (3, False)]
)
def test_fault_06_few_samples(n_samples, early_stopping):
    estimator = small(early_stopping=early_stopping, batch_size=64)
    assert_fits_finite(estimator, waves(n_samples))


@pytest.mark.parametrize("fraction", [0.001, 0.999])
def test_fault_06_neither_side_of_a_validation_split_is_empty(fraction):
    estimator = small(early_stopping=True, validation_fraction=fraction)
    assert_fits_finite(estimator, waves(4))
    assert len(estimator.validation_loss_curve_) == estimator.n_iter_


def test_fault_06_fewer_samples_of_a_class_than_the_split_needs():
    estimator = small(early_stopping=True, target_weight=0.5)
    assert_fits_finite(estimator, waves(4), ["a", "b", "b", "b"])


@pytest.mark.parametrize("patch_len", [1, 5, "auto"])
@pytest.mark.parametrize(
    ("pooling", "bidirectional"),
    [("reservoir", False), ("statistics", False), ("statistics", True)],
)
def test_fault_06_one_timestep(patch_len, pooling, bidirectional):
    estimator = small(patch_len=patch_len, pooling=pooling, bidirectional=bidirectional)
    assert_fits_finite(estimator, waves(12, 1, 1))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1)])
def test_fault_06_one_value(shape):
    assert_fits_finite(small(early_stopping=True), np.full(shape, 3.0))


# 7 to 11: shapes


@pytest.mark.parametrize(
    ("shape", "way_out"),
    [((16,), "X.reshape(1, -1, 1)"), ((3, 4, 2, 2), "X.reshape(len(X), X.shape[1], -1)")],
)
def test_fault_07_other_numbers_of_axes_come_with_a_way_to_reshape(fitted, shape, way_out):
    message = error_of_fit(np.ones(shape))
    assert f"got {len(shape)}D array instead (shape={shape})" in message
    assert way_out in message
    with pytest.raises(InputError, match="Reshape your data"):
        fitted.transform(np.ones(shape))


@pytest.mark.parametrize("method", METHODS)
def test_fault_08_a_table_is_not_taken_for_series(fitted, method):
    with pytest.raises(InputError, match=r"2D table of shape \(12, 2\)") as caught:
        getattr(fitted, method)(waves()[:, 0])
    assert "X[None]" in str(caught.value)


def test_fault_08_the_way_out_for_one_channel_works():
    X = waves(n_channels=1)
    model = small().fit(X)
    with pytest.raises(InputError) as caught:
        model.transform(X[:, :, 0])
    assert "for one channel pass X[:, :, None]" in str(caught.value)
    np.testing.assert_array_equal(model.transform(X[:, :, 0][:, :, None]), model.transform(X))


@pytest.mark.parametrize(("form", "n_channels"), [(np.asarray, 1), (np.asarray, 3), (list, 3)])
def test_fault_09_other_channels_are_rejected_in_the_words_of_scikit_learn(
    fitted, form, n_channels
):
    words = f"X has {n_channels} features, but LSTMAutoencoder is expecting 2 features as input"
    with pytest.raises(InputError, match=words):
        fitted.transform(form(waves(12, 8, n_channels)))


@pytest.mark.parametrize("n_timesteps", [1, 3, 15])
def test_fault_10_series_of_another_length_are_accepted(fitted, n_timesteps):
    X = waves(4, n_timesteps)
    assert fitted.transform(X).shape == (4, 4)
    assert np.isfinite(fitted.transform(X)).all()
    assert fitted.reconstruct(X).shape == X.shape


@pytest.mark.parametrize("n_timesteps", [7, 9])
def test_fault_10_a_table_of_another_length_is_rejected_in_the_words_of_scikit_learn(
    fitted_on_table, n_timesteps
):
    words = f"X has {n_timesteps} features, but LSTMAutoencoder is expecting 8 features as input"
    with pytest.raises(ValueError, match=words):
        fitted_on_table.transform(waves(12, n_timesteps)[:, :, 0])


def test_fault_10_series_that_do_not_match_a_table_are_rejected_with_a_way_out(fitted_on_table):
    with pytest.raises(InputError, match=r"fit on X\[:, :, None\] or on a list"):
        fitted_on_table.transform(waves(12, 7, 1))
    with pytest.raises(InputError, match="8 timesteps and 2 channels"):
        fitted_on_table.transform(waves())


def test_fault_11_channels_first_are_suspected_once():
    X = waves(12, 8, 2).transpose(0, 2, 1)
    with pytest.warns(LayoutWarning, match="2 timesteps and 8 channels") as caught:
        small().fit(X)
    messages = [str(warning.message) for warning in caught if warning.category is LayoutWarning]
    assert len(messages) == 1
    assert "from_channels_first(X)" in messages[0]


@pytest.mark.parametrize("n_timesteps", [8, 2])
def test_fault_11_channels_last_are_not_suspected(n_timesteps):
    with warnings.catch_warnings():
        warnings.simplefilter("error", LayoutWarning)
        small().fit(waves(12, n_timesteps, 2))


def test_fault_11_channels_first_after_channels_last_are_named(fitted):
    with pytest.raises(InputError, match=r"pass seqfeat.series.from_channels_first\(X\)"):
        fitted.transform(waves(12, 8, 2).transpose(0, 2, 1))


# 12 and 13: constants and magnitudes


@pytest.mark.parametrize("value", [0.0, 1e9 + 0.3, 1e200])
def test_fault_12_a_constant_channel_is_scaled_by_one(value):
    X = waves()
    X[:, :, 0] = value
    estimator = small()
    assert_fits_finite(estimator, X)
    assert estimator.scale_[0] == 1.0
    np.testing.assert_allclose(estimator.mean_[0], value, rtol=1e-15)


def test_fault_12_constant_series():
    assert_fits_finite(small(), np.full((5, 6, 2), 3.0))


@pytest.mark.parametrize("magnitude", [1e200, 1e30, 1e-30, 1e-200])
def test_fault_13_the_magnitude_does_not_change_the_embeddings(magnitude):
    X = waves()
    plain, scaled = small().fit(X), small().fit(X * magnitude)
    np.testing.assert_allclose(scaled.scale_ / magnitude, plain.scale_, rtol=1e-12)
    Z = scaled.transform(X * magnitude)
    np.testing.assert_allclose(Z, plain.transform(X), rtol=1e-3, atol=1e-5)
    back = scaled.reconstruct(X * magnitude) / magnitude
    np.testing.assert_allclose(back, plain.reconstruct(X), rtol=1e-3, atol=1e-4)


def test_fault_13_a_small_signal_on_a_large_offset_is_seen():
    offset = 1e9 + 1e-3 * waves()
    # Exactly what the offset left of the signal.
    signal = offset - 1e9
    plain, model = small().fit(signal), small().fit(offset)
    np.testing.assert_allclose(model.scale_, signal.std(axis=(0, 1)), rtol=1e-4)
    np.testing.assert_allclose(model.mean_ - 1e9, signal.mean(axis=(0, 1)), atol=3e-7)
    np.testing.assert_allclose(model.transform(offset), plain.transform(signal), atol=1e-3)
    assert model.transform(offset).std(axis=0).max() > 1e-2


@pytest.mark.parametrize("magnitude", [1e30, 1e200])
def test_fault_13_without_scaling_values_that_float32_cannot_hold_are_rejected(magnitude):
    message = error_of_fit(waves() * magnitude, scale=None)
    assert message.startswith("series 0 has the value")
    assert "float32" in message


# 14 and 15: dtypes and containers


@pytest.mark.parametrize(
    ("X", "kind", "says"),
    [
        (waves() + 1j, InputError, "Complex data not supported"),
        (scipy.sparse.csr_array(np.eye(8)), InputTypeError, "X.toarray()"),
        (waves().astype(str), InputTypeError, "series hold real numbers"),
        (np.array([[1.0, "2"], [3.0, 4.0]], dtype=object), InputTypeError, "the text '2'"),
        (np.full((4, 3), np.datetime64("2020-01-01")), InputTypeError, "datetime64"),
        (pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}), InputTypeError, "column 'b'"),
        (np.ma.masked_equal(np.eye(4), 0), InputTypeError, "masked array"),
        ({"a": ["x", "y"]}, InputTypeError, "series 'a'"),
    ],
)
def test_fault_14_what_does_not_hold_real_numbers_is_rejected(fitted, X, kind, says):
    assert says in error_of_fit(X, kind)
    with pytest.raises(kind) as caught:
        fitted.transform(X)
    assert says in str(caught.value)


def as_objects(items):
    objects = np.empty(len(items), dtype=object)
    objects[:] = items
    return objects


def as_nested_lists(items):
    return [item.tolist() for item in items]


@pytest.mark.parametrize("form", [tuple, as_objects, as_nested_lists])
def test_fault_15_lists_tuples_and_object_arrays_of_series_are_the_same(form):
    items = ragged_waves()
    model = small().fit(items)
    assert_same_model(small().fit(form(items)), model)
    np.testing.assert_array_equal(model.transform(form(items)), model.transform(items))


def test_fault_15_a_list_of_series_of_equal_length_is_the_same_as_an_array(fitted):
    np.testing.assert_array_equal(small().fit_transform(list(waves())), fitted.transform(waves()))


@pytest.mark.parametrize("form", [list, as_nested_lists])
def test_fault_15_one_dimensional_series_of_a_list_have_one_channel(form):
    items = ragged_waves(n_channels=1)
    flat = form([item[:, 0] for item in items])
    model = small().fit(flat)
    assert model.n_channels_in_ == 1
    assert_same_model(model, small().fit(items))
    np.testing.assert_array_equal(model.transform(flat), model.transform(items))


@pytest.mark.parametrize(
    ("X", "says"),
    [
        ([], "0 sample(s)"),
        ([[]], "0 feature(s)"),
        ([[1.0, 2.0], []], "series 1 has 0 timesteps"),
        ([np.ones((3, 2)), np.ones((3, 2)), np.ones((3, 1))], "series 2 has 1 channels"),
        ([np.ones((3, 2)), np.ones((3, 2, 2))], "series 1 has shape (3, 2, 2)"),
        ([np.ones(3), "abc"], "series 1: X has dtype <U3"),
    ],
)
def test_fault_15_lists_that_are_not_series_are_rejected(X, says):
    assert says in error_of_fit(X)


def test_fault_15_other_channels_in_a_list_are_named_after_fit_too(fitted):
    with pytest.raises(InputError, match="series 1 has 3 channels, series 0 has 2"):
        fitted.transform([np.ones((4, 2)), np.ones((4, 3))])


# 16: memory layout


def read_only(X, folder):
    X = X.copy()
    X.flags.writeable = False
    return X


def memory_mapped(X, folder):
    np.save(folder / "X.npy", X)
    return np.load(folder / "X.npy", mmap_mode="r")


def writable_memory_map(X, folder):
    np.save(folder / "X.npy", X)
    return np.load(folder / "X.npy", mmap_mode="r+")


def fortran_ordered(X, folder):
    return np.asfortranarray(X)


def negative_strides(X, folder):
    return X[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1]


def every_other_of_a_larger_array(X, folder):
    return np.repeat(X, 2, axis=1)[:, ::2]


def swapped_bytes(X, folder):
    return X.astype(X.dtype.newbyteorder())


def as_dtype(name):
    def cast(X, folder):
        return X.astype(name)

    cast.__name__ = name
    return cast


LAYOUTS = [
    read_only,
    memory_mapped,
    writable_memory_map,
    fortran_ordered,
    negative_strides,
    every_other_of_a_larger_array,
    swapped_bytes,
    *map(as_dtype, ["float16", "float32", "int8", "int64"]),
]


@pytest.fixture(scope="module")
def reference():
    """Integers as float64, a model fitted to them, and their embeddings."""
    X = np.round(8 * waves())
    model = fit_quietly(small(), X)
    return X, model, model.transform(X)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_fault_16_layout_and_dtype_do_not_change_a_bit(reference, layout, tmp_path):
    X, model, Z = reference
    same = layout(X, tmp_path)
    before = same.tobytes()
    again = small().fit(same)
    assert_same_model(again, model)
    np.testing.assert_array_equal(again.transform(same), Z)
    np.testing.assert_array_equal(again.score_samples(same), model.score_samples(X))
    np.testing.assert_allclose(again.reconstruct(same), model.reconstruct(X), rtol=1e-6)
    assert same.tobytes() == before


@pytest.mark.parametrize("form", ["list", "padded array"])
def test_fault_16_the_input_is_never_written_to(form):
    items = ragged_waves()
    items[3] = np.where(items[3] > 3, NAN, items[3])
    arrays = items if form == "list" else [pad(items)]
    before = copy.deepcopy(arrays)
    X = arrays if form == "list" else arrays[0]
    model = small(missing="mask", **CORRUPTED).fit(X)
    for method in METHODS:
        getattr(model, method)(X)
    for array, old in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, old)


# 35: labels


def supervised(**params):
    return small(target_weight=0.5, **params)


@pytest.mark.parametrize(
    ("y", "says"),
    [
        (np.r_[np.zeros(6), np.ones(5), NAN], "Input y contains NaN"),
        (["a"] * 6 + ["b"] * 5 + [NAN], "Input y contains NaN"),
        (["a"] * 6 + ["b"] * 5 + [None], "Input y contains NaN"),
        (pd.Series(["a"] * 6 + ["b"] * 5 + [pd.NA], dtype="string"), "Input y contains NaN"),
        (pd.Series([0] * 6 + [1] * 5 + [None], dtype="Int64"), "Input y contains NaN"),
        (np.r_[np.zeros(6), np.ones(5), np.inf], "Input y contains infinity"),
        (np.zeros(12), "y holds 1 class, 0.0"),
        (["a"] * 12, "y holds 1 class, 'a'"),
        (np.arange(11) % 2, r"inconsistent numbers of samples: \[12, 11\]"),
        (np.arange(13) % 2, r"inconsistent numbers of samples: \[12, 13\]"),
        (np.eye(12), r"y should be a 1d array, got an array of shape \(12, 12\)"),
        (None, "requires y to be passed, but the target y is None"),
    ],
)
def test_fault_35_labels_that_are_not_classes_are_rejected(y, says):
    for method in ("fit", "partial_fit"):
        model = supervised()
        with pytest.raises(ValueError, match=says):
            getattr(model, method)(waves(), y)
        assert learned(model) == {}


def test_fault_35_numbers_are_no_classes_where_classes_are_asked_for():
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        supervised().set_params(target_type="multiclass").fit(waves(), np.linspace(0, 1, 12))


def test_fault_35_more_classes_later_in_a_stream_are_rejected():
    model = supervised().partial_fit(waves(), np.arange(12) % 2)
    with pytest.raises(ValueError, match=r"y holds \[2\], .* not among the classes \[0, 1\]"):
        model.partial_fit(waves(), np.arange(12) % 3)
    np.testing.assert_array_equal(model.classes_, [0, 1])


def test_fault_35_labels_that_are_not_among_the_classes_are_rejected():
    with pytest.raises(ValueError, match=r"y holds \['c'\], .* among the classes \['a', 'b'\]"):
        supervised().partial_fit(waves(), ["a", "b", "c"] * 4, classes=["b", "a"])


def test_fault_35_one_class_is_enough_for_a_part_of_a_stream():
    model = supervised().partial_fit(waves(), ["a"] * 12, classes=["b", "a"])
    model.partial_fit(waves(seed=1), ["b"] * 12)
    np.testing.assert_array_equal(model.classes_, ["a", "b"])


@pytest.mark.parametrize(
    "form",
    [
        lambda y: torch.tensor(y * 1.0, requires_grad=True),
        lambda y: torch.tensor(y).bfloat16(),
        lambda y: y.astype(">i8"),
        lambda y: np.ma.masked_array(y),
        lambda y: [np.int8(one) for one in y],
    ],
)
def test_fault_47_labels_of_any_container_are_the_same(form):
    y = np.arange(12) % 2
    assert_same_model(supervised().fit(waves(), form(y)), supervised().fit(waves(), y))


@pytest.mark.skipif(not hasattr(np.dtypes, "StringDType"), reason="NumPy has no such strings")
def test_fault_47_labels_of_strings_of_any_length_are_classes():
    y = np.array(["a", "bcd"] * 6)
    model = supervised().fit(waves(), y.astype(np.dtypes.StringDType()))
    assert_same_model(model, supervised().fit(waves(), y))
    assert model.classes_.tolist() == ["a", "bcd"]


@pytest.mark.parametrize(
    ("y", "says"),
    [
        (np.ma.masked_array(np.arange(12) % 2, mask=[1] + [0] * 11), "first one being series 0"),
        (torch.arange(12).to_sparse(), r"y\.to_dense\(\)"),
        (torch.arange(12).to("meta"), "y is a tensor on the device 'meta'"),
    ],
)
def test_fault_47_labels_that_hide_something_are_rejected(y, says):
    with pytest.raises(InputError, match=says):
        supervised().fit(waves(), y)


def test_fault_35_labels_are_ignored_without_target_weight():
    model = small().fit(waves(), np.linspace(0, 1, 12))
    assert_same_model(model, small().fit(waves()))
    assert not hasattr(model, "classes_")
