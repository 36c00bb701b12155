import math

import numpy as np
import pandas as pd
import pytest

from seqfeat.series.files.names import NameScan, as_names

INTEGERS = ["0", "7", "-20", str(2**63 - 1), str(-(2**63))]
FLOATS = ["0.5", "1.0", "-0.0", "1e+16", "5e-324", "0.1"]
TEXTS = ["007", "-0", "+5", "1_000", "1E5", "12E2", "1e5", "1.10", "1.", ".5", " 7", "7 ", "0x1F"]
TEXTS += ["NA", "null", "None", "nan", "inf", "-inf", "True", "٣", "1,5", str(2**63), "", "a"]


def series(texts):
    return pd.Series(texts, dtype=object, name="id")


@pytest.mark.parametrize(("texts", "kind"), [(INTEGERS, int), (FLOATS, float)])
def test_numbers_are_numbers_if_they_write_the_same_text(texts, kind):
    found = as_names(series(texts)).tolist()
    assert [type(one) for one in found] == [kind] * len(texts)
    assert [repr(one) for one in found] == texts


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("others", [["1", "2"], ["1.5", "2.5"]])
def test_one_other_text_makes_all_of_the_column_text(text, others):
    texts = [*others, text]
    assert as_names(series(texts)).tolist() == texts


def test_integers_and_fractions_together_are_text():
    assert as_names(series(["1", "1.5"])).tolist() == ["1", "1.5"]


def test_a_missing_name_stays_missing_and_decides_nothing():
    integers = as_names(series(["1", np.nan, "2"])).tolist()
    assert integers[::2] == [1, 2]
    assert [type(one) for one in integers[::2]] == [int, int]
    assert math.isnan(integers[1])
    assert as_names(series(["1.5", np.nan])).dtype == np.float64
    assert as_names(series([np.nan, np.nan])).isna().all()


def test_a_column_in_parts_is_read_as_the_whole_is():
    texts = [*map(str, range(50)), "050", *map(str, range(51, 60))]
    for column in (texts, texts[:50]):
        scan = NameScan()
        parts = [series(column[start : start + 7]) for start in range(0, len(column), 7)]
        for part in parts:
            scan.update(part)
        in_parts = [one for part in parts for one in scan.convert(part).tolist()]
        assert in_parts == as_names(series(column)).tolist()
        assert {type(one) for one in in_parts} == {str if "050" in column else int}
