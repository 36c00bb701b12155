"""Files read in parts give what they give at once, in the memory of a part."""

import numpy as np
import pandas as pd
import pytest
from aeon.datasets import save_to_ts_file
from tests.memory import peak_of

from seqfeat import InputError, WholeTableWarning
from seqfeat.series import from_long, read, read_batches
from seqfeat.series.streaming import even_step
from seqfeat.series.time_grid import EvenStep

COLUMNS = {"series_id": "meter", "time": "day", "label": "kind"}


@pytest.fixture
def long():
    """Fifty series of 1 to 8 rows, some of which leave every second day out."""
    rng = np.random.default_rng(0)
    parts = [
        pd.DataFrame(
            {
                "meter": f"m{series}",
                "day": np.arange(length) * (2 if series % 3 else 4),
                "load": rng.normal(size=length),
                "heat": rng.integers(0, 9, length),
                "kind": "shop" if series % 2 else "home",
            }
        )
        for series, length in enumerate(rng.integers(1, 9, 50))
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def wide():
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 6)), columns=list("uvwxyz"))
    return frame.assign(name=[f"n{row}" for row in range(40)], kind=["home", "shop"] * 20)


def save(frame, path):
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=frame.index.nlevels > 1, row_group_size=7)
    else:
        frame.to_csv(path, index=False)
    return path


def joined(parts):
    if isinstance(parts[0], (pd.DataFrame, pd.Series)):
        return pd.concat(parts)
    return np.concatenate(parts)


def assert_equal_series(one, other):
    pd.testing.assert_index_equal(one.index, other.index)
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("name", ["long.csv", "long.csv.gz", "long.parquet"])
@pytest.mark.parametrize("batch_bytes", [1, 1000, 10**6])
def test_parts_of_a_long_table_make_up_the_whole(tmp_path, long, name, batch_bytes):
    path = save(long, tmp_path / name)
    X, y = read(path, **COLUMNS)
    batches = list(read_batches(path, **COLUMNS, batch_bytes=batch_bytes))
    assert_equal_series(joined([part.X for part in batches]), X)
    pd.testing.assert_series_equal(joined([part.y for part in batches]), y)
    # At the end of a part the last series is held back, as it may go on.
    least, most = {1: (50, 50), 1000: (5, 20), 10**6: (2, 2)}[batch_bytes]
    assert least <= len(batches) <= most


@pytest.mark.parametrize("batch_bytes", [1, 500, 10**6])
@pytest.mark.parametrize("name", ["wide.csv", "wide.parquet"])
@pytest.mark.parametrize("options", [{"series_id": "name", "label": "kind"}, {"label": "kind"}])
def test_parts_of_a_wide_table_make_up_the_whole(tmp_path, wide, name, batch_bytes, options):
    if "series_id" not in options:
        wide = wide.drop(columns="name")
    path = save(wide, tmp_path / name)
    X, y = read(path, **options)
    batches = list(read_batches(path, **options, batch_bytes=batch_bytes))
    pd.testing.assert_frame_equal(joined([part.X for part in batches]), X, check_index_type=False)
    pd.testing.assert_series_equal(joined([part.y for part in batches]), y, check_index_type=False)


def test_a_frame_that_was_saved_with_an_index_comes_in_parts(tmp_path, long):
    path = tmp_path / "indexed.parquet"
    long.set_index(["meter", "day"])[["load", "heat"]].to_parquet(path, row_group_size=7)
    batches = list(read_batches(path, batch_bytes=300))
    assert len(batches) > 1
    assert_equal_series(joined([part.X for part in batches]), read(path).X)


def test_a_folder_of_parquet_comes_in_parts(tmp_path, long):
    folder = tmp_path / "days.parquet"
    folder.mkdir()
    for place, start in enumerate(range(0, len(long), 60)):
        long.iloc[start : start + 60].to_parquet(folder / f"part-{place}.parquet", index=False)
    batches = list(read_batches(folder, **COLUMNS, batch_bytes=1000))
    assert len(batches) > 1
    assert_equal_series(joined([part.X for part in batches]), read(folder, **COLUMNS).X)


