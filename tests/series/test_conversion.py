import collections
import io
import warnings
from pathlib import Path

import awkward as ak
import mne
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
import torch
import xarray as xr

from seqfeat.exceptions import IndexColumnWarning, InputError, InputTypeError
from seqfeat.series import LabelledSeries, as_series, conversion, from_channels_first
from seqfeat.series import series as series_module
from seqfeat.series.series import to_object_array
from tests.series.inputs import (
    NAN,
    as_object_array,
    error_of,
    padded,
    random_values,
    unequal_series,
)


def assert_holds(series, items, form):
    """Check the form, and that each series has the values and the length of its item."""
    assert series.form == form
    assert len(series) == len(items)
    assert series.lengths.dtype == np.int64
    np.testing.assert_array_equal(series.lengths, [len(item) for item in items])
    np.testing.assert_array_equal(series.values, padded(items))


# Forms of the input


@pytest.mark.parametrize("collect", [list, tuple, as_object_array])
@pytest.mark.parametrize("n_series", [1, 3])
def test_a_collection_of_equal_series_is_a_list_too(collect, n_series):
    items = [random_values(4, 2, seed=seed) for seed in range(n_series)]
    assert_holds(as_series(collect(items)), items, "list")
    flat = as_series(collect([item[:, 0] for item in items]))
    assert_holds(flat, [item[:, :1] for item in items], "list")


@pytest.mark.parametrize(
    ("X", "says"),
    [
        ([[[1, 1, 1]], [[1, 1, 1]], [[1, 1]]], "series 2 has 2 channels, series 0 has 3"),
        ([[[1], [2]], [[1], [3, 4]]], "series 1: X is not a regular array"),
        (as_object_array([np.ones(3), 1.0]), "series 1 has shape ()"),
        (as_object_array([1.0, np.ones(3)]), "series 0 has shape ()"),
    ],
)
def test_what_is_ragged_below_the_first_level_or_mixed_is_named(X, says):
    assert error_of(as_series, X).startswith(says)


def test_a_3d_array_is_viewed():
    X = random_values(3, 4, 2)
    series = as_series(X)
    assert_holds(series, X, "array")
    assert np.shares_memory(series.values, X)


def test_a_table_has_one_channel_and_is_viewed():
    X = random_values(3, 4)
    series = as_series(X)
    assert_holds(series, X[:, :, None], "table")
    assert np.shares_memory(series.values, X)


def test_a_plain_array_is_not_taken_for_anything_else(monkeypatch):
    for name in ("is_lazy", "as_list", "frame_as_numbers", "from_multi_index"):
        monkeypatch.delattr(conversion, name)
    assert as_series(random_values(3, 4, 2)).form == "array"


@pytest.mark.parametrize("collect", [list, tuple, as_object_array, pd.Series])
def test_a_collection_of_unequal_series_is_a_list(collect):
    items = unequal_series()
    assert_holds(as_series(collect(items)), items, "list")
    flat = as_series(collect([item[:, 0] for item in items]))
    assert_holds(flat, [item[:, :1] for item in items], "list")


def test_regular_nested_lists_are_a_table_or_an_array():
    table, array = random_values(3, 4), random_values(3, 4, 2)
    assert_holds(as_series(table.tolist()), table[:, :, None], "table")
    assert_holds(as_series(array.tolist()), array, "array")


def test_ragged_nested_lists_are_a_list():
    items = unequal_series()
    assert_holds(as_series([item.tolist() for item in items]), items, "list")
    flat = as_series([[1, 2, 3], (4, 5)])
    assert_holds(flat, [[[1], [2], [3]], [[4], [5]]], "list")


def test_a_list_of_frames_and_of_pandas_series_is_a_list():
    items = unequal_series()
    assert_holds(as_series([pd.DataFrame(item) for item in items]), items, "list")
    columns = [pd.Series(item[:, 0]) for item in items]
    assert_holds(as_series(columns), [item[:, :1] for item in items], "list")


def test_a_frame_is_a_table_and_keeps_its_ids():
    X = pd.DataFrame(random_values(3, 4), index=["c", "a", "b"])
    series = as_series(X)
    assert_holds(series, X.to_numpy()[:, :, None], "table")
    assert series.ids.tolist() == ["c", "a", "b"]
    assert_holds(as_series(pl.from_pandas(X)), X.to_numpy()[:, :, None], "table")


def test_an_object_array_of_numbers_is_a_table():
    X = np.array([[1, 2.5], [np.float32(3), True]], dtype=object)
    assert_holds(as_series(X), np.array([[1, 2.5], [3, 1]])[:, :, None], "table")


