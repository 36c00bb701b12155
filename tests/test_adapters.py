"""Our autoencoder inside the pipelines of aeon and sktime, on the data that they bring along."""

import importlib
import pickle
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline as sklearn_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import InvalidParameterError

from seqfeat import LayoutWarning, LSTMAutoencoder, make_classifier

pytest.importorskip("aeon")
pytest.importorskip("sktime")

import aeon.datasets
import sktime.datasets
from aeon.pipeline import make_pipeline as aeon_pipeline
from sktime.base import load as sktime_load
from sktime.classification.compose import SklearnClassifierPipeline
from sktime.transformations.compose import TransformerPipeline
from sktime.transformations.summarize import SummaryTransformer

from seqfeat.adapters.aeon import AeonTransformer
from seqfeat.adapters.sktime import SktimeTransformer

# A few epochs say whether things fit together, not whether they converge.
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

ADAPTERS = [AeonTransformer, SktimeTransformer]
PARAMS = {"embedding_dim": 8, "max_iter": 4, "random_state": 0}


def small(**params):
    return LSTMAutoencoder(**{**PARAMS, **params})


def discriminant():
    return LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.1)


def in_aeon(**params):
    return aeon_pipeline(AeonTransformer(small(**params)), StandardScaler(), discriminant())


def in_sktime(**params):
    rest = sklearn_pipeline(StandardScaler(), discriminant())
    return SktimeTransformer(small(**params)) * rest


@pytest.fixture(scope="module")
def motions():
    """40 series of 100 timesteps and 6 channels, channels first, and 40 to test on."""
    train, test = (aeon.datasets.load_basic_motions(split=split) for split in ("train", "test"))
    return *train, *test


@pytest.fixture(scope="module")
def vowels():
    """270 series of 12 channels and 7 to 26 timesteps, and 370 to test on."""
    train, test = (aeon.datasets.load_japanese_vowels(split=split) for split in ("train", "test"))
    return *train, *test


def as_frames(X):
    """Return series of unequal length as sktime likes them best, (series, time)."""
    series = [pd.DataFrame(values.T).add_prefix("c") for values in X]
    return pd.concat(series, keys=range(len(series)), names=["series", "time"])


def channels_last(X):
    return [values.T for values in X]


# The same numbers


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_embeddings_are_those_of_the_autoencoder(adapter, motions):
    X, _, X_test, _ = motions
    expected = small().fit(X.transpose(0, 2, 1)).transform(X_test.transpose(0, 2, 1))
    transformer = adapter(small()).fit(X)
    np.testing.assert_array_equal(transformer.transform(X_test), expected)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_embeddings_of_unequal_lengths_are_those_of_the_autoencoder(adapter, vowels):
    X, _, X_test, _ = vowels
    expected = small().fit(channels_last(X)).transform(channels_last(X_test))
    if adapter is SktimeTransformer:
        X, X_test = as_frames(X), as_frames(X_test)
    transformer = adapter(small()).fit(X)
    np.testing.assert_array_equal(transformer.transform(X_test), expected)


def test_sktime_columns_have_the_names_of_the_features(motions):
    features = SktimeTransformer(small(max_iter=0)).fit_transform(motions[0])
    assert features.columns[[0, 7]].tolist() == ["lstmautoencoder0", "lstmautoencoder7"]
    assert features.index.tolist() == list(range(40))


@pytest.mark.parametrize("pipeline", [in_aeon, in_sktime])
def test_a_pipeline_predicts_what_make_classifier_predicts(pipeline, vowels):
    X, y, X_test, y_test = vowels
    expected = make_classifier(**PARAMS).fit(channels_last(X), y)
    if pipeline is in_sktime:
        X, X_test = as_frames(X), as_frames(X_test)
    fitted = pipeline().fit(X, y)
    probabilities = expected.predict_proba(channels_last(vowels[2]))
    np.testing.assert_allclose(fitted.predict_proba(X_test), probabilities, atol=1e-12)
    # Nine speakers: chance is 1 in 9, and the largest class is a quarter of the set.
    assert fitted.score(X_test, y_test) > 0.6


@pytest.mark.parametrize("pipeline", [in_aeon, in_sktime])
def test_a_pipeline_tells_motions_apart(pipeline, motions):
    X, y, X_test, y_test = motions
    assert pipeline().fit(X, y).score(X_test, y_test) > 0.7


@pytest.mark.parametrize("return_type", ["nested_univ", "pd-multiindex", "df-list", "numpy3D"])
def test_every_panel_of_sktime_will_do(return_type, motions):
    X, _ = sktime.datasets.load_basic_motions(split="train", return_type=return_type)
    features = SktimeTransformer(small(max_iter=1)).fit_transform(X)
    expected = small(max_iter=1).fit_transform(motions[0].transpose(0, 2, 1))
    np.testing.assert_allclose(features, expected, atol=1e-5)


# Copies


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_the_autoencoder_that_was_passed_stays_as_it_was(adapter, motions):
    autoencoder = small(max_iter=1)
    before = dict(vars(autoencoder))
    transformer = adapter(autoencoder).fit(motions[0])
    assert vars(autoencoder) == before
    assert transformer.autoencoder is autoencoder
    assert transformer.autoencoder_.n_iter_ == 1


