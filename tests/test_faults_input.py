"""The faults of input and parameters, by the number each has in the list of faults.

Here they meet the whole transformer; `test_series` and `test_scaling` go through
what its parts do with them.
"""

import copy
import inspect
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils._param_validation import InvalidParameterError

from seqfeat import InputError, LSTMAutoencoder, TrainingError
from seqfeat.exceptions import InputTypeError, LayoutWarning, SeqfeatError

# A few epochs on a few series: enough to meet a fault, too few to learn anything.
too_short_to_converge = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
NAN = np.nan
CALLS_BEFORE_FIT = {
    "transform": np.ones((2, 5, 2)),
    "inverse_transform": np.ones((2, 3)),
    "reconstruct": np.ones((2, 5, 2)),
    "score": np.ones((2, 5, 2)),
    "score_samples": np.ones((2, 5, 2)),
}


pytestmark = pytest.mark.usefixtures("one_thread")


def small(**params):
    return LSTMAutoencoder(**{"embedding_dim": 3, "max_iter": 2, "random_state": 0, **params})


def waves(n_samples=12, n_timesteps=8, n_channels=2, seed=0):
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 6, (n_samples, 1, 1)) + np.arange(n_channels)
    return np.sin(phase + 0.7 * np.arange(n_timesteps)[:, None]) * (1 + np.arange(n_channels))


def unequal_waves(n_samples=12, n_channels=2, seed=0):
    lengths = np.random.default_rng(seed).integers(3, 9, n_samples)
    return [wave[:length] for wave, length in zip(waves(n_samples), lengths, strict=True)]


def padded(items, n_timesteps):
    X = np.full((len(items), n_timesteps, items[0].shape[1]), NAN)
    for row, item in zip(X, items, strict=True):
        row[: len(item)] = item
    return X


def with_value(value, shape=(12, 8, 2), at=(7, 3, 1)):
    X = waves(*shape)
    X[at] = value
    return X


def refusal(X, error=InputError, estimator=None, **params):
    """Return the words in which `fit` refuses `X`, in seqfeat's type and Python's."""
    with pytest.raises(error) as caught:
        (estimator or small(**params)).fit(X)
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


def assert_same_model(left, right):
    assert left.weights_.keys() == right.weights_.keys()
    for name, weight in left.weights_.items():
        np.testing.assert_array_equal(weight, right.weights_[name], err_msg=name)
    assert left.loss_curve_ == right.loss_curve_
    np.testing.assert_array_equal(left.mean_, right.mean_)
    np.testing.assert_array_equal(left.scale_, right.scale_)


def fit_quietly(estimator, X, y=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X, y)


@pytest.fixture(scope="module")
def fitted():
    return fit_quietly(small(), waves())


@pytest.fixture(scope="module")
def fitted_on_table():
    return fit_quietly(small(), waves()[:, :, 0])


@pytest.fixture(scope="module")
def reference():
    """A model fitted on plain float64 series, and its embeddings of them."""
    X = np.round(8 * waves())
    model = fit_quietly(small(), X)
    return X, model, model.transform(X)


# 1 to 5: what is in the series, and how much of it


@pytest.mark.parametrize("form", [np.asarray, list, lambda X: X[:, :, 1]])
def test_fault_01_nan_is_refused(form):
    message = refusal(form(with_value(NAN)))
    assert "series 7 has NaN at timestep 3" in message
    assert "missing='mask'" in message


@pytest.mark.parametrize("method", ["transform", "reconstruct", "score", "score_samples"])
def test_fault_01_nan_is_refused_after_fit_too(fitted, method):
    with pytest.raises(InputError, match="series 7 has NaN at timestep 3, channel 1"):
        getattr(fitted, method)(with_value(NAN))


@too_short_to_converge
@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_fault_02_padded_series_give_the_model_of_the_unpadded(pooling, bidirectional):
    items = unequal_waves()
    params = {"missing": "mask", "pooling": pooling, "bidirectional": bidirectional}
    unpadded = small(**params).fit(items)
    assert_same_model(small(**params).fit(padded(items, 8)), unpadded)
    assert_same_model(small(**params).fit(padded(items, 11)[:, :8]), unpadded)


