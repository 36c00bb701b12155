"""Classifiers and regressors that could not learn from a set of series are refused beforehand."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.cross_decomposition import PLSRegression
from sklearn.discriminant_analysis import (
    LinearDiscriminantAnalysis,
    QuadraticDiscriminantAnalysis,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import Pipeline

from seqfeat import InputError, LSTMAutoencoder, make_classifier, make_regressor
from seqfeat.cli.models import CLASSIFIERS
from seqfeat.training.rehearsal import rehearse

pytestmark = [pytest.mark.usefixtures("one_thread")]


def waves(counts, n_distinct):
    """Return series of classes a, b, ...: so many, of which so many are different."""
    rng = np.random.default_rng(0)
    X, y = [], []
    for name, count, different in zip("abcdef", counts, n_distinct, strict=False):
        series = rng.normal(size=(different, 8, 1))
        X += [series[i % different] for i in range(count)]
        y += [name] * count
    return np.array(X), np.array(y)


def all_identical():
    X, y = waves([8, 8], [1, 1])
    return np.broadcast_to(X[0], X.shape).copy(), y


DEGENERATE = {
    "each class is one series": waves([8, 8], [1, 1]),
    "each class is one series, odd": waves([5, 6, 7], [1, 1, 1]),
    "one class is one series": waves([12, 12], [1, 12]),
    "all identical": all_identical(),
    "one series a class": waves([1] * 5, [1] * 5),
    "two series a class": waves([2, 2], [2, 2]),
    "a rare class": waves([20, 1], [20, 1]),
}


def steps(classifier):
    return make_classifier(classifier=classifier).steps[1:]


def is_refused(X, y, classifier, n_features=4):
    try:
        rehearse(X, y, steps(classifier), n_features)
    except InputError:
        return True
    return False


def quick(classifier):
    """Make an ensemble smaller, which changes nothing about what it can be fitted to."""
    sizes = {"n_estimators": 3} if hasattr(classifier, "n_estimators") else {}
    if type(classifier).__name__.startswith("Hist"):
        sizes = {"max_iter": 2}
    return classifier.set_params(**sizes)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", DEGENERATE)
def test_fault_64_what_is_not_refused_can_be_fitted(name):
    """The table: every classifier of the command line, on every such set."""
    X, y = DEGENERATE[name]
    for choice, make in CLASSIFIERS.items():
        classifier = quick(make(0))
        if is_refused(X, y, classifier):
            continue
        pipeline = make_classifier(4, classifier, max_iter=0, random_state=0).fit(X, y)
        assert set(pipeline.predict(X)) <= set(y), choice


@pytest.mark.parametrize("name", DEGENERATE)
def test_the_default_classifiers_are_never_refused(name):
    X, y = DEGENERATE[name]
    for size in (4, None):
        rehearse(X, y, make_classifier(size).steps[1:], size)


def test_what_is_refused_fails_in_earnest():
    X, y = DEGENERATE["each class is one series"]
    lda = CLASSIFIERS["lda"](0)
    assert is_refused(X, y, lda)
    plain = Pipeline(make_classifier(4, lda, max_iter=0, random_state=0).steps)
    with pytest.raises(np.linalg.LinAlgError):
        plain.fit(X, y)


def test_nothing_is_trained_if_the_classifier_is_refused(monkeypatch):
    X, y = DEGENERATE["each class is one series"]
    monkeypatch.setattr(LSTMAutoencoder, "fit_transform", lambda *_: pytest.fail("trained"))
    pipeline = make_classifier(4, CLASSIFIERS["lda"](0), max_iter=0)
    with pytest.raises(InputError, match="LinearDiscriminantAnalysis cannot be trained on these"):
        pipeline.fit(X, y)


IDENTICAL = DEGENERATE["each class is one series"]
LDA, KNN = CLASSIFIERS["lda"](0), CLASSIFIERS["knn"](0)


@pytest.mark.parametrize(
    ("X_y", "classifier", "message"),
    [
        (IDENTICAL, LDA, "8 series of class 'a' are identical .*another classifier="),
        (DEGENERATE["all identical"], LDA, "all 16 are identical"),
        (DEGENERATE["one series a class"], LDA, "class 'a' has 1 series"),
        (DEGENERATE["two series a class"], KNN, r"class 'a' has 2 series .*n_neighbors = 5"),
        (waves([4, 4], [4, 4]), CalibratedClassifierCV(), r"class 'a' has 4 series .*n_splits=5"),
        (
            waves([12] * 2, [12] * 2),
            LinearDiscriminantAnalysis(solver="eigen"),
            "24 for 40 features",
        ),
        (waves([12] * 2, [2, 12]), QuadraticDiscriminantAnalysis(), "are only 2 different ones"),
        (waves([9], [9]), LogisticRegression(), r"one class, 'a' .* Add series of another class"),
        (waves([9] * 3, [9] * 3), LogisticRegression(solver="liblinear"), "of 3 classes, whatever"),
    ],
)
def test_a_refusal_names_the_class_the_reason_and_a_way_out(X_y, classifier, message):
    with pytest.raises(InputError, match=message):
        rehearse(*X_y, steps(classifier), 40)


def test_a_step_that_needs_more_series_than_are_tried_is_not_refused():
    X, y = waves([5, 200], [5, 200])
    assert not is_refused(X, y, CLASSIFIERS["knn"](0).set_params(n_neighbors=150))
    assert is_refused(X, y, CLASSIFIERS["knn"](0).set_params(n_neighbors=206))


@pytest.mark.parametrize(
    "form",
    [
        list,
        lambda X: pd.Series(list(X)),
        lambda X: pd.DataFrame(X[:, :, 0]),
        lambda X: X.astype(np.float32),
        lambda X: [series[: 3 + (i % 2)] for i, series in enumerate(X)],
    ],
    ids=["list", "Series", "frame", "float32", "unequal lengths"],
)
def test_identical_series_are_found_in_every_form(form):
    X, y = waves([8, 8], [1, 1])
    is_unequal = isinstance(form(X), list) and len({len(it) for it in form(X)}) > 1
    assert is_refused(form(X), y, CLASSIFIERS["lda"](0)) is not is_unequal


def test_nothing_is_tried_where_there_are_many_series(monkeypatch):
    X, y = waves([30, 30], [30, 30])
    monkeypatch.setattr("seqfeat.training.rehearsal._try", lambda *_: pytest.fail("tried"))
    rehearse(X, y, steps(None), 4)


def test_a_rehearsal_leaves_no_trace():
    X, y = DEGENERATE["two series a class"]
    classifier = CLASSIFIERS["forest"](None).set_params(n_estimators=3)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rehearse(X, y, steps(classifier), 4)
    assert not hasattr(classifier, "classes_")
    assert classifier.random_state is None
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_failures_of_other_kinds_are_left_to_the_fit():
    class Strange(LogisticRegression):
        def fit(self, X, y):
            raise TypeError("not the fault of the series")

    rehearse(*IDENTICAL, steps(Strange()), 4)


def test_invalid_series_are_left_to_the_autoencoder():
    rehearse([["x"]] * 4, np.array(list("abab")), steps(CLASSIFIERS["lda"](0)), 4)
    rehearse(np.zeros((0, 2, 1)), np.array([]), steps(CLASSIFIERS["lda"](0)), 4)
    rehearse(np.zeros((3, 2, 1)), np.array(list("abab")), steps(CLASSIFIERS["lda"](0)), 4)


# Regressors


def rehearse_regressor(n_series, regressor, y=None, n_distinct=None):
    X, _ = waves([n_series], [n_distinct or n_series])
    numbers = np.linspace(-1.0, 5.0, n_series) if y is None else y
    rehearse(X, numbers, make_regressor(regressor=regressor).steps[1:], 4)


LOGARITHM = TransformedTargetRegressor(Ridge(), func=np.log, inverse_func=np.exp)


@pytest.mark.parametrize(
    ("n_series", "n_distinct", "regressor", "message"),
    [
        (4, 4, KNeighborsRegressor(), "there are 4 for 4 features .*another regressor="),
        (4, 4, GridSearchCV(Ridge(), {"alpha": [1]}), r"there are 4 .*n_splits=5"),
        (8, 1, GaussianProcessRegressor(alpha=0), "all 8 are identical"),
        (8, 2, GaussianProcessRegressor(alpha=0), "only 2 of 8 are different"),
        (30, 30, KNeighborsRegressor(31), "there are 30 for 4 features"),
        (30, 30, PoissonRegressor(), "y has numbers from -1 to 5 .*Transform y, or pass"),
        (30, 30, LOGARITHM, "y has numbers from -1 to 5 .*contains NaN"),
    ],
)
def test_a_refused_regressor_is_told_the_reason_and_a_way_out(
    n_series, n_distinct, regressor, message
):
    with pytest.raises(InputError, match=f"{type(regressor).__name__} cannot be .*{message}"):
        rehearse_regressor(n_series, regressor, n_distinct=n_distinct)


@pytest.mark.parametrize("row", [0, 5000, 9999])
def test_the_extremes_of_many_numbers_are_tried(row):
    numbers = np.ones(10_000)
    rehearse_regressor(len(numbers), PoissonRegressor(), numbers)
    numbers[row] = -1
    with pytest.raises(InputError, match="numbers from -1 to 1"):
        rehearse_regressor(len(numbers), PoissonRegressor(), numbers)


@pytest.mark.parametrize("n_series", [30, 10_000])
def test_a_regressor_that_needs_more_series_than_are_tried_is_not_refused(n_series):
    rehearse_regressor(n_series, KNeighborsRegressor(29))
    rehearse_regressor(n_series, PLSRegression(4))


@pytest.mark.parametrize(("n_series", "n_distinct"), [(1, 1), (2, 2), (8, 1), (8, 2), (30, 30)])
@pytest.mark.parametrize("n_targets", [1, 2])
def test_the_default_regressor_is_never_refused(n_series, n_distinct, n_targets):
    numbers = np.arange(float(n_series * n_targets)).reshape(n_series, n_targets)
    rehearse_regressor(n_series, None, numbers, n_distinct)
    rehearse_regressor(n_series, None, np.zeros(n_series), n_distinct)
