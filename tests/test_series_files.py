"""Files in, series and labels out."""

import gzip
import sys
from pathlib import Path

import aeon.datasets
import numpy as np
import pandas as pd
import pytest
from aeon.datasets import load_basic_motions
from aeon.datasets import load_japanese_vowels as load_from_aeon

from seqfeat import LSTMAutoencoder
from seqfeat.datasets import load_japanese_vowels
from seqfeat.exceptions import InputError, InputTypeError
from seqfeat.series import as_series, from_long, read

ARCHIVE = Path(aeon.datasets.__file__).parent / "data"


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


def refusal(path, error=InputError, **options):
    with pytest.raises(error) as caught:
        read(path, **options)
    return str(caught.value)


def save_csv(frame, path):
    frame.to_csv(path, index=False)


def save_parquet(frame, path):
    frame.to_parquet(path, index=False)


TABLES = [
    ("table.csv", save_csv),
    ("table.csv.gz", save_csv),
    ("TABLE.CSV", save_csv),
    ("table.parquet", save_parquet),
]


@pytest.mark.parametrize(("name", "save"), TABLES)
def test_wide_tables_give_rows_ids_and_labels(tmp_path, wide, name, save):
    save(wide, tmp_path / name)
    X, y = read(tmp_path / name, label="kind", series_id="name")
    np.testing.assert_array_equal(X, wide.loc[:, "t0":"t4"])
    assert X.index.tolist() == list("abcdef")
    assert y.tolist() == ["x", "y"] * 3
    assert as_series(X).form == "table"


