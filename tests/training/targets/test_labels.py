"""Labels before they become class indices; errors are scikit-learn's where it has some."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import DataConversionWarning

from seqfeat import InputError
from seqfeat.series import as_series
from seqfeat.training.targets.labels import (
    check_labels,
    check_labels_of,
    class_labels,
    encode_labels,
)

X = np.zeros((4, 3, 1))


def long_frame(names):
    """Return a frame with two rows for each series."""
    index = pd.MultiIndex.from_product([names, [0, 1]], names=["series", "time"])
    return pd.DataFrame({"channel": np.arange(2.0 * len(names))}, index)


def series_of(names):
    """Return series in each form that carries their names."""
    arrays = [np.arange(2.0)[:, None] + i for i in range(len(names))]
    return {
        "Series of arrays": pd.Series(arrays, index=names),
        "wide frame": pd.DataFrame(np.hstack(arrays).T, index=names, columns=["t0", "t1"]),
        "long frame": long_frame(names),
    }


FORMS = list(series_of(["a"]))


# Labels that are not used


def test_labels_of_another_number_than_the_series_are_an_error_even_if_nothing_uses_them():
    check_labels([0.1, 0.5, 1.5], as_series(X[:3]))
    with pytest.raises(ValueError, match="inconsistent numbers of samples: \\[4, 3\\]"):
        check_labels([1, 2, 3], as_series(X))


MISSING = {
    "None": ["a", None, "b", None],
    "NaN among texts": ["a", np.nan, "b", np.nan],
    "NaN": np.array([0.0, np.nan, 1.0, np.nan]),
    "text": pd.Series(["a", np.nan, "b", None]),
    "Int64": pd.Series([0, pd.NA, 1, pd.NA], dtype="Int64"),
    "extension array": pd.array([True, pd.NA, False, pd.NA]),
    "category": pd.Series(["a", None, "b", None], dtype="category"),
    "NaT": pd.to_datetime(["2020-01-01", None, "2020-01-02", None]),
    "datetime64": np.array(["2020-01-01", "NaT", "2020-01-02", "NaT"], dtype="datetime64[D]"),
    "masked array": np.ma.array([0, 5, 1, 5], mask=[0, 1, 0, 1]),
    "masked elements": [0, np.ma.masked, 1, np.ma.masked],
    "frame of one column": pd.DataFrame({"y": ["a", None, "b", None]}),
    "object array": np.array(["a", None, "b", float("nan")], dtype=object),
    "decimals": [Decimal(1), Decimal("NaN"), Decimal(2), Decimal("NaN")],
    "tuple": (1, None, 2, None),
}


@pytest.mark.parametrize("y", MISSING.values(), ids=MISSING)
def test_fault_61_a_missing_label_is_an_error_that_names_the_first_series(y):
    message = r"Input y contains NaN: 2 of 4 series have no label, the first one being series {}\."
    with pytest.raises(InputError, match=message.format("1")):
        check_labels(y, as_series(X))
    with pytest.raises(InputError, match=message.format("1")):
        class_labels(y)
    with pytest.raises(InputError, match=message.format("q")):
        class_labels(y, pd.Index(list("pqrs")))


@pytest.mark.parametrize("form", FORMS)
def test_a_series_without_a_label_is_called_by_its_name(form):
    X = series_of(["b", "a", "c"])[form]
    for check in (lambda y: check_labels(y, as_series(X)), lambda y: check_labels_of(X, y)):
        with pytest.raises(InputError, match=r"1 of 3 series has no label, .* being series a"):
            check(["x", None, "y"])


def test_masks_and_no_missing_labels_are_not_confused():
    check_labels(np.ma.array([0, 1, 0, 1]), as_series(X))
    check_labels(["", "nan", "None", "NA"], as_series(X))


# Labels that carry names


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("index", "problem"),
    [
        (["a", "b", "c"], "y names the same series as X, but in another order: entry 0 of X is b"),
        (["b", "a", "q"], "y names other series than X: entry 2 of X is c, of y q"),
        (["x", "y", "z"], "y names other series than X"),
        (pd.Index([3, 1, 2], name="patient"), "y names other series than X"),
    ],
)
def test_fault_55_labels_that_name_other_series_are_an_error_in_every_form(form, index, problem):
    X = series_of(["b", "a", "c"])[form]
    for y in (pd.Series([1, 2, 3], index=index), pd.DataFrame({"y": [1, 2, 3]}, index=index)):
        with pytest.raises(InputError, match=problem):
            check_labels(y, as_series(X))
        with pytest.raises(InputError, match=rf"{problem}.*y\.loc\[X\.index.*y\.to_numpy"):
            check_labels_of(X, y)


@pytest.mark.parametrize("form", FORMS)
def test_the_ways_out_of_another_order_work(form):
    X = series_of(["b", "a", "c"])[form]
    y = pd.Series([1, 2, 3], index=["a", "b", "c"])
    in_order = y.loc[X.index.unique(level=0) if form == "long frame" else X.index]
    check_labels(in_order, as_series(X))
    assert in_order.tolist() == [2, 1, 3]
    check_labels(y.to_numpy(), as_series(X))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "y",
    [
        [1, 2, 3],
        pd.Series([1, 2, 3]),
        # What a split leaves of labels without names.
        pd.Series([1, 2, 3], index=[17, 4, 9]),
        pd.Series([1, 2, 3], index=["b", "a", "c"]),
        pd.Series([1, 2, 3], index=pd.Index(["b", "a", "c"], dtype="category")),
    ],
)
def test_labels_that_name_no_series_are_matched_by_position(form, y):
    check_labels(y, as_series(series_of(["b", "a", "c"])[form]))


def test_series_without_names_take_labels_with_any():
    check_labels(pd.Series([1, 2, 3, 4], index=list("dcba")), as_series(X))


def test_row_numbers_of_both_are_compared():
    wide = pd.DataFrame(np.zeros((3, 2)), index=[7, 2, 5], columns=["t0", "t1"])
    check_labels(pd.Series([1, 2, 3], index=[7, 2, 5]), as_series(wide))
    with pytest.raises(InputError, match="y names other series than X: entry 0 of X is 7, of y 1"):
        check_labels(pd.Series([1, 2, 3], index=[1, 2, 5]), as_series(wide))


def test_labels_of_the_rows_of_a_frame_are_an_error():
    frame = long_frame(["b", "a", "c"])
    y = pd.Series([1, 1, 2, 2, 1, 1], index=frame.index)
    message = r"y has 6 labels, one for each row of X, but .* X has 3 series.*from_long"
    with pytest.raises(InputError, match=message):
        check_labels(y, as_series(frame))
    with pytest.raises(InputError, match=message):
        check_labels_of(frame, y.tolist())


def test_a_dict_of_labels_is_an_error():
    with pytest.raises(InputError, match=r"y is a dict; .* \[y\[name\] for name in"):
        check_labels(dict.fromkeys(range(4), 0), as_series(X))


# Labels of classes


@pytest.mark.parametrize("y", [[0, 1, 0, 2], list("abab"), np.array([True, False] * 2)])
def test_labels_of_any_type_are_classes(y):
    np.testing.assert_array_equal(class_labels(y), y)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "requires y to be passed, but the target y is None.*target_weight=0"),
        ([0.0, np.nan, 1.0, 1.0], "Input y contains NaN"),
        (["a", np.nan, "b", "b"], "Input y contains NaN"),
        (pd.array([0, pd.NA, 1, 1]), "Input y contains NaN"),
        ([1, "a", 1, "a"], "types number and str: 1 is that of series 0, 'a' that of series 1"),
        ([True, False, True, 1], "types bool and number: True is that of series 0, 1 that of .* 3"),
        (["a", b"a", "b", "b"], "types str and bytes"),
        (pd.Series([1, "1", 2, 2], dtype="category"), "types number and str"),
        ([0.1, 0.7, 1.3, 2.0], "Unknown label type: continuous"),
        ([[0, 1]] * 4, r"y should be a 1d array, got an array of shape \(4, 2\)"),
    ],
)
def test_labels_that_are_no_classes_are_an_error(y, message):
    with pytest.raises(ValueError, match=message):
        class_labels(y)


def test_a_column_of_labels_is_taken_with_scikit_learns_warning():
    with pytest.warns(DataConversionWarning):
        labels = class_labels([[0], [1], [0], [1]])
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
