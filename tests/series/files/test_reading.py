import numpy as np
import pandas as pd
import pytest

from seqfeat.exceptions import InputTypeError
from seqfeat.series import as_series, from_long, read
from tests.series.inputs import assert_series_equal, error_of, padded, unequal_series


@pytest.fixture
def wide():
    values = np.random.default_rng(0).normal(size=(6, 5)).round(3)
    frame = pd.DataFrame(values, columns=[f"t{step}" for step in range(5)])
    frame.insert(0, "name", list("abcdef"))
    return frame.assign(kind=["x", "y"] * 3)


@pytest.fixture
def long():
    return pd.DataFrame(
        {
            "name": ["a", "a", "a", "b", "b"],
            "second": [0, 1, 3, 1, 0],
            "v": [0.5, 1.5, 2.5, 3.5, 4.5],
            "w": [1, 2, 3, 4, 5],
            "kind": ["x", "x", "x", "y", "y"],
        }
    )


def save(frame, path):
    save_as = frame.to_parquet if path.suffix == ".parquet" else frame.to_csv
    save_as(path, index=False)
    return path


def error(path, **options):
    return error_of(read, path, **options)


# Tables

TABLES = pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "T.CSV", "t.parquet"])


@TABLES
def test_wide_tables_give_rows_ids_and_labels(tmp_path, wide, name):
    X, y = read(save(wide, tmp_path / name), label="kind", series_id="name")
    np.testing.assert_array_equal(X, wide.loc[:, "t0":"t4"])
    assert X.index.tolist() == list("abcdef")
    assert y.tolist() == ["x", "y"] * 3
    assert as_series(X).form == "table"


@TABLES
def test_long_tables_are_read_as_from_long_reads_them(tmp_path, long, name):
    path = save(long, tmp_path / name)
    columns = {"series_id": "name", "time": "second", "label": "kind"}
    X, y = read(path, **columns, channels=["v"])
    expected = from_long(long, "name", "second", ["v"], "kind")
    assert_series_equal(X, expected.X)
    assert y.to_dict() == expected.y.to_dict()
    coarse, _ = read(path, **columns, step=2)
    assert coarse["a"].shape == (2, 2)


def test_long_tables_without_times_need_the_channels(tmp_path, long):
    path = save(long, tmp_path / "long.csv")
    message = error(path, series_id="name")
    assert message.startswith("series_id='name': a occurs more than once, again in row 1")
    assert "time=..." in message
    assert "channels=[...]" in message
    X, _ = read(path, series_id="name", channels=["v", "w"])
    np.testing.assert_array_equal(X["b"], [[3.5, 4], [4.5, 5]])


def test_long_tables_need_the_column_of_ids(tmp_path, long):
    message = error(save(long, tmp_path / "long.csv"), time="second")
    assert message.startswith("a long table needs series_id")
    assert "the table has 'name', 'second', 'v', 'w', 'kind'." in message


