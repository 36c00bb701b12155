"""Time points of every form in files: read at once and in batches as from a frame."""

import re

import numpy as np
import pandas as pd
import pytest

from seqfeat.exceptions import InputError
from seqfeat.series import from_long, read, read_batches
from seqfeat.series.files.streaming import even_step
from seqfeat.series.time_grid import EvenStep
from tests.series.clock.columns import FORMS
from tests.series.inputs import assert_series_equal

COLUMNS = {"series_id": "id", "time": "t"}
ROWS = r"rows? \d+( and \d+)?"


def table(times):
    """Return a table with four series that all have the same time points."""
    times = pd.Series(times, name="t")
    parts = [pd.DataFrame({"id": f"s{series}", "t": times, "v": 0.5}) for series in range(4)]
    frame = pd.concat(parts, ignore_index=True)
    return frame.assign(v=np.arange(len(frame)) / 2)


def outcome(function):
    """Return the series, or the message of the error without the place where its part begins."""
    try:
        return function()
    except InputError as error:
        return str(error).rpartition(" rows: ")[2]


def joined(path, **options):
    return pd.concat([X for X, _ in read_batches(path, **options, batch_bytes=240)])


@pytest.mark.parametrize("form", FORMS)
def test_a_csv_file_of_every_form_is_read_as_its_table(tmp_path, form):
    frame = table(FORMS[form])
    frame.to_csv(tmp_path / "long.csv", index=False)
    expected = from_long(frame, "id", "t").X
    assert_series_equal(read(tmp_path / "long.csv", **COLUMNS).X, expected)
    assert_series_equal(joined(tmp_path / "long.csv", **COLUMNS), expected)


@pytest.mark.parametrize(
    "form",
    ["YYYYMMDD", "date objects", "datetime64 with a zone", "day first", "durations", "decimals"],
)
def test_a_parquet_file_is_read_as_its_table(tmp_path, form):
    frame = table(FORMS[form])
    frame.to_parquet(tmp_path / "long.parquet", index=False, row_group_size=5)
    expected = from_long(frame, "id", "t").X
    assert_series_equal(read(tmp_path / "long.parquet", **COLUMNS).X, expected)
    assert_series_equal(joined(tmp_path / "long.parquet", **COLUMNS), expected)


@pytest.mark.parametrize(
    ("times", "options"),
    [
        (["2023-02-27", "2023-02-28", "2023-02-29"], {}),
        (["2023-02-27Z", "2023-02-28T00:00", "2023-02-28T01:00Z"], {}),
        (["01/02/2023", "02/02/2023"], {}),
        (["01/02/2023", "02/02/23"], {"time_format": "%d/%m/%Y"}),
        ([20230131, 20230201], {"step": 1}),
        (["0", "1", "2.4"], {}),
        (["0", "1", "inf"], {}),
        (["0", "1", "1"], {}),
    ],
)
def test_errors_are_the_same_at_once_and_in_batches(tmp_path, times, options):
    frame = table(times)
    frame.to_csv(tmp_path / "long.csv", index=False)
    expected = outcome(lambda: from_long(frame.astype({"t": str}), "id", "t", **options))
    assert isinstance(expected, str)
    assert outcome(lambda: read(tmp_path / "long.csv", **COLUMNS, **options)) == expected
    assert outcome(lambda: joined(tmp_path / "long.csv", **COLUMNS, **options)) == expected


@pytest.mark.fuzz
@pytest.mark.parametrize("block", range(8))
def test_random_time_points_have_the_same_outcome_at_once_and_in_batches(tmp_path, block):
    for seed in range(100 * block, 100 * (block + 1)):
        check_random_table(tmp_path / "long.csv", seed)


def check_random_table(path, seed):
    rng = np.random.default_rng(seed)
    forms = [list(map(str, FORMS[form])) for form in rng.choice(list(FORMS), rng.integers(1, 3))]
    texts = [text for form in forms for text in form if rng.random() < 0.9]
    alphabet = [*"0123456789-:/., TZ+eQWP", "Jan", "day", "é", "٣"]
    for _ in range(rng.integers(0, 2)):
        place = rng.integers(len(texts))
        at = rng.integers(len(texts[place]) + 1)
        texts[place] = texts[place][:at] + rng.choice(alphabet) + texts[place][at:]
    rng.shuffle(texts)
    frame = pd.DataFrame({"id": np.sort(rng.integers(0, 4, len(texts))), "t": texts, "v": 1.5})
    frame.to_csv(path, index=False)
    options = {**COLUMNS, "step": ["auto", None, "1h", 1][rng.integers(4)], "channels": "v"}
    whole = outcome(lambda: read(path, **options).X)
    parts = outcome(lambda: joined(path, **options))
    if "for only" in str(parts) or "290 years apart" in str(whole):
        # These depend on the rows at hand.
        return
    if isinstance(whole, str):
        # Gaps are found in a part, whose rows are counted anew, as its error says.
        assert re.sub(ROWS, "", whole) == re.sub(ROWS, "", parts)
    else:
        assert_series_equal(parts, whole)


@pytest.mark.parametrize(
    ("form", "step"),
    [
        ("YYYYMMDD", pd.Timedelta("1D")),
        ("day first", pd.Timedelta("1D")),
        ("two offsets over a change of clocks", pd.Timedelta("1h")),
        ("hours, minutes, seconds", pd.Timedelta("1s")),
        ("YYYYMM", 1),
        ("text with fractions", pytest.approx(0.1)),
        ("beyond 2**63", 1),
    ],
)
def test_the_step_for_a_card_is_a_duration_where_there_are_dates(tmp_path, form, step):
    frame = table(FORMS[form])
    frame.to_csv(tmp_path / "long.csv", index=False)
    found = even_step(tmp_path / "long.csv", **COLUMNS)
    assert found == step
    as_written = str(found) if isinstance(found, pd.Timedelta) else found
    options = {**COLUMNS, "step": EvenStep(as_written)}
    expected = from_long(frame, "id", "t").X
    assert_series_equal(read(tmp_path / "long.csv", **options).X, expected)
    assert_series_equal(joined(tmp_path / "long.csv", **options), expected)