@pytest.mark.parametrize(("name", "save"), TABLES)
def test_long_tables_are_read_as_from_long_does(tmp_path, long, name, save):
    save(long, tmp_path / name)
    columns = {"series_id": "name", "time": "second", "label": "kind"}
    X, y = read(tmp_path / name, **columns, channels=["v"])
    expected_X, expected_y = from_long(long, "name", "second", ["v"], "kind")
    for ours, theirs in zip(X, expected_X, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert y.to_dict() == expected_y.to_dict()
    coarse, _ = read(tmp_path / name, **columns, step=4)
    assert coarse["a"].shape == (2, 2)


def test_long_tables_without_times_need_the_channels(tmp_path, long):
    save_csv(long, tmp_path / "long.csv")
    assert "a occurs more than once" in refusal(tmp_path / "long.csv", series_id="name")
    assert "time=..." in refusal(tmp_path / "long.csv", series_id="name")
    X, _ = read(tmp_path / "long.csv", series_id="name", channels=["v", "w"])
    np.testing.assert_array_equal(X["b"], [[3.5, 4], [4.5, 5]])
    assert "needs series_id" in refusal(tmp_path / "long.csv", time="second")


def test_frames_saved_with_an_index_of_series_and_time_come_back(tmp_path, long):
    indexed = long.set_index(["name", "second"])
    indexed.to_parquet(tmp_path / "indexed.parquet")
    X, y = read(tmp_path / "indexed.parquet", label="kind")
    expected, _ = from_long(long, "name", "second", ["v", "w"])
    for ours, theirs in zip(X, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert y.tolist() == ["x", "y"]


def test_a_folder_of_parquet_files_is_one_table(tmp_path, wide):
    folder = tmp_path / "parts.parquet"
    folder.mkdir()
    save_parquet(wide[:4], folder / "0.parquet")
    save_parquet(wide[4:], folder / "1.parquet")
    X, _ = read(folder, label="kind", series_id="name")
    assert X.index.tolist() == list("abcdef")


def test_empty_cells_are_missing_values(tmp_path, wide):
    wide.loc[2, ["t3", "t4"]] = np.nan
    save_csv(wide, tmp_path / "wide.csv")
    X, _ = read(tmp_path / "wide.csv", label="kind", series_id="name")
    assert as_series(X, missing="mask").lengths.tolist() == [5, 5, 3, 5, 5, 5]


def test_text_among_the_values_is_named_with_the_way_out(tmp_path, wide):
    save_csv(wide, tmp_path / "wide.csv")
    message = refusal(tmp_path / "wide.csv", error=InputTypeError, label="kind")
    assert message.startswith("column 'name' has dtype str")
    assert "series_id=..." in message


def test_columns_that_are_not_there_are_named(tmp_path, wide):
    save_csv(wide, tmp_path / "wide.csv")
    for option in ("label", "series_id"):
        message = refusal(tmp_path / "wide.csv", **{option: "speaker"})
        assert message.startswith("there is no column 'speaker'; the table has name, t0, ")
    save_csv(wide[["name", "kind"]], tmp_path / "none.csv")
    assert "no column is left" in refusal(tmp_path / "none.csv", label="kind", series_id="name")


def test_a_first_line_of_values_is_not_lost_as_names(tmp_path):
    np.savetxt(tmp_path / "bare.csv", [[3.0, 1.0, 2.0], [4.0, 5.0, 6.0]], delimiter=",")
    assert "look like values" in refusal(tmp_path / "bare.csv")
    pd.DataFrame(np.zeros((2, 3))).to_csv(tmp_path / "numbered.csv", index=False)
    assert read(tmp_path / "numbered.csv").X.shape == (2, 3)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n\0\0\xff", b'a,b\n"1,2\n3,4,5,6\n'])
def test_what_is_no_table_is_refused(tmp_path, content):
    (tmp_path / "x.csv").write_bytes(content)
    assert "is no table" in refusal(tmp_path / "x.csv")


# Arrays


@pytest.mark.filterwarnings("ignore:the reconstruction explains")
def test_an_npy_array_stays_on_disk(tmp_path):
    X = np.random.default_rng(0).normal(size=(8, 6, 2)).astype(np.float32)
    np.save(tmp_path / "x.npy", X)
    read_back, y = read(tmp_path / "x.npy")
    assert isinstance(read_back, np.memmap)
    assert y is None
    autoencoder = LSTMAutoencoder(2, max_iter=1, random_state=0)
    np.testing.assert_array_equal(
        autoencoder.fit(read_back).transform(read_back), autoencoder.fit(X).transform(X)
    )


def test_npz_archives_hold_series_labels_and_lengths(tmp_path):
    X, y = load_japanese_vowels(return_X_y=True)
    lengths = np.array([len(values) for values in X])
    padded = np.zeros((len(X), lengths.max(), 12))
    for row, values in zip(padded, X, strict=True):
        row[: len(values)] = values
    np.savez(tmp_path / "x.npz", X=padded, y=y, lengths=lengths)
    read_back, labels = read(tmp_path / "x.npz")
    assert labels.tolist() == y.tolist()
    for ours, theirs in zip(read_back, X, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.savez(tmp_path / "alone.npz", X=padded)
    assert read(tmp_path / "alone.npz").X.shape == padded.shape


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"values": np.zeros((2, 3))}, "holds the arrays ['values']"),
        ({"X": np.zeros((2, 3)), "z": np.zeros(2)}, "numpy.savez(path, X=series, y=labels)"),
        ({"X": np.zeros((2, 3)), "y": np.zeros(3)}, "2 series and 3 labels"),
        ({"X": np.zeros((2, 3)), "lengths": np.array([1, 4])}, "from 1 to (3,)"),
        ({"X": np.zeros((2, 3)), "lengths": np.array([1, 0])}, "lengths has to hold"),
        ({"X": np.zeros((2, 3)), "lengths": np.array([1.5, 2])}, "lengths has to hold"),
        ({"X": np.zeros((2, 3)), "lengths": np.array([1])}, "lengths has to hold"),
    ],
)
def test_other_archives_are_refused(tmp_path, arrays, says):
    np.savez(tmp_path / "x.npz", **arrays)
    assert says in refusal(tmp_path / "x.npz")


