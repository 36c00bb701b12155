"""What features have to beat is fair: it sees the same series."""

import numpy as np
import pytest
from sklearn.base import clone

from seqfeat import make_classifier
from seqfeat.cli.evaluation import classifier_baselines, padded
from seqfeat.datasets import load_japanese_vowels


def test_rows_of_the_table_hold_the_series_cut_or_padded():
    series = [np.ones((2, 3)), np.full((4, 3), 2.0)]
    rows = padded(series, n_timesteps=5)
    assert rows.shape == (2, 15)
    np.testing.assert_array_equal(rows[0], [1.0] * 6 + [np.nan] * 9)
    np.testing.assert_array_equal(rows[1], [2.0] * 12 + [np.nan] * 3)
    np.testing.assert_array_equal(padded(series, n_timesteps=1), [[1.0] * 3, [2.0] * 3])


def test_missing_values_stay_missing():
    with_gap = np.array([[1.0, np.nan, 3.0]])
    np.testing.assert_array_equal(padded(with_gap, 4, missing="mask"), [[1, np.nan, 3, np.nan]])
    with pytest.raises(ValueError, match="NaN"):
        padded(with_gap, 4)


def test_baselines_reach_what_is_known_of_them():
    X, y = load_japanese_vowels(return_X_y=True)
    X_test, y_test = load_japanese_vowels(split="test", return_X_y=True)
    pipeline = make_classifier(16, random_state=0)
    before = clone(pipeline).get_params()
    scores = {
        name: clone(baseline).fit(X, y).score(X_test, y_test)
        for name, baseline in classifier_baselines(pipeline, X, y).items()
    }
    most_frequent = max((y_test == label).mean() for label in set(y))
    assert scores["most frequent class"] <= most_frequent
    assert 0.94 < scores["raw series + RBF SVC"] < 0.97
    assert scores["PCA(16) + same classifier"] > 0.85
    assert scores["untrained encoder + same classifier"] > 0.9
    assert str(pipeline.get_params()) == str(before)


def test_the_encoder_without_training_has_not_been_trained(utterances):
    X, y = utterances
    untrained = classifier_baselines(make_classifier(4), X, y)[
        "untrained encoder + same classifier"
    ]
    assert untrained.fit(X, y)["autoencoder"].n_iter_ == 0


@pytest.mark.parametrize("missing", ["error", "mask"])
def test_few_series_of_any_form_are_enough(missing):
    X = [np.arange(3.0), np.arange(5.0) + 1, np.arange(4.0) - 9, np.arange(2.0) - 7]
    if missing == "mask":
        X[1][2] = np.nan
    y = ["up", "up", "down", "down"]
    baselines = classifier_baselines(make_classifier(8, missing=missing, max_iter=1), X, y)
    for baseline in baselines.values():
        assert set(baseline.fit(X, y).predict([np.arange(9.0)])) <= {"up", "down"}
