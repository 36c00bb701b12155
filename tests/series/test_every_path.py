"""Every fault of a table through every path: the same series, ids and labels, or the same error.

A path is a way from one long table to series: a file format, whole or in batches, a frame of some
library, the command line. A fault is something that tables of people have. All are combined, so
that a new path cannot forget a check, and a new check no path. What a path cannot carry is in
`IMPOSSIBLE`, with the reason.
"""

import gzip
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from seqfeat import read_into
from seqfeat.exceptions import InputError
from seqfeat.series import as_series, from_long, read, read_batches
from tests.commands import seqfeat

COLUMNS = {"series_id": "id", "time": "t", "label": "y"}
SMALL = 400
"""Bytes of a batch: few series each."""

# Paths


def as_csv(frame, folder, name="table.csv", **options):
    path = folder / name
    frame.to_csv(path, index=False, **options)
    return path


def as_semicolons(frame, folder):
    return as_csv(frame, folder, sep=";", decimal=",")


def as_tabs(frame, folder):
    return as_csv(frame, folder, "table.tsv", sep="\t")


def as_utf_16(frame, folder):
    return as_csv(frame, folder, "table.txt", encoding="utf-16")


def as_gzip(frame, folder):
    path = folder / "table.csv.gz"
    path.write_bytes(gzip.compress(as_csv(frame, folder).read_bytes()))
    return path


def with_commas_at_the_end(frame, folder):
    path = as_csv(frame, folder)
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, *(f"{row}," for row in rows)]) + "\n")
    return path


def as_parquet(frame, folder):
    path = folder / "table.parquet"
    frame.to_parquet(path, index=False, row_group_size=7)
    return path


def as_parquet_by_id(frame, folder):
    path = folder / "table.parquet"
    frame.set_index("id").to_parquet(path)
    return path


def as_hive_folder(frame, folder):
    frame.to_parquet(folder / "hive", index=False, partition_cols=["id"])
    return folder / "hive"


def as_nested_parquet(frame, folder):
    path = folder / "nested.parquet"
    nested(frame).to_parquet(path)
    return path


def nested(frame):
    """Return one row per series, with lists of times and values."""
    keys = [name for name in ("id", "y") if name in frame]
    groups = frame.groupby("id", sort=False, dropna=False)
    columns = {name: groups[name].agg(list) for name in frame if name not in keys}
    table = pd.DataFrame(columns)
    if "y" in frame:
        table.insert(0, "y", groups["y"].first())
    return table.reset_index()


FILES = {
    write.__name__: write
    for write in (
        as_csv,
        as_semicolons,
        as_tabs,
        as_utf_16,
        as_gzip,
        with_commas_at_the_end,
        as_parquet,
        as_parquet_by_id,
        as_hive_folder,
        as_nested_parquet,
    )
}


def joined(batches):
    """Return the series and labels of all batches."""
    parts = list(batches)
    X = pd.concat([part.X for part in parts])
    return X, None if parts[0].y is None else pd.concat([part.y for part in parts])


def whole(path, **columns):
    return read(path, **columns)


def in_batches(path, **columns):
    with warnings.catch_warnings():
        # Of a table whose series are not together, which is read as a whole.
        warnings.filterwarnings("ignore", category=UserWarning, message="the rows of series")
        return joined(read_batches(path, batch_bytes=SMALL, **columns))


def on_disk(path, **columns):
    """Return series from an array on disk, without the padding."""
    X, y = read_into(path, path.parent / "array.npy", batch_bytes=SMALL, **columns)
    series = as_series(X, missing="mask")
    arrays = [row[:n] for row, n in zip(series.values, series.lengths, strict=True)]
    ids = read(path, **columns).X.index
    return pd.Series(arrays, index=ids), y


def from_pandas(frame, folder, **columns):
    return from_long(frame, columns.pop("series_id"), columns.pop("time"), **columns)


def from_indexed(frame, folder, **columns):
    return from_pandas(frame.set_index("id"), folder, **columns)


def from_polars(frame, folder, **columns):
    return from_pandas(pl.from_pandas(frame), folder, **columns)


def from_arrow(frame, folder, **columns):
    return from_pandas(pa.Table.from_pandas(frame, preserve_index=False), folder, **columns)


