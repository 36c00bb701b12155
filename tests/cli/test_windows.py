"""Long recordings on the command line: cut by every command, and never on both sides of a split."""

import json
from argparse import Namespace

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

import seqfeat as library
from seqfeat import make_classifier
from seqfeat.cli.errors import UserError
from seqfeat.cli.evaluation import RecordingFolds, make_folds, split_series
from seqfeat.cli.options import extent
from seqfeat.cli.sources import recordings_of
from seqfeat.series import LabelledSeries, windows
from seqfeat.series.series import to_pandas_series
from tests.commands import QUICK, assert_close, error_of, ok

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

CUT = ["--window", "1s", "--stride", "0.5s"]
COLUMNS = ["--id", "who", "--time", "when", "--label", "what"]
FAST = [*QUICK, "--no-baselines"]


def sensors(n_recordings=6, n_rows=120, seed=0):
    """Return recordings of 20 rows a second, in which each of three activities comes once."""
    rng = np.random.default_rng(seed)
    parts = []
    for number in range(n_recordings):
        what = np.repeat(rng.permutation(["walk", "sit", "run"]), n_rows // 3)
        frequency = pd.Series(what).map({"walk": 1.0, "sit": 0.1, "run": 3.0})
        parts.append(
            pd.DataFrame(
                {
                    "who": f"{number:03}",
                    "when": pd.Timestamp("2026-01-31")
                    + pd.to_timedelta(50 * np.arange(n_rows), "ms"),
                    "x": np.sin(2 * np.pi * frequency.cumsum() / 20) + rng.normal(0, 0.2, n_rows),
                    "y": rng.normal(size=n_rows),
                    "what": what,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """A folder with recordings in files, and a model of them."""
    folder = tmp_path_factory.mktemp("recordings")
    frame = sensors()
    frame.to_csv(folder / "all.csv", index=False)
    frame.to_parquet(folder / "all.parquet", row_group_size=50)
    one = frame[frame["who"] == "002"]
    one.drop(columns="who").to_csv(folder / "one.csv", index=False)
    np.save(folder / "one.npy", one[["x", "y"]].to_numpy())
    ok("train", folder / "all.csv", *COLUMNS, *CUT, *FAST, "-o", folder / "m.joblib")
    return folder


@pytest.fixture
def expected():
    """The windows of all recordings."""
    return windows(sensors(), "1s", "0.5s", by="who", time="when", label="what")


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """Recordings of noise, each with an offset of its own and a label that means nothing."""
    rng = np.random.default_rng(1)
    names = np.repeat([f"r{number:02}" for number in range(12)], 120)
    frame = pd.DataFrame({"who": names})
    for channel in ("x", "y"):
        offsets = np.repeat(10 * rng.permutation(12), 120)
        frame[channel] = offsets + rng.normal(size=len(names))
    frame["what"] = np.repeat(np.tile(["a", "b"], 6), 120)
    path = tmp_path_factory.mktemp("noise") / "noise.csv"
    frame.to_csv(path, index=False)
    return path


NOISE = ["--id", "who", "--label", "what", "--window", "20", "--stride", "5"]
NOISE += ["--classifier", "knn", "--max-iter", "0", "--embedding-dim", "8"]


# Nothing leaks


def test_a_random_split_of_windows_promises_what_it_cannot_keep(noise):
    """The score that the command line avoids."""
    X, y, *_ = windows(noise, 20, 5, by="who", label="what")
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    model = make_classifier(8, KNeighborsClassifier(), max_iter=0, random_state=0)
    assert cross_val_score(model, X, y, cv=folds).mean() > 0.9


def test_scores_of_folds_and_of_baselines_are_those_of_other_recordings(tmp_path, noise):
    result = ok("train", noise, *NOISE, "--cv", "3", "-o", tmp_path / "m.joblib", "--json")
    scores = result.json["scores"]
    assert len(scores) == 5
    assert max(scores.values()) < 0.8
    assert "Each of 3 folds is tested on other recordings" in result.err


HALVING = ["--strategy", "halving", "--max-iter", "6"]


@pytest.mark.parametrize("options", [[], pytest.param(HALVING, marks=pytest.mark.slow)])
def test_a_search_scores_on_other_recordings(noise, options):
    result = ok("search", noise, *NOISE, "--embedding-dim", "2,8", *options, "--json")
    assert max(row["score"] for row in result.json["sizes"]) < 0.8
    assert "Each of 3 folds is tested on other recordings" in result.err


def labelled_windows(n_recordings, label=True):
    """Return windows as the command line has them, with labels in any order."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"who": np.repeat(range(n_recordings), 165)})
    frame["x"] = rng.normal(size=len(frame))
    frame["what"] = rng.choice(["a", "b", "c"], size=len(frame))
    X, y, groups, starts = windows(
        frame, 20, 5, by="who", label="what" if label else None, channels="x"
    )
    index = pd.MultiIndex.from_arrays([groups, starts], names=["recording", "start"])
    labels = None if y is None else pd.Series(y, index=index)
    return LabelledSeries(to_pandas_series(list(X), index), labels)


OPTIONS = Namespace(window=20, stride=5, cv=3, test_size=None, random_state=0, target=None)
HELD_OUT = Namespace(**{**vars(OPTIONS), "cv": None})


def assert_apart(train, test):
    """Check that no window of one part shares a timestep with one of the other."""
    for name in set(train.get_level_values(0)) & set(test.get_level_values(0)):
        starts = [it[it.get_level_values(0) == name].get_level_values(1) for it in (train, test)]
        distances = np.abs(np.subtract.outer(*map(np.asarray, starts)))
        assert distances.min() >= 20


@pytest.mark.parametrize("label", [True, False])
@pytest.mark.parametrize("n_recordings", [1, 2, 3, 7, 30])
def test_no_recording_is_on_both_sides_of_a_held_out_part(n_recordings, label):
    labelled = labelled_windows(n_recordings, label=label)
    split = split_series(labelled, None, "", HELD_OUT)
    train, test = split.train.X.index, split.test.X.index
    assert_apart(train, test)
    assert len(train)
    assert len(test)
    if n_recordings > 1:
        assert not set(train.get_level_values(0)) & set(test.get_level_values(0))
        assert len(train) + len(test) == len(labelled.X)
        n_test = int(np.ceil(0.25 * n_recordings))
        assert f"Holding out {n_test} of {n_recordings} recordings: " in split.note
    else:
        assert test.equals(labelled.X.index[-len(test) :])
        assert "only one recording; 3 windows that overlap them are left out" in split.note


@pytest.mark.parametrize("label", [True, False])
@pytest.mark.parametrize("n_recordings", [1, 3, 8])
def test_no_recording_is_on_both_sides_of_a_fold(n_recordings, label):
    labelled = labelled_windows(n_recordings, label=label)
    folds = make_folds(labelled, OPTIONS)
    assert isinstance(folds, RecordingFolds)
    tested = []
    for train, test in folds.split(*labelled):
        assert_apart(labelled.X.index[train], labelled.X.index[test])
        tested.append(test)
    assert len(tested) == folds.get_n_splits(labelled.X) == 3
    assert sorted(np.concatenate(tested)) == list(range(len(labelled.X)))


def test_recordings_are_chosen_so_that_all_classes_are_on_both_sides():
    """Two of twelve recordings have the rare class."""
    labelled = labelled_windows(12)
    rare = labelled.X.index.get_level_values(0).isin([3, 8])
    y = pd.Series(np.where(rare, "rare", "frequent"), index=labelled.X.index)
    split = split_series(labelled._replace(y=y), None, "", HELD_OUT)
    assert set(split.train.y) == set(split.test.y) == {"rare", "frequent"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cv": 3}, ["--cv 3", "class rare"]),
        ({"cv": 5}, ["--cv 5", "only 4 recordings", "--cv 4"]),
    ],
)
def test_a_class_in_one_recording_cannot_be_tested(options, words):
    labelled = labelled_windows(4)
    is_rare = labelled.X.index.get_level_values(0) == 1
    y = pd.Series(np.where(is_rare, "rare", "frequent"), index=labelled.X.index)
    with pytest.raises(UserError) as caught:
        split_series(labelled._replace(y=y), None, "", Namespace(**{**vars(OPTIONS), **options}))
    for word in words:
        assert word in str(caught.value)


# Every command


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("name", ["all.csv", "all.parquet"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npy"])
def test_features_carry_their_recording_and_start(tmp_path, recordings, expected, name, suffix):
    output = tmp_path / f"f{suffix}"
    result = ok("embed", recordings / "m.joblib", recordings / name, "-o", output)
    features = library.load(recordings / "m.joblib")[0].transform(expected.X)
    if suffix == ".npy":
        assert_close(np.load(output), features)
        ids = pd.read_csv(tmp_path / "f.ids.csv", dtype={"recording": str})
    else:
        is_csv = suffix == ".csv"
        ids = pd.read_csv(output, dtype={"recording": str}) if is_csv else pd.read_parquet(output)
        assert_close(ids.filter(like="feature_"), features)
    assert ids["recording"].tolist() == expected.groups.tolist()
    assert pd.to_datetime(ids["start"]).tolist() == pd.to_datetime(expected.starts).tolist()
    assert f"Wrote 4 features of {len(features)} windows" in result.out


def test_predictions_carry_their_recording_and_start(recordings, expected):
    model = library.load(recordings / "m.joblib")
    result = ok("predict", recordings / "m.joblib", recordings / "all.csv", "--json").json
    assert result["recording"] == expected.groups.tolist()
    assert list(map(pd.Timestamp, result["start"])) == list(map(pd.Timestamp, expected.starts))
    assert result["predictions"] == model.predict(expected.X).tolist()
    lines = ok("predict", recordings / "m.joblib", recordings / "all.csv").out.splitlines()
    assert lines[:2] == [
        "recording,start,prediction",
        f"000,2026-01-31 00:00:00.000000,{result['predictions'][0]}",
    ]


def test_anomalies_carry_their_recording_and_start(recordings, expected):
    result = ok(
        "anomalies", recordings / "m.joblib", recordings / "all.csv", "--top", "2", "--json"
    )
    errors = -library.load(recordings / "m.joblib")[0].score_samples(expected.X)
    top = np.argsort(-errors)[:2]
    assert result.json["recording"] == expected.groups[top].tolist()
    assert (
        list(map(pd.Timestamp, result.json["start"]))
        == pd.to_datetime(expected.starts[top]).tolist()
    )
    text = ok("anomalies", recordings / "m.joblib", recordings / "all.csv", "--top", "2").out
    assert text.splitlines()[1].split() == ["recording", "start", "error", "vs.", "median"]


def test_a_model_is_evaluated_on_windows_cut_as_in_its_training(recordings, expected):
    result = ok("evaluate", recordings / "m.joblib", recordings / "all.parquet", "--json").json
    model = library.load(recordings / "m.joblib")
    assert result["accuracy"] == model.score(expected.X, expected.y)
    # Windows that overlap are no independent trials.
    assert result["accuracy_interval"] is None
    reading = json.loads((recordings / "m.json").read_text())["reading"]
    cut = {"window": "1s", "stride": "0.5s", "label_from": "majority", "gaps": "split"}
    assert cut.items() <= reading.items()
    assert pd.Timedelta(reading["even_step"]) == pd.Timedelta("50ms")


@pytest.mark.slow
def test_a_report_names_windows_by_recording_and_start(tmp_path, recordings):
    output = tmp_path / "r.html"
    ok("report", recordings / "m.joblib", recordings / "one.csv", "-o", output)
    assert "one at 2026-01-31 00:00:00.500000" in output.read_text()


def test_windows_are_converted_to_a_long_table(tmp_path, recordings, expected):
    ok("convert", recordings / "all.csv", *COLUMNS, *CUT, "-o", tmp_path / "long.parquet")
    long = pd.read_parquet(tmp_path / "long.parquet")
    assert len(long) == expected.X.shape[0] * expected.X.shape[1]
    np.testing.assert_allclose(long[["channel_0", "channel_1"]], expected.X.reshape(-1, 2))


@pytest.mark.parametrize(
    ("name", "options"), [("one.csv", []), ("one.npy", ["--window", "20", "--stride", "10"])]
)
def test_a_file_without_names_is_one_recording(tmp_path, recordings, expected, name, options):
    output = tmp_path / "f.parquet"
    ok("embed", recordings / "m.joblib", recordings / name, *options, "-o", output)
    features = pd.read_parquet(output)
    one = expected.X[expected.groups == "002"]
    assert set(features["recording"]) == {"one"}
    model = library.load(recordings / "m.joblib")
    assert_close(features.filter(like="feature_"), model[0].transform(one))


def test_series_that_are_cut_already_are_not_cut_again(tmp_path, recordings, expected):
    np.save(tmp_path / "cut.npy", expected.X)
    output = tmp_path / "f.npy"
    ok("embed", recordings / "m.joblib", tmp_path / "cut.npy", "--window", "none", "-o", output)
    assert np.load(output).shape == (len(expected.X), 4)


def test_a_single_recording_is_tested_on_its_end(tmp_path, recordings):
    data = recordings / "one.npy"
    result = ok(
        "train", data, "--window", "20", "--stride", "5", *FAST, "-o", tmp_path / "m.joblib"
    )
    assert "Holding out the last 6 of 21 windows, as there is only one recording" in result.err
    assert "Training on 12 " in result.err


def test_windows_without_a_label_are_left_out(tmp_path, recordings):
    frame = sensors().assign(extra=1.0)
    frame.loc[frame["what"] == "sit", "what"] = None
    frame.to_csv(tmp_path / "gaps.csv", index=False)
    channels = ["--channels", "x,y"]
    arguments = [tmp_path / "gaps.csv", *COLUMNS, *channels, *CUT]
    result = ok("train", *arguments, *FAST, "-o", tmp_path / "m.joblib", "--json")
    found = windows(frame, "1s", "0.5s", by="who", time="when", label="what", channels=["x", "y"])
    has_label = pd.notna(found.y)
    assert 0 < has_label.sum() < len(has_label)
    assert f"Left out {(~has_label).sum()} of {len(has_label)} windows" in result.err
    scores = ok("evaluate", tmp_path / "m.joblib", tmp_path / "gaps.csv", "--json").json
    model = library.load(tmp_path / "m.joblib")
    assert scores["accuracy"] == model.score(found.X[has_label], found.y[has_label])


def test_series_of_a_data_set_are_recordings(tmp_path):
    output = tmp_path / "f.csv"
    options = ["--window", "7", "--stride", "7", *FAST, "--test-size", "0"]
    ok("train", "demo:japanese-vowels", *options, "-o", tmp_path / "m.joblib")
    ok("embed", tmp_path / "m.joblib", "demo:japanese-vowels:train", "-o", output)
    assert pd.read_csv(output)["recording"].nunique() == 270


# What cannot be


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--window", "1s", "--stride", "5"], ["--window 1s and --stride 5 do not match"]),
        (["--stride", "5"], ["--stride 5 needs --window"]),
        (["--window", "0"], ["--window 0", "more than 0"]),
        (
            ["--window", "1.02s"],
            ["1.02s is 20.4 timesteps of '50ms'", "Pass '1s' or '1.05s'"],
        ),
        (["--window", "1.5"], ["--window 1.5, but the times are dates"]),
        (["--window", "500"], ["no recording has 500 timesteps", "--window", "--gaps mask"]),
        (["--window", "20", "--channels-first"], ["--channels-first does not go with --window"]),
    ],
)
def test_a_cut_that_is_impossible_is_an_error(tmp_path, recordings, options, words):
    data = recordings / "all.csv"
    message = error_of("train", data, *COLUMNS, *options, "-o", tmp_path / "m.joblib")
    for word in words:
        assert word in message
    assert "length=" not in message


def test_a_duration_needs_times(tmp_path, recordings):
    message = error_of(
        "train", recordings / "one.npy", "--window", "1s", "-o", tmp_path / "m.joblib"
    )
    assert "--window 1s is a duration" in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [("128", 128), ("2.56", 2.56), ("2.56s", "2.56s"), ("None", "none"), ("1e3", 1000.0)],
)
def test_a_length_is_rows_a_number_or_a_duration(text, expected):
    assert extent(text) == expected
    assert type(extent(text)) is type(expected)


def test_series_with_two_levels_of_their_own_are_no_windows():
    index = pd.MultiIndex.from_tuples([("a", 1), ("a", 2)], names=["ward", "bed"])
    assert recordings_of(pd.Series([1, 2], index=index)) is None
