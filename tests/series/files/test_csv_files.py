"""Tables from CSV files: keys as written, numbers as numbers, and every other cell named."""

import csv
import io
import re

import numpy as np
import pandas as pd
import pytest

from seqfeat.exceptions import InputError, InputTypeError
from seqfeat.series import read, read_batches
from seqfeat.series.files.csv_files import CsvFormat, CsvTable
from tests.series.inputs import error_of

WORDS = ["NA", "N/A", "NaN", "nan", "null", "NULL", "None", "#N/A", "<NA>", "n/a"]


def table(folder, text, **given):
    path = folder / "x.csv"
    path.write_text(text, encoding="utf-8")
    return CsvTable(path, CsvFormat(**given))


def column(cells, others="abc"):
    """Return a table with a key and a column of these cells."""
    rows = [[others[place % len(others)], cell] for place, cell in enumerate(cells)]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["id", "u"], *rows])
    return text.getvalue()


WAYS = {
    "whole": lambda found, keys: found.read(keys),
    "chunks": lambda found, keys: pd.concat(list(found.chunks(1, keys)), ignore_index=True),
}
EVERY_WAY = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


# Keys


@EVERY_WAY
def test_keys_are_text_exactly_as_written(tmp_path, way):
    names = ["001", "1", "12E2", "True", " x ", 'a "b"', "a,b", "a\nb", str(2**64), *WORDS]
    found = way(table(tmp_path, column(["1"] * len(names), names)), ["id"])
    assert found["id"].tolist() == names


@EVERY_WAY
def test_only_an_empty_key_is_missing(tmp_path, way):
    found = way(table(tmp_path, 'id,u\n,1\n"",2\nNA,3\n'), ["id"])
    assert found["id"].isna().tolist() == [True, True, False]


@EVERY_WAY
def test_spaces_behind_every_separator_are_no_part_of_a_key(tmp_path, way):
    found = way(table(tmp_path, 'id, u, y\na, 1, b\n"c, d", 2, "e f"\n'), ["id", "y"])
    assert found["id"].tolist() == ["a", "c, d"]
    assert found["y"].tolist() == ["b", "e f"]
    found = way(table(tmp_path, "id,u,y\na,1, b\n"), ["id", "y"])
    assert found["y"].tolist() == [" b"]


# Numbers


@EVERY_WAY
def test_numbers_are_read_as_python_reads_them(tmp_path, way):
    cells = ["0", "-7", "+3", "1.5", ".5", "5.", "1e5", "-1E-3", " 2 ", "123456789012345678e-3"]
    found = way(table(tmp_path, column(cells)), ["id"])
    assert found["u"].tolist() == list(map(float, cells))


@EVERY_WAY
@pytest.mark.parametrize("decimal", [".", ","])
def test_numbers_come_back_to_the_last_bit(tmp_path, way, decimal):
    values = np.random.default_rng(0).normal(size=200) * 10.0 ** np.arange(-100, 100)
    rows = [f"a;{value!r}".replace(".", decimal) for value in values.tolist()]
    found = way(table(tmp_path, "\n".join(["id;u", *rows])), ["id"])
    assert found["u"].tolist() == values.tolist()


@EVERY_WAY
def test_words_for_missing_values_are_missing_among_numbers(tmp_path, way):
    found = way(table(tmp_path, column(["1.5", "", "  ", *WORDS, " NA "])), ["id"])
    assert found["u"].tolist()[0] == 1.5
    assert found["u"][1:].isna().all()


@EVERY_WAY
def test_further_words_may_be_given(tmp_path, way):
    found = way(table(tmp_path, column(["?", "1", "-"]), na_values=["?", "-"]), ["id"])
    np.testing.assert_array_equal(found["u"], [np.nan, 1, np.nan])


@EVERY_WAY
def test_words_that_are_given_are_names_among_keys(tmp_path, way):
    found = way(table(tmp_path, column(["1", "2"], ["?", "b"]), na_values=["?"]), ["id"])
    assert found["id"].tolist() == ["?", "b"]


