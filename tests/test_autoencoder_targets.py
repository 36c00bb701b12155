"""What labels, numbers and weights of series do to a fit."""

import warnings

import numpy as np
import pandas as pd
import pytest
import zarr
from sklearn import config_context
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_sample_weight

from seqfeat import InputError, InputTypeError, make_classifier
from tests.autoencoders import fit_quietly, pad, ragged_waves, small, waves

X = waves(24)
LABELS = np.arange(24) % 3
NUMBERS = X[:, 0, 0] + np.arange(24) / 50
WEIGHTS = np.array([2.0, 1.0, 0.0] * 8)
TWICE = np.repeat(np.arange(24), WEIGHTS.astype(int))

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def whole(**params):
    """Return an autoencoder that reads all series at once, so that their order has no effect."""
    return small(batch_size=100, early_stopping=False, **params)


def assert_same_fit(one, other, rtol):
    np.testing.assert_allclose(one.loss_curve_, other.loss_curve_, rtol=rtol)
    np.testing.assert_allclose(one.transform(X), other.transform(X), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("params", "y"),
    [
        ({"pooling": "last"}, None),
        ({"pooling": "mean", "target_weight": 0.5}, LABELS),
        ({"pooling": "statistics", "target_weight": 0.5}, NUMBERS),
        # The first gradients of its decoder are sums that cancel out, all rounding.
        ({"learning_rate_init": 1e-4}, None),
        ({"target_weight": 0.5, "learning_rate_init": 1e-4}, LABELS),
        ({"target_weight": 0.5, "learning_rate_init": 1e-4}, NUMBERS),
    ],
)
def test_a_weight_of_two_is_the_series_twice_and_of_zero_none(params, y):
    weighted = whole(**params).fit(X, y, sample_weight=WEIGHTS)
    repeated = whole(**params).fit(X[TWICE], None if y is None else y[TWICE])
    assert_same_fit(weighted, repeated, rtol=1e-6)


@pytest.mark.parametrize("params", [{}, {"pooling": "statistics", "target_weight": 0.5}])
def test_series_of_weight_zero_change_no_bit(params):
    lengths_differ = [*X[:-1], np.concatenate([X[-1], X[-1] * 100])]
    weights = np.r_[np.ones(23), 0.0]
    without = small(**params).fit(list(X[:-1]), LABELS[:-1])
    weighted = small(**params).fit(lengths_differ, LABELS, sample_weight=weights)
    assert weighted.loss_curve_ == without.loss_curve_
    np.testing.assert_array_equal(weighted.mean_, without.mean_)
    np.testing.assert_array_equal(weighted.transform(X), without.transform(X))


def test_weights_of_one_are_no_weights():
    weighted = small().fit(X, sample_weight=np.ones(24))
    np.testing.assert_array_equal(weighted.transform(X), small().fit(X).transform(X))


def test_the_scaling_is_weighted():
    model = whole(max_iter=0).fit(ragged_waves(24), sample_weight=WEIGHTS + 0.5)
    steps = np.concatenate(ragged_waves(24))
    counts = np.repeat(WEIGHTS + 0.5, [len(one) for one in ragged_waves(24)])
    mean = np.average(steps, axis=0, weights=counts)
    np.testing.assert_allclose(model.mean_, mean, rtol=1e-12)
    std = np.average((steps - mean) ** 2, axis=0, weights=counts) ** 0.5
    np.testing.assert_allclose(model.std_, std, rtol=1e-12)


def test_padding_has_no_weight():
    items = ragged_waves(24)
    ragged = whole(missing="mask").fit(items, sample_weight=WEIGHTS)
    padded = whole(missing="mask").fit(pad(items), sample_weight=WEIGHTS)
    assert ragged.loss_curve_ == padded.loss_curve_


def test_a_stream_is_weighted():
    params = {"pooling": "last"}
    weighted = whole(**params).partial_fit(X, sample_weight=WEIGHTS)
    repeated = whole(**params).partial_fit(X[TWICE])
    assert_same_fit(weighted, repeated, rtol=1e-6)