@too_short_to_converge
@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_fault_02_padded_series_have_the_embeddings_of_the_unpadded(pooling, bidirectional):
    items = unequal_waves()
    model = small(missing="mask", pooling=pooling, bidirectional=bidirectional, patch_len=3)
    model.fit(items)
    Z = model.transform(padded(items, 20))
    np.testing.assert_allclose(Z, model.transform(items), rtol=1e-5, atol=1e-7)
    for row, item in zip(Z, items, strict=True):
        np.testing.assert_allclose(model.transform(item[None])[0], row, rtol=1e-5, atol=1e-7)


@too_short_to_converge
def test_fault_02_scaling_is_over_what_was_observed():
    X = padded(unequal_waves(), 8)
    X[2, 1] = X[5, 0, 1] = NAN
    model = small(missing="mask").fit(X)
    np.testing.assert_allclose(model.mean_, np.nanmean(X, axis=(0, 1)), rtol=1e-12)
    np.testing.assert_allclose(model.scale_, np.nanstd(X, axis=(0, 1)), rtol=1e-12)
    np.testing.assert_array_equal(model.n_observed_, (~np.isnan(X)).sum(axis=(0, 1)))


@too_short_to_converge
def test_fault_02_the_encoder_sees_the_mean_where_a_value_is_missing():
    X = with_value(NAN)
    model = small(missing="mask").fit(X)
    filled = np.where(np.isnan(X), model.mean_, X)
    np.testing.assert_array_equal(model.transform(X), model.transform(filled))


@too_short_to_converge
def test_fault_02_errors_are_counted_over_what_was_observed():
    X = padded(unequal_waves(), 8)
    X[2, 1] = X[5, 0, 1] = NAN
    model = small(missing="mask").fit(X)
    error = ((model.reconstruct(X) - X) / model.scale_) ** 2
    expected = -np.nanmean(error, axis=(1, 2))
    np.testing.assert_allclose(model.score_samples(X), expected, rtol=1e-4)


@too_short_to_converge
def test_fault_02_a_channel_may_be_missing_from_a_series():
    X = waves()
    X[3, :, 1] = NAN
    assert_fits_finite(small(missing="mask"), X)


@pytest.mark.parametrize("form", [np.asarray, list, lambda X: X[:, :, 0]])
def test_fault_03_a_series_of_nothing_but_nan_is_named(form):
    message = refusal(form(with_value(NAN, at=4)), missing="mask")
    assert message.startswith("series 4 holds nothing but NaN")
    assert "Drop it" in message


def test_fault_03_a_series_of_no_timesteps_is_named():
    items = unequal_waves()
    items[4] = items[4][:0]
    message = refusal(items)
    assert message.startswith("series 4 has 0 timesteps")
    assert "Drop it" in message


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("missing", ["error", "mask"])
def test_fault_04_infinities_are_refused(value, missing):
    message = refusal(with_value(value), missing=missing)
    assert f"series 7 has {value} at timestep 3, channel 1" in message


@pytest.mark.parametrize("method", ["transform", "reconstruct", "score", "score_samples"])
def test_fault_04_infinities_are_refused_after_fit_too(fitted, method):
    with pytest.raises(InputError, match="series 7 has inf at timestep 3, channel 1"):
        getattr(fitted, method)(with_value(np.inf))


@pytest.mark.parametrize("shape", [(0, 8, 2), (12, 0, 2), (12, 8, 0), (0, 8), (12, 0)])
def test_fault_05_an_axis_of_length_0_is_refused(shape):
    message = refusal(np.empty(shape))
    assert str(shape) in message
    assert "minimum of 1 is required" in message


@pytest.mark.parametrize("shape", [(0, 8, 2), (12, 0, 2), (12, 8, 0)])
def test_fault_05_an_axis_of_length_0_is_refused_after_fit_too(fitted, shape):
    with pytest.raises(InputError, match="minimum of 1 is required"):
        fitted.transform(np.empty(shape))


# 6: as few as can be


@too_short_to_converge
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("n_samples", [1, 2, 3])
def test_fault_06_few_samples(n_samples, early_stopping):
    estimator = small(early_stopping=early_stopping, batch_size=64)
    assert_fits_finite(estimator, waves(n_samples))


