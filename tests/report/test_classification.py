import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
)

from seqfeat import InputError
from seqfeat.report.classification import accuracy_interval, score_predictions


def test_scores_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    labels, predictions = rng.choice(list("abcd"), 50), rng.choice(list("bcde"), 50)
    labels[0], predictions[0] = "a", "e"  # classes that are never predicted, or never true
    scores = score_predictions(labels, predictions)
    assert scores.classes.tolist() == list("abcde")
    assert scores.accuracy == accuracy_score(labels, predictions)
    assert scores.interval == accuracy_interval(int((labels == predictions).sum()), 50)
    assert scores.macro_f1 == pytest.approx(f1_score(labels, predictions, average="macro"))
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        balanced = balanced_accuracy_score(labels, predictions)
    assert scores.balanced_accuracy == pytest.approx(balanced)
    matrix = confusion_matrix(labels, predictions)
    np.testing.assert_array_equal(scores.confusion_matrix(), matrix)
    columns = precision_recall_fscore_support(labels, predictions, zero_division=0.0)
    rows = [(c.precision, c.recall, c.f1, c.support) for c in scores.per_class]
    np.testing.assert_allclose(rows, np.transpose(columns))
    assert scores.majority_share == (labels == scores.majority_class).mean()


def test_the_majority_class_is_that_of_the_training_series():
    labels = np.array(["a", "b", "b", "c"])
    scores = score_predictions(labels, labels, y_train=np.array(["c", "c", "a", "b"]))
    assert (scores.majority_class, scores.majority_share) == ("c", 0.25)


def test_the_interval_is_wilsons():
    # Wilson (1927): the two accuracies that lie z standard errors from the observed one.
    z, n, accuracy = 1.959963984540054, 100, 0.9
    for end, sign in zip(accuracy_interval(90, n), (-1, 1), strict=True):
        half = z * np.sqrt(accuracy * (1 - accuracy) / n + z**2 / (4 * n**2))
        expected = (accuracy + z**2 / (2 * n) + sign * half) / (1 + z**2 / n)
        assert end == pytest.approx(expected, rel=1e-12)


def test_strings_and_numbers_are_not_compared():
    message = "y holds strings, such as 'a', but the model predicts numbers, such as 0; pass"
    with pytest.raises(InputError, match=message):
        score_predictions(np.array(["a", "b"]), np.array([0, 1]))