def test_frames_saved_with_an_index_of_series_and_time_come_back(tmp_path, long):
    long.set_index(["name", "second"]).to_parquet(tmp_path / "indexed.parquet")
    X, y = read(tmp_path / "indexed.parquet", label="kind")
    expected, _ = from_long(long, "name", "second", ["v", "w"])
    for ours, theirs in zip(X, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert y.tolist() == ["x", "y"]


def test_empty_cells_are_missing_values(tmp_path, wide):
    wide.loc[2, ["t3", "t4"]] = np.nan
    X, _ = read(save(wide, tmp_path / "wide.csv"), label="kind", series_id="name")
    assert as_series(X, missing="mask").lengths.tolist() == [5, 5, 3, 5, 5, 5]


def test_text_among_the_values_is_named_with_the_way_out(tmp_path, wide):
    message = error(save(wide, tmp_path / "wide.csv"), error=InputTypeError, label="kind")
    assert message.startswith("row 0 (line 2), column 'name' holds the text 'a'; ")
    assert "series_id=..." in message
    assert "pass series_id and time" in message


@pytest.mark.parametrize("option", ["label", "series_id"])
def test_columns_that_do_not_exist_are_named(tmp_path, wide, option):
    message = error(save(wide, tmp_path / "wide.csv"), **{option: "speaker"})
    assert message.startswith("there is no column 'speaker'; the table has 'name', 't0', ")


def test_a_wide_table_needs_a_column_for_the_timesteps(tmp_path, wide):
    path = save(wide[["name", "kind"]], tmp_path / "none.csv")
    assert "no column is left to be a timestep" in error(path, label="kind", series_id="name")


# Arrays


def test_an_npy_array_is_memory_mapped(tmp_path):
    X = np.random.default_rng(0).normal(size=(8, 6, 2)).astype(np.float32)
    np.save(tmp_path / "x.npy", X)
    stored, y = read(tmp_path / "x.npy")
    assert isinstance(stored, np.memmap)
    assert not stored.flags.writeable
    np.testing.assert_array_equal(stored, X)
    assert y is None


def test_npz_archives_hold_series_labels_and_lengths(tmp_path):
    items, y = unequal_series(), np.array(["a", "b", "a"])
    X, lengths = np.nan_to_num(padded(items)), [len(item) for item in items]
    np.savez(tmp_path / "x.npz", X=X, y=y, lengths=lengths)
    stored, labels = read(tmp_path / "x.npz")
    assert labels.tolist() == y.tolist()
    for ours, item in zip(stored, items, strict=True):
        np.testing.assert_array_equal(ours, item)
    np.savez(tmp_path / "alone.npz", X=X)
    stored, labels = read(tmp_path / "alone.npz")
    np.testing.assert_array_equal(stored, X)
    assert labels is None


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"values": np.zeros((2, 3))}, "holds the arrays ['values']; save it with numpy.savez("),
        ({"X": np.zeros((2, 3)), "z": np.zeros(2)}, "holds the arrays ['X', 'z']"),
        ({"X": np.zeros((2, 3)), "y": np.zeros(3)}, "2 series in X and 3 labels in y"),
        ({"X": np.zeros((2, 3)), "lengths": [1, 4]}, "from 1 to 3, the timesteps of X"),
        ({"X": np.zeros((2, 3)), "lengths": [1, 0]}, "the length of series 1 is 0"),
        ({"X": np.zeros((2, 3)), "lengths": [1.5, 2]}, "shape (2,) and dtype float64"),
        ({"X": np.zeros((2, 3)), "lengths": [1]}, "one integer per series of X"),
        ({"X": np.zeros(2), "lengths": [1, 1]}, "must be (n_samples, n_timesteps, ...)"),
    ],
)
def test_archives_that_do_not_fit_are_explained(tmp_path, arrays, says):
    np.savez(tmp_path / "x.npz", **arrays)
    message = error(tmp_path / "x.npz")
    assert message.startswith(str(tmp_path / "x.npz"))
    assert says in message


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_arrays_of_python_objects_are_rejected_as_they_execute_code(tmp_path, name):
    objects = np.array([np.zeros(3), np.zeros(2)], dtype=object)
    np.save(tmp_path / "x.npy", objects)
    np.savez(tmp_path / "x.npz", X=objects)
    message = error(tmp_path / name)
    assert "executes code" in message
    assert "numpy.savez(path, X=padded, lengths=lengths, y=labels)" in message


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.ts"])
@pytest.mark.parametrize("content", [b"", b"no such thing", b"PK\x03\x04" + bytes(40)])
def test_files_of_another_format_are_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert error(tmp_path / name).startswith(str(tmp_path / name))


def test_a_damaged_archive_is_rejected(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", X=np.random.default_rng(0).normal(size=(20, 9)))
    whole = (tmp_path / "x.npz").read_bytes()
    (tmp_path / "x.npz").write_bytes(whole[:200] + bytes(50) + whole[250:])
    assert "cannot be read as arrays of numbers (" in error(tmp_path / "x.npz")


@pytest.mark.parametrize("option", ["label", "series_id", "time", "channels"])
def test_arrays_have_no_columns(tmp_path, option):
    np.save(tmp_path / "x.npy", np.zeros((2, 3)))
    message = error(tmp_path / "x.npy", **{option: "v"})
    assert message.startswith(f"{option}='v', but x.npy holds arrays, which have no columns")


# Paths


@pytest.mark.parametrize(("name", "suffix"), [("x.mat", ".mat"), ("x", ""), ("x.tar.gz", ".gz")])
def test_other_suffixes_are_named_with_the_known_ones(tmp_path, name, suffix):
    message = error(tmp_path / name)
    assert message.startswith(f"{tmp_path / name} has the suffix {suffix!r}; seqfeat reads ")
    assert ".csv, .tsv, .txt, .parquet, .npy, .npz, .ts, and folders of Parquet files" in message


def test_missing_files_are_named(tmp_path):
    message = error(tmp_path / "x.csv", error=FileNotFoundError)
    assert message == f"there is no file {tmp_path / 'x.csv'}."


def test_a_folder_without_parquet_files_is_named(tmp_path):
    assert error(tmp_path).startswith(f"{tmp_path} is a folder without .parquet files; ")