@too_short_to_converge
@pytest.mark.parametrize("fraction", [0.001, 0.999])
def test_fault_06_a_validation_split_leaves_something_on_both_sides(fraction):
    estimator = small(early_stopping=True, validation_fraction=fraction)
    assert_fits_finite(estimator, waves(4))
    assert len(estimator.validation_loss_curve_) == estimator.n_iter_


@too_short_to_converge
def test_fault_06_fewer_samples_of_a_class_than_the_split_needs():
    estimator = small(early_stopping=True, target_weight=0.5)
    assert_fits_finite(estimator, waves(4), ["a", "b", "b", "b"])


@too_short_to_converge
@pytest.mark.parametrize("patch_len", [1, 5, "auto"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_fault_06_one_timestep(patch_len, bidirectional):
    assert_fits_finite(small(patch_len=patch_len, bidirectional=bidirectional), waves(12, 1, 1))


@too_short_to_converge
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1)])
def test_fault_06_one_value(shape):
    assert_fits_finite(small(early_stopping=True), np.full(shape, 3.0))


@too_short_to_converge
def test_fault_06_one_timestep_after_longer_ones(fitted):
    Z = fitted.transform(waves(3, 1))
    assert Z.shape == (3, 3)
    assert np.isfinite(Z).all()


# 7 to 11: the shape


@pytest.mark.parametrize(
    ("shape", "way_out"),
    [((16,), "X.reshape(1, -1, 1)"), ((3, 4, 2, 2), "X.reshape(len(X), X.shape[1], -1)")],
)
def test_fault_07_other_numbers_of_axes_are_told_how_to_reshape(fitted, shape, way_out):
    message = refusal(np.ones(shape))
    assert f"got {len(shape)}D array instead (shape={shape})" in message
    assert way_out in message
    with pytest.raises(InputError, match="Reshape your data"):
        fitted.transform(np.ones(shape))


@pytest.mark.parametrize("method", ["transform", "reconstruct", "score", "score_samples"])
def test_fault_08_a_table_after_series_is_refused(fitted, method):
    with pytest.raises(InputError, match=r"2D table of shape \(12, 2\)") as caught:
        getattr(fitted, method)(waves()[:, 0])
    assert "X[None]" in str(caught.value)


@too_short_to_converge
def test_fault_08_a_table_after_series_of_one_channel_is_refused_with_a_way_out():
    X = waves(n_channels=1)
    model = small().fit(X)
    with pytest.raises(InputError) as caught:
        model.transform(X[:, :, 0])
    assert "for one channel pass X[:, :, None]" in str(caught.value)
    np.testing.assert_array_equal(model.transform(X[:, :, 0][:, :, None]), model.transform(X))


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("form", [np.asarray, list])
def test_fault_09_other_channels_are_refused_in_sklearns_words(fitted, n_channels, form):
    words = f"X has {n_channels} features, but LSTMAutoencoder is expecting 2 features as input"
    with pytest.raises(InputError, match=words):
        fitted.transform(form(waves(12, 8, n_channels)))


def test_fault_10_series_of_another_length_are_welcome(fitted):
    for n_timesteps in (3, 8, 15):
        X = waves(4, n_timesteps)
        assert fitted.transform(X).shape == (4, 3)
        assert np.isfinite(fitted.transform(X)).all()
        assert fitted.reconstruct(X).shape == X.shape


@pytest.mark.parametrize("n_timesteps", [7, 9])
def test_fault_10_a_table_of_another_length_is_refused_in_sklearns_words(
    fitted_on_table, n_timesteps
):
    words = f"X has {n_timesteps} features, but LSTMAutoencoder is expecting 8 features as input"
    with pytest.raises(ValueError, match=words):
        fitted_on_table.transform(waves(12, n_timesteps)[:, :, 0])


def test_fault_10_series_unlike_the_table_are_refused_with_a_way_out(fitted_on_table):
    with pytest.raises(InputError, match=r"fit on X\[:, :, None\] or on a list"):
        fitted_on_table.transform(waves(12, 7, 1))
    with pytest.raises(InputError, match="8 timesteps and 2 channels"):
        fitted_on_table.transform(waves())