def test_python_objects_in_arrays_are_refused_as_they_execute_code(tmp_path):
    objects = np.array([np.zeros(3), np.zeros(2)], dtype=object)
    np.save(tmp_path / "x.npy", objects)
    assert "executes code" in refusal(tmp_path / "x.npy")
    np.savez(tmp_path / "x.npz", X=objects)
    assert "executes code" in refusal(tmp_path / "x.npz")


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.parquet", "x.ts"])
@pytest.mark.parametrize("content", [b"", b"no such thing", b"PK\x03\x04" + bytes(40)])
def test_files_of_another_kind_are_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert str(tmp_path / name) in refusal(tmp_path / name)


def test_a_truncated_archive_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", X=np.random.default_rng(0).normal(size=(20, 9)))
    whole = (tmp_path / "x.npz").read_bytes()
    (tmp_path / "x.npz").write_bytes(whole[:200] + bytes(50) + whole[250:])
    assert "cannot be read" in refusal(tmp_path / "x.npz")


def test_arrays_have_no_columns(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 3)))
    assert "label='y', but x.npy holds arrays" in refusal(tmp_path / "x.npy", label="y")


# The archive's own format


def test_ts_files_are_the_series_that_aeon_reads():
    X, y = read(ARCHIVE / "BasicMotions" / "BasicMotions_TRAIN.ts")
    expected, labels = load_basic_motions(split="train")
    np.testing.assert_array_equal(X, expected.transpose(0, 2, 1))
    assert y.tolist() == labels.tolist()


def test_ts_files_of_unequal_lengths_are_our_own_japanese_vowels():
    X, y = read(ARCHIVE / "JapaneseVowels" / "JapaneseVowels_TRAIN.ts")
    ours, labels = load_japanese_vowels(return_X_y=True)
    assert y.tolist() == labels.tolist()
    for read_back, values, theirs in zip(X, ours, load_from_aeon(split="train")[0], strict=True):
        np.testing.assert_array_equal(read_back, theirs.T)
        np.testing.assert_allclose(read_back, values, atol=1e-6)


def test_ts_files_may_miss_values_and_labels(tmp_path):
    header = "@problemName x\n@timestamps false\n@missing true\n@univariate true\n"
    header += "@equalLength true\n@seriesLength 3\n@classLabel false\n@data\n"
    (tmp_path / "x.ts").write_text(header + "1.0,?,3.0\n4.0,5.0,6.0\n")
    X, y = read(tmp_path / "x.ts")
    np.testing.assert_array_equal(X[:, :, 0], [[1, np.nan, 3], [4, 5, 6]])
    assert y is None


# Paths


def test_other_suffixes_and_missing_files_are_named(tmp_path):
    message = refusal(tmp_path / "x.mat")
    assert "suffix '.mat'; seqfeat reads .csv, .parquet, .npy, .npz, .ts" in message
    assert "suffix ''" in refusal(tmp_path / "x")
    assert "suffix '.gz'" in refusal(tmp_path / "x.tar.gz")
    assert "no file" in refusal(tmp_path / "x.csv", error=FileNotFoundError)


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [("x.ts", "aeon.datasets", "seqfeat[ts]"), ("x.parquet", "pyarrow", "seqfeat[parquet]")],
)
def test_a_missing_extra_is_named(tmp_path, monkeypatch, wide, name, module, extra):
    save_parquet(wide, tmp_path / name)
    for loaded in [other for other in sys.modules if other.split(".")[0] == "fastparquet"]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    assert extra in refusal(tmp_path / name, error=ImportError)


def test_compressed_text_is_read_by_its_suffix(tmp_path, wide):
    text = wide.to_csv(index=False).encode()
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(text))
    assert read(tmp_path / "x.csv.gz", label="kind", series_id="name").X.shape == (6, 5)