def test_missing_values_of_pandas_are_nan():
    frame = pd.DataFrame({"a": [1, 2], "b": [3, None]}, dtype="Int64")
    assert_holds(as_series(frame, missing="mask"), [[[1.0], [3.0]], [[2.0]]], "table")
    assert "series 1 has NaN at timestep 1" in error_of(as_series, frame)


def test_what_does_not_hold_numbers_is_an_error_of_type():
    for X in (np.array([["1"]]), [["1", "2"], ["3"]], pd.DataFrame({"a": ["x"]}), {"a": ["x"]}):
        error_of(as_series, X, error=InputTypeError)


@pytest.mark.parametrize("X", [[], (), np.empty((0, 4, 2))])
def test_no_series_at_all_is_an_error(X):
    assert "0 sample(s)" in error_of(as_series, X)


# No copy and no write


@pytest.mark.parametrize(
    "layout",
    [np.asfortranarray, lambda X: X[::-1, ::-1], lambda X: X[:, ::2], lambda X: X[..., :1]],
)
def test_any_memory_layout_is_viewed(layout):
    X = layout(random_values(4, 6, 3))
    series = as_series(X)
    assert np.shares_memory(series.values, X)
    assert_holds(series, X, "array")


def test_a_memory_mapped_array_is_viewed(tmp_path):
    np.save(tmp_path / "X.npy", random_values(3, 4, 2).astype(np.float32))
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    series = as_series(X)
    assert np.shares_memory(series.values, X)
    assert not series.values.flags.writeable
    np.testing.assert_array_equal(series.values, X)


def test_masking_neither_copies_nor_writes():
    X = random_values(3, 4, 2)
    X[1, 2:] = NAN
    X[2, 0, 1] = NAN
    before = X.copy()
    X.flags.writeable = False
    series = as_series(X, missing="mask")
    assert np.shares_memory(series.values, X)
    np.testing.assert_array_equal(X, before)


def test_the_items_of_a_list_are_not_written_to():
    items = [np.array([1.0, NAN, NAN]), np.array([NAN, 2.0, 3.0, 4.0])]
    before = [item.copy() for item in items]
    for item in items:
        item.flags.writeable = False
    as_series(items, missing="mask")
    for item, copy in zip(items, before, strict=True):
        np.testing.assert_array_equal(item, copy)


# Missing values


@pytest.mark.parametrize("form", ["array", "table", "list"])
def test_nan_at_the_end_shortens_a_series(form):
    items = unequal_series() if form != "table" else [item[:, 0] for item in unequal_series()]
    if form == "list":
        X = [np.concatenate([item, np.full((2, 2), NAN)]) for item in items]
    else:
        X = padded(items).squeeze()
    series = as_series(X, missing="mask")
    assert series.form == form
    np.testing.assert_array_equal(series.lengths, [4, 2, 5])
    assert series.is_complete
    assert not series.is_dense


def test_a_series_ends_with_its_last_observed_channel():
    X = random_values(2, 5, 3)
    X[0, 2:, 0] = NAN
    X[0, 3:, 1:] = NAN
    series = as_series(X, missing="mask")
    np.testing.assert_array_equal(series.lengths, [3, 5])
    assert not series.is_complete
    np.testing.assert_array_equal(series.observed, ~np.isnan(X))


def test_nan_at_the_start_and_within_a_series_is_a_missing_value():
    X = random_values(2, 5, 1)
    X[0, 0] = X[1, 2] = NAN
    series = as_series(X, missing="mask")
    np.testing.assert_array_equal(series.lengths, [5, 5])
    assert not series.is_complete
    np.testing.assert_array_equal(series.observed, ~np.isnan(X))


def test_a_channel_may_be_missing_altogether():
    X = random_values(2, 3, 2)
    X[:, :, 1] = NAN
    series = as_series(X, missing="mask")
    np.testing.assert_array_equal(series.lengths, [3, 3])
    np.testing.assert_array_equal(series.observed[:, :, 1], False)


def test_one_observed_value_is_enough():
    X = np.full((1, 4, 2), NAN)
    X[0, 2, 1] = 1.0
    np.testing.assert_array_equal(as_series(X, missing="mask").lengths, [3])


def test_without_nan_a_mask_changes_nothing():
    series = as_series(random_values(2, 3, 1), missing="mask")
    assert series.is_dense
    assert series.observed is None


def test_lists_of_unequal_length_need_no_mask():
    series = as_series(unequal_series(), missing="error")
    assert series.is_complete
    assert not series.is_dense
    np.testing.assert_array_equal(series.observed, ~np.isnan(padded(unequal_series())))