@too_short_to_converge
def test_fault_11_channels_first_are_suspected():
    X = waves(12, 8, 2).transpose(0, 2, 1)
    with pytest.warns(LayoutWarning, match="2 timesteps and 8 channels") as caught:
        small().fit(X)
    messages = [str(warning.message) for warning in caught if warning.category is LayoutWarning]
    assert len(messages) == 1
    assert "from_channels_first(X)" in messages[0]


@too_short_to_converge
def test_fault_11_channels_last_are_not_suspected():
    with warnings.catch_warnings():
        warnings.simplefilter("error", LayoutWarning)
        small().fit(waves(12, 8, 2))
        small().fit(waves(12, 2, 2))


def test_fault_11_channels_first_after_channels_last_are_told(fitted):
    with pytest.raises(InputError, match=r"pass seqfeat.series.from_channels_first\(X\)"):
        fitted.transform(waves(12, 8, 2).transpose(0, 2, 1))


# 12 and 13: the numbers


@too_short_to_converge
@pytest.mark.parametrize("value", [0.0, 0.1, 1e9 + 0.3, 1e200])
def test_fault_12_a_constant_channel_is_scaled_by_one(value):
    X = waves()
    X[:, :, 0] = value
    estimator = small()
    assert_fits_finite(estimator, X)
    assert estimator.scale_[0] == 1.0
    np.testing.assert_allclose(estimator.mean_[0], value, rtol=1e-15)


@too_short_to_converge
def test_fault_12_series_of_nothing_but_a_constant():
    assert_fits_finite(small(), np.full((5, 6, 2), 3.0))


@too_short_to_converge
@pytest.mark.parametrize("magnitude", [1e200, 1e30, 1e-30, 1e-200])
def test_fault_13_magnitude_does_not_change_the_embeddings(magnitude):
    # Standardised by hand, so that both fits start from the same numbers.
    X = waves()
    plain, scaled = small().fit(X), small().fit(X * magnitude)
    np.testing.assert_allclose(scaled.scale_ / magnitude, plain.scale_, rtol=1e-12)
    Z = scaled.transform(X * magnitude)
    np.testing.assert_allclose(Z, plain.transform(X), rtol=1e-3, atol=1e-5)
    back = scaled.reconstruct(X * magnitude) / magnitude
    np.testing.assert_allclose(back, plain.reconstruct(X), rtol=1e-3, atol=1e-4)


@too_short_to_converge
def test_fault_13_a_small_signal_on_a_large_offset_is_seen():
    offset = 1e9 + 1e-3 * waves()
    # What the offset left of the signal, exactly.
    signal = offset - 1e9
    plain, model = small().fit(signal), small().fit(offset)
    np.testing.assert_allclose(model.scale_, signal.std(axis=(0, 1)), rtol=1e-4)
    np.testing.assert_allclose(model.mean_ - 1e9, signal.mean(axis=(0, 1)), atol=3e-7)
    np.testing.assert_allclose(model.transform(offset), plain.transform(signal), atol=1e-3)
    assert model.transform(offset).std(axis=0).max() > 1e-2


@pytest.mark.parametrize("magnitude", [1e30, 1e200])
def test_fault_13_unscaled_magnitudes_that_float32_cannot_hold_are_refused(magnitude):
    message = refusal(waves() * magnitude, scale=None)
    assert message.startswith("series 0 has the value")
    assert "float32" in message


@pytest.mark.parametrize("method", ["transform", "reconstruct", "score", "score_samples"])
def test_fault_13_a_value_far_from_the_training_data_is_named(fitted, method):
    with pytest.raises(InputError, match=r"series 7 has the value 1e\+30 at timestep 3, channel 1"):
        getattr(fitted, method)(with_value(1e30))


# 14 and 15: things that are no series


