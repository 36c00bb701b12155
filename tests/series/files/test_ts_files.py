"""`.ts` files, compared with aeon where it reads them right."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from seqfeat.datasets import load_japanese_vowels
from seqfeat.series import read, read_batches
from seqfeat.series.files.ts_files import read_ts
from tests.series.inputs import error_of

NAN = np.nan
UNIVARIATE = "@univariate true\n@classLabel true Walk Sit\n@data\n"


def write(folder, text, **options):
    path = Path(folder, "x.ts")
    path.write_text(text, encoding="utf-8", **options)
    return path


def values_of(X):
    return [np.asarray(series).tolist() for series in X]


# Against aeon

SETS = {
    "UnitTest": "UnitTest_TRAIN",
    "UnitTestTimeStamps": "UnitTestTimeStamps_TRAIN",
    "BasicMotions": "BasicMotions_TEST",
    "JapaneseVowels": "JapaneseVowels_TEST",
    "PickupGestureWiimoteZ": "PickupGestureWiimoteZ_TRAIN",
    "Covid3Month": "Covid3Month_TRAIN",
}


@pytest.mark.parametrize("name", SETS)
def test_real_files_are_as_aeon_reads_them(name):
    datasets = pytest.importorskip("aeon.datasets")
    folder = Path(datasets.__file__).parent / "data"
    [path] = folder.rglob(f"{SETS[name]}.ts")
    X, y = read_ts(path)
    X_aeon, y_aeon, header = datasets.load_from_ts_file(str(path), return_meta_data=True)
    for series, other in zip(X, X_aeon, strict=True):
        np.testing.assert_array_equal(series, other.T)
    # aeon lowers the letters of classes; targets are numbers for both.
    ours = y if header["targetlabel"] else [label.lower() for label in y]
    assert list(ours) == list(y_aeon)


@pytest.mark.parametrize("split", ["train", "test"])
def test_series_of_unequal_lengths_are_our_own_japanese_vowels(split):
    folder = Path(pytest.importorskip("aeon.datasets").__file__).parent / "data"
    X, y = read(folder / "JapaneseVowels" / f"JapaneseVowels_{split.upper()}.ts")
    ours, labels = load_japanese_vowels(split=split, return_X_y=True)
    assert y.tolist() == labels.tolist()
    for stored, values in zip(X, ours, strict=True):
        np.testing.assert_array_equal(stored, values)


# Labels

NAMES = ["Walk", "walk", "Banana", "nan", "NaN", "NA", "null", "001", "1", "1.0", "12E2", "True"]
NAMES += ["10000000000000000001", "Straße", "Stand up", "a,b"]


def test_labels_come_out_as_they_are_written(tmp_path):
    rows = "".join(f"1,2,3: {name} \n" for name in NAMES)
    header = f"@univariate true\n@classLabel true {' '.join(NAMES)}\n@data\n"
    assert list(read_ts(write(tmp_path, header + rows)).y) == NAMES


def test_labels_need_no_list_in_the_header(tmp_path):
    path = write(tmp_path, "@univariate true\n@classLabel true\n@data\n1,2:Up\n3,4:down\n")
    assert read_ts(path).y.tolist() == ["Up", "down"]


def test_targets_are_numbers(tmp_path):
    path = write(tmp_path, "@targetLabel true\n@univariate true\n@data\n1,2:0.5\n3,4:?\n")
    np.testing.assert_array_equal(read_ts(path).y, [0.5, NAN])


@pytest.mark.parametrize("tag", ["@classLabel false\n", "@targetLabel false\n", ""])
def test_files_may_lack_labels(tmp_path, tag):
    path = write(tmp_path, f"@univariate true\n{tag}@data\n1,2\n3,4\n")
    X, y = read_ts(path)
    assert y is None
    assert X.tolist() == [[[1], [2]], [[3], [4]]]


def test_a_header_that_does_not_mention_labels_is_completed_by_the_first_series(tmp_path):
    assert read_ts(write(tmp_path, "@dimensions 2\n@data\n1:2:a\n3:4:b\n")).y.tolist() == ["a", "b"]
    message = error_of(read_ts, write(tmp_path, "@univariate false\n@data\n1:2\n"))
    assert "line 3 has 2 parts" in message
    assert "'@classLabel true', or false" in message


# Values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,?,3:Walk\n4,NaN,6:Sit\n", [[[1], [NAN], [3]], [[4], [NAN], [6]]]),
        ("1,2:Walk\n4,3,2,1:Sit\n", [[[1], [2]], [[4], [3], [2], [1]]]),
        ("# comment\n\n 1 , 2e3 : Walk \n% comment\n-1,+.5:Sit", [[[1], [2000]], [[-1], [0.5]]]),
    ],
)
def test_values_are_those_of_the_file(tmp_path, text, values):
    X, y = read_ts(write(tmp_path, UNIVARIATE + text))
    for series, right in zip(X, values, strict=True):
        np.testing.assert_array_equal(series, right)
    assert y.tolist() == ["Walk", "Sit"]


def test_channels_are_the_last_axis(tmp_path):
    header = "@DIMENSIONS 2\n@EqualLength TRUE\n@serieslength 3\n@classlabel true A\n@DATA\n"
    X, _ = read_ts(write(tmp_path, header + "1,2,3:4,5,6:A\n7,8,9:0,1,2:A\n"))
    assert X.shape == (2, 3, 2)
    assert X[0].tolist() == [[1, 4], [2, 5], [3, 6]]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_byte_order_marks_and_line_ends_are_no_content(tmp_path, newline):
    path = write(tmp_path, "\ufeff" + UNIVARIATE + "1,2:Walk\n", newline=newline)
    assert read_ts(path).y.tolist() == ["Walk"]


# Time points

TIMED = "@timestamps true\n@dimensions 1\n@classLabel true a b\n@data\n"


@pytest.mark.parametrize(
    ("channel", "values"),
    [
        ("(0,1.5),(1,2.5)", [1.5, 2.5]),
        ("(1,2.5), (0,1.5)", [1.5, 2.5]),
        ("(0,5),(1,6),(3,8)", [5, 6, NAN, 8]),
        ("(2007-01-01 00:00:00,241.97),(2007-01-01 00:01:00,?)", [241.97, NAN]),
        ("(2007-01-02,2),(2007-01-01,1),(2007-01-04,4)", [1, 2, NAN, 4]),
    ],
)
def test_values_with_times_are_put_in_their_order(tmp_path, channel, values):
    X, y = read_ts(write(tmp_path, f"{TIMED}{channel}:b\n"))
    np.testing.assert_array_equal(X[0][:, 0], values)
    assert y.tolist() == ["b"]


def test_channels_are_joined_by_time(tmp_path):
    header = TIMED.replace("dimensions 1", "dimensions 2")
    X, _ = read_ts(write(tmp_path, header + "(0,1),(1,2),(2,3):(2,30),(1,20):a\n"))
    np.testing.assert_array_equal(X[0], [[1, NAN], [2, 20], [3, 30]])


def test_irregular_times_need_a_step(tmp_path):
    path = write(tmp_path, f"{TIMED}(0,1),(1,2),(2.5,3):a\n")
    assert str(path) in error_of(read, path)
    assert values_of(read(path, step=None).X) == [[[1], [2], [3]]]
    [(X, _)] = read_batches(path, step=None)
    assert values_of(X) == [[[1], [2], [3]]]


# Errors


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no line @data"),
        ("1,2,3:Walk\n", "line 1 is '1,2,3:Walk', but the header has not ended"),
        (UNIVARIATE, "holds no series"),
        (UNIVARIATE + "1,2:Run\n", "line 4 has the label 'Run'; @classLabel lists Walk Sit"),
        (UNIVARIATE + "1,2:walk\n", "line 4 has the label 'walk'"),
        (UNIVARIATE + "1,2:Walk\n\n1,2\n", "line 6 has 1 parts separated by ':', and must have 1"),
        (UNIVARIATE + "1,2:\n", "line 4 has no label after its last ':'"),
        (UNIVARIATE + "1,2:3,4:Walk\n", "line 4 has 3 parts separated by ':', and must have 1"),
        (
            UNIVARIATE + "1,two:Walk\n",
            "line 4 has 'two' where a number is due, in channel 0 at pos",
        ),
        (UNIVARIATE + "1,,3:Walk\n", "line 4 has nothing where a number is due"),
        (UNIVARIATE + "1,1_000:Walk\n", "line 4 has '1_000' where a number is due"),
        (UNIVARIATE + "1;2;3:Walk\n", "line 4 has '1;2;3' where a number is due"),
        ("@univariate maybe\n@data\n", "line 1: @univariate is 'maybe'; it must be true or false"),
        ("@seriesLength\n@data\n", "line 1: @seriesLength".lower()),
        (
            "@dimensions 2\n@classLabel true a\n@data\n1,2,3,4:5,6:a\n",
            "line 4 has 4 timesteps in channel 0 and 2 in channel 1",
        ),
        (
            "@equalLength true\n@seriesLength 3\n" + UNIVARIATE + "1,2:Walk\n",
            "line 6 has 2 timesteps, but @seriesLength is 3, and the header says @equalLength true",
        ),
        (
            "@equalLength true\n" + UNIVARIATE + "1,2:Walk\n1,2,3:Sit\n",
            "line 6 has 3 timesteps, but the series of line 5 has 2",
        ),
        (
            "@univariate false\n@classLabel true a\n@data\n1:2:a\n1:2:3:a\n",
            "line 5 has 4 parts separated by ':', and must have 2 channels and a label",
        ),
        ("@targetLabel true\n@univariate true\n@data\n1,2:high\n", "line 4 has 'high' where a num"),
        (TIMED + ":a\n", "line 5: channel 0 is ''; with @timestamps true it must be"),
        (TIMED + "1,2:a\n", "line 5: channel 0 is '1,2'; with @timestamps true it must be"),
        (TIMED + "(0,1),(0,2):a\n", "line 5: channel 0 has the time 0 twice"),
        (TIMED + "(0,1),(2007-13-01,2):a\n", "line 5: its times cannot be read"),
        (TIMED + "(0,1,2):a\n", "line 5: channel 0 is '(0,1,2)'"),
    ],
)
def test_errors_name_the_file_and_the_line(tmp_path, text, says):
    path = write(tmp_path, text)
    message = error_of(read_ts, path)
    assert message.startswith(str(path))
    assert says in message


def test_other_encodings_are_named(tmp_path):
    path = tmp_path / "x.ts"
    path.write_bytes(UNIVARIATE.encode() + b"1,2:Stra\xdfe\n")
    assert "is not text in UTF-8" in error_of(read_ts, path)


def test_reading_warns_of_nothing(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_ts(write(tmp_path, UNIVARIATE + "1,nan:Walk\n"))


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", range(300))
def test_what_is_written_is_read(tmp_path, seed):
    rng = np.random.default_rng(seed)
    n_series, n_channels = rng.integers(1, 6, 2)
    is_equal, has_labels = rng.integers(0, 2, 2).astype(bool)
    names = list(rng.permutation(NAMES)[: rng.integers(1, len(NAMES))])
    lengths = np.full(n_series, 3) if is_equal else rng.integers(1, 9, n_series)
    series = [rng.choice([0, -1.5, 1e-300, 3e7, NAN], (n, n_channels)) for n in lengths]
    labels = rng.choice(names, n_series)
    header = [f"@dimensions {n_channels}", f"@equalLength {bool(is_equal)}"]
    header.append(f"@classLabel {bool(has_labels)} " + " ".join(names if has_labels else []))
    rows = [
        ":".join(
            ",".join("?" if value != value else repr(float(value)) for value in channel)
            for channel in one.T
        )
        + (f":{label}" if has_labels else "")
        for one, label in zip(series, labels, strict=True)
    ]
    X, y = read_ts(write(tmp_path, "\n".join([*rng.permutation(header), "@data", *rows])))
    for found, one in zip(X, series, strict=True):
        np.testing.assert_array_equal(found, one)
    assert (y is None) if not has_labels else (y.tolist() == labels.tolist())
