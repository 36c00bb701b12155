"""`make_regressor`: numbers as targets of a pipeline, its searches, and what is checked first."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import is_regressor
from sklearn.compose import TransformedTargetRegressor
from sklearn.cross_decomposition import PLSRegression
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR
from sklearn.utils.estimator_checks import estimator_checks_generator

from seqfeat import InputError, LSTMAutoencoder, make_classifier, make_regressor
from seqfeat.pipeline import pipeline_parts

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def small_regressor(*args, **params):
    return make_regressor(*args, **{"embedding_dim": 8, "max_iter": 0, "random_state": 0, **params})


def tones(n_samples=40, seed=0):
    """Return waves, and the frequency and amplitude of each, shapes (N, 24, 1) and (N, 2)."""
    y = np.random.default_rng(seed).uniform([0.2, 100], [0.5, 300], size=(n_samples, 2))
    return (y[:, 1:] * np.sin(y[:, :1] * np.arange(24)))[:, :, None], y


@pytest.fixture(scope="module")
def two_targets():
    """A pipeline fitted to two numbers of each wave."""
    return small_regressor().fit(*tones())


# make_regressor


def test_the_steps_are_autoencoder_scaler_and_regressor():
    pipeline = make_regressor()
    assert list(pipeline.named_steps) == ["autoencoder", "scaler", "regressor"]
    assert isinstance(pipeline["scaler"], StandardScaler)
    assert is_regressor(pipeline)


def test_targets_are_numbers_unless_told_otherwise():
    of_autoencoder = LSTMAutoencoder().get_params()
    own = make_regressor()["autoencoder"].get_params()
    assert own == {**of_autoencoder, "target_type": "continuous"}
    assert make_regressor(target_type="auto")["autoencoder"].target_type == "auto"


def test_the_default_regressor_is_a_ridge_with_a_chosen_penalty():
    regressor = make_regressor()["regressor"]
    assert type(regressor) is RidgeCV
    np.testing.assert_array_equal(regressor.alphas, np.logspace(-3, 3, 10))


def test_parameters_are_passed_on(tmp_path):
    regressor = SVR()
    pipeline = make_regressor(7, regressor, memory=str(tmp_path), target_weight=0.3)
    autoencoder = pipeline["autoencoder"]
    assert (autoencoder.embedding_dim, autoencoder.target_weight) == (7, 0.3)
    assert pipeline["regressor"] is regressor
    assert pipeline.memory == str(tmp_path)


# The pipeline


@pytest.mark.parametrize("columns", [0, slice(None)], ids=["one target", "two targets"])
def test_a_pipeline_is_its_steps_one_after_the_other(columns):
    X, y = tones()
    y = y[:, columns]
    pipeline = small_regressor().fit(X, y)
    autoencoder = LSTMAutoencoder(8, max_iter=0, random_state=0)
    Z = StandardScaler().fit_transform(autoencoder.fit_transform(X))
    expected = RidgeCV(np.logspace(-3, 3, 10)).fit(Z, y).predict(Z)
    assert expected.shape == y.shape
    np.testing.assert_array_equal(pipeline.predict(X), expected)


def test_two_numbers_are_predicted_for_other_series(two_targets):
    X, y = tones(seed=1)
    predicted = two_targets.predict(X)
    mean = DummyRegressor().fit(*tones()).score(X, y)
    assert two_targets.score(X, y) == r2_score(y, predicted) > 0.8 > mean


def test_numbers_that_count_change_the_features():
    X, y = tones()
    plain, counted = (small_regressor(target_weight=w).fit(X, y) for w in (0.0, 0.5))
    np.testing.assert_allclose(counted["autoencoder"].target_mean_, y.mean(axis=0))
    assert not np.array_equal(plain.predict(X), counted.predict(X))


def test_every_check_of_scikit_learn_that_is_for_regressors():
    """The others run on `make_classifier`, in test_pipeline.py, also on memory maps."""
    done = {name_of(check) for _, check in estimator_checks_generator(make_classifier())}
    done -= {"check_complex_data"}
    # With fewer features a linear model cannot tell all that the checks plant.
    regressor = small_regressor(embedding_dim=32)
    for estimator, check in estimator_checks_generator(regressor):
        if name_of(check) not in done:
            check(estimator)
            done.add(name_of(check))
    assert done > {"check_regressors_train", "check_regressor_multioutput"}


def name_of(check):
    return getattr(check, "func", check).__name__


@pytest.mark.parametrize(
    "regressor",
    [
        SVR(),
        GridSearchCV(Ridge(), {"alpha": [0.1, 10]}, cv=2),
        TransformedTargetRegressor(Ridge(), func=np.log, inverse_func=np.exp),
        PLSRegression(2),
    ],
    ids=lambda regressor: type(regressor).__name__,
)
def test_any_regressor_can_be_used(regressor):
    X, y = tones()
    pipeline = small_regressor(regressor=regressor).fit(X, y[:, 1])
    assert pipeline.score(X, y[:, 1]) > 0
    parts = pipeline_parts(pipeline)
    assert parts.classifier is None
    assert parts.regressor is getattr(regressor, "best_estimator_", regressor)
    predicted = parts.regressor.predict(parts.features(parts.autoencoder.transform(X)))
    np.testing.assert_array_equal(predicted, pipeline.predict(X))


# What is checked before the training

WRONG_NUMBERS = {
    "missing": (lambda y: [None, *y[1:]], "1 of 40 series has no number, the first one being s"),
    "NaN": (lambda y: np.where(y == y[3], np.nan, y), "first one being series 3"),
    "infinite": (lambda y: np.where(y == y[3], np.inf, y), "contains infinity: series 3"),
    "texts": (lambda y: y.astype(str), "y holds '.*' for series 0, of type str"),
    "complex": (lambda y: y * 1j, "Complex data not supported: y holds"),
    "a dict": (lambda y: dict(enumerate(y)), "y is a dict"),
    "none": (lambda y: None, "requires y to be passed, .* one number for each series"),
    "too few": (lambda y: y[1:], "inconsistent numbers of samples"),
}


@pytest.mark.parametrize("name", WRONG_NUMBERS)
def test_numbers_are_checked_before_anything_is_trained(name, monkeypatch):
    change, message = WRONG_NUMBERS[name]
    X, y = tones()
    monkeypatch.setattr("seqfeat.autoencoder.run_fit", lambda *_: pytest.fail("trained"))
    for weight in (0.0, 0.5):
        with pytest.raises(ValueError, match=message):
            small_regressor(target_weight=weight).fit(X, change(y[:, 0]))


@pytest.mark.parametrize("method", ["fit", "score"])
@pytest.mark.parametrize("name", ["another order", "by row", "texts"])
def test_fit_and_score_check_to_which_series_numbers_belong(name, method, two_targets):
    X, y = tones()
    names = pd.Index([f"wave {i}" for i in range(len(X))])
    rows = pd.MultiIndex.from_product([names, range(24)])
    frame = pd.DataFrame({"a": X.ravel()}, index=rows)
    numbers, message = {
        "another order": (pd.DataFrame(y, names)[::-1], "in another order"),
        "by row": (np.ones(len(frame)), "y has 960 labels, one for each row of X"),
        "texts": (pd.DataFrame(y, names).astype(str), "y holds '.*' for series wave 0"),
    }[name]
    with pytest.raises(InputError, match=message):
        getattr(small_regressor() if method == "fit" else two_targets, method)(frame, numbers)


def test_parts_without_a_last_step_have_no_regressor(two_targets):
    assert pipeline_parts(two_targets[:-1]).regressor is None
