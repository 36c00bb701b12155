"""What the adapters of aeon and sktime have in common, on data sets of aeon's."""

import importlib
import pickle
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline as sklearn_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import InvalidParameterError

from seqfeat import LSTMAutoencoder, make_classifier, make_regressor

pytest.importorskip("aeon")
pytest.importorskip("sktime")

from aeon.pipeline import make_pipeline as aeon_pipeline

from seqfeat.adapters.aeon import AeonTransformer
from seqfeat.adapters.sktime import SktimeTransformer
from seqfeat.sklearn_compat import HAS_CALLBACKS

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

both_adapters = pytest.mark.parametrize("adapter", [AeonTransformer, SktimeTransformer])
PARAMS = {"embedding_dim": 8, "max_iter": 4, "random_state": 0}


def small(**params):
    return LSTMAutoencoder(**{**PARAMS, **params})


def classifier():
    return LogisticRegression(C=10, tol=1e-3, max_iter=1000)


def in_aeon(**params):
    return aeon_pipeline(AeonTransformer(small(**params)), StandardScaler(), classifier())


def in_sktime(**params):
    rest = sklearn_pipeline(StandardScaler(), classifier())
    return SktimeTransformer(small(**params)) * rest


both_pipelines = pytest.mark.parametrize("make_pipeline", [in_aeon, in_sktime])


def as_frame(X):
    """Return series of unequal length as sktime's preferred format, indexed by (series, time)."""
    series = [pd.DataFrame(values.T).add_prefix("c") for values in X]
    return pd.concat(series, keys=range(len(series)), names=["series", "time"])


def channels_last(X):
    return [values.T for values in X]


# The same embeddings and predictions


@both_adapters
def test_embeddings_are_those_of_the_autoencoder(adapter, motions):
    X, _, X_test, _ = motions
    expected = small(max_iter=1).fit(X.transpose(0, 2, 1)).transform(X_test.transpose(0, 2, 1))
    transformer = adapter(small(max_iter=1)).fit(X)
    np.testing.assert_array_equal(transformer.transform(X_test), expected)


@both_adapters
def test_embeddings_of_unequal_lengths_are_those_of_the_autoencoder(adapter, vowels):
    X, X_test = vowels[0][::5], vowels[2][::5]
    expected = small(max_iter=1).fit(channels_last(X)).transform(channels_last(X_test))
    if adapter is SktimeTransformer:
        X, X_test = as_frame(X), as_frame(X_test)
    transformer = adapter(small(max_iter=1)).fit(X)
    np.testing.assert_array_equal(transformer.transform(X_test), expected)


@both_pipelines
def test_a_pipeline_predicts_what_make_classifier_predicts(make_pipeline, vowels):
    X, y, X_test, y_test = vowels
    expected = make_classifier(**PARAMS).fit(channels_last(X), y)
    probabilities = expected.predict_proba(channels_last(X_test))
    if make_pipeline is in_sktime:
        X, X_test = as_frame(X), as_frame(X_test)
    fitted = make_pipeline().fit(X, y)
    np.testing.assert_allclose(fitted.predict_proba(X_test), probabilities, atol=1e-12)
    # Of nine speakers, the most frequent makes up a quarter of the test set.
    assert fitted.score(X_test, y_test) > 0.6


@both_adapters
def test_a_pipeline_predicts_the_numbers_that_make_regressor_predicts(adapter, motions):
    X, X_test = motions[0][:, :2, ::4], motions[2][:, :2, ::4]
    y = X[:, 0].mean(axis=1)
    counted = {**PARAMS, "max_iter": 0, "target_weight": 0.5, "target_type": "continuous"}
    expected = make_regressor(**counted).fit(X.transpose(0, 2, 1), y)
    transformer, rest = adapter(small(**counted)), (StandardScaler(), expected["regressor"])
    if adapter is AeonTransformer:
        pipeline = aeon_pipeline(transformer, *rest)
    else:
        pipeline = transformer * sklearn_pipeline(*rest)
    predicted = pipeline.fit(X, y).predict(X_test)
    np.testing.assert_allclose(predicted, expected.predict(X_test.transpose(0, 2, 1)), atol=1e-9)