@pytest.mark.parametrize(
    ("X", "error", "says"),
    [
        (waves() + 1j, InputError, "Complex data not supported"),
        (scipy.sparse.csr_array(np.eye(8)), InputTypeError, "X.toarray()"),
        (np.full((4, 3), "1.0"), InputTypeError, "dtype <U3"),
        ([["1", "2"], ["3", "4"]], InputTypeError, "dtype <U1"),
        (np.array([[1.0, "2"], [3.0, 4.0]], dtype=object), InputTypeError, "the text '2'"),
        (np.array([[1.0, None.__class__]], dtype=object), InputTypeError, "no number"),
        (np.full((4, 3), np.datetime64("2020-01-01")), InputTypeError, "datetime64"),
        (pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}), InputTypeError, "column 'b'"),
        (np.ma.masked_equal(np.eye(4), 0), InputTypeError, "masked array"),
        ({"a": [1.0, 2.0]}, InputTypeError, "dict"),
    ],
)
def test_fault_14_what_holds_no_real_numbers_is_refused(X, error, says):
    assert says in refusal(X, error)


def test_fault_14_text_is_refused_after_fit_too(fitted):
    with pytest.raises(InputTypeError, match="series hold real numbers"):
        fitted.transform(waves().astype(str))


@too_short_to_converge
def test_fault_15_ragged_nested_lists_are_read():
    items = unequal_waves()
    nested = [item.tolist() for item in items]
    model = small().fit(items)
    assert_same_model(small().fit(nested), model)
    np.testing.assert_array_equal(model.transform(nested), model.transform(items))


@too_short_to_converge
def test_fault_15_ragged_lists_of_numbers_have_one_channel():
    nested = [item[:, 0].tolist() for item in unequal_waves()]
    model = small().fit(nested)
    assert model.n_channels_in_ == 1
    assert_same_model(model, small().fit([np.array(item)[:, None] for item in nested]))


@pytest.mark.parametrize(
    ("X", "says"),
    [
        ([], "0 sample(s)"),
        ([[]], "0 feature(s)"),
        ([[1.0, 2.0], []], "series 1 has 0 timesteps"),
        ([np.ones((3, 2)), np.ones((3, 2)), np.ones((3, 1))], "series 2 has 1 channels"),
        ([[[1, 1], [1, 1]], [[1], [1]]], "series 1 has 1 channels"),
        ([[[1, 1], [1, 1]], [[1, 1], [1]]], "series 1: X is no regular array"),
        ([np.ones((3, 2)), np.ones((3, 2, 2))], "series 1 has shape (3, 2, 2)"),
        ([np.ones(3), "abc"], "series 1: X has dtype <U3"),
        ([np.ones(3), None], "series 1 has shape ()"),
    ],
)
def test_fault_15_lists_that_are_no_series_are_refused(X, says):
    assert says in refusal(X)


@pytest.mark.parametrize("form", [list, tuple])
def test_fault_15_other_channels_in_a_list_after_fit(fitted, form):
    with pytest.raises(InputError, match="series 1 has 3 channels, series 0 has 2"):
        fitted.transform(form([np.ones((4, 2)), np.ones((4, 3))]))


# 16: where the numbers lie in memory


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


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_fault_16_layout_and_dtype_change_no_bit(reference, layout, tmp_path):
    X, model, Z = reference
    same = layout(X, tmp_path)
    before = same.tobytes()
    again = fit_quietly(small(), same)
    assert_same_model(again, model)
    np.testing.assert_array_equal(again.transform(same), Z)
    np.testing.assert_array_equal(again.score_samples(same), model.score_samples(X))
    np.testing.assert_allclose(again.reconstruct(same), model.reconstruct(X), rtol=1e-6)
    assert same.tobytes() == before


@too_short_to_converge
@pytest.mark.parametrize("missing", ["error", "mask"])
def test_fault_16_lists_are_never_written_to(missing):
    items = unequal_waves()
    if missing == "mask":
        items[3] = np.where(items[3] > 1, NAN, items[3])
    before = copy.deepcopy(items)
    for item in items:
        item.flags.writeable = False
    model = small(missing=missing).fit(items)
    model.transform(items)
    model.reconstruct(items)
    for item, old in zip(items, before, strict=True):
        np.testing.assert_array_equal(item, old)


@too_short_to_converge
def test_fault_16_padded_read_only_input_is_never_written_to():
    X = padded(unequal_waves(), 8)
    before = X.copy()
    X.flags.writeable = False
    model = small(missing="mask").fit(X)
    for method in (model.transform, model.reconstruct, model.score, model.score_samples):
        method(X)
    np.testing.assert_array_equal(X, before)


# 17: parameters


