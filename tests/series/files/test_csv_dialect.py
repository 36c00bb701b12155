import pytest

from seqfeat.exceptions import InputTypeError
from seqfeat.series.files.csv_dialect import CsvFormat, recognize
from tests.series.inputs import error_of


def dialect(folder, text, name="x.csv", **given):
    (folder / name).write_text(text, encoding="utf-8")
    return recognize(folder / name, CsvFormat(**given))


def error(folder, text, name="x.csv", **given):
    return error_of(lambda: dialect(folder, text, name, **given))


# The separator


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.txt"])
def test_the_separator_is_the_one_that_divides_rows_like_the_header(tmp_path, separator, name):
    rows = [["id", "t", "value"], ["a", "0", "1.5"], ["b b", "2024-02-29 10:00:00", ""]]
    text = "".join(separator.join(row) + "\n" for row in rows)
    found = dialect(tmp_path, text, name)
    assert (found.separator, found.names, found.n_header_lines) == (separator, rows[0], 1)


@pytest.mark.parametrize(
    ("text", "separator"),
    [
        ("id;t;Temp, °C\na;0;1,5\nb;1;2,5\n", ";"),
        ("id,t,note\na,0,x;y\nb,1,z\n", ","),
        ('id,t,note\na,0,"x;y;z"\nb,1,"u;v;w"\n', ","),
        ("id;t;u;\na;0;1\nb;1;2;\n", ";"),
        ("id,t,u\na,0,\nb,,\n", ","),
        ("id|u, v|w, x\na|1|2\n", "|"),
        ("v\n1\n2\n", ","),
        ("id,t\n", ","),
        ("1.5  2.5 3\n 4\t5 6 \n", " "),
    ],
)
def test_other_characters_in_cells_do_not_mislead(tmp_path, text, separator):
    assert dialect(tmp_path, text, "x.txt", header=True).separator == separator


def test_two_possible_separators_are_an_error_that_asks_for_one(tmp_path):
    text = "id;u,v\na;x,2\nb;y,4\n"
    message = error(tmp_path, text)
    assert "may be separated by ',' or ';'" in message
    assert "separator=';'" in message
    assert dialect(tmp_path, text, separator=",").names == ["id;u", "v"]


def test_a_tab_is_preferred_in_a_tsv_file(tmp_path):
    text = "id\tu,v\na\tx,2\nb\ty,4\n"
    assert dialect(tmp_path, text, "x.tsv").separator == "\t"
    assert "may be separated by" in error(tmp_path, text, "x.txt")


def test_one_row_that_is_broken_leaves_the_separator_known(tmp_path):
    assert dialect(tmp_path, "id;t;u\na;0;1\nb;1\nc;2;3\n").separator == ";"


def test_the_line_for_excel_that_names_the_separator_is_read(tmp_path):
    found = dialect(tmp_path, "sep=;\nid;u,v\na;1,2\n")
    assert (found.separator, found.names, found.n_header_lines) == (";", ["id", "u,v"], 2)


def test_lines_above_the_header_are_named(tmp_path):
    message = error(tmp_path, "# logger 7\nid,t,u\na,0,1\nb,1,2\n")
    assert "has 1 field where most lines have 3, separated by ','" in message


@pytest.mark.parametrize(("name", "character"), [("semicolon", ";"), ("tab", "\t"), ("#", "#")])
def test_a_separator_may_be_given_by_name(tmp_path, name, character):
    text = f"id{character}t\na{character}0\n"
    assert dialect(tmp_path, text, separator=name).names == ["id", "t"]


# The header


def test_names_have_no_spaces_around_and_nameless_columns_are_numbered(tmp_path):
    found = dialect(tmp_path, ' ,id , "Temp, °C" ,u,,\n0,a,1,2\n')
    assert found.names == ["Unnamed: 0", "id", "Temp, °C", "u"]
    found = dialect(tmp_path, ',id ,"Temp, °C",u,,\n0,a,1,2\n')
    assert found.names == ["Unnamed: 0", "id", "Temp, °C", "u"]


