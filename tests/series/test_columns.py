import numpy as np
import pandas as pd
import polars as pl
import pytest

from seqfeat import IndexColumnWarning
from seqfeat.exceptions import InputTypeError
from seqfeat.series import from_long, read, read_batches
from seqfeat.series.columns import channel_columns, index_columns, match_name, match_names
from tests.series.inputs import error_of

INDEXES = ["Unnamed: 0", "Unnamed: 0.1", "Unnamed: 0.1.1", "", " ", "index", "level_0"]
INDEXES += ["__index_level_0__"]


def frame(index_name):
    return pd.DataFrame(
        {index_name: range(4), "id": list("aabb"), "t": [0, 1] * 2, "u": [1.5, 2, 3, 4]}
    )


@pytest.mark.parametrize("name", INDEXES)
def test_an_index_is_no_channel_unless_it_is_named(name):
    with pytest.warns(IndexColumnWarning, match="left out of the channels: "):
        X, _ = from_long(frame(name), "id", "t")
    assert X["a"].shape == (2, 1)
    X, _ = from_long(frame(name), "id", "t", channels=[name, "u"])
    assert X["a"].shape == (2, 2)


@pytest.mark.parametrize("name", ["Index", "level", "index_1", "Unnamed", "Unnamed: x", "0", "u2"])
def test_other_names_are_channels(name):
    X, _ = from_long(frame(name), "id", "t")
    assert X["a"].shape == (2, 2)


def test_an_index_with_a_role_is_no_reason_to_warn():
    assert index_columns(frame("index"), ["index", "id"]) == []
    X, _ = from_long(frame("index").drop(columns="id"), "t", "index")
    assert X[0].shape == (2, 1)


def write_csv(table, folder):
    table.to_csv(folder / "x.csv")
    return folder / "x.csv"


def write_parquet(table, folder):
    table.rename_axis(None).reset_index().to_parquet(folder / "x.parquet")
    return folder / "x.parquet"


def in_batches(path, **options):
    return pd.concat([batch.X for batch in read_batches(path, batch_bytes=20, **options)])


@pytest.mark.parametrize("write", [write_csv, write_parquet])
@pytest.mark.parametrize("reader", [lambda path, **options: read(path, **options).X, in_batches])
def test_an_index_in_a_file_is_left_out_everywhere(tmp_path, write, reader):
    long = frame("u2").drop(columns="u2")
    with pytest.warns(IndexColumnWarning, match="channels=") as caught:
        X = reader(write(long, tmp_path), series_id="id", time="t")
    assert len(caught) == 1
    np.testing.assert_array_equal(X["b"].ravel(), [3, 4])
    wide = pd.DataFrame(np.arange(6.0).reshape(2, 3), columns=["0", "1", "2"])
    with pytest.warns(IndexColumnWarning, match="left out of the timesteps"):
        X = reader(write(wide, tmp_path))
    assert X.to_numpy().tolist() == wide.to_numpy().tolist()


def test_an_index_in_a_polars_frame_is_left_out():
    table = pl.DataFrame({"index": [0, 1], "id": ["a", "a"], "t": [0, 1], "u": [1.0, 2.0]})
    with pytest.warns(IndexColumnWarning, match="'index'"):
        X, _ = from_long(table, "id", "t")
    assert X["a"].shape == (2, 1)


def test_nothing_but_an_index_leaves_no_channel():
    table = frame("index").drop(columns="u")
    with pytest.warns(IndexColumnWarning):
        message = error_of(channel_columns, table, None, ["id", "t"])
    assert message.startswith("no column is left to be a channel")


def test_text_is_no_channel_and_named():
    table = frame("note").astype({"note": str})
    message = error_of(from_long, table, "id", "t", error=InputTypeError)
    assert message.startswith("column 'note' ")


def test_names_are_matched_exactly_before_anything_else():
    assert match_name(" t", [" t", "t"]) == " t"
    assert match_name("t", [" t"]) == "t"
    assert match_names([" t", 1, None], ["t", "1"]) == ["t", "1", None]
    assert match_names({"t": 1}, ["t"]) == {"t": 1}