WRONG = {
    "embedding_dim": [0, -1, 2.5, "64", None],
    "hidden_dim": [0, -1, 2.5, "auto"],
    "patch_len": [0, -1, 2.5, "all", None],
    "window_len": [0, -1, 2.5, "all", None],
    "window_stride": [0, -1, 2.5, "all", None],
    "n_time_features": [-1, 0.5, "auto", None],
    "bidirectional": [2, "yes", None],
    "pooling": ["sum", "", None, 1],
    "dropout": [-0.1, 1, 1.5, NAN, "0.1", None],
    "scale": ["series", True, 1.0],
    "missing": ["drop", None, True],
    "masking_ratio": [-0.1, 1, 1.5, NAN, "0.1", None],
    "input_noise": [-0.1, np.inf, NAN, "0.1", None],
    "target_weight": [-0.1, 1, 1.5, NAN, "0.1", None],
    "max_iter": [-1, 2.5, "auto", None],
    "batch_size": [0, -1, 2.5, "all", None],
    "learning_rate_init": [0, -1e-3, np.inf, NAN, "auto", None],
    "weight_decay": [-1e-3, np.inf, NAN, "auto", None],
    "early_stopping": [2, "yes", None],
    "validation_fraction": [0, 1, -0.1, 1.5, NAN, "0.1", None],
    "n_iter_no_change": [0, -1, 2.5, "auto", None],
    "tol": [-1e-4, np.inf, NAN, "auto", None],
    "warm_start": [2, "yes", None],
    "random_state": [-1, 1.5, "seed"],
    "device": [0, None, 1.5],
    "verbose": [-1, 1.5, "yes", None],
    "checkpoint_dir": [0, 1.5, True],
    "checkpoint_every": [0, -1, 1.5, "2", None],
}


def test_fault_17_covers_every_parameter():
    assert list(WRONG) == list(inspect.signature(LSTMAutoencoder).parameters)


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_fault_17_a_wrong_parameter_is_refused_by_fit_and_not_before(name, value):
    estimator = LSTMAutoencoder(**{name: value})
    assert estimator.get_params()[name] is value
    said = f"The '{name}' parameter of LSTMAutoencoder must be"
    with pytest.raises(InvalidParameterError, match=said) as caught:
        estimator.fit(waves(), np.arange(12) % 2)
    assert repr(value) in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("name", WRONG)
def test_fault_17_a_wrong_parameter_is_refused_by_partial_fit(name):
    # A stream knows no early stopping, so that any value but False has no partial_fit at all.
    values = WRONG[name] if name != "early_stopping" else [None]
    for value in values:
        estimator = LSTMAutoencoder().set_params(**{name: value})
        with pytest.raises(InvalidParameterError, match=f"'{name}' parameter"):
            estimator.partial_fit(waves(), np.arange(12) % 2)


def test_fault_17_a_wrong_parameter_leaves_no_trace():
    estimator = LSTMAutoencoder(dropout=2)
    before = dict(vars(estimator))
    with pytest.raises(InvalidParameterError):
        estimator.fit(waves())
    assert vars(estimator) == before


def test_fault_17_a_parameter_is_refused_before_the_input_is_read():
    with pytest.raises(InvalidParameterError, match="pooling"):
        LSTMAutoencoder(pooling="sum").fit("no series")


# 19: nothing learned


def test_fault_19_predicting_the_mean_warns_with_score_and_advice():
    noise = np.random.default_rng(0).standard_normal((20, 30, 1))
    model = small(max_iter=1)
    with pytest.warns(ConvergenceWarning, match="predicts the mean") as caught:
        model.fit(noise)
    message = str(caught[0].message)
    assert f"explains {model.best_score_:.3f} of the variance" in message
    assert "Raise max_iter (it is 1)" in message
    np.testing.assert_allclose(model.best_score_, model.score(noise), rtol=1e-6)


def test_fault_19_a_constant_embedding_warns_with_its_spread_and_advice():
    same = np.repeat(waves(1), 6, axis=0)
    model = small()
    with pytest.warns(ConvergenceWarning) as caught:
        model.fit(same)
    message = next(str(w.message) for w in caught if "embedding is constant" in str(w.message))
    assert "standard deviation" in message
    assert "Check that the series differ" in message
    assert model.transform(same).std(axis=0).max() < 1e-3


