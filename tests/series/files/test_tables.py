import sys

import numpy as np
import pandas as pd
import pytest

from seqfeat.series.files.tables import format_suffix, open_table
from tests.series.inputs import error_of


@pytest.fixture
def frame():
    return pd.DataFrame({"id": np.arange(20) // 3, "v": np.arange(20) / 2, "name": list("ab") * 10})


def save(frame, path, **options):
    if ".csv" in path.name.lower():
        frame.to_csv(path, index=False, **options)
    else:
        frame.to_parquet(path, index=False, row_group_size=3, **options)
    return path


FORMATS = pytest.mark.parametrize("name", ["t.csv", "T.CSV", "t.csv.gz", "t.parquet"])


@FORMATS
def test_a_table_is_read_whole_in_chunks_and_without_rows(tmp_path, frame, name):
    table = open_table(save(frame, tmp_path / name))
    pd.testing.assert_frame_equal(table.read(["name"]), frame)
    assert table.empty([]).columns.tolist() == frame.columns.tolist()
    assert len(table.empty([])) == 0
    chunks = list(table.chunks(7, ["name"]))
    assert max(map(len, chunks)) <= 7
    pd.testing.assert_frame_equal(pd.concat(chunks, ignore_index=True), frame)
    for chunk in table.chunks(7, ["name"], ["v"]):
        assert chunk.columns.tolist() == ["v"]


def test_keys_of_a_csv_are_text_as_written(tmp_path, frame):
    table = open_table(save(frame, tmp_path / "t.csv"))
    chunk = next(table.chunks(7, ["id", "name"]))
    assert chunk["id"].tolist() == ["0", "0", "0", "1", "1", "1", "2"]


@pytest.mark.parametrize("name", ["folder", "folder.parquet"])
def test_a_folder_of_parquet_files_is_one_table(tmp_path, frame, name):
    folder = tmp_path / name
    folder.mkdir()
    save(frame[:12], folder / "0.parquet")
    save(frame[12:], folder / "1.parquet")
    table = open_table(folder)
    pd.testing.assert_frame_equal(table.read([]), frame, check_column_type=False)
    pd.testing.assert_frame_equal(pd.concat(table.chunks(100, []), ignore_index=True), frame)


def test_row_groups_are_put_together_up_to_the_size_of_a_chunk(tmp_path, frame):
    table = open_table(save(frame, tmp_path / "t.parquet"))
    assert [len(chunk) for chunk in table.chunks(7, [])] == [7, 7, 6]


def test_categories_become_plain_columns_in_chunks(tmp_path, frame):
    frame["name"] = frame["name"].astype("category")
    table = open_table(save(frame, tmp_path / "t.parquet"))
    assert not any(
        isinstance(dtype, pd.CategoricalDtype)
        for chunk in table.chunks(7, [])
        for dtype in chunk.dtypes
    )


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("a.CSV", ".csv"),
        ("a.csv.xz", ".csv"),
        ("a.TSV", ".tsv"),
        ("a.txt.zst", ".txt"),
        ("a.b.npy", ".npy"),
        ("a.tar.gz", ".gz"),
        ("a", ""),
    ],
)
def test_the_suffix_is_that_of_the_format_not_of_the_compression(tmp_path, name, suffix):
    assert format_suffix(tmp_path / name) == suffix


# What is not a table


@pytest.mark.parametrize("content", [b"", b"no such thing", b"PK\x03\x04" + bytes(40), "half"])
def test_a_file_that_is_not_parquet_is_named(tmp_path, frame, content):
    path = save(frame, tmp_path / "x.parquet")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    table = open_table(path)
    for read in (
        lambda: table.read([]),
        lambda: table.empty([]),
        lambda: list(table.chunks(7, [])),
    ):
        assert error_of(read).startswith(f"{path} is not a Parquet file (")


def test_a_damaged_page_of_a_parquet_file_is_named(tmp_path, frame):
    path = save(frame, tmp_path / "x.parquet")
    content = path.read_bytes()
    path.write_bytes(content[:4] + bytes(200) + content[204:])
    table = open_table(path)
    assert table.empty([]).columns.tolist() == frame.columns.tolist()
    for read in (lambda: table.read([]), lambda: list(table.chunks(7, []))):
        assert error_of(read).startswith(f"{path} is not a Parquet file (")


def test_a_first_line_of_values_is_not_lost_as_column_names(tmp_path):
    np.savetxt(tmp_path / "bare.csv", [[3.0, 1.0, 2.0], [4.0, 5.0, 6.0]], delimiter=",")
    table = open_table(tmp_path / "bare.csv")
    for read in (
        lambda: table.read([]),
        lambda: table.empty([]),
        lambda: list(table.chunks(7, [])),
    ):
        message = error_of(read)
        assert message.startswith(f"the first line of {tmp_path / 'bare.csv'} is 3.0")
        assert "header=False" in message
    pd.DataFrame(np.zeros((2, 3))).to_csv(tmp_path / "numbered.csv", index=False)
    assert open_table(tmp_path / "numbered.csv").read([]).shape == (2, 3)


def test_parquet_names_the_extra_that_it_needs(tmp_path, monkeypatch, frame):
    table = open_table(save(frame, tmp_path / "t.parquet"))
    for loaded in [name for name in sys.modules if name.split(".")[0] == "fastparquet"]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.dataset", None)
    for read in (
        lambda: table.read([]),
        lambda: table.empty([]),
        lambda: list(table.chunks(7, [])),
    ):
        assert "seqfeat[parquet]" in error_of(read, error=ImportError)
