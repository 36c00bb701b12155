"""Reports on models that predict numbers, and on why models predict what they predict."""

import json
import re

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.neighbors import NearestCentroid

from seqfeat import InputError, make_classifier, make_regressor
from seqfeat.inspection import occlusion
from seqfeat.pipeline import pipeline_parts
from seqfeat.report import save_report
from seqfeat.report.occlusion import explain
from seqfeat.report.regression import score_numbers
from seqfeat.series import as_series

pytest.importorskip("bokeh")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).normal(size=(30, 40, 2))
Y = X[:, :, 0].mean(axis=1)
SMALL = {"hidden_dim": 8, "max_iter": 0, "random_state": 0}


@pytest.fixture(scope="module")
def model():
    return make_regressor(6, **SMALL).fit(X[:20], Y[:20])


def page_of(path):
    text = path.read_text(encoding="utf-8")
    data = re.search(r'<script[^>]*id="data"[^>]*>(.*?)</script>', text, re.DOTALL)
    return text, json.loads(data[1])


def test_scores_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    true, predicted = rng.normal(size=(2, 50, 3))
    scores = score_numbers(predicted, true, y_train=true + 1)
    for target in range(3):
        columns = true[:, target], predicted[:, target]
        assert scores.r_squared[target] == pytest.approx(r2_score(*columns))
        assert scores.mean_absolute_error[target] == pytest.approx(mean_absolute_error(*columns))
    constant = np.broadcast_to((true + 1).mean(axis=0), true.shape)
    assert scores.mean_score == pytest.approx(r2_score(true, constant))


def test_the_page_compares_predictions_with_true_numbers(model, tmp_path):
    baselines = {"raw series": 0.25}
    path = save_report(model, X[20:], Y[20:], tmp_path / "r.html", baselines=baselines)
    text, data = page_of(path)
    assert f"{model.score(X[20:], Y[20:]):.3f}" in text
    assert "predict the mean of the series in this report" in text
    assert "raw series" in text
    assert 'id="prediction-0"' in text
    predictions = {f"predicted: {it:.4g}" for it in model.predict(X[20:])}
    assert {facts[1] for facts in data["facts"]} == predictions


def test_several_targets_have_plots_of_their_own(tmp_path):
    several = make_regressor(6, **SMALL).fit(X, np.column_stack([Y, -Y]))
    text, data = page_of(save_report(several, X, np.column_stack([Y, -Y]), tmp_path / "r.html"))
    assert 'id="prediction-1"' in text
    assert data["causes"] is None


def test_without_true_numbers_predictions_are_shown_alone(model, tmp_path):
    text, data = page_of(save_report(model, X, target=tmp_path / "r.html"))
    assert 'id="prediction-0"' not in text
    assert len(data["facts"][0]) == 1


@pytest.mark.parametrize(
    ("y", "says"),
    [
        (np.zeros((30, 2)), "y has 2 numbers for each series"),
        (["x"] * 30, "it has to hold numbers"),
    ],
)
def test_numbers_that_do_not_fit_are_an_error(model, y, says, tmp_path):
    with pytest.raises((InputError, TypeError), match=says):
        save_report(model, X, y, tmp_path / "r.html")


def test_the_drawn_series_come_with_what_their_prediction_rests_on(tmp_path):
    classifier = make_classifier(6, **SMALL).fit(X, np.arange(30) % 2)
    _, data = page_of(save_report(classifier, X, target=tmp_path / "r.html"))
    causes, rows = data["causes"], [int(name.split()[1]) for name in data["names"]]
    expected = occlusion(classifier, X[rows], width=causes["width"])
    np.testing.assert_allclose(causes["values"], expected, rtol=5e-3, atol=1e-6)
    assert causes["width"] == 2


def test_what_says_nothing_of_its_certainty_is_not_explained():
    class LabelsAlone(NearestCentroid):
        @property
        def predict_proba(self):
            raise AttributeError

        @property
        def decision_function(self):
            raise AttributeError

    classifier = make_classifier(6, LabelsAlone(), **SMALL).fit(X, np.arange(30) % 2)
    assert explain(pipeline_parts(classifier), as_series(X), np.arange(3)) is None