@EVERY_WAY
def test_decimal_commas_are_read(tmp_path, way):
    found = way(table(tmp_path, "id;u\n1,5;-0,25\nb;1,5e3\nc;7\n"), ["id"])
    assert found["u"].tolist() == [-0.25, 1500, 7]
    assert found["id"].tolist() == ["1,5", "b", "c"]


@EVERY_WAY
@pytest.mark.parametrize("others", [["1"], ["1.5"], [""], ["1e300"]])
def test_integers_that_would_be_rounded_are_named(tmp_path, way, others):
    for number in (2**53 + 1, -(2**53) - 1, 2**63 - 1, 2**64 + 1, 10**30 + 1):
        message = error_of(lambda n=number: way(table(tmp_path, column([*others, n])), ["id"]))
        assert message.startswith(f"row 1 (line 3), column 'u' holds the integer {number}, ")
    exact = [2**53, 2**60, 10**20, *map(int, filter(str.isdecimal, others))]
    found = way(table(tmp_path, column([*exact, *others])), ["id"])
    assert found["u"].tolist()[:3] == exact[:3]


@EVERY_WAY
@pytest.mark.parametrize(
    ("cell", "advice"),
    [
        ("?", "pass na_values=['?']"),
        ("-", "pass na_values=['-']"),
        ("missing", "pass na_values=['missing']"),
        ("1,5", "pass decimal=','"),
        ("1,234", "Its comma may be a decimal sign or stand between thousands"),
        ("1,234.5", "Remove the signs between thousands"),
        ("1 234", "Remove the signs between thousands"),
        ("5 V", "Correct the cell"),
        ("0x10", "Correct the cell"),
        ("1_000", "Correct the cell"),
        ("u", "The line repeats the header"),
    ],
)
def test_text_among_numbers_is_named_with_its_place_and_the_way_out(tmp_path, way, cell, advice):
    found = table(tmp_path, "\n" + column(["1", "2", cell, "4"]).replace("b,2", "\nb,2"))
    message = error_of(lambda: way(found, ["id"]), error=InputTypeError)
    assert message.startswith(f"row 2 (line 6), column 'u' holds the text {cell!r}; ")
    assert advice in message


@EVERY_WAY
@pytest.mark.parametrize("cell", ["50%", "\u22121.5", "<0.1", "$ 3.50", "1.5 mV", "2x"])
def test_what_is_written_around_a_number_is_told(tmp_path, way, cell):
    found = table(tmp_path, column([cell, "1.5"]))
    assert "a plain number" in error_of(lambda: way(found, ["id"]), error=InputTypeError)


@EVERY_WAY
def test_a_line_of_units_is_recognized(tmp_path, way):
    found = table(tmp_path, "id,u,w\n-,mV,s\na,1,2\nb,3,4\n")
    assert "holds the units" in error_of(lambda: way(found, ["id"]), error=InputTypeError)


@EVERY_WAY
def test_points_where_commas_are_decimal_signs_are_named(tmp_path, way):
    found = table(tmp_path, "id;u\na;1,5\nb;2,5\n" + "c;1\n" * 60 + "d;1.5\n")
    message = error_of(lambda: way(found, ["id"]), error=InputTypeError)
    assert message.startswith("row 62 (line 64), column 'u' holds the text '1.5'; ")
    assert "decimal='.'" in message


def test_columns_that_are_not_read_may_hold_text(tmp_path):
    found = table(tmp_path, "id,u,note\na,1,hello\n").read(["id"], ["u", "id"])
    assert found.to_dict("list") == {"u": [1], "id": ["a"]}


def test_a_table_without_rows_has_its_columns(tmp_path):
    found = table(tmp_path, "id,u\n")
    assert found.read(["id"]).columns.tolist() == ["id", "u"]
    assert len(found.read(["id"])) == 0
    assert list(found.chunks(5, ["id"])) == []


