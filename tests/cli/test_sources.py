import numpy as np
import pandas as pd
import pytest

import seqfeat as library
from seqfeat import make_classifier
from seqfeat.cli.console import Console
from seqfeat.cli.parser import make_parser
from seqfeat.cli.sources import ReadOptions, open_source
from tests.commands import LONG, QUICK, assert_close, error_of, meters, ok, waves

pytestmark = pytest.mark.usefixtures("one_thread", "small_batches")


def test_a_table_is_read_in_batches_with_ids(models, new):
    options = make_parser().parse_args(["convert", "x.csv", *LONG, "-o", "y.csv"])
    batches = list(open_source(str(models / "new.csv"), options).batches(Console()))
    assert 3 < len(batches) < 24
    assert [id for batch in batches for id in batch.ids] == new.X.index.tolist()


def test_series_without_ids_are_numbered_across_batches(models, tmp_path):
    ok("embed", models / "rows.joblib", models / "rows.npy", "-o", tmp_path / "f.csv")
    lines = (tmp_path / "f.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["series", *map(str, range(30))]


def test_channels_first_are_swapped(models, tmp_path):
    np.save(tmp_path / "first.npy", waves().transpose(0, 2, 1))
    arguments = ["embed", models / "rows.joblib", tmp_path / "first.npy", "-o", tmp_path / "f.npy"]
    assert error_of(*arguments).endswith("pass --channels-first.")
    ok(*arguments, "--channels-first")
    expected = library.load(models / "rows.joblib").transform(waves())
    assert_close(np.load(tmp_path / "f.npy"), expected)


def test_a_misspelled_column_is_reported_with_the_existing_ones(csv, tmp_path):
    options = [*LONG[:4], "--label", "kidn", "-o", tmp_path / "m.joblib"]
    assert error_of("train", csv, *options) == (
        "--label kidn: meters.csv has no such column. Its columns are meter, day, load, heat, "
        "kind. Did you mean 'kind'?"
    )


def test_a_misspelled_demo_is_reported_with_the_existing_ones(tmp_path):
    message = error_of("train", "demo:vowels", "-o", tmp_path / "m.joblib")
    assert message.startswith("unknown data set demo:vowels; available: demo:japanese-vowels, ")


# Series are read as in training unless options say otherwise.


def test_columns_that_the_training_data_did_not_have_are_ignored(models, model, new, tmp_path):
    frame = meters(24, seed=1).assign(weather="rain", roof=1.5)
    frame[["kind", "heat", "roof", "day", "load", "weather", "meter"]].to_csv(
        tmp_path / "more.csv", index=False
    )
    ok("embed", models / "m.joblib", tmp_path / "more.csv", "-o", tmp_path / "f.npy")
    assert_close(np.load(tmp_path / "f.npy"), model[0].transform(new.X))


def test_columns_may_have_other_names_than_in_the_training_data(models, model, new, tmp_path):
    frame = meters(24, seed=1).rename(columns={"meter": "site", "kind": "type"})
    frame.to_csv(tmp_path / "renamed.csv", index=False)
    arguments = ["evaluate", models / "m.joblib", tmp_path / "renamed.csv"]
    message = error_of(*arguments)
    assert message.startswith("--id meter: renamed.csv has no such column. Its columns are site,")
    assert message.endswith(
        "'meter' is the column of the training data; pass --id for another one."
    )
    result = ok(*arguments, "--id", "site", "--label", "type", "--json").json
    assert result["accuracy"] == model.score(*new)


def test_the_step_is_that_of_the_training_data(models, tmp_path):
    frame = meters(6, seed=1)
    frame.assign(day=frame["day"] * 0.5).to_csv(tmp_path / "half.csv", index=False)
    arguments = ["embed", models / "m.joblib", tmp_path / "half.csv", "-o", tmp_path / "f.npy"]
    message = error_of(*arguments)
    assert "The step of 1 is that of the training data" in message
    assert "--step auto" in message
    ok(*arguments, "--step", "auto")


def test_a_table_sorted_by_time_is_read_whole_with_a_warning(models, model, new, tmp_path):
    frame = meters(24, seed=1).sort_values("day", kind="stable")
    frame.to_csv(tmp_path / "by_time.csv", index=False)
    arguments = ["embed", models / "m.joblib", tmp_path / "by_time.csv", "-o", tmp_path / "f.npy"]
    warnings = [line for line in ok(*arguments).err.splitlines() if "warning" in line]
    assert len(warnings) == 1
    assert "series m000" in warnings[0]
    assert_close(np.load(tmp_path / "f.npy"), model[0].transform(new.X))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_model_that_was_saved_from_python_is_read_with_options(models, new, tmp_path):
    pipeline = make_classifier(2, max_iter=1, random_state=0).fit(*new)
    library.save(pipeline, tmp_path / "own.joblib")
    arguments = ["evaluate", tmp_path / "own.joblib", models / "new.csv"]
    assert "holds the text 'm000'" in error_of(*arguments)
    assert ok(*arguments, *LONG, "--json").json["accuracy"] == pipeline.score(*new)


# Errors of the library, in terms of the command line.


def test_a_long_table_without_its_columns_names_the_options_for_them(demo):
    message = error_of("predict", demo / "m.joblib", demo / "new.csv")
    assert "X is a 2D table of shape" in message
    assert message.endswith(
        "If the table has one row per series and timestep, name its columns with --id and --time; "
        "without them, each row is read as one series."
    )


def test_one_channel_too_many_names_the_options_for_channels(demo):
    options = ["--id", "series", "--time", "time"]
    message = error_of("predict", demo / "m.joblib", demo / "new.csv", *options)
    assert message == (
        "X has 13 features, but LSTMAutoencoder is expecting 12 features as input. Select the "
        "columns that are channels with --channels, or name the column of labels with --label."
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["embed", "m.joblib", "nothing.csv", "-o", "{out}/f.csv"], "there is no file nothing.csv"),
        (["embed", "m.joblib", "rows.npy", "-o", "{out}/f.csv"], "expecting 2 features"),
        (["embed", "m.joblib", "rows.npy", "--id", "x", "-o", "{out}/f.csv"], "--id x"),
        (["embed", "wide.joblib", "wider.npy", "-o", "{out}/f.csv"], "X has 30 features, but"),
        (["evaluate", "m.joblib", "demo:japanese-vowels:test"], "12 features"),
        (
            ["evaluate", "m.joblib", "new.csv", "--label", "load"],
            "the series, or pass no --label.",
        ),
    ],
)
def test_data_that_a_model_cannot_take_is_an_error(models, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(models)
    message = error_of(*(text.format(out=tmp_path) for text in arguments))
    assert words in message
    assert "--debug" not in message
    assert "--step" not in message
    assert list(tmp_path.iterdir()) == []


# Tables as people have them


def columns_line(*arguments):
    (line,) = [one for one in ok(*arguments).err.splitlines() if one.startswith("Columns: ")]
    return line


def converted(path, *options, output="out.parquet"):
    """Return what ``seqfeat convert`` makes of a file."""
    ok("convert", path, *options, "-o", path.parent / output)
    return pd.read_parquet(path.parent / output)


@pytest.mark.parametrize("option", ["Temp, °C,u", "u,Temp, °C", '"Temp, °C",u', ' u , "Temp, °C" '])
def test_a_channel_may_have_a_comma_in_its_name(tmp_path, option):
    path = tmp_path / "x.csv"
    path.write_text('id,t,"Temp, °C",u,w\na,0,1,2,3\na,1,4,5,6\n')
    frame = converted(path, "--id", "id", "--time", "t", "--channels", option)
    assert sorted(frame.loc[0, ["channel_0", "channel_1"]]) == [1, 2]
    assert "channel_2" not in frame
    message = error_of("convert", path, "--id", "id", "--channels", "Temp; °C", "-o", "o.csv")
    assert message.startswith("--channels Temp; °C: x.csv has no such column.")
    assert message.endswith("Did you mean 'Temp, °C'?")


def test_names_of_columns_may_have_spaces_around(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("id, t , u\na, 0, 1\na, 1, 2\n")
    frame = converted(path, "--id", " id", "--time", "t ", "--channels", " u ")
    assert frame["channel_0"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("text", "options", "line"),
    [
        (
            ",id,t,u,w,y\n0,a,0,1,2,x\n1,a,1,3,4,x\n",
            ["--id", "id", "--time", "t", "--label", "y"],
            "Columns: id -> series, t -> time, y -> label; channels: u, w; left out: Unnamed: 0.",
        ),
        (
            "id,t,u,w\na,0,1,2\na,1,3,4\n",
            ["--id", "id", "--channels", "w"],
            "Columns: id -> series; channels: w.",
        ),
        (
            f"y,{','.join(map(str, range(500)))}\na{',1' * 500}\n",
            ["--label", "y"],
            "Columns: y -> label; 500 timesteps: 0, 1, 2, ..., 499.",
        ),
        ("0,1\n2,3\n", [], "Columns: 2 timesteps: 0, 1."),
    ],
)
def test_the_columns_are_told_once(tmp_path, text, options, line):
    path = tmp_path / "x.csv"
    path.write_text(text)
    arguments = ["convert", path, *options, "-o", tmp_path / "o.csv"]
    result = ok(*arguments)
    assert result.err.splitlines() == [line]
    warnings = ok(*arguments, "-q").err.splitlines()
    assert len(warnings) == ("left out" in line)
    assert all("left out of the channels: 'Unnamed: 0'" in one for one in warnings)


def test_a_file_of_the_archive_needs_no_options(tmp_path):
    path = tmp_path / "x.tsv"
    path.write_text("1\t.1\t.2\t.3\n2\t.3\t.2\tNaN\n")
    line = columns_line("convert", path, "-o", tmp_path / "o.parquet")
    assert line == (
        "Columns: 0 -> label; 3 timesteps: 1, 2, 3 (no header, and the labels come first)."
    )
    assert pd.read_parquet(tmp_path / "o.parquet")["label"].tolist() == [1, 1, 1, 2, 2]


def test_options_say_how_a_table_is_written(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes("id~t~Größe\na~0~1,5\na~1~?\na~2~2,5\n".encode("latin-1"))
    options = ["--id", "id", "--time", "t"]
    message = error_of("convert", path, *options, "-o", tmp_path / "o.csv")
    assert "--encoding latin-1" in message
    options += ["--encoding", "latin-1", "--separator", "~"]
    message = error_of("convert", path, *options, "-o", tmp_path / "o.csv")
    assert "--na-values '?'" in message
    frame = converted(path, *options, "--na-values", "?,-")
    assert frame["channel_0"].dropna().tolist() == [1.5, 2.5]


def test_a_table_without_a_header_is_read_with_an_option(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("a,3.5,1.5\nb,5.5,2.5\n")
    message = error_of("convert", path, "--label", "0", "-o", tmp_path / "o.csv")
    assert "--no-header" in message
    frame = converted(path, "--label", "0", "--no-header")
    assert frame["label"].tolist() == ["a", "a", "b", "b"]


def test_a_model_knows_how_its_table_was_written(tmp_path):
    frame = meters().rename(columns={"load": "load; kW"})
    table = tmp_path / "x.csv"
    frame.to_csv(table, sep="~", decimal=",", index=False)
    written = ["--separator", "~", "--na-values", "?"]
    model = tmp_path / "m.joblib"
    ok("train", table, *LONG, *written, *QUICK, "--no-baselines", "-o", model)
    reading = library.saving.persistence.load_card(model)["reading"]
    assert (reading["separator"], reading["na_values"]) == ("~", ["?"])
    assert (reading["decimal"], reading["header"]) == ("auto", "auto")
    ok("embed", model, table, "-o", tmp_path / "one.npy")
    frame.to_csv(tmp_path / "y.csv", index=False)
    ok("embed", model, tmp_path / "y.csv", "--separator", "auto", "-o", tmp_path / "two.npy")
    assert_close(np.load(tmp_path / "one.npy"), np.load(tmp_path / "two.npy"))


def test_a_card_that_says_nothing_about_text_stands_for_what_is_recognized():
    options = make_parser().parse_args(["embed", "m.joblib", "x.csv", "-o", "f.csv"])
    assert ReadOptions.combine(options, {"label": "kind"}) == ReadOptions(label="kind")


NAMES = ["001", "1.10", "NA", "True", "12E2", "null", str(2**64), " x"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_ids_are_written_as_they_were_read(models, tmp_path, suffix):
    frame = meters(len(NAMES), seed=1)
    frame["meter"] = [NAMES[int(one[1:])] for one in frame["meter"]]
    frame.to_csv(tmp_path / "x.csv", index=False)
    ok("embed", models / "m.joblib", tmp_path / "x.csv", "-o", tmp_path / f"f{suffix}")
    if suffix == ".parquet":
        found = pd.read_parquet(tmp_path / "f.parquet")["meter"]
    else:
        found = pd.read_csv(tmp_path / "f.csv", dtype=str, keep_default_na=False)["meter"]
    assert found.tolist() == NAMES


def test_ids_that_repeat_hint_at_a_long_table(csv, tmp_path):
    message = error_of("train", csv, "--id", "meter", "-o", tmp_path / "m.joblib")
    assert message.startswith("--id meter: m000 occurs more than once")
    assert "pass --time ..." in message
