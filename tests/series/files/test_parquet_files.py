"""Parquet files and folders of them: every column by its name, every value as it was written."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqfeat.series import read, read_batches
from seqfeat.series.files.parquet_files import ParquetTable
from tests.series.inputs import error_of

ROWS = pd.DataFrame({"id": [1, 1, 2, 2, 2], "t": [0, 1, 0, 1, 2], "v": [1.0, 2, 3, 4, 5]})


def everywhere(path, keys=(), columns=None):
    """Return a table, after checking that its chunks of any size are the same."""
    table = ParquetTable(path)
    whole = table.read(keys, columns)
    for n_rows in (1, 2, 100):
        chunks = list(table.chunks(n_rows, keys, columns))
        assert max(map(len, chunks)) <= n_rows
        joined = pd.concat(chunks)
        if isinstance(whole.index, pd.RangeIndex):
            joined = joined.reset_index(drop=True)
        pd.testing.assert_frame_equal(joined, whole, check_dtype=False, check_index_type=False)
    if columns is None:
        empty = table.empty(keys)
        assert empty.columns.tolist() == whole.columns.tolist()
        assert empty.index.names == whole.index.names
    return whole


# An index that is a key


@pytest.mark.parametrize(
    "index",
    [pd.Index(["b", "b", "a", "a", "a"]), pd.Index([3, 3, 1, 1, 1]), pd.RangeIndex(7, 17, 2)],
)
def test_fault_59_an_index_is_a_column_if_it_is_a_key(tmp_path, index):
    path = tmp_path / "x.parquet"
    frame = ROWS[["t", "v"]].set_axis(index.rename("id"))
    frame.to_parquet(path, row_group_size=2)
    assert everywhere(path, ["id"])["id"].tolist() == index.tolist()
    assert everywhere(path, ["id"], ["id", "t"]).columns.tolist() == ["id", "t"]
    assert everywhere(path).index.tolist() == index.tolist()


def test_fault_59_an_index_is_the_ids_whole_and_in_batches(tmp_path):
    path = tmp_path / "x.parquet"
    ROWS.assign(y="a").set_index("id").to_parquet(path)
    columns = {"series_id": "id", "time": "t", "label": "y"}
    assert read(path, **columns).X.index.tolist() == [1, 2]
    batches = list(read_batches(path, batch_bytes=1, **columns))
    assert [list(X.index) for X, _ in batches] == [[1], [2]]


def test_an_index_without_a_name_is_the_ids_of_a_wide_table(tmp_path):
    path = tmp_path / "x.parquet"
    pd.DataFrame(np.eye(3), columns=list("uvw"), index=list("cab")).to_parquet(path)
    assert everywhere(path).index.tolist() == ["c", "a", "b"]


# Folders


def test_fault_52_names_of_folders_are_names(tmp_path):
    names = ["001", "12E2", "1.10", "NA", "True", "a b/c=d", "ß"]
    frame = pd.DataFrame({"id": names, "v": np.arange(7.0)})
    frame.to_parquet(tmp_path / "x", partition_cols=["id"], index=False)
    found = everywhere(tmp_path / "x", ["id"])
    assert dict(zip(found["id"], found["v"], strict=True)) == dict(
        zip(names, np.arange(7.0), strict=True)
    )


def test_numbers_in_names_of_folders_are_numbers(tmp_path):
    ROWS.to_parquet(tmp_path / "x", partition_cols=["id", "t"], index=False)
    found = everywhere(tmp_path / "x", ["id", "t"])[["id", "t", "v"]]
    pd.testing.assert_frame_equal(found, ROWS, check_dtype=False)


def test_a_folder_without_value_is_missing(tmp_path):
    frame = pd.DataFrame({"id": ["a", None], "v": [1.0, 2.0]})
    frame.to_parquet(tmp_path / "x", partition_cols=["id"], index=False)
    found = everywhere(tmp_path / "x", ["id"]).set_index("v")["id"]
    assert found[1.0] == "a"
    assert pd.isna(found[2.0])


def test_names_of_folders_are_no_channels(tmp_path):
    frame = ROWS.assign(year=2024, y=["a", "a", "b", "b", "b"])
    frame.to_parquet(tmp_path / "x", partition_cols=["year", "y"], index=False)
    X, y = read(tmp_path / "x", series_id="id", time="t", label="y")
    assert X[1].tolist() == [[1], [2]]
    assert y.to_dict() == {1: "a", 2: "b"}


def test_a_column_of_the_file_comes_before_the_name_of_a_folder(tmp_path):
    folder = tmp_path / "x" / "id=9"
    folder.mkdir(parents=True)
    ROWS.to_parquet(folder / "0.parquet", index=False)
    assert everywhere(tmp_path / "x", ["id"])["id"].tolist() == [1, 1, 2, 2, 2]


def test_what_other_programs_keep_in_a_folder_is_not_read(tmp_path):
    folder = tmp_path / "x"
    for name in ("0.parquet", "_temporary/1.parquet", ".2.parquet", "_metadata.parquet"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        ROWS.to_parquet(folder / name, index=False)
    (folder / "_SUCCESS").touch()
    (folder / "notes.txt").write_text("by hand")
    pd.testing.assert_frame_equal(everywhere(folder), ROWS)


def write_parts(folder, *frames):
    for number, frame in enumerate(frames):
        frame.to_parquet(folder / f"{number}.parquet", index=False)


def test_columns_of_files_are_matched_by_name(tmp_path):
    write_parts(tmp_path, ROWS[:2], ROWS[["v", "id", "t"]][2:])
    pd.testing.assert_frame_equal(everywhere(tmp_path), ROWS)


def test_columns_of_files_have_a_common_type(tmp_path):
    first, second = ROWS[:2].astype({"t": "int8", "v": "float32"}), ROWS[2:].astype({"v": int})
    write_parts(tmp_path, first, second)
    pd.testing.assert_frame_equal(everywhere(tmp_path), ROWS)


@pytest.mark.parametrize(
    ("second", "says"),
    [
        (ROWS[["id", "t"]], "lacks ['v'] and has [] in addition"),
        (ROWS.assign(w=1.0), "lacks [] and has ['w'] in addition"),
        (ROWS.astype({"id": str}), "column 'id' is"),
        (ROWS.assign(v=2**53 + 1), "Integer value 9007199254740993 not in range"),
    ],
)
def test_a_file_that_differs_is_named(tmp_path, second, says):
    write_parts(tmp_path, ROWS, second)
    table = ParquetTable(tmp_path)
    for load in (lambda: table.read([]), lambda: list(table.chunks(3, []))):
        message = error_of(load)
        assert str(tmp_path / "1.parquet") in message
        assert says in message


def test_a_folder_of_hidden_files_alone_is_named(tmp_path):
    (tmp_path / "_old").mkdir()
    ROWS.to_parquet(tmp_path / "_old" / "0.parquet")
    assert "but hidden ones" in error_of(read, tmp_path)


# Types


@pytest.mark.parametrize(
    ("array", "values"),
    [
        (pa.array(["001", None]).dictionary_encode(), ["001", None]),
        (pa.array(["001", None], pa.large_string()), ["001", None]),
        (pa.array(["001", None], pa.string_view()), ["001", None]),
        (pa.array([1, None], pa.int8()), [1, None]),
        (pa.array([2**53 + 1, None]), [2**53 + 1, None]),
        (pa.array([2**64 - 1, None], pa.uint64()), [2**64 - 1, None]),
        (pa.array([True, None]), [True, None]),
        (pa.array([Decimal("1.10"), None]), [Decimal("1.10"), None]),
        (
            pa.array([datetime.date(2024, 2, 29), None]),
            [datetime.date(2024, 2, 29), None],
        ),
    ],
)
def test_keys_of_any_type_come_out_as_they_went_in(tmp_path, array, values):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"y": array, "v": [1.0, 2.0]}), path, row_group_size=1)
    found = everywhere(path, ["y"])["y"].tolist()
    assert [None if pd.isna(one) else one for one in found] == values
    assert type(found[0]) is type(values[0])


@pytest.mark.parametrize(
    "array",
    [
        pa.array([2**53 + 1, 0]),
        pa.array([2**53 + 1, None]),
        pa.array([2**64 - 1, None], pa.uint64()),
        pa.array([Decimal(2**53 + 1), None]),
    ],
)
def test_fault_63_integers_are_not_rounded(tmp_path, array):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"id": [1, 1], "t": [0, 1], "v": array}), path)
    for load in (read, lambda *a, **k: list(read_batches(*a, **k))):
        message = error_of(load, path, series_id="id", time="t")
        assert "column 'v'" in message
        assert "float64" in message


def test_exact_integers_beside_missing_ones_are_read(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"id": [1, 1], "t": [0, 1], "v": [2**53, None]}), path)
    X, _ = read(path, series_id="id", time="t")
    np.testing.assert_array_equal(X[1], [[2.0**53], [np.nan]])


def test_a_name_with_a_dot_is_no_path(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a.b": [1, 2], "a": [3, 4]}), path)
    assert everywhere(path, [], ["a"]).to_dict("list") == {"a": [3, 4]}


def test_a_file_without_rows_is_one_of_a_folder(tmp_path):
    write_parts(tmp_path, ROWS[:0], ROWS)
    pd.testing.assert_frame_equal(everywhere(tmp_path), ROWS)


def test_columns_of_one_name_are_named(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), path)
    assert "more than one column is called 'a'" in error_of(ParquetTable(path).read, [])


# Lists


def test_rows_of_lists_come_in_chunks_of_their_elements(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"id": list("abcdef"), "v": [[1.0] * 10] * 6}), path)
    assert [len(chunk) for chunk in ParquetTable(path).chunks(20, [])] == [2, 2, 2]