def test_two_columns_of_one_name_are_named_with_their_places(tmp_path):
    message = error(tmp_path, "id,u, u\na,1,2\n")
    assert "columns 1 and 2, counted from 0, are both called 'u'" in message


def test_a_header_may_take_several_lines(tmp_path):
    found = dialect(tmp_path, '\nid,"u\n[V]"\na,1\n')
    assert (found.names, found.n_header_lines) == (["id", "u\n[V]"], 3)


@pytest.mark.parametrize(
    "header", ["0,1,2,3", "1,2,4,8", "0.0,0.1,0.2,0.3", "y,0,1,2", "-1,0,1", "id,2024,t", "x,y"]
)
def test_a_header_may_consist_of_numbers(tmp_path, header):
    row = ",".join("5" for _ in header.split(","))
    assert dialect(tmp_path, f"{header}\n{row}\n").names == header.split(",")


@pytest.mark.parametrize(
    "line", ["3.0,1.0,2.0", "-1,-1.2,-1.1,-1.0", "1,1.2,1.3,1.7", "1,1,1", "a,1.5,0.5", "1,NaN"]
)
def test_a_first_line_of_values_is_no_header(tmp_path, line):
    message = error(tmp_path, f"{line}\n{line}\n")
    assert "look like values" in message
    assert "header=False" in message
    names = [str(place) for place in range(len(line.split(",")))]
    assert dialect(tmp_path, f"{line}\n{line}\n", header=False).names == names
    assert dialect(tmp_path, f"{line}\n{line}\n".replace("1,1,1", "1,2,3"), header=True)


def test_a_text_that_comes_again_below_is_no_name(tmp_path):
    assert "look like values" in error(tmp_path, "walk,0.5,0.75\nsit,1,2\nwalk,3,4\n")
    assert dialect(tmp_path, "walk,0.5,0.75\nsit,1,2\nrun,3,4\n").names[0] == "walk"


# The archive


@pytest.mark.parametrize("name", ["x.tsv", "x.txt"])
@pytest.mark.parametrize(
    "text",
    [
        "1\t.1\t.2\t.3\n2\t.3\t.2\t.1\n",
        "-1\t-1.2\t-1.1\t-1.0\n1\t0.5\tNaN\tNaN\n",
        "  1.0000000e+00  -1.25e-1   2.5 \n  2.0000000e+00   1.5 2.5\n",
    ],
)
def test_files_of_the_archive_are_known(tmp_path, name, text):
    found = dialect(tmp_path, text, name)
    assert found.is_archive
    assert not found.has_header
    assert found.names[0] == "0"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.csv", "1,.1,.2,.3\n2,.3,.2,.1\n"),
        ("x.tsv", "3\t1\t2\n4\t1\t2\n"),
        ("x.tsv", "1.5\t1.2\t2.5\n4\t1\t2\n"),
        ("x.txt", "0 0.5 0.25\n1 0.5 0.25\n2 0.5 0.25\n"),
    ],
)
def test_other_numbers_without_a_header_are_not_taken_for_the_archive(tmp_path, name, text):
    assert "header=False" in error(tmp_path, text, name)


# What is given


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"separator": ",,"}, None),
        ({"separator": ""}, None),
        ({"separator": '"'}, None),
        ({"separator": 1}, None),
        ({"decimal": ";"}, None),
        ({"header": 0.5}, None),
        ({"na_values": "?"}, InputTypeError),
        ({"na_values": [1]}, InputTypeError),
    ],
)
def test_what_cannot_be_is_rejected_by_name(given, kind):
    ((name, value),) = given.items()
    errors = {"error": kind} if kind else {}
    assert error_of(lambda: CsvFormat(**given), **errors).startswith(f"{name}={value!r}; pass ")


@pytest.mark.parametrize("text", ["", "\n\n", "  \n"])
def test_an_empty_file_is_named(tmp_path, text):
    assert error(tmp_path, text).startswith(f"{tmp_path / 'x.csv'} is empty")