def from_command_line(frame, folder, **columns):
    """Return series as ``seqfeat convert`` writes them."""
    options = {"series_id": "--id", "time": "--time", "label": "--label", "step": "--step"}
    given = [text for name, value in columns.items() for text in (options[name], value)]
    output = folder / "out.parquet"
    result = seqfeat("convert", as_csv(frame, folder), *given, "-o", output, "-q")
    if result.status:
        raise InputError(result.err)
    written = pd.read_parquet(output)
    names = [name for name in written if name.startswith("channel")]
    groups = written.groupby("id", sort=False)
    X = groups[names].apply(lambda rows: rows.to_numpy())
    return X, groups["label"].first() if "label" in written else None


PATHS: dict[str, Callable[..., Any]] = {
    from_.__name__: from_
    for from_ in (from_pandas, from_indexed, from_polars, from_arrow, from_command_line)
}
for file, write in FILES.items():
    for reading in (whole, in_batches, on_disk) if write is as_csv else (whole, in_batches):
        PATHS[f"{file}-{reading.__name__}"] = (
            lambda frame, folder, write=write, reading=reading, **columns: reading(
                write(frame, folder), **columns
            )
        )


# Faults


def table(ids=("b", "a", "c"), labels=("x", "y", "x"), times=range(4)):
    """Return a long table of series with these ids, labels and times."""
    times = list(times)
    rows = [
        {"id": one, "t": time, "u": 10.5 * number + step, "w": step / 4, "y": label}
        for number, (one, label) in enumerate(zip(ids, labels, strict=True))
        for step, time in enumerate(times)
    ]
    return pd.DataFrame(rows)


NAMES = ["001", "12E2", "1200", "NA", "null", "True", "1.10", "1.1", str(2**64), "-0", "None", "ß"]


@dataclass
class Fault:
    """A table, and what comes of it: series, ids and labels, or an error with these words."""

    frame: pd.DataFrame
    words: tuple[str, ...] = ()
    ids: tuple[Any, ...] = ("b", "a", "c")
    labels: tuple[Any, ...] = ("x", "y", "x")
    u: tuple[float, ...] = (0.0, 1.0, 2.0, 3.0)
    columns: tuple[tuple[str, Any], ...] = ()
    warning: str | None = None


def changed(column, row, value, frame=None):
    """Return a table with another value in one cell."""
    frame = table() if frame is None else frame
    frame[column] = frame[column].astype(object)
    frame.loc[row, column] = value
    return frame


HOURS = pd.date_range("2022-10-30", periods=5, freq="h", tz="Europe/Berlin")
DAYS = pd.date_range("2022-10-29", periods=4, freq="D", tz="Europe/Berlin")

