import numpy as np
import pytest

from seqfeat.datasets import load_japanese_vowels
from seqfeat.series import read
from tests.commands import LONG, ok, waves

pytestmark = pytest.mark.usefixtures("small_batches")


def test_the_demo_is_its_test_set(tmp_path):
    ok("convert", "demo:japanese-vowels", "-o", tmp_path / "test.parquet")
    X, y = read(tmp_path / "test.parquet", series_id="series", time="time", label="label")
    expected, labels = load_japanese_vowels(split="test", return_X_y=True)
    assert y.tolist() == labels.tolist()
    for one, other in zip(X, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_table_keeps_ids_labels_and_lengths(tmp_path, models, new):
    ok("convert", models / "new.csv", *LONG, "-o", tmp_path / "long.csv")
    X, y = read(tmp_path / "long.csv", series_id="meter", time="time", label="label")
    assert y.equals(new.y.rename("label"))
    for one, other in zip(X, new.X, strict=True):
        np.testing.assert_array_equal(one, other)


def test_missing_values_become_empty_cells_and_padding_disappears(tmp_path):
    rows = waves(3)
    rows[1, 5:] = np.nan
    rows[2, 3] = np.nan
    np.save(tmp_path / "gaps.npy", rows)
    result = ok("convert", tmp_path / "gaps.npy", "-o", tmp_path / "gaps.csv", "--json").json
    assert result["n_rows"] == 20 + 5 + 20
    X, _ = read(tmp_path / "gaps.csv", series_id="series", time="time")
    assert [len(series) for series in X] == [20, 5, 20]
    assert np.flatnonzero(np.isnan(X[2])).tolist() == [3]