def test_labels_of_the_archive_are_whole_numbers(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("  1.0000000e+00  -1.25e-1   2.5 \n  2.0000000e+00   1.5 NaN\n")
    X, y = read(path)
    assert y.tolist() == [1, 2]
    np.testing.assert_array_equal(X, [[-0.125, 2.5], [1.5, np.nan]])


# The decimal sign


@pytest.mark.parametrize(
    ("cells", "sign"),
    [
        (["1,5", "2"], ","),
        (["0,123"], ","),
        (["-1,25e3"], ","),
        (["1,234"], "."),
        (["1,234,567"], "."),
        (["1,5", "2.5"], "."),
        (["1.5"], "."),
        (["16.12.2006", "4,5"], ","),
        (["a,b"], "."),
    ],
)
def test_a_decimal_comma_is_recognized_where_it_is_certain(tmp_path, cells, sign):
    text = "id;u\n" + "".join(f"1.5;{cell}\n" for cell in cells)
    assert table(tmp_path, text).decimal_of(["u"]) == sign


def test_commas_that_separate_are_no_decimal_signs(tmp_path):
    text = 'id,u\na,"1,5"\n'
    assert table(tmp_path, text).decimal_of(["u"]) == "."
    assert table(tmp_path, text, decimal=",").read(["id"])["u"].tolist() == [1.5]


def test_points_in_names_say_nothing_about_numbers(tmp_path):
    found = table(tmp_path, "id;u;note\n1.10;1,5;2.5\n").read(["id"], ["id", "u"])
    assert found.to_dict("list") == {"id": ["1.10"], "u": [1.5]}


# A round trip of random tables, written in every way


def random_table(rng):
    """Return a frame of names and numbers, and its text in a random dialect."""
    n_rows = int(rng.integers(1, 40))
    alphabet = ["a", "B", "0", "7", ".", "-", " ", "ä", ",", ";", '"', "\n", "NA", "e", "|", "'"]
    words = [
        "".join(rng.choice(alphabet, rng.integers(1, 5))).strip() or "x" for _ in range(n_rows)
    ]
    frame = pd.DataFrame(
        {"id": words, "u": rng.normal(size=n_rows), "w": rng.integers(-9, 9, n_rows)}
    )
    frame.loc[rng.random(n_rows) < 0.2, "u"] = np.nan
    separator, decimal = rng.choice([",", ";", "\t", "|"]), rng.choice([".", ","])
    text = frame.to_csv(
        index=False,
        sep=separator,
        decimal=decimal,
        quoting=int(rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])),
        lineterminator=str(rng.choice(["\n", "\r\n"])),
    )
    return frame, text, {"separator": str(separator), "decimal": str(decimal)}


def check_round_trip(folder, seed):
    rng = np.random.default_rng(seed)
    frame, text, given = random_table(rng)
    encoding = str(rng.choice(["utf-8", "utf-8-sig", "utf-16"]))
    path = folder / f"{seed}.csv"
    path.write_bytes(text.encode(encoding))
    found = CsvTable(path, CsvFormat(**given))
    for way in (found.read(["id"]), pd.concat(list(found.chunks(3, ["id"])))):
        assert way["id"].tolist() == frame["id"].tolist()
        np.testing.assert_array_equal(way["u"], frame["u"])
        np.testing.assert_array_equal(way["w"], frame["w"])


def damaged(rng, text):
    """Return the text with some characters replaced, inserted or removed."""
    characters = list(text)
    for _ in range(rng.integers(1, 4)):
        place = int(rng.integers(len(characters)))
        characters[place : place + int(rng.integers(2))] = rng.choice(list(',;"\n\r 0x.\t?é\0'), 1)
    return "".join(characters)


def outcome(read_it):
    try:
        return read_it()
    except InputError as error:
        return str(error).partition("rows: ")[2] or str(error)


