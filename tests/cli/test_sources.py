import numpy as np
import pytest

import seqfeat as library
from seqfeat import make_classifier
from seqfeat.cli.console import Console
from seqfeat.cli.parser import make_parser
from seqfeat.cli.sources import open_source
from tests.commands import LONG, assert_close, error_of, meters, ok, waves

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