def test_series_that_are_read_lazily_are_left_out_unread(tmp_path):
    stored = zarr.array(X, chunks=(5, *X.shape[1:]), store=tmp_path / "x.zarr")
    lazy = whole().fit(stored, sample_weight=WEIGHTS)
    assert lazy.loss_curve_ == whole().fit(X, sample_weight=WEIGHTS).loss_curve_


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        (np.ones(23), r"sample_weight has shape \(23,\), but X has 24 series"),
        (np.ones((24, 2)), r"sample_weight has shape \(24, 2\)"),
        ([-1.0] * 24, "sample_weight is -1 for series 0"),
        (np.r_[np.ones(23), np.nan], "sample_weight is NaN for series 23"),
        (np.r_[np.ones(23), np.inf], "sample_weight is inf for series 23"),
        (np.zeros(24), "sample_weight is zero for every series"),
        (["heavy"] * 24, "sample_weight holds 'heavy' for series 0, of type str"),
        ([1.0] * 23 + [None], "sample_weight holds None for series 23"),
        ({"a": 1.0}, "sample_weight is a dict"),
    ],
)
def test_weights_that_are_none_are_errors(weights, says):
    model = small()
    with pytest.raises((InputError, InputTypeError), match=says):
        model.fit(X, sample_weight=weights)
    assert not hasattr(model, "weights_")


def test_weights_that_name_the_series_in_another_order_are_an_error():
    series = pd.Series(list(X), index=[f"s{i}" for i in range(24)])
    weights = pd.Series(WEIGHTS, index=series.index[::-1])
    with pytest.raises(InputError, match=r"sample_weight names the same series as X"):
        small().fit(series, sample_weight=weights)


def test_weights_may_be_very_unequal():
    weights = np.r_[1e-200, np.full(23, 1e-100)]
    light = np.r_[0.0, np.ones(23)]
    model = whole(pooling="last").fit(X, sample_weight=weights)
    assert_same_fit(model, whole(pooling="last").fit(X, sample_weight=light), rtol=1e-6)


def test_scikit_learn_routes_weights_through_a_pipeline():
    pipeline = make_classifier(4, max_iter=1, random_state=0)
    with config_context(enable_metadata_routing=True):
        pipeline["autoencoder"].set_fit_request(sample_weight=True)
        pipeline["scaler"].set_fit_request(sample_weight=False)
        pipeline["classifier"].set_fit_request(sample_weight=True)
        pipeline.fit(X, LABELS, sample_weight=WEIGHTS)
    alone = make_classifier(4, max_iter=1, random_state=0)["autoencoder"]
    features = alone.fit(X, sample_weight=WEIGHTS).transform(X)
    np.testing.assert_array_equal(pipeline["autoencoder"].transform(X), features)
    scaled = pipeline["scaler"].transform(features)
    expected = LogisticRegression(C=10, tol=1e-3, max_iter=1000)
    expected.fit(scaled, LABELS, sample_weight=WEIGHTS)
    np.testing.assert_allclose(pipeline["classifier"].coef_, expected.coef_)


# Weights of classes

UNEVEN = np.array([0] * 16 + [1] * 6 + [2] * 2)


@pytest.mark.parametrize("class_weight", ["balanced", {0: 0.5, 2: 3.0}])
def test_class_weights_are_weights_of_what_the_head_learns(class_weight):
    """Where the head's loss is nearly all of it, they are weights of the series."""
    params = {"pooling": "last", "target_weight": 0.999999, "scale": None}
    by_class = whole(class_weight=class_weight, **params).fit(X, UNEVEN)
    mapping = class_weight if isinstance(class_weight, str) else {1: 1.0, **class_weight}
    weights = compute_sample_weight(mapping, UNEVEN)
    by_series = whole(**params).fit(X, UNEVEN, sample_weight=weights)
    np.testing.assert_allclose(by_class.loss_curve_, by_series.loss_curve_, rtol=1e-4)
    assert by_class.loss_curve_ != pytest.approx(whole(**params).fit(X, UNEVEN).loss_curve_, 1e-3)


def test_class_weights_decide_which_statistics_of_a_reservoir_count():
    params = {"target_weight": 0.5, "max_iter": 0}
    balanced = whole(class_weight="balanced", **params).fit(X, UNEVEN)
    assert not np.allclose(balanced.transform(X), whole(**params).fit(X, UNEVEN).transform(X))


@pytest.mark.parametrize(
    ("class_weight", "says"),
    [
        ({3: 1.0}, r"key 3, which is none of the classes \[0, 1, 2\]"),
        ({0: -1.0}, "class_weight is -1.0 for class 0; it must be a positive number"),
        ({0: "much"}, "class_weight is 'much' for class 0"),
    ],
)
def test_class_weights_that_fit_no_class_are_errors(class_weight, says):
    with pytest.raises(InputError, match=says):
        small(class_weight=class_weight, target_weight=0.5).fit(X, LABELS)