# Copies


@both_adapters
def test_the_autoencoder_that_was_passed_is_left_unfitted(adapter, motions):
    autoencoder = small(max_iter=1)
    before = dict(vars(autoencoder))
    transformer = adapter(autoencoder).fit(motions[0])
    assert vars(autoencoder) == before
    assert transformer.autoencoder is autoencoder
    assert transformer.autoencoder_.n_iter_ == 1


@pytest.mark.parametrize("copy", [clone, lambda transformer: transformer.clone()])
@both_adapters
def test_a_clone_is_unfitted_and_has_its_own_autoencoder(adapter, copy, motions):
    transformer = adapter(small(max_iter=0)).fit(motions[0])
    other = copy(transformer)
    assert type(other) is adapter
    assert not other.is_fitted
    assert not hasattr(other, "autoencoder_")
    assert other.autoencoder is not transformer.autoencoder
    assert other.autoencoder.get_params() == transformer.autoencoder.get_params()


@both_pipelines
def test_a_pickled_pipeline_makes_the_same_predictions(make_pipeline, motions):
    X, y, X_test, _ = motions
    fitted = make_pipeline(max_iter=1).fit(X, y)
    restored = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(restored.predict_proba(X_test), fitted.predict_proba(X_test))


# Parameters, and the tags that depend on them


def with_gap(X):
    X = X.copy()
    X[3, 2, 10:20] = np.nan
    return X


@both_pipelines
def test_missing_values_are_accepted_with_mask_only(make_pipeline, motions):
    X, y, X_test, y_test = motions
    # sktime warns, which is an error here, and otherwise leaves the error to us.
    with pytest.raises((ValueError, UserWarning), match="has missing values"):
        make_pipeline(max_iter=1).fit(with_gap(X), y)
    name = "AeonTransformer" if make_pipeline is in_aeon else "SktimeTransformer"
    masked = make_pipeline().set_params(**{f"{name}__autoencoder__missing": "mask"})
    assert masked.fit(with_gap(X), y).score(with_gap(X_test), y_test) > 0.7


@both_adapters
def test_labels_reach_the_autoencoder_and_are_required(adapter, motions):
    X, y, *_ = motions
    transformer = adapter(small(target_weight=0.5, max_iter=1)).fit(X, y)
    assert transformer.autoencoder_.classes_.tolist() == sorted(set(y))
    with pytest.raises(ValueError, match=r"requires.*y"):
        adapter(small(target_weight=0.5)).fit(X)


@both_adapters
def test_anything_but_an_autoencoder_is_an_error(adapter, motions):
    with pytest.raises(InvalidParameterError, match=rf"{adapter.__name__} .*Got StandardScaler"):
        adapter(StandardScaler()).fit(motions[0])


@pytest.mark.parametrize("library", ["aeon", "sktime"])
def test_the_error_for_a_missing_library_names_the_extra(library, monkeypatch):
    monkeypatch.delitem(sys.modules, f"seqfeat.adapters.{library}")
    for name in [name for name in sys.modules if name.split(".")[0] == library]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=rf"pip install 'seqfeat\[{library}\]'"):
        importlib.import_module(f"seqfeat.adapters.{library}")


@pytest.mark.parametrize(
    "transformer",
    [
        AeonTransformer(small(max_iter=1)),
        pytest.param(
            SktimeTransformer(small(max_iter=1)),
            marks=pytest.mark.xfail(
                HAS_CALLBACKS,
                raises=AttributeError,
                reason="sktime's fit deletes attributes that scikit-learn 1.9's Pipeline sets",
            ),
        ),
    ],
    ids=lambda transformer: type(transformer).__name__,
)
def test_a_pipeline_of_scikit_learn_accepts_the_adapter(transformer, motions):
    X, y, *_ = motions
    pipeline = sklearn_pipeline(transformer, StandardScaler(), classifier()).fit(X, y)
    assert pipeline.predict(X).shape == (40,)