def test_arrays_come_in_parts(tmp_path):
    rows = np.random.default_rng(0).normal(size=(30, 10, 2))
    labels = np.arange(30) % 3
    lengths = 1 + np.arange(30) % 10
    np.save(tmp_path / "rows.npy", rows)
    np.savez(tmp_path / "rows.npz", X=rows, y=labels, lengths=lengths)
    save_to_ts_file(
        rows.transpose(0, 2, 1),
        labels,
        label_type="classification",
        problem_name="rows",
        path=str(tmp_path),
    )
    for name, n_batches in (("rows.npy", 10), ("rows.npz", 6), ("rows.ts", 10)):
        whole = read(tmp_path / name)
        batches = list(read_batches(tmp_path / name, batch_bytes=3 * 160))
        assert len(batches) == n_batches
        X = joined([part.X for part in batches])
        for left, right in zip(X, whole.X, strict=True):
            np.testing.assert_array_equal(left, right)
        if whole.y is not None:
            np.testing.assert_array_equal(np.concatenate([part.y for part in batches]), whole.y)


def test_the_array_of_a_file_stays_on_disk(tmp_path):
    np.save(tmp_path / "rows.npy", np.zeros((10, 4)))
    for X, _ in read_batches(tmp_path / "rows.npy", batch_bytes=64):
        assert isinstance(X, np.memmap)
        assert len(X) == 2


@pytest.mark.parametrize("name", ["large.csv", "large.parquet"])
def test_memory_is_that_of_a_part(tmp_path, name):
    n_series = 500
    frame = pd.DataFrame(
        {
            "meter": np.repeat(np.arange(n_series), 200),
            "day": np.tile(np.arange(200), n_series),
            "load": np.random.default_rng(0).normal(size=200 * n_series),
        }
    )
    path = tmp_path / name
    if name.endswith("parquet"):
        frame.to_parquet(path, index=False, row_group_size=5000)
    else:
        frame.to_csv(path, index=False)
    options = {"series_id": "meter", "time": "day"}

    def in_parts():
        return sum(len(X) for X, _ in read_batches(path, **options, batch_bytes=2**15))

    whole, n_whole = peak_of(lambda: len(read(path, **options).X))
    parts, n_parts = peak_of(in_parts)
    assert n_whole == n_parts == n_series
    assert parts < whole / 5


def test_the_step_is_that_of_the_whole_table(tmp_path, long):
    # A part that ends before day 2 would else be taken to have steps of 4 days.
    sparse = long[long["meter"].isin(["m0", "m3"])]
    path = save(pd.concat([sparse, long[long["meter"] == "m1"]]), tmp_path / "long.csv")
    X, _ = read(path, **COLUMNS)
    assert np.isnan(X["m0"]).any()
    batches = list(read_batches(path, **COLUMNS, batch_bytes=1))
    assert_equal_series(joined([part.X for part in batches]), X)
    assert even_step(path, series_id="meter", time="day") == 2


def test_the_step_of_dates_is_a_duration(tmp_path, long):
    dated = long.assign(day=pd.Timestamp("2026-01-31") + pd.to_timedelta(long["day"], unit="D"))
    for name in ("dated.csv", "dated.parquet"):
        path = save(dated, tmp_path / name)
        batches = list(read_batches(path, **COLUMNS, batch_bytes=300))
        assert_equal_series(joined([part.X for part in batches]), read(path, **COLUMNS).X)
        assert even_step(path, series_id="meter", time="day") == pd.Timedelta("2D")


def test_a_step_that_was_found_elsewhere_has_to_fit(long):
    by_two, _ = from_long(long, "meter", "day", ["load"], step=EvenStep(2))
    by_one, _ = from_long(long, "meter", "day", ["load"], step=EvenStep(1))
    assert_equal_series(by_two, from_long(long, "meter", "day", ["load"])[0])
    for coarse, fine in zip(by_two, by_one, strict=True):
        np.testing.assert_array_equal(fine[::2], coarse)
        assert np.isnan(fine[1::2]).all()
    with pytest.raises(InputError, match="times the shortest gap"):
        from_long(long, "meter", "day", ["load"], step=EvenStep(3))


