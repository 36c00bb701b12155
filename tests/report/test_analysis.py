import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import DBSCAN
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from seqfeat import InputError, LSTMAutoencoder, make_classifier
from seqfeat.report.analysis import run_analysis
from tests.report.pages import noisy_waves

pytestmark = pytest.mark.usefixtures("one_thread")


def analyse(model, X, y=None, ids=None, **options):
    limits = {"max_points": 2000, "n_anomalies": 12, "random_state": 0}
    return run_analysis(model, X, y, ids, **{**limits, **options})


def untrained(*args, **params):
    return make_classifier(2, *args, max_iter=0, random_state=0, **params)


def test_each_step_of_the_model_runs_once(small, monkeypatch):
    X, y = noisy_waves(30, seed=1)
    calls = []

    def count(step, method):
        original = getattr(type(small[step]), method)

        def counted(self, X, *args):
            calls.append((step, len(X)))
            return original(self, X, *args)

        monkeypatch.setattr(type(small[step]), method, counted)

    count("autoencoder", "transform")
    count("scaler", "transform")
    count("classifier", "predict")
    analysis = analyse(small, X, y, max_points=10, n_anomalies=2)
    # What follows are copies of the drawn series without one of their stretches.
    assert calls[:3] == [("autoencoder", 30), ("scaler", 30), ("classifier", 30)]
    assert {step for step, _ in calls[3:]} == {"scaler"}
    assert list(analysis.seconds) == ["reconstructing", "embedding", "classifying"]


def test_it_finds_what_the_model_itself_says(small):
    X, y = noisy_waves(30, seed=1)
    analysis = analyse(small, X, y)
    autoencoder = small["autoencoder"]
    np.testing.assert_allclose(analysis.errors, -autoencoder.score_samples(X), rtol=1e-6)
    assert analysis.r_squared == pytest.approx(autoencoder.score(X))
    np.testing.assert_array_equal(analysis.predictions, small.predict(X))
    assert analysis.scores.accuracy == pytest.approx(small.score(X, y))
    rows = analysis.drawn.rows
    np.testing.assert_array_equal(rows, np.argsort(-analysis.errors, kind="stable"))
    probabilities = small.predict_proba(X).max(axis=1)
    np.testing.assert_allclose(analysis.confidences, probabilities[rows])
    assert analysis.names == [f"series {row}" for row in rows]
    assert not analysis.is_sampled


def test_a_model_without_a_classifier_has_no_predictions():
    X, _ = noisy_waves(10)
    analysis = analyse(LSTMAutoencoder(2, max_iter=0, random_state=0).fit(X), X)
    assert analysis.predictions is None
    assert analysis.confidences is None
    assert analysis.scores is None
    assert analysis.channel_names == ["value"]


def test_a_search_and_a_classifier_without_probabilities():
    X, y = noisy_waves(40)
    search = GridSearchCV(untrained(SVC()), {"classifier__C": [1, 10]}, cv=2).fit(X, y)
    analysis = analyse(search, X, y)
    assert analysis.confidences is None
    assert analysis.scores.accuracy == pytest.approx(search.score(X, y))


def test_pandas_output_reaches_the_classifier_as_in_the_pipeline():
    X, y = noisy_waves(40)
    model = untrained().set_output(transform="pandas").fit(X, y)
    assert analyse(model, X, y).scores.accuracy == pytest.approx(model.score(X, y))


@pytest.mark.parametrize(
    "convert",
    [
        lambda y: pd.Series(y).map({0: "a", 1: "b", 2: "c"}),
        lambda y: pd.Series(y).map({0: "a", 1: "b", 2: "c"}).astype("category"),
        lambda y: y > 0,
    ],
    ids=["strings", "categories", "booleans"],
)
def test_labels_may_have_any_type(convert):
    X, y = noisy_waves(40)
    labels = convert(y)
    model = untrained().fit(X, labels)
    assert analyse(model, X, labels).scores.accuracy == pytest.approx(model.score(X, labels))


def test_ids_and_channel_names_come_from_a_frame():
    index = pd.MultiIndex.from_product([["north", "south"], range(6)], names=["site", "time"])
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(12, 2)), index, ["wind", "rain"])
    model = LSTMAutoencoder(2, max_iter=0, random_state=0).fit(frame)
    analysis = analyse(model, frame)
    assert set(analysis.names) == {"north", "south"}
    assert analysis.channel_names == ["wind", "rain"]
    named = analyse(model, frame, ids=["n", "s"], channel_names=["w", "r"])
    assert set(named.names) == {"n", "s"}
    assert named.channel_names == ["w", "r"]


@pytest.mark.parametrize("n_series", [1, 5])
def test_equal_series_and_a_single_one_can_be_analysed(small, n_series):
    analysis = analyse(small, np.ones((n_series, 8)))
    assert len(analysis.names) == n_series
    assert not analysis.positions.any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": ["a"]}, "ids has 1 names for 30 series"),
        ({"channel_names": ["a", "b"]}, "channel_names has 2 names for 1 channels"),
        ({"y": ["a"] * 30}, "y holds strings, such as 'a', but the model predicts numbers"),
        ({"y": [0.0] * 29 + [np.nan]}, r"1 of 30 series has no label, .* being series 29"),
    ],
)
def test_arguments_that_do_not_match_the_series_are_an_error(small, change, message):
    X, y = noisy_waves(30)
    with pytest.raises(InputError, match=message):
        analyse(small, **{"X": X, "y": y, **change})


def test_labels_that_are_too_few_or_continuous_are_an_error(small):
    X, y = noisy_waves(30)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        analyse(small, X, y[:2])
    with pytest.raises(ValueError, match="continuous"):
        analyse(small, X, y + 0.5)


def test_a_model_that_is_not_fitted_or_finds_clusters_is_an_error():
    X, y = noisy_waves(30)
    with pytest.raises(NotFittedError):
        analyse(untrained(), X, y)
    model = make_pipeline(LSTMAutoencoder(2, max_iter=0, random_state=0), DBSCAN())
    with pytest.raises(InputError, match="DBSCAN, which predicts neither classes nor numbers"):
        analyse(model.fit(X, y), X, y)