FAULTS = {
    "nothing": Fault(table()),
    "ids-that-look-like-numbers": Fault(
        table(NAMES, ["x", "y"] * 6), ids=tuple(NAMES), labels=("x", "y") * 6
    ),
    "labels-that-look-like-numbers": Fault(
        table([f"s{i}" for i in range(12)], NAMES),
        ids=tuple(f"s{i}" for i in range(12)),
        labels=tuple(NAMES),
    ),
    "one-id-of-many-has-a-zero": Fault(
        table([*map(str, range(10, 30)), "07"], ["x"] * 21),
        ids=(*map(str, range(10, 30)), "07"),
        labels=("x",) * 21,
    ),
    "ids-and-labels-that-are-numbers": Fault(
        table([3, 1, 2], [7, -1, 7]), ids=(3, 1, 2), labels=(7, -1, 7)
    ),
    "no-id": Fault(changed("id", 5, None), ("row 5", "id")),
    "no-time": Fault(changed("t", 5, None), ("row 5", "t")),
    "a-time-twice": Fault(changed("t", 5, 0), ("series a", "time 0")),
    "irregular": Fault(changed("t", 11, 3.5), ("series c", "irregular", "step")),
    "two-labels": Fault(changed("y", 5, "z"), ("series a", "y and z", "row 5")),
    "an-empty-cell": Fault(table().replace({"u": {1.0: np.nan}}), u=(0.0, np.nan, 2.0, 3.0)),
    "text-in-a-channel": Fault(changed("u", 6, "?"), ("'u'", "'?'", "row 6")),
    "a-channel-of-text": Fault(table().assign(note="hello"), ("'note'",)),
    "a-large-integer": Fault(changed("u", 6, 2**53 + 1, table().astype({"u": int})), ("'u'",)),
    "an-index-that-pandas-wrote": Fault(
        table().reset_index(names="Unnamed: 0"), warning="Unnamed: 0"
    ),
    "no-such-column": Fault(table(), ("load", "u"), columns=(("label", "load"),)),
    "dates-as-whole-numbers": Fault(table(times=[20240227, 20240228, 20240229, 20240301])),
    "an-impossible-whole-number": Fault(
        table(times=[20230227, 20230228, 20230229, 20230301]), ("row 2", "20230229", "t")
    ),
    "date-objects": Fault(table(times=pd.date_range("2024-02-28", periods=4).date)),
    "iso-dates": Fault(table(times=["2024-02-28", "2024-02-29", "2024-03-01", "2024-03-02"])),
    "days-over-a-change-of-clocks": Fault(table(times=[day.isoformat() for day in DAYS])),
    "hours-over-a-change-of-clocks": Fault(
        table(times=[hour.isoformat() for hour in HOURS]), u=(0.0, 1.0, 2.0, 3.0, 4.0)
    ),
    "with-and-without-zone": Fault(
        table(times=["2022-01-01T00:00Z", "2022-01-01T01:00", "2022-01-01T02:00Z"]),
        ("row 1", "2022-01-01T01:00", "t"),
    ),
    "an-impossible-date": Fault(
        table(times=["2023-02-27", "2023-02-28", "2023-02-29"]), ("row 2", "2023-02-29", "t")
    ),
    "day-or-month": Fault(table(times=["01/02/2024", "02/02/2024", "03/02/2024"]), ("01/02/2024",)),
    "day-first": Fault(table(times=["13/02/2024", "14/02/2024", "15/02/2024", "16/02/2024"])),
    "no-time-at-all": Fault(table(times=["early", "late"]), ("early", "t", "row 0")),
    "durations": Fault(table(times=["00:00:00", "00:00:30", "00:01:00", "00:01:30"])),
    "bins": Fault(table(times=range(6)), u=(0.5, 2.5, 4.5), columns=(("step", 2),)),
}

IMPOSSIBLE = {
    ("no-id", "as_hive_folder"): "pandas writes no folder for a missing key",
    ("no-id", "as_nested_parquet"): "a row without an id is a series of its own",
    ("text-in-a-channel", "arrow"): "a column has one type",
    ("two-labels", "as_nested_parquet"): "a row has one label",
}
"""A fault and a part of a path's name that do not go together, and why."""


def is_possible(fault, path):
    return not any(fault == one and part in path for one, part in IMPOSSIBLE)


def read_table(fault, path, folder):
    """Return what a path makes of a faulty table."""
    columns = {**COLUMNS, **dict(fault.columns)}
    try:
        return PATHS[path](fault.frame, folder, **columns)
    except pa.ArrowInvalid:
        pytest.skip("Arrow has no column of such values")


ALL = [
    pytest.param(fault, path, id=f"{fault}-{path}")
    for fault in FAULTS
    for path in PATHS
    if is_possible(fault, path)
]


@pytest.mark.parametrize(("name", "path"), ALL)
def test_a_table_gives_the_same_on_every_path(name, path, tmp_path):
    fault = FAULTS[name]
    if fault.words:
        with pytest.raises(InputError) as caught:
            read_table(fault, path, tmp_path)
        text = str(caught.value)
        # The rows of a hive folder are in the order of its names.
        words = [word for word in fault.words if "hive" not in path or not word.startswith("row")]
        assert [word for word in words if word not in text] == [], text
        return
    with warnings.catch_warnings(record=True) as caught_warnings:
        warnings.simplefilter("always")
        X, y = read_table(fault, path, tmp_path)
    said = [str(one.message) for one in caught_warnings]
    if fault.warning is not None and path != "from_command_line":
        assert any(fault.warning in one for one in said)
    if "hive" not in path:
        assert list(X.index) == list(fault.ids)
    assert dict(zip(X.index, y, strict=True)) == dict(zip(fault.ids, fault.labels, strict=True))
    np.testing.assert_array_equal(np.asarray(X[fault.ids[0]])[:, 0], fault.u)
    assert {np.asarray(series).shape for series in X} == {(len(fault.u), 2)}
