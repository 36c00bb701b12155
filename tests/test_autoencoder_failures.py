"""Invalid parameters, use before a fit, and fits that fail or learn nothing.

Numbers are those of the project's list of faults.
"""

import copy
import inspect
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils._param_validation import InvalidParameterError

from seqfeat import InputError, LSTMAutoencoder, TrainingError
from seqfeat.exceptions import InputTypeError
from tests.autoencoders import METHODS, assert_same_model, small, waves, with_value

NAN = np.nan

# A few epochs on a few series are enough to meet a fault, and too few to learn anything.
too_short_to_converge = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
pytestmark = pytest.mark.usefixtures("one_thread")


# 17: parameters


INVALID = {
    "embedding_dim": [0, -1, 2.5, "64"],
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
    "target_type": ["numbers", None, 1],
    "class_weight": ["even", 2.0, [1, 2]],
    "reconstruction_fraction": [-0.1, 1.1, NAN, "0.1", None],
    "max_iter": [-1, 2.5, "all", None],
    "batch_size": [0, -1, 2.5, "all", None],
    "learning_rate_init": [0, -1e-3, np.inf, NAN, "auto", None],
    "weight_decay": [-1e-3, np.inf, NAN, "auto", None],
    "early_stopping": [2, "yes", None],
    "validation_fraction": [0, 1, -0.1, 1.5, NAN, "0.1", None],
    "n_iter_no_change": [0, -1, 2.5, "auto", None],
    "tol": [-1e-4, np.inf, NAN, "auto", None],
    "contamination": [0, -0.1, 0.6, NAN, "auto"],
    "warm_start": [2, "yes", None],
    "init": ["model.joblib", 3, True],
    "random_state": [-1, 1.5, "seed"],
    "device": [0, None, 1.5],
    "verbose": [-1, 1.5, "yes", None],
    "checkpoint_dir": [0, 1.5, True],
    "checkpoint_every": [0, -1, 1.5, "2", None],
}


def test_fault_17_covers_every_parameter():
    assert list(INVALID) == list(inspect.signature(LSTMAutoencoder).parameters)


@pytest.mark.parametrize("name", INVALID)
def test_fault_17_an_invalid_parameter_is_rejected_by_fit_and_not_before(name):
    for value in INVALID[name]:
        estimator = LSTMAutoencoder(**{name: value})
        assert estimator.get_params()[name] is value
        words = f"The '{name}' parameter of LSTMAutoencoder must be"
        with pytest.raises(InvalidParameterError, match=words) as caught:
            estimator.fit(waves(), np.arange(12) % 2)
        assert repr(value) in str(caught.value)
        assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("name", INVALID)
def test_fault_17_an_invalid_parameter_is_rejected_by_partial_fit(name):
    for value in INVALID[name]:
        estimator = LSTMAutoencoder().set_params(**{name: value})
        with pytest.raises(InvalidParameterError, match=f"'{name}' parameter"):
            estimator.partial_fit(waves(), np.arange(12) % 2)


def test_fault_17_an_invalid_parameter_leaves_no_trace():
    estimator = LSTMAutoencoder(dropout=2)
    before = dict(vars(estimator))
    with pytest.raises(InvalidParameterError):
        estimator.fit(waves())
    assert vars(estimator) == before


def test_fault_17_parameters_are_checked_before_the_input():
    with pytest.raises(InvalidParameterError, match="pooling"):
        LSTMAutoencoder(pooling="sum").fit("no series")


# 19: nothing was learned


@pytest.mark.parametrize("pooling", ["reservoir", "statistics"])
def test_fault_19_predicting_the_mean_warns_with_score_and_advice(pooling):
    # So many that not even a linear map to the embedding explains more than a few hundredths.
    noise = np.random.default_rng(0).standard_normal((200, 300, 1))
    model = small(pooling=pooling, early_stopping=False, max_iter=1)
    with pytest.warns(ConvergenceWarning, match="predicts the mean") as caught:
        model.fit(noise)
    message = str(caught[0].message)
    assert f"explains {model.best_score_:.3f} of the variance" in message
    advice = {
        "reservoir": "Raise reconstruction_fraction",
        "statistics": "Raise max_iter (it is 1)",
    }
    assert advice[pooling] in message
    np.testing.assert_allclose(model.best_score_, model.score(noise), rtol=1e-6)


def test_fault_19_a_constant_embedding_warns_with_its_standard_deviation_and_advice():
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
    model = small(max_iter=40, patch_len=4, learning_rate_init=0.02)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X)
    assert model.score(X) > 0.05
    assert model.transform(X).std(axis=0).max() > 1e-3


# 21: use before a fit