def test_fault_19_a_network_that_learned_does_not_warn():
    X = waves(24, 8, 1)
    model = small(max_iter=40, patch_len=4, input_noise=0.0, learning_rate_init=0.02)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X)
    assert model.score(X) > 0.05
    assert model.transform(X).std(axis=0).max() > 1e-3


# 21: use before fit


@pytest.mark.parametrize("method", CALLS_BEFORE_FIT)
def test_fault_21_use_before_fit(method):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(LSTMAutoencoder(), method)(CALLS_BEFORE_FIT[method])


def test_fault_21_use_after_a_failed_first_fit():
    estimator = small()
    with pytest.raises(InputError):
        estimator.fit(with_value(NAN))
    with pytest.raises(NotFittedError, match="not fitted yet"):
        estimator.transform(waves())


def test_fault_21_names_before_fit():
    with pytest.raises(NotFittedError, match="not fitted yet"):
        LSTMAutoencoder().get_feature_names_out()


# 22: a fit that fails after an earlier success


def columns(X):
    return pd.DataFrame(X, columns=[f"t{step}" for step in range(X.shape[1])])


# Several batches an epoch, so that the first update shows in the first epoch's loss.
DIVERGING = {"learning_rate_init": 1e30, "batch_size": 4}
BAD_REFITS = {
    "infinity": ({}, with_value(np.inf), None, InputError),
    "nan": ({}, with_value(NAN), None, InputError),
    "text": ({}, waves().astype(str), None, InputTypeError),
    "axes": ({}, np.ones((3, 4, 2, 2)), None, InputError),
    "empty list": ({}, [], None, InputError),
    "parameter": ({"pooling": "sum"}, waves(seed=1), None, InvalidParameterError),
    "several parameters": (
        {"embedding_dim": 5, "dropout": 2},
        waves(seed=1),
        None,
        InvalidParameterError,
    ),
    "no labels": ({"target_weight": 0.5}, waves(seed=1), None, ValueError),
    "too few labels": ({"target_weight": 0.5}, waves(seed=1), [0, 1], ValueError),
    "device": ({"device": "no such device"}, waves(seed=1), None, ValueError),
    "magnitude": ({"scale": None}, waves(seed=1) * 1e30, None, InputError),
    "other network": ({"warm_start": True}, waves(n_channels=1), None, InputError),
    "divergence": (DIVERGING, waves(seed=1), None, TrainingError),
    "divergence of another network": (
        DIVERGING | {"embedding_dim": 5, "hidden_dim": 4},
        waves(20, 9, 1),
        None,
        TrainingError,
    ),
    "divergence on a table": (
        DIVERGING,
        columns(waves(seed=1)[:, :, 0]),
        None,
        TrainingError,
    ),
    "divergence of a warm start": (
        DIVERGING | {"warm_start": True},
        waves(seed=1),
        None,
        TrainingError,
    ),
}


def results(model, X):
    return [model.transform(X), model.reconstruct(X), model.score_samples(X)]


def fitted_state(model):
    parameters = model.get_params()
    return {name: value for name, value in vars(model).items() if name not in parameters}


def assert_same_value(left, right):
    if isinstance(left, dict):
        assert left.keys() == right.keys()
        for name in left:
            assert_same_value(left[name], right[name])
    elif isinstance(left, list):
        assert len(left) == len(right)
        for old, new in zip(left, right, strict=True):
            assert_same_value(old, new)
    else:
        np.testing.assert_array_equal(left, right)


def assert_whole_after(model, X, fail, params, error):
    before, state = results(model, X), copy.deepcopy(fitted_state(model))
    kept = {name: model.get_params()[name] for name in params}
    model.set_params(**params)
    with pytest.raises(error):
        fail()
    assert_same_value(state, fitted_state(model))
    model.set_params(**kept)
    assert_same_value(before, results(model, X))


@too_short_to_converge
@pytest.mark.parametrize("case", BAD_REFITS)
def test_fault_22_a_failed_refit_leaves_the_earlier_fit_whole(case):
    params, bad, y, error = BAD_REFITS[case]
    model = small().fit(waves())
    assert_whole_after(model, waves(seed=2), lambda: model.fit(bad, y), params, error)