def test_a_table_sorted_by_time_is_read_whole_and_says_so(tmp_path, long):
    path = save(long.sort_values("day", kind="stable"), tmp_path / "by_time.csv")
    with pytest.warns(WholeTableWarning, match=r"rows of series m\d+ are not together in by_time"):
        batches = list(read_batches(path, **COLUMNS, batch_bytes=500))
    assert len(batches) == 1
    assert_equal_series(batches[0].X, read(path, **COLUMNS).X)


def test_ids_that_become_text_late_are_text_from_the_start(tmp_path):
    # Read part by part, "007" would be 7 until the first id with a letter.
    frame = pd.DataFrame(
        {"id": ["007"] * 3 + ["008"] * 3 + ["A9"] * 3, "t": [0, 1, 2] * 3, "v": 1.5}
    )
    path = save(frame, tmp_path / "ids.csv")
    options = {"series_id": "id", "time": "t"}
    batches = list(read_batches(path, **options, batch_bytes=1))
    assert [name for X, _ in batches for name in X.index] == ["007", "008", "A9"]
    assert read(path, **options).X.index.tolist() == ["007", "008", "A9"]


def test_ids_are_read_alike_in_a_table_of_any_size(tmp_path):
    # pandas reads a large file in pieces and guesses the type of each.
    ids = [*map(str, range(60_000)), "A"]
    path = save(pd.DataFrame({"id": [*ids, "5"], "v": 1.5}), tmp_path / "many.csv")
    X, _ = read(path, series_id="id", channels="v")
    assert X.index.tolist() == ids
    assert len(X["5"]) == 2


def test_an_id_that_comes_back_in_a_wide_table_is_refused(tmp_path, wide):
    path = save(pd.concat([wide, wide.iloc[:1]]), tmp_path / "wide.csv")
    with pytest.raises(InputError, match="n0 occurs more than once"):
        list(read_batches(path, series_id="name", label="kind", batch_bytes=64))


def test_a_row_without_id_is_named_by_its_place_in_the_table(tmp_path, long):
    long.loc[123, "meter"] = None
    for name in ("long.csv", "long.parquet"):
        path = save(long, tmp_path / name)
        with pytest.raises(InputError, match="row 123 has no series"):
            list(read_batches(path, **COLUMNS, batch_bytes=500))


def test_errors_say_where_the_part_begins_that_they_count_in(tmp_path, long):
    long.loc[150, "day"] = long.loc[149, "day"]
    path = save(long, tmp_path / "long.csv")
    with pytest.raises(InputError, match=r"after its first \d+ rows: series m\d+ has more than"):
        list(read_batches(path, **COLUMNS, batch_bytes=500))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"series_id": "metre", "time": "day"}, "there is no column 'metre'"),
        ({"time": "day"}, "needs series_id"),
        ({"series_id": "meter", "time": "day", "channels": ["cold"]}, "no column 'cold'"),
    ],
)
def test_what_read_refuses_parts_refuse(tmp_path, long, options, message):
    path = save(long, tmp_path / "long.csv")
    for reader in (read, lambda *a, **b: list(read_batches(*a, **b))):
        with pytest.raises(InputError, match=message):
            reader(path, **options)


@pytest.mark.parametrize("name", ["empty.csv", "empty.parquet"])
def test_a_table_without_rows_is_refused(tmp_path, long, wide, name):
    path = save(long.iloc[:0], tmp_path / name)
    with pytest.raises(InputError, match="0 rows"):
        list(read_batches(path, **COLUMNS))
    path = save(wide.iloc[:0], tmp_path / name)
    with pytest.raises(InputError, match="no rows"):
        list(read_batches(path, series_id="name", label="kind"))


def test_a_damaged_parquet_file_is_an_input_error(tmp_path, long):
    path = save(long, tmp_path / "long.parquet")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="no Parquet file"):
        list(read_batches(path, **COLUMNS))
