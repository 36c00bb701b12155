"""Occlusion against a loop over predictions, and against causes that were planted."""

import numpy as np
import pytest
from sklearn.linear_model import Perceptron, RidgeClassifier
from sklearn.neighbors import NearestCentroid
from sklearn.svm import SVC

from seqfeat import InputError, InputTypeError, LSTMAutoencoder, make_classifier, make_regressor
from seqfeat.inspection import occlusion
from tests.autoencoders import ragged_waves

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SMALL = {"max_iter": 0, "hidden_dim": 8, "random_state": 0}
LABELS = np.arange(30) % 3


def ragged(n_samples=30):
    return ragged_waves(n_samples, n_timesteps=14)


@pytest.fixture(scope="module")
def model():
    return make_classifier(6, missing="mask", **SMALL).fit(ragged(), LABELS)


def by_hand(model, X, width, channel, outputs):
    """Return the fall of the predicted class's output, series by series and stretch by stretch."""
    mean, found = model["autoencoder"].mean_, []
    for series in X:
        before = outputs([series])[0]
        predicted = before.argmax()
        falls = []
        for start in range(0, len(series), width):
            hidden = series.copy()
            columns = slice(None) if channel is None else channel
            part = hidden[start : start + width, columns]
            hidden[start : start + width, columns] = np.where(np.isnan(part), part, mean[columns])
            falls.append(before[predicted] - outputs([hidden])[0][predicted])
        found.append(falls)
    return found


def assert_equal_until_the_end(found, expected):
    for row, falls in zip(found, expected, strict=True):
        np.testing.assert_allclose(row[: len(falls)], falls, rtol=1e-5, atol=1e-6)
        assert np.isnan(row[len(falls) :]).all()


def test_importances_are_how_much_the_probability_falls(model):
    X = ragged()[:5]
    X[0][2, 1] = np.nan
    found = occlusion(model, X, width=4)
    assert found.shape == (5, 4)
    assert_equal_until_the_end(found, by_hand(model, X, 4, None, model.predict_proba))


def test_channels_are_replaced_one_by_one(model):
    X = ragged()[:3]
    found = occlusion(model, X, width=5, by_channel=True)
    assert found.shape == (3, 3, 2)
    for channel in (0, 1):
        expected = by_hand(model, X, 5, channel, model.predict_proba)
        assert_equal_until_the_end(found[:, :, channel], expected)


def test_batches_change_nothing(model, monkeypatch):
    expected = occlusion(model, ragged(), width=3)
    monkeypatch.setattr("seqfeat.inspection.BATCH_VALUES", 100)
    np.testing.assert_array_equal(occlusion(model, ragged(), width=3), expected)


@pytest.mark.parametrize("classifier", [SVC(), RidgeClassifier()])
def test_without_probabilities_the_decision_function_counts(classifier):
    model = make_classifier(6, classifier, **SMALL).fit(ragged(), LABELS)
    found = occlusion(model, ragged()[:3], width=6)
    assert_equal_until_the_end(
        found, by_hand(model, ragged()[:3], 6, None, model.decision_function)
    )


def test_a_binary_decision_speaks_for_the_predicted_class():
    model = make_classifier(6, Perceptron(), **SMALL).fit(ragged(), LABELS == 1)

    def outputs(X):
        decision = model.decision_function(X)
        return np.column_stack([-decision, decision])

    found = occlusion(model, ragged()[:4], width=6)
    assert_equal_until_the_end(found, by_hand(model, ragged()[:4], 6, None, outputs))


@pytest.mark.parametrize("n_targets", [1, 2])
def test_predictions_of_numbers_fall(n_targets):
    y = np.random.default_rng(0).normal(size=(30, n_targets))
    model = make_regressor(6, **SMALL).fit(ragged(), y if n_targets > 1 else y[:, 0])
    series = ragged()[:1]
    found = occlusion(model, series, width=7)
    assert found.shape == (1, 2, 2)[: 1 + n_targets] if n_targets > 1 else found.shape == (1, 2)
    hidden = series[0].copy()
    hidden[:7] = model["autoencoder"].mean_
    expected = model.predict(series)[0] - model.predict([hidden])[0]
    np.testing.assert_allclose(found[0, 0], expected, rtol=1e-5, atol=1e-6)


def test_it_finds_the_cause():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(90, 40, 3)), np.arange(90) % 3
    X[y == 1, 8:16, 0] += 2.5
    X[y == 2, 24:32, 2] -= 2.5
    model = make_classifier(16, max_iter=0, random_state=0).fit(X[:60], y[:60])
    found = occlusion(model, X[60:], width=8, by_channel=True)
    for label, cause in ((1, (1, 0)), (2, (3, 2))):
        mean = found[y[60:] == label].mean(axis=0)
        assert np.unravel_index(mean.argmax(), mean.shape) == cause


def test_a_table_has_stretches_of_columns():
    X = np.random.default_rng(0).normal(size=(20, 12))
    model = make_classifier(4, **SMALL).fit(X, np.arange(20) % 2)
    assert occlusion(model, X[:2], width=5).shape == (2, 3)


def test_names_of_embeddings_reach_the_steps_that_saw_them(recwarn):
    model = make_classifier(4, **SMALL).set_output(transform="pandas")
    model.fit(ragged(), LABELS)
    assert np.isfinite(occlusion(model, ragged()[:1], width=3)).all()
    assert not [warning for warning in recwarn if "feature names" in str(warning.message)]


def test_what_predicts_nothing_is_an_error():
    fitted = LSTMAutoencoder(4, **SMALL).fit(ragged())
    with pytest.raises(InputError, match="the model predicts nothing"):
        occlusion(fitted, ragged(), width=3)


def test_a_classifier_that_says_nothing_but_labels_is_an_error():
    class LabelsAlone(NearestCentroid):
        @property
        def predict_proba(self):
            raise AttributeError

        @property
        def decision_function(self):
            raise AttributeError

    model = make_classifier(4, LabelsAlone(), **SMALL).fit(ragged(), LABELS)
    with pytest.raises(InputError, match="neither predict_proba nor decision_function"):
        occlusion(model, ragged(), width=3)


@pytest.mark.parametrize(
    ("width", "error"), [(0, InputError), (2.5, InputTypeError), (True, InputTypeError)]
)
def test_stretches_have_whole_timesteps(model, width, error):
    with pytest.raises(error, match=f"width={width}"):
        occlusion(model, ragged(), width=width)