@pytest.mark.parametrize("rows_per_block", [1, 2, 3, 100])
def test_the_block_size_does_not_change_the_result(monkeypatch, rows_per_block):
    X = random_values(7, 5, 2)
    X[np.random.default_rng(3).random(X.shape) < 0.4] = NAN
    X[:, 0, 0] = 1.0
    ends = [np.flatnonzero(~np.isnan(row).all(axis=1))[-1] + 1 for row in X]
    monkeypatch.setattr(series_module, "BLOCK_BYTES", rows_per_block * 5 * 2 * 8)
    series = as_series(X, missing="mask")
    np.testing.assert_array_equal(series.lengths, ends)
    has_gaps = any(np.isnan(row[:end]).any() for row, end in zip(X, ends, strict=True))
    assert series.is_complete != has_gaps


def test_a_missing_value_in_an_early_block_is_not_forgotten(monkeypatch):
    monkeypatch.setattr(series_module, "BLOCK_BYTES", 1)
    X = random_values(3, 4, 1)
    X[0, 1] = NAN
    X[2, 3] = NAN
    series = as_series(X, missing="mask")
    assert not series.is_complete
    np.testing.assert_array_equal(series.lengths, [4, 4, 3])


def test_an_unknown_value_of_missing_lists_the_known_ones():
    message = error_of(as_series, random_values(2, 3), missing="drop")
    assert message == "missing='drop'; pass 'error' or 'mask'."


# Infinity and NaN


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("missing", ["error", "mask"])
def test_infinity_is_named_with_its_position_and_the_way_out(value, missing):
    X = random_values(3, 4, 2)
    X[1, 2, 1] = value
    message = error_of(as_series, X, missing=missing)
    assert message.startswith("Input X contains infinity")
    assert f"series 1 has {value} at timestep 2, channel 1" in message
    assert "missing='mask'" in message


def test_infinity_after_nan_is_found():
    assert "infinity" in error_of(as_series, [[1.0, NAN, np.inf]], missing="mask")


def test_nan_is_named_with_its_position_and_the_way_out():
    X = random_values(3, 4, 2)
    X[2, 1, 0] = NAN
    message = error_of(as_series, X)
    assert message.startswith("Input X contains NaN")
    assert "series 2 has NaN at timestep 1, channel 0" in message
    assert "missing='mask'" in message


def test_positions_are_those_of_the_input_in_lists():
    infinite = [np.ones(2), np.array([1.0, np.inf, 2.0])]
    assert "series 1 has inf at timestep 1, channel 0" in error_of(as_series, infinite)
    # The padding of series 0 comes first, and is not NaN of the input.
    missing = [np.ones(2), np.array([1.0, 1.0, NAN, 1.0])]
    assert "series 1 has NaN at timestep 2" in error_of(as_series, missing)


@pytest.mark.parametrize("collect", [np.stack, list])
def test_a_series_of_nothing_but_nan_is_named(collect):
    message = error_of(as_series, collect([np.ones(3), np.full(3, NAN)]), missing="mask")
    assert message.startswith("series 1 contains nothing but NaN")
    assert "Drop it" in message


def test_errors_in_later_blocks_name_the_series(monkeypatch):
    monkeypatch.setattr(series_module, "BLOCK_BYTES", 2 * 4 * 8)
    X = random_values(7, 4)
    X[5, 1] = NAN
    assert "series 5 has NaN at timestep 1" in error_of(as_series, X)
    X[5, 1] = np.inf
    assert "series 5 has inf at timestep 1" in error_of(as_series, X)
    X[5] = NAN
    assert "series 5 contains nothing but NaN" in error_of(as_series, X, missing="mask")


def test_large_finite_values_whose_sum_overflows_are_accepted():
    X = np.full((2, 3, 1), 1.7e308)
    assert as_series(X).is_dense


# Containers (fault 47)


@pytest.mark.parametrize(
    "form",
    [
        collections.deque,
        lambda items: [item.tolist() for item in items],
        lambda items: [collections.deque(item.tolist()) for item in items],
        lambda items: [pl.DataFrame(item) for item in items],
        lambda items: [torch.tensor(item, requires_grad=True) for item in items],
        lambda items: to_object_array([torch.tensor(item) for item in items]),
        lambda items: [item.astype(">f8") for item in items],
        lambda items: [item[::-1].copy()[::-1] for item in items],
    ],
)
def test_series_of_any_container_are_the_same(form):
    expected = as_series(unequal_series())
    series = as_series(form(unequal_series()))
    np.testing.assert_array_equal(series.values, expected.values)
    np.testing.assert_array_equal(series.lengths, expected.lengths)


