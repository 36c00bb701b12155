import csv
import io
from pathlib import Path

import pytest

from seqfeat.series.files.csv_rows import checked_rows
from tests.series.inputs import error_of

PATH = Path("x.csv")


def blocks_of(text, n_lines):
    """Return the blocks of a text that is cut every few lines, also within quotes."""
    lines = text.encode().splitlines(keepends=True)
    return [b"".join(lines[start : start + n_lines]) for start in range(0, len(lines), n_lines)]


def check(text, n_fields=3, separator=",", n_lines=100, **options):
    """Return the fields of all rows as Python's csv module reads them, and their lines."""
    blocks = list(checked_rows(blocks_of(text, n_lines), PATH, separator, n_fields, **options))
    content = b"".join(block.text for block in blocks).decode()
    fields = list(csv.reader(io.StringIO(content, newline=""), delimiter=separator))
    return fields, [int(line) for block in blocks for line in block.lines]


@pytest.mark.parametrize("n_lines", [1, 2, 100])
@pytest.mark.parametrize(
    ("text", "fields", "lines"),
    [
        ("a,1,2\nb,3,4\n", [["a", "1", "2"], ["b", "3", "4"]], [1, 2]),
        ("a,1,2\nb,3,4", [["a", "1", "2"], ["b", "3", "4"]], [1, 2]),
        ("a,1,2,\nb,3,4,,\n", [["a", "1", "2"], ["b", "3", "4"]], [1, 2]),
        ("a,1,2, \nb,3,4\n", [["a", "1", "2"], ["b", "3", "4"]], [1, 2]),
        ("\na,1,2\n\n  \nb,3,4\n\n", [["a", "1", "2"], ["b", "3", "4"]], [2, 5]),
        ("a,,\nb,3,\n", [["a", "", ""], ["b", "3", ""]], [1, 2]),
        ('"a,a",1,2\nb,3,4\n', [["a,a", "1", "2"], ["b", "3", "4"]], [1, 2]),
        ('"a\na",1,2\n"b\n\nb",3,4\n', [["a\na", "1", "2"], ["b\n\nb", "3", "4"]], [1, 3]),
        ('"a""b",1,2,\n"",3,4\n', [['a"b', "1", "2"], ["", "3", "4"]], [1, 2]),
        ('5" pipe,1,2\n"x",3,4\n', [['5" pipe', "1", "2"], ["x", "3", "4"]], [1, 2]),
        ('"a",1,"2",""\r\n\r\nb,3,4\r\n', [["a", "1", "2"], ["b", "3", "4"]], [1, 3]),
    ],
)
def test_rows_have_the_fields_of_the_header(text, fields, lines, n_lines):
    assert check(text, n_lines=n_lines) == (fields, lines)


@pytest.mark.parametrize("n_lines", [1, 2, 100])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,1,2\nb,3\n", "row 1 (line 2) has 2 fields where the header has 3"),
        ("a,1,2\n\nb,3,4,5\n", "row 1 (line 3) has 4 fields where the header has 3"),
        ("a,1,2\nb;3;4\n", "row 1 (line 2) has 1 field where the header has 3"),
        ('"a\na",1,2\n"b",3\n', "row 1 (line 3) has 2 fields where the header has 3"),
        ('a,1,2\n"b,c",3,4,"5"\n', "row 1 (line 2) has 4 fields where the header has 3"),
        ("a,1,2\nb,3,4,,5\n", "row 1 (line 2) has 5 fields where the header has 3"),
        ("a,1,2\n,\n", "row 1 (line 2) has 2 fields where the header has 3"),
        ("a,1,2\nb,3\r,4\n", "row 1 (line 2) has 2 fields where the header has 3"),
    ],
)
def test_the_first_row_with_other_fields_is_named(text, words, n_lines):
    message = error_of(lambda: check(text, n_lines=n_lines))
    assert message.startswith(f"x.csv, {words}, separated by ','")
    assert "separator=" in message


def test_names_of_rows_that_the_header_does_not_count_are_recognized():
    assert "as R writes it" in error_of(lambda: check('"1",a,0,1.5\n"2",a,1,2.5\n'))


def test_lines_are_counted_from_where_the_rows_begin():
    assert check("a,1,2\n", first_line=4) == ([["a", "1", "2"]], [4])
    assert "row 0 (line 4)" in error_of(lambda: check("a,1\n", first_line=4))


def test_decimal_commas_between_commas_are_recognized_as_the_cause():
    assert "decimal=','" in error_of(lambda: check("a,1,2\nb,1,5,2,5\n"))
    assert "decimal" not in error_of(lambda: check("a,1,2\nb,1,x y,5\n"))


@pytest.mark.parametrize("n_lines", [1, 2, 100])
def test_a_quote_that_is_not_closed_is_named_with_its_line(n_lines):
    text = 'a,1,2\n"b,3,4\nc,5,6\n'
    message = error_of(lambda: check(text, n_lines=n_lines))
    assert message.startswith("x.csv, line 2: a quote is opened and not closed")


def test_a_quote_that_is_not_closed_does_not_take_the_whole_file():
    text = 'a,1,2\n"b,3,4\n' + "c,5,6\n" * 50_000
    message = error_of(lambda: check(text, n_lines=20_000))
    assert message.startswith("x.csv, line 2: a quote is opened and not closed")


def test_a_column_of_its_own_has_no_separators():
    assert check("1\n\n2\n", n_fields=1) == ([["1"], ["2"]], [1, 3])
    assert "has 2 fields where the header has 1" in error_of(lambda: check("1\n2,5\n", n_fields=1))