@pytest.mark.parametrize("method", [*METHODS, "inverse_transform", "get_feature_names_out"])
def test_fault_21_use_before_a_fit(method):
    arguments = {"inverse_transform": [np.zeros((2, 4))], "get_feature_names_out": []}
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(small(), method)(*arguments.get(method, [waves()]))


def test_fault_21_use_after_a_failed_first_fit():
    estimator = small()
    with pytest.raises(InputError):
        estimator.fit(with_value(NAN))
    with pytest.raises(NotFittedError, match="not fitted yet"):
        estimator.transform(waves())


# 22: a fit that fails after an earlier success


def columns(X):
    return pd.DataFrame(X, columns=[f"t{step}" for step in range(X.shape[1])])


# Several batches per epoch, so the first update shows in the loss of the first epoch.
# With a validation set, a reservoir would keep its initial weights.
DIVERGING = {"learning_rate_init": 1e30, "batch_size": 4, "early_stopping": False}
BAD_REFITS = {
    "infinity": ({}, with_value(np.inf), None, InputError),
    "text": ({}, waves().astype(str), None, InputTypeError),
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


def outputs(model, X):
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


def assert_unchanged_by(model, X, fail, params, error):
    before, state = outputs(model, X), copy.deepcopy(fitted_state(model))
    earlier_params = {name: model.get_params()[name] for name in params}
    model.set_params(**params)
    with pytest.raises(error):
        fail()
    assert_same_value(state, fitted_state(model))
    model.set_params(**earlier_params)
    assert_same_value(before, outputs(model, X))


@too_short_to_converge
@pytest.mark.parametrize("pooling", ["reservoir", "statistics"])
@pytest.mark.parametrize("case", BAD_REFITS)
def test_fault_22_a_failed_refit_keeps_the_earlier_fit(case, pooling):
    params, bad, y, error = BAD_REFITS[case]
    model = small(pooling=pooling).fit(waves())
    assert_unchanged_by(model, waves(seed=2), lambda: model.fit(bad, y), params, error)


@too_short_to_converge
@pytest.mark.parametrize("pooling", ["reservoir", "statistics"])
@pytest.mark.parametrize("case", ["infinity", "parameter", "divergence"])
def test_fault_22_a_failed_refit_keeps_the_classes_and_validation_of_the_earlier_fit(case, pooling):
    params, bad, _, error = BAD_REFITS[case]
    model = small(pooling=pooling, target_weight=0.3, early_stopping=True)
    model.fit(waves(), np.array(["a", "b", "c"] * 4))
    assert_unchanged_by(
        model, waves(seed=2), lambda: model.fit(bad, np.arange(12) % 2), params, error
    )
    np.testing.assert_array_equal(model.classes_, ["a", "b", "c"])
    assert len(model.validation_loss_curve_) == model.n_iter_


@pytest.mark.parametrize("n_samples", [12, 20])
def test_a_decoder_that_diverges_leaves_a_reservoir_as_it_was_fitted(n_samples):
    params = {**DIVERGING, "early_stopping": True}
    X = waves(n_samples)
    model = small(**params)
    with pytest.warns(ConvergenceWarning, match="in epoch 1; the weights of epoch 0 were kept"):
        model.fit(X)
    assert (model.n_iter_, model.best_iter_, model.loss_curve_) == (0, 0, [])
    untrained = small(**params).set_params(max_iter=0).fit(X)
    assert_same_value(untrained.weights_, model.weights_)
    assert model.best_score_ == untrained.best_score_


@too_short_to_converge
@pytest.mark.parametrize("case", ["infinity", "parameter", "divergence"])
def test_fault_22_a_failed_refit_keeps_the_column_names_of_an_earlier_table(case):
    params, bad, y, error = BAD_REFITS[case]
    X = columns(waves()[:, :, 0])
    model = small().fit(X)
    assert_unchanged_by(model, X, lambda: model.fit(bad, y), params, error)
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
def test_fault_22_a_failed_part_of_a_stream_keeps_the_earlier_parts(params, bad, error):
    model = small(batch_size=4).partial_fit(waves())
    twin = small(batch_size=4).partial_fit(waves())
    assert_unchanged_by(model, waves(seed=2), lambda: model.partial_fit(bad), params, error)
    assert_same_model(model.partial_fit(waves(seed=3)), twin.partial_fit(waves(seed=3)))


@too_short_to_converge
def test_fault_22_a_diverging_part_of_a_stream_keeps_the_earlier_fit():
    model = small().fit(waves())
    assert_unchanged_by(
        model, waves(seed=2), lambda: model.partial_fit(waves(seed=1)), DIVERGING, TrainingError
    )


@too_short_to_converge
def test_fault_22_a_refit_after_a_failure_is_like_any_other():
    model = small().fit(waves())
    with pytest.raises(InputError):
        model.fit(with_value(np.inf))
    assert_same_model(model.fit(waves(seed=1)), small().fit(waves(seed=1)))
