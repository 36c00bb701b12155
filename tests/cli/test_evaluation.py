import json

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold, cross_val_score

import seqfeat as library
from seqfeat import make_classifier
from seqfeat.cli.evaluation import RunningScore, classifier_baselines, pad_to_table
from seqfeat.datasets import load_japanese_vowels
from seqfeat.series import read
from tests.commands import LONG, QUICK, error_of, ok, waves

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def test_cross_validation_scores_are_those_of_scikit_learn(tmp_path, csv):
    path = tmp_path / "m.joblib"
    arguments = ["train", csv, *LONG, *QUICK, "--cv", "3", "--no-baselines", "-o", path, "--json"]
    metrics = ok(*arguments).json["metrics"]
    X, y = read(csv, series_id="meter", time="day", label="kind")
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    pipeline = make_classifier(4, max_iter=3, random_state=0)
    scores = cross_val_score(pipeline, X, y, cv=folds)
    assert metrics["cv_accuracy"] == scores.mean()
    assert metrics["cv_accuracy_std"] == scores.std()
    # The saved model is trained on all series.
    np.testing.assert_array_equal(
        library.load(path).predict_proba(X), pipeline.fit(X, y).predict_proba(X)
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--cv", "21"], ["--cv 21", "20 series", "--cv 20"]),
        (["--test-size", "1.5"], ["--test-size 1.5"]),
        (["--test-size", "0.02"], ["--test-size 0.02", "one of each class", "--cv"]),
    ],
)
def test_a_split_that_is_impossible_is_an_error(tmp_path, csv, options, words):
    message = error_of("train", csv, *LONG, *options, "-o", tmp_path / "m.joblib")
    for word in words:
        assert word in message


def test_more_folds_than_series_are_an_error(tmp_path, npy):
    message = error_of("train", npy, "--cv", "25", "-o", tmp_path / "m.joblib")
    assert message == "--cv 25: there are only 24 series; use fewer folds."


def test_a_classifier_is_compared_with_baselines(tmp_path, csv):
    scores = ok("train", csv, *LONG, *QUICK, "-o", tmp_path / "m.joblib", "--json").json["scores"]
    assert list(scores) == [
        "seqfeat, 4 features + logistic",
        "most frequent class",
        "raw series + RBF SVC",
        "PCA(4) + same classifier",
        "untrained encoder + same classifier",
    ]
    assert scores["most frequent class"] == 0.5
    metrics = json.loads((tmp_path / "m.json").read_text())["metrics"]
    assert metrics["baseline: raw series + RBF SVC"] == scores["raw series + RBF SVC"]


def test_a_slow_baseline_is_skipped_for_many_series(tmp_path, csv, monkeypatch):
    monkeypatch.setattr("seqfeat.cli.evaluation.MAX_SERIES_FOR_SVC", 20)
    result = ok("train", csv, *LONG, *QUICK, "-o", tmp_path / "m.joblib", "--json")
    assert "raw series + RBF SVC" not in result.json["scores"]
    assert "Skipping raw series + RBF SVC" in result.err


def test_baselines_score_as_expected():
    X, y = load_japanese_vowels(return_X_y=True)
    X_test, y_test = load_japanese_vowels(split="test", return_X_y=True)
    pipeline = make_classifier(16, random_state=0)
    before = str(clone(pipeline).get_params())
    scores = {
        name: clone(baseline).fit(X, y).score(X_test, y_test)
        for name, baseline in classifier_baselines(pipeline, X, y).items()
    }
    most_frequent = max((y_test == label).mean() for label in set(y))
    assert scores["most frequent class"] <= most_frequent
    assert 0.94 < scores["raw series + RBF SVC"] < 0.97
    assert scores["PCA(16) + same classifier"] > 0.85
    assert scores["untrained encoder + same classifier"] > 0.9
    assert str(pipeline.get_params()) == before


def test_the_untrained_encoder_is_untrained(utterances):
    untrained = classifier_baselines(make_classifier(4), *utterances)[
        "untrained encoder + same classifier"
    ]
    assert untrained.fit(*utterances)["autoencoder"].n_iter_ == 0


@pytest.mark.parametrize("missing", ["error", "mask"])
def test_baselines_work_on_few_series_of_unequal_length(missing):
    X = [np.arange(3.0), np.arange(5.0) + 1, np.arange(4.0) - 9, np.arange(2.0) - 7]
    if missing == "mask":
        X[1][2] = np.nan
    y = ["up", "up", "down", "down"]
    baselines = classifier_baselines(make_classifier(8, missing=missing, max_iter=1), X, y)
    for baseline in baselines.values():
        assert set(baseline.fit(X, y).predict([np.arange(9.0)])) <= {"up", "down"}


def test_a_table_pads_or_cuts_series():
    series = [np.ones((2, 3)), np.full((4, 3), 2.0)]
    rows = pad_to_table(series, n_timesteps=5)
    assert rows.shape == (2, 15)
    np.testing.assert_array_equal(rows[0], [1.0] * 6 + [np.nan] * 9)
    np.testing.assert_array_equal(rows[1], [2.0] * 12 + [np.nan] * 3)
    np.testing.assert_array_equal(pad_to_table(series, n_timesteps=1), [[1.0] * 3, [2.0] * 3])


def test_a_table_keeps_missing_values_if_they_are_allowed():
    gap = np.array([[1.0, np.nan, 3.0]])
    np.testing.assert_array_equal(pad_to_table(gap, 4, missing="mask"), [[1, np.nan, 3, np.nan]])
    with pytest.raises(ValueError, match="NaN"):
        pad_to_table(gap, 4)


@pytest.mark.parametrize("with_gaps", [False, True])
def test_the_score_of_batches_is_the_score_of_all_series(with_gaps):
    X = waves()
    if with_gaps:
        X[::3, 15:] = np.nan
        X[1::3, 4:9] = np.nan
    missing = "mask" if with_gaps else "error"
    autoencoder = library.LSTMAutoencoder(2, max_iter=2, missing=missing, random_state=0).fit(X)
    score = RunningScore(autoencoder)
    for start in range(0, 30, 7):
        score.add(X[start : start + 7])
    assert score.n_series == 30
    assert score.r_squared == pytest.approx(autoencoder.score(X), abs=1e-6)


def test_fitting_the_baselines_does_not_change_the_pipeline(utterances):
    X, y = utterances
    pipeline = make_classifier(4, max_iter=0, random_state=0).fit(X, y)
    before = pipeline.predict_proba(X)
    for baseline in classifier_baselines(pipeline, X, y).values():
        baseline.fit(X, y)
    np.testing.assert_array_equal(pipeline.predict_proba(X), before)