def test_ranges_are_series():
    series = as_series([range(3), range(5)])
    assert series.lengths.tolist() == [3, 5]
    np.testing.assert_array_equal(series.values[1, :, 0], range(5))


@pytest.mark.parametrize(
    ("X", "says"),
    [
        ([np.ones(3), np.ma.masked_equal([1, 2], 2)], "series 1: X is a masked array"),
        ([scipy.sparse.csr_array(np.eye(3))], "series 0: Sparse data was passed"),
        ([[1.0, 2.0], [[1.0], [2.0, 3.0]]], "series 1"),
        (pd.DataFrame(np.ones((2, 2)), columns=["a", "a"]), "more than one column of X is called"),
        ([pl.DataFrame({"a": [1], "b": [2]}), pl.DataFrame({"b": [1], "c": [2]})], "same channels"),
    ],
)
def test_containers_that_hide_something_are_rejected(X, says):
    with pytest.raises(InputError, match=says):
        as_series(X)


# Containers of other libraries, and those that only look like series

ITEMS = unequal_series()
EQUAL = random_values(3, 4, 2)
IDS = ["c", "a", "b"]


def nested_tensor():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # They are experimental.
        return torch.nested.nested_tensor([torch.tensor(item) for item in ITEMS])


UNEQUAL_FORMS = {
    "generator": lambda: (item for item in ITEMS),
    "map": lambda: map(torch.tensor, ITEMS),
    "dict values": lambda: dict(zip(IDS, ITEMS, strict=True)).values(),
    "nested tensor": nested_tensor,
    "parameters": lambda: torch.nn.ParameterList([torch.tensor(item) for item in ITEMS]),
    "dicts of channels": lambda: [{"u": item[:, 0], "w": item[:, 1]} for item in ITEMS],
    "Awkward Array": lambda: ak.Array([item.tolist() for item in ITEMS]),
    "Polars column": lambda: pl.Series([item.tolist() for item in ITEMS]),
    "Arrow column": lambda: pa.chunked_array([[item.tolist() for item in ITEMS]]),
    "pandas column": lambda: pd.Series([item.tolist() for item in ITEMS]),
    "data set": lambda: torch.utils.data.Subset([torch.tensor(item) for item in ITEMS], range(3)),
}


@pytest.mark.parametrize("form", UNEQUAL_FORMS)
def test_series_are_the_same_in_any_collection(form):
    assert_holds(as_series(UNEQUAL_FORMS[form]()), ITEMS, "list")


def test_the_keys_of_a_dict_are_the_ids():
    names = [("a", 1), "1", 1]
    series = as_series(dict(zip(names, ITEMS, strict=True)))
    assert_holds(series, ITEMS, "list")
    assert series.ids.tolist() == names
    by_id = from_channels_first({name: item.T for name, item in zip(IDS, ITEMS, strict=True)})
    assert by_id.index.tolist() == IDS
    assert_holds(as_series(by_id), ITEMS, "list")


def test_missing_values_of_awkward_arrays_are_nan():
    series = as_series(ak.Array([[1.0, None, 3.0], [4.0]]), missing="mask")
    np.testing.assert_array_equal(series.values[0, :, 0], [1, NAN, 3])


def data_array(*dims, values=EQUAL):
    """Return an array whose axes are those named, in the order of series, time and channel."""
    array = xr.DataArray(values, dims=("id", "time", "channel"), coords={"id": IDS})
    return array.transpose(*dims)


def as_dataset(*dims):
    array = data_array(*dims)
    return array.to_dataset(dim="channel").rename({0: "u", 1: "w"})


@pytest.mark.parametrize("convert", [data_array, as_dataset])
@pytest.mark.parametrize(
    "dims", [("id", "time", "channel"), ("id", "channel", "time"), ("channel", "id", "time")]
)
def test_arrays_of_xarray_are_read_by_the_names_of_their_axes(convert, dims):
    series = as_series(convert(*dims))
    assert_holds(series, EQUAL, "array")
    assert series.ids.tolist() == IDS


def test_arrays_of_xarray_may_have_other_names():
    assert_holds(as_series(xr.DataArray(EQUAL)), EQUAL, "array")
    last = xr.DataArray(EQUAL.transpose(0, 2, 1), dims=("trial", "sensor", "time"))
    assert_holds(as_series(last), EQUAL, "array")
    table = as_series(data_array("id", "time", "channel")[:, :, 0])
    assert_holds(table, EQUAL[:, :, :1], "table")
    assert table.ids.tolist() == IDS


def epochs(values=EQUAL):
    info = mne.create_info(values.shape[2], 100.0, "eeg")
    return mne.EpochsArray(values.transpose(0, 2, 1), info, verbose=False)