def test_a_stream_has_no_balance():
    with pytest.raises(InputError, match="class_weight='balanced' needs to know how often"):
        small(class_weight="balanced", target_weight=0.5).partial_fit(X, LABELS)


# Numbers


@pytest.mark.parametrize("pooling", ["reservoir", "last"])
def test_numbers_are_learned_whatever_their_unit(pooling):
    """Standardized, they are the same numbers."""
    params = {"pooling": pooling, "target_weight": 0.5}
    model = whole(**params).fit(X, NUMBERS)
    other = whole(**params).fit(X, 1e6 + 1e-3 * NUMBERS)
    np.testing.assert_allclose(other.loss_curve_, model.loss_curve_, rtol=1e-4)
    assert not hasattr(model, "classes_")
    np.testing.assert_allclose(model.target_mean_, [NUMBERS.mean()])
    np.testing.assert_allclose(model.target_scale_, [NUMBERS.std()])


def test_one_column_of_numbers_is_that_number():
    params = {"pooling": "last", "target_weight": 0.5}
    one = whole(**params).fit(X, NUMBERS)
    assert one.loss_curve_ == whole(**params).fit(X, pd.DataFrame({"t": NUMBERS})).loss_curve_


@pytest.mark.parametrize("pooling", ["reservoir", "last"])
def test_several_numbers_are_targets_together(pooling):
    y = np.column_stack([NUMBERS, -(NUMBERS**2)])
    model = whole(pooling=pooling, target_weight=0.5).fit(X, y)
    np.testing.assert_allclose(model.target_mean_, y.mean(axis=0))
    assert model.architecture_["n_targets"] == (2 if pooling == "last" else 0)


def test_integers_are_classes_unless_they_are_to_be_numbers():
    y = np.arange(24) // 3
    params = {"pooling": "last", "target_weight": 0.5}
    assert small(**params).fit(X, y).classes_.tolist() == list(range(8))
    numbers = small(target_type="continuous", **params).fit(X, y)
    assert numbers.target_mean_.tolist() == [3.5]


@pytest.mark.parametrize(
    ("y", "says"),
    [
        (None, "numbers as targets require y"),
        (["1.5"] * 24, "y holds '1.5' for series 0, of type str"),
        ([1.5] * 23 + ["x"], "y holds 'x' for series 23, of type str"),
        (np.r_[NUMBERS[:-1], np.nan], "1 of 24 series has no label"),
        (np.r_[NUMBERS[:-1], -np.inf], "series 23 has the number -inf in column 0"),
        (np.zeros((24, 2, 2)), r"y has shape \(24, 2, 2\)"),
        (NUMBERS[1:], "inconsistent numbers of samples"),
    ],
)
def test_targets_that_are_no_numbers_are_errors(y, says):
    with pytest.raises((ValueError, TypeError), match=says):
        small(target_weight=0.5, target_type="continuous").fit(X, y)


def test_a_stream_keeps_the_unit_of_its_first_numbers():
    model = small(pooling="last", target_weight=0.5).partial_fit(X, NUMBERS)
    first = model.target_mean_.copy()
    model.partial_fit(X, NUMBERS + 100)
    np.testing.assert_array_equal(model.target_mean_, first)
    with pytest.raises(InputError, match="y has 2 numbers for each series, but"):
        model.partial_fit(X, np.column_stack([NUMBERS, NUMBERS]))


def test_numbers_make_features_that_know_them():
    """Half of the statistics' variance is noise about a number that few of them follow."""
    rng = np.random.default_rng(0)
    series = rng.normal(size=(120, 60, 1))
    y = rng.normal(size=120)
    series[:, 20:26, 0] += y[:, None] * 0.8
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        params = {"embedding_dim": 6, "reconstruction_fraction": 0.0, "max_iter": 0}
        known = small(target_weight=0.9, **params, hidden_dim=None).fit(series[:80], y[:80])
        blind = fit_quietly(small(**params, hidden_dim=None), series[:80])

    def r_squared(model):
        features = np.c_[np.ones(120), model.transform(series)]
        coefficients = np.linalg.lstsq(features[:80], y[:80], rcond=None)[0]
        return np.corrcoef(features[80:] @ coefficients, y[80:])[0, 1] ** 2

    assert r_squared(known) > r_squared(blind)
