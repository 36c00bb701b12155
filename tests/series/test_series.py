import numpy as np
import pandas as pd
import pytest

from seqfeat.series import Series, as_series
from seqfeat.series import series as series_module
from tests.series.inputs import NAN, random_values, unequal_series


def test_series_may_be_built_by_hand():
    series = Series(random_values(2, 3, 1), np.array([3, 2]))
    assert (len(series), series.form, series.is_complete) == (2, "array", True)
    assert (series.n_timesteps, series.n_channels) == (3, 1)
    assert not series.is_dense
    assert not series.is_lazy


def test_series_cannot_be_changed():
    series = as_series(random_values(2, 3))
    with pytest.raises(AttributeError):
        series.form = "list"


def test_padding_after_the_longest_series_does_not_count():
    X = random_values(2, 5, 1)
    X[:, 3:] = NAN
    series = as_series(X, missing="mask")
    assert series.n_timesteps == 3
    assert series.is_dense
    assert series.observed is None


# Blocks


@pytest.mark.parametrize(
    ("n_bytes", "sizes"), [(3 * 4 * 2 * 8, [3, 3, 2]), (1, [1] * 8), (10**6, [8])]
)
def test_blocks_cover_every_series_once(monkeypatch, n_bytes, sizes):
    monkeypatch.setattr(series_module, "BLOCK_BYTES", n_bytes)
    blocks = list(as_series(random_values(8, 4, 2)).blocks())
    assert [block.stop - block.start for block in blocks] == sizes
    rows = np.concatenate([np.arange(8)[block] for block in blocks])
    np.testing.assert_array_equal(rows, np.arange(8))


# take


def test_take_copies_the_given_series():
    series = as_series(unequal_series())
    taken = series.take(np.array([2, 0]))
    np.testing.assert_array_equal(taken.lengths, [5, 4])
    np.testing.assert_array_equal(taken.values, series.values[[2, 0]])
    assert not np.shares_memory(taken.values, series.values)
    assert (taken.form, taken.is_complete) == (series.form, series.is_complete)


def test_series_of_equal_length_are_dense_when_taken():
    series = as_series([random_values(3, 1), random_values(2, 1), random_values(3, 1)])
    assert not series.is_dense
    assert series.take(np.array([0, 2])).is_dense


def test_missing_values_are_still_missing_when_taken():
    X = random_values(3, 4, 1)
    X[1, 1] = NAN
    taken = as_series(X, missing="mask").take(np.array([1]))
    assert not taken.is_complete
    np.testing.assert_array_equal(taken.observed[0, :, 0], [True, False, True, True])


# like_input


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 2)])
def test_arrays_and_tables_come_back_in_their_shape(shape):
    X = random_values(*shape)
    series = as_series(X)
    np.testing.assert_array_equal(series.like_input(series.values), X)


def test_lists_come_back_cut_to_their_lengths():
    items = unequal_series()
    series = as_series(items)
    rows = series.like_input(series.values)
    assert isinstance(rows, list)
    for row, item in zip(rows, items, strict=True):
        np.testing.assert_array_equal(row, item)


def test_named_series_come_back_with_their_ids():
    X = pd.Series(unequal_series(), index=["c", "a", "b"])
    series = as_series(X)
    rows = series.like_input(series.values)
    assert rows.index.tolist() == ["c", "a", "b"]
    np.testing.assert_array_equal(rows["a"], X["a"])


def test_frames_come_back_in_their_order_of_rows():
    index = pd.MultiIndex.from_tuples([("b", 1), ("a", 0), ("b", 0), ("b", 3)])
    frame = pd.DataFrame({"v": [1.0, 2.0, 3.0, 4.0], "w": 0.5}, index=index)
    series = as_series(frame, missing="mask")
    pd.testing.assert_frame_equal(series.like_input(series.values), frame)
