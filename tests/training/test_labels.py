"""Labels before they become class indices; errors are scikit-learn's where it has some."""

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import DataConversionWarning

from seqfeat import InputError
from seqfeat.series import as_series
from seqfeat.training.labels import check_labels, class_labels, encode_labels

X = np.zeros((4, 3, 1))


def long_frame(names):
    """Return a frame with two rows for each series."""
    index = pd.MultiIndex.from_product([names, [0, 1]], names=["series", "time"])
    return pd.DataFrame({"channel": np.arange(2.0 * len(names))}, index)


# Labels that are not used


def test_labels_of_another_number_than_the_series_are_an_error_even_if_nothing_uses_them():
    check_labels(["a", "b", "c", None], as_series(X))
    with pytest.raises(ValueError, match="inconsistent numbers of samples: \\[4, 3\\]"):
        check_labels([1, 2, 3], as_series(X))


def test_labels_that_name_the_series_in_another_order_are_an_error():
    series = as_series(long_frame(["b", "a", "c"]))
    labels = pd.Series([1, 2, 3], index=["a", "b", "c"])
    with pytest.raises(InputError, match=r"X begins with b, y with a.*sort_index"):
        check_labels(labels, series)
    check_labels(labels[["b", "a", "c"]], series)


def test_labels_that_do_not_name_the_series_are_matched_by_position():
    series = as_series(long_frame(["b", "a", "c"]))
    check_labels(pd.Series([1, 2, 3]), series)
    check_labels([1, 2, 3], series)
    check_labels(pd.Series([1, 2, 3, 4], index=list("dcba")), as_series(X))


# Labels of classes


@pytest.mark.parametrize("y", [[0, 1, 0, 2], list("abab"), np.array([True, False] * 2)])
def test_labels_of_any_type_are_classes(y):
    np.testing.assert_array_equal(class_labels(y, X), y)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "requires y to be passed, but the target y is None.*target_weight=0"),
        ([0.0, np.nan, 1.0, 1.0], "Input y contains NaN"),
        (["a", np.nan, "b", "b"], "Input y contains NaN"),
        (pd.array([0, pd.NA, 1, 1]), "Input y contains NaN"),
        ([0, 1, 0], "inconsistent numbers of samples"),
        ([0.1, 0.7, 1.3, 2.0], "Unknown label type: continuous"),
        ([[0, 1]] * 4, r"y should be a 1d array, got an array of shape \(4, 2\)"),
    ],
)
def test_labels_that_are_no_classes_are_an_error(y, message):
    with pytest.raises(ValueError, match=message):
        class_labels(y, X)


def test_a_column_of_labels_is_taken_with_scikit_learns_warning():
    with pytest.warns(DataConversionWarning):
        labels = class_labels([[0], [1], [0], [1]], X)
    assert labels.tolist() == [0, 1, 0, 1]


# Class indices


def test_labels_become_indices_of_sorted_classes():
    labels, classes = np.array(["c", "a", "c", "b"]), np.array(["a", "b", "c", "d"])
    assert encode_labels(labels, classes).tolist() == [2, 0, 2, 1]


def test_a_single_class_is_an_error():
    with pytest.raises(InputError, match="y holds 1 class, 'a'; target_weight > 0 needs at least"):
        encode_labels(np.array(["a", "a"]), np.array(["a"]))


def test_labels_that_are_no_class_are_named():
    with pytest.raises(InputError, match=r"y holds \['c'\], .* classes \['a', 'b'\].*first call"):
        encode_labels(np.array(["a", "c"]), np.array(["a", "b"]))