def test_epochs_of_mne_are_series():
    assert_holds(as_series(epochs()), EQUAL, "array")
    # How scikit-learn splits them.
    assert_holds(as_series([epochs()[place] for place in (2, 0)]), EQUAL[[2, 0]], "list")


@pytest.mark.parametrize("X", [iter([]), iter(())])
def test_an_iterator_at_its_end_is_told_from_no_series(X):
    message = error_of(as_series, X)
    assert "yields 0 series" in message
    assert "X = list(X)" in message


Record = collections.namedtuple("Record", "X y")


@pytest.mark.parametrize(
    ("X", "kind", "says"),
    [
        ({1.0, 2.0}, InputTypeError, "X has type set: it is a set, which has no order"),
        ({"a": ITEMS[0]}.keys(), InputTypeError, "which has no order"),
        ("x.csv", InputTypeError, "call X, y = seqfeat.series.read(path)"),
        (b"x.csv", InputTypeError, "call X, y = seqfeat.series.read(path)"),
        (Path("x.csv"), InputTypeError, "call X, y = seqfeat.series.read(path)"),
        (io.StringIO("x"), InputTypeError, "call X, y = seqfeat.series.read(path)"),
        (LabelledSeries(EQUAL, None), InputTypeError, "pass X.X, and X.y as y"),
        (Record(EQUAL, [1]), InputTypeError, "a named tuple of X, y; pass the field"),
        (
            torch.nn.utils.rnn.pack_sequence([torch.tensor(ITEMS[0])]),
            InputTypeError,
            "pass torch.nn.utils.rnn.unpack_sequence(X)",
        ),
        (pl.LazyFrame({"u": [1.0]}), InputTypeError, "pass X.collect()"),
        ([(ITEMS[0], 1)], InputTypeError, "series 0 is a pair of an array and a value of type int"),
        (
            torch.utils.data.TensorDataset(torch.tensor(EQUAL), torch.arange(3)),
            InputTypeError,
            "X, y = zip(*pairs)",
        ),
        ({"data": EQUAL}, InputError, "series 'data' has shape (3, 4, 2)"),
        ({"a": ITEMS[0], "b": None}, InputError, "series 'b' has shape ()"),
        (
            {"a": ITEMS[0], "b": ITEMS[0][:, :1]},
            InputError,
            "series 'b' has 1 channels, series 'a'",
        ),
        ([{"u": [1.0], "w": [1.0, 2.0]}], InputError, "series 0 is a dict that is no table"),
        (data_array("time", "id", "channel")[:, 0], InputError, "X.expand_dims('series')"),
        (data_array("id", "time", "channel")[:, 0], InputError, "X.transpose(...)"),
        (xr.DataArray(EQUAL, dims=("time", "a", "b")), InputError, "X.transpose(...)"),
        (
            xr.Dataset({"u": (("id", "time"), np.eye(2)), "w": (("id",), np.ones(2))}),
            InputError,
            "variable 'w' of X has the dimensions ('id',), variable 'u' has ('id', 'time')",
        ),
        (epochs().average(), InputTypeError, "mne.make_fixed_length_epochs(X)"),
        (ak.Array([["a"], ["b", "c"]]), InputTypeError, "series 0: X has dtype <U1"),
        (ak.Array([[1.0], None]), InputError, "series 1 has shape ()"),
        (None, InputError, "shape=()"),
    ],
)
def test_what_is_no_collection_of_series_comes_with_a_way_out(X, kind, says):
    assert says in error_of(as_series, X, error=kind)


def test_datasets_with_channels_first_are_not_read_by_variable():
    says = error_of(from_channels_first, as_dataset("id", "time", "channel"), error=InputTypeError)
    assert "X.to_dataarray()" in says


def test_a_wrong_value_of_missing_may_be_anything():
    with pytest.raises(InputError, match="missing="):
        as_series(np.ones((2, 3)), missing=["error"])


@pytest.mark.parametrize("name", ["Unnamed: 0", "index", "level_0", "__index_level_0__", ""])
def test_a_frame_with_a_column_called_as_an_index_is_warned_of(name):
    wide = pd.DataFrame({name: [0.0, 1.0], "a": [5.0, 6.0]})
    with pytest.warns(IndexColumnWarning, match="read as values"):
        assert as_series(wide).n_timesteps == 2
    rows = wide.set_axis(pd.MultiIndex.from_product([["x"], [0, 1]]))
    with pytest.warns(IndexColumnWarning, match="read as values"):
        assert as_series(rows).n_channels == 2