@too_short_to_converge
@pytest.mark.parametrize("case", ["infinity", "parameter", "divergence"])
def test_fault_22_labels_and_validation_of_the_earlier_fit_stay(case):
    params, bad, _, error = BAD_REFITS[case]
    model = small(target_weight=0.3, early_stopping=True)
    model.fit(waves(), np.array(["a", "b", "c"] * 4))
    assert_whole_after(
        model, waves(seed=2), lambda: model.fit(bad, np.arange(12) % 2), params, error
    )
    np.testing.assert_array_equal(model.classes_, ["a", "b", "c"])


@too_short_to_converge
@pytest.mark.parametrize("case", ["infinity", "parameter", "divergence"])
def test_fault_22_the_names_of_an_earlier_table_stay(case):
    params, bad, y, error = BAD_REFITS[case]
    X = columns(waves()[:, :, 0])
    model = small().fit(X)
    assert_whole_after(model, X, lambda: model.fit(bad, y), params, error)
    np.testing.assert_array_equal(model.feature_names_in_, X.columns)


@too_short_to_converge
@pytest.mark.parametrize(
    ("params", "bad", "error"),
    [
        ({}, with_value(np.inf), InputError),
        ({}, waves(n_channels=3), InputError),
        ({"dropout": 2}, waves(seed=1), InvalidParameterError),
    ],
)
def test_fault_22_a_failed_part_of_a_stream_leaves_the_earlier_ones_whole(params, bad, error):
    model = small(batch_size=4).partial_fit(waves())
    twin = small(batch_size=4).partial_fit(waves())
    assert_whole_after(model, waves(seed=2), lambda: model.partial_fit(bad), params, error)
    assert_same_model(model.partial_fit(waves(seed=3)), twin.partial_fit(waves(seed=3)))


@too_short_to_converge
def test_fault_22_a_diverging_part_of_a_stream_leaves_the_fit_before_it_whole():
    model = small().fit(waves())
    assert_whole_after(
        model, waves(seed=2), lambda: model.partial_fit(waves(seed=1)), DIVERGING, TrainingError
    )


@too_short_to_converge
def test_fault_22_a_refit_after_a_failure_is_like_any_other():
    model = small().fit(waves())
    with pytest.raises(InputError):
        model.fit(with_value(np.inf))
    assert_same_model(model.fit(waves(seed=1)), small().fit(waves(seed=1)))


# 35: labels


def labelled(**params):
    return small(target_weight=0.5, **params)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
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
        (np.linspace(0, 1, 12), "Unknown label type: continuous"),
        (np.eye(12), r"y should be a 1d array, got an array of shape \(12, 12\)"),
        (None, "requires y to be passed, but the target y is None"),
    ],
)
def test_fault_35_labels_that_are_no_classes_are_refused(method, y, says):
    with pytest.raises(ValueError, match=says):
        getattr(labelled(), method)(waves(), y)


@too_short_to_converge
def test_fault_35_more_classes_later_in_a_stream_are_refused():
    model = labelled().partial_fit(waves(), np.arange(12) % 2)
    with pytest.raises(ValueError, match=r"y holds \[2\], .* not among the classes \[0, 1\]"):
        model.partial_fit(waves(), np.arange(12) % 3)
    np.testing.assert_array_equal(model.classes_, [0, 1])


def test_fault_35_labels_beyond_the_classes_given_are_refused():
    with pytest.raises(ValueError, match=r"y holds \['c'\], .* among the classes \['a', 'b'\]"):
        labelled().partial_fit(waves(), ["a", "b", "c"] * 4, classes=["b", "a"])


@too_short_to_converge
def test_fault_35_one_class_is_enough_for_a_part_of_a_stream():
    model = labelled().partial_fit(waves(), ["a"] * 12, classes=["b", "a"])
    model.partial_fit(waves(seed=1), ["b"] * 12)
    np.testing.assert_array_equal(model.classes_, ["a", "b"])


@too_short_to_converge
def test_fault_35_labels_are_ignored_without_target_weight():
    model = small().fit(waves(), np.full(12, NAN))
    assert_same_model(model, small().fit(waves()))
    assert not hasattr(model, "classes_")