def check_damage(folder, seed):
    """Check that a damaged file gives the same, whole and in parts, or an error of seqfeat's."""
    rng = np.random.default_rng(seed)
    path = folder / f"{seed}.csv"
    path.write_text(damaged(rng, random_table(rng)[1]), encoding="utf-8", newline="")
    table = outcome(lambda: CsvTable(path).read(["id"]))
    found = CsvTable(path)
    parts = outcome(
        lambda: pd.concat([*found.chunks(4, ["id"]), found.empty(["id"])], ignore_index=True)
    )
    if isinstance(table, str) or isinstance(parts, str):
        assert isinstance(table, str) == isinstance(parts, str), (table, parts)
    else:
        pd.testing.assert_frame_equal(table, parts, check_dtype=False)


def test_some_random_tables_come_back(tmp_path):
    for seed in range(25):
        check_round_trip(tmp_path, seed)


def test_some_damaged_tables_are_read_alike_whole_and_in_parts(tmp_path):
    for seed in range(30):
        check_damage(tmp_path, seed)


@pytest.mark.fuzz
@pytest.mark.parametrize("first", range(1000, 6000, 500))
def test_random_tables_come_back_and_damaged_ones_are_read_alike(tmp_path, first):
    for seed in range(first, first + 500):
        check_round_trip(tmp_path, seed)
        check_damage(tmp_path, seed)


# Through `read` and `read_batches`


@pytest.mark.parametrize(
    "reader", [read, lambda *path, **options: list(read_batches(*path, **options))]
)
@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("id,t,u\na,0,1\nb,0\n", {"time": "t"}, "row 1 (line 3) has 2 fields"),
        ("id,t,u\na,0,?\nb,0,1\n", {"time": "t"}, "row 0 (line 2), column 'u' holds the text '?'"),
        ("id,u,w\na,0,x\na,0,1\n", {}, "series_id='id': a occurs more than once, again in row 1"),
        ("id,u\n", {}, "has no rows"),
        ("id,t,u\n,0,1\n", {"time": "t"}, "row 0 has no series id"),
        ("id,t,u\na,,1\n", {"time": "t"}, "row 0 has no time point"),
        ("id,t,u\na,0,1\n", {"time": "t", "channels": ["v"]}, "there is no column 'v'"),
        ("id,t,index\na,0,1\n", {"time": "t", "channels": []}, "no column is left to be a channel"),
    ],
)
def test_both_readers_have_every_check(tmp_path, reader, text, options, words):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(InputError, match=re.escape(words)):
        reader(tmp_path / "x.csv", series_id="id", **options)


@pytest.mark.parametrize("name", [" id", "id ", "id"])
def test_names_may_have_spaces_around(tmp_path, name):
    (tmp_path / "x.csv").write_text("id , t, u\na, 0, 1\na, 1, 2\n")
    X, _ = read(tmp_path / "x.csv", series_id=name, time=" t", channels=[" u "])
    np.testing.assert_array_equal(X["a"].ravel(), [1, 2])


def test_columns_without_names_are_numbered(tmp_path):
    (tmp_path / "x.csv").write_text("a,1.5,2\nb,3,4\n")
    X, y = read(tmp_path / "x.csv", header=False, label=0)
    assert (X.to_numpy().tolist(), y.tolist()) == ([[1.5, 2], [3, 4]], ["a", "b"])


def test_times_may_have_decimal_commas(tmp_path):
    (tmp_path / "x.csv").write_text("id;t;u\n0,5;0,5;1\n0,5;1;2\n0,5;2,0;3\n")
    X, _ = read(tmp_path / "x.csv", series_id="id", time="t")
    np.testing.assert_array_equal(X["0,5"].ravel(), [1, 2, np.nan, 3])


@pytest.mark.parametrize("option", ["separator", "decimal", "encoding"])
def test_arrays_have_no_text(tmp_path, option):
    np.save(tmp_path / "x.npy", np.zeros((2, 3)))
    given = {option: "utf-8" if option == "encoding" else ","}
    for reader in (read, read_batches):
        message = error_of(reader, tmp_path / "x.npy", **given)
        assert message.startswith(f"{option}={given[option]!r}, but x.npy is no text")