@pytest.mark.parametrize("copy", [clone, lambda transformer: transformer.clone()])
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_clone_is_unfitted_and_has_an_autoencoder_of_its_own(adapter, copy, motions):
    transformer = adapter(small(max_iter=1)).fit(motions[0])
    other = copy(transformer)
    assert type(other) is adapter
    assert not other.is_fitted
    assert not hasattr(other, "autoencoder_")
    assert other.autoencoder is not transformer.autoencoder
    assert other.autoencoder.get_params() == transformer.autoencoder.get_params()


@pytest.mark.parametrize("pipeline", [in_aeon, in_sktime])
def test_a_pickled_pipeline_predicts_the_same(pipeline, motions):
    X, y, X_test, _ = motions
    fitted = pipeline(max_iter=1).fit(X, y)
    restored = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(restored.predict_proba(X_test), fitted.predict_proba(X_test))


def test_sktime_saves_and_loads(tmp_path, motions):
    transformer = SktimeTransformer(small(max_iter=1)).fit(motions[0])
    transformer.save(tmp_path / "embedding")
    restored = sktime_load(tmp_path / "embedding.zip")
    pd.testing.assert_frame_equal(restored.transform(motions[2]), transformer.transform(motions[2]))


# Parameters, and what follows from them


def test_a_search_reaches_the_autoencoder_in_an_aeon_pipeline(motions):
    X, y, *_ = motions
    sizes = {"AeonTransformer__autoencoder__embedding_dim": [2, 6]}
    search = GridSearchCV(in_aeon(max_iter=2), sizes, cv=2).fit(X, y)
    chosen = search.best_params_["AeonTransformer__autoencoder__embedding_dim"]
    _, transformer = search.best_estimator_.steps_[0]
    assert transformer.autoencoder_.embedding_dim_ == chosen
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def with_gap(X):
    X = X.copy()
    X[3, 2, 10:20] = np.nan
    return X


@pytest.mark.parametrize(
    ("pipeline", "name"),
    [
        (in_aeon, "AeonTransformer__autoencoder__missing"),
        (in_sktime, "SktimeTransformer__autoencoder__missing"),
    ],
)
def test_missing_values_pass_with_mask_only(pipeline, name, motions):
    X, y, X_test, y_test = motions
    # sktime warns, which is an error here, and leaves the error to us.
    with pytest.raises((ValueError, UserWarning), match="has missing values"):
        pipeline(max_iter=1).fit(with_gap(X), y)
    masked = pipeline().set_params(**{name: "mask"}).fit(with_gap(X), y)
    assert masked.score(with_gap(X_test), y_test) > 0.7


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_labels_reach_the_autoencoder(adapter, motions):
    X, y, *_ = motions
    transformer = adapter(small(target_weight=0.5, max_iter=1)).fit(X, y)
    assert transformer.autoencoder_.classes_.tolist() == sorted(set(y))
    with pytest.raises(ValueError, match=r"requires.*y"):
        adapter(small(target_weight=0.5)).fit(X)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_anything_but_an_autoencoder_is_refused(adapter, motions):
    with pytest.raises(InvalidParameterError, match=rf"{adapter.__name__} .*Got StandardScaler"):
        adapter(StandardScaler()).fit(motions[0])


@pytest.mark.parametrize("library", ["aeon", "sktime"])
def test_a_missing_library_is_named_with_its_extra(library, monkeypatch):
    monkeypatch.delitem(sys.modules, f"seqfeat.adapters.{library}")
    for name in [name for name in sys.modules if name.split(".")[0] == library]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=rf"pip install 'seqfeat\[{library}\]'"):
        importlib.import_module(f"seqfeat.adapters.{library}")


# Without an adapter: why there is one


def test_aeon_refuses_channels_in_front_of_a_transformer_that_is_not_its_own(motions):
    X, y, *_ = motions
    pipeline = aeon_pipeline(small(), discriminant())
    with pytest.raises(ValueError, match="has multivariate series"):
        pipeline.fit(X, y)
    # One channel passes, and its timesteps are taken for channels: we warn.
    with pytest.warns(LayoutWarning, match="1 timesteps and 100 channels"):
        pipeline.fit(X[:, :1], y)


def test_sktime_gives_a_transformer_that_is_not_its_own_one_series_at_a_time(motions):
    X, y, *_ = motions
    with pytest.raises(TypeError, match="unsupported operand"):
        small() * discriminant()
    # Timesteps come as samples, and one autoencoder is trained for each series.
    assert TransformerPipeline([small(max_iter=1)]).fit_transform(X[:4]).shape == (4, 8, 100)
    SklearnClassifierPipeline(discriminant(), [small(max_iter=0)]).fit(X[::4], y[::4])


@pytest.mark.parametrize(
    "transformer",
    [
        AeonTransformer(small(max_iter=1)),
        pytest.param(
            SktimeTransformer(small(max_iter=1)),
            marks=pytest.mark.xfail(
                raises=AttributeError,
                reason="sktime's fit deletes what scikit-learn 1.9's Pipeline hangs on a step",
            ),
        ),
        pytest.param(
            SummaryTransformer(),
            marks=pytest.mark.xfail(raises=AttributeError, reason="so do sktime's own"),
        ),
    ],
    ids=lambda transformer: type(transformer).__name__,
)
def test_scikit_learn_s_own_pipeline(transformer, motions):
    X, y, *_ = motions
    pipeline = sklearn_pipeline(transformer, StandardScaler(), discriminant()).fit(X, y)
    assert pipeline.predict(X).shape == (40,)
