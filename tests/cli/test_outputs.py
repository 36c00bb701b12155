import sys

import numpy as np
import pandas as pd
import pytest

from seqfeat.cli.errors import UserError
from seqfeat.cli.outputs import open_writer
from tests.commands import LONG, QUICK, error_of, meters, ok, seqfeat

pytestmark = pytest.mark.usefixtures("one_thread", "small_batches")


@pytest.fixture
def frames():
    index = pd.Index(["a", "b", "c"], name="meter")
    frame = pd.DataFrame({"x": [1.5, 2.5, 3.5], "y": [0.0, 1.0, 2.0]}, index=index)
    return frame, [frame[:2], frame[2:]]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables_are_written_batch_by_batch_with_their_ids(tmp_path, frames, suffix):
    frame, batches = frames
    path = tmp_path / f"new{suffix}"
    with open_writer(str(path)) as writer:
        for batch in batches:
            writer.write(batch)
        assert not path.exists()
    read = pd.read_csv if suffix == ".csv" else pd.read_parquet
    pd.testing.assert_frame_equal(read(path).set_index("meter"), frame)


def test_arrays_are_written_batch_by_batch_with_their_ids_next_to_them(tmp_path, frames):
    frame, batches = frames
    with open_writer(str(tmp_path / "new.npy")) as writer:
        for batch in batches:
            writer.write(batch)
    array = np.load(tmp_path / "new.npy", mmap_mode="r")
    np.testing.assert_array_equal(array, frame.to_numpy())
    assert pd.read_csv(tmp_path / "new.ids.csv")["meter"].tolist() == ["a", "b", "c"]


def test_a_single_column_becomes_a_one_dimensional_array(tmp_path, frames):
    with open_writer(str(tmp_path / "new.npy")) as writer:
        writer.write(frames[0][["x"]])
    assert np.load(tmp_path / "new.npy").tolist() == [1.5, 2.5, 3.5]


def test_arrays_hold_no_text(tmp_path):
    with (
        pytest.raises(UserError, match=r"use \.csv or \.parquet"),
        open_writer(str(tmp_path / "new.npy")) as writer,
    ):
        writer.write(pd.DataFrame({"prediction": ["home"]}))
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_a_late_batch_leaves_the_previous_file_intact(tmp_path, models):
    output = tmp_path / "f.csv"
    ok("embed", models / "m.joblib", models / "new.csv", "-o", output)
    before = output.read_bytes()
    frame = meters(24, seed=1)
    frame.loc[frame["meter"].eq("m022") & frame["day"].eq(3), "load"] = np.nan
    frame.to_csv(tmp_path / "gap.csv", index=False)
    message = error_of("embed", models / "m.joblib", tmp_path / "gap.csv", "-o", output)
    assert "series m022" in message
    assert "timestep 3, channel 0" in message
    assert message.endswith(
        "Fill it, or train the model with --missing mask, which reads NaN as missing."
    )
    assert output.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.csv", "gap.csv"]


def test_inputs_are_never_overwritten(tmp_path, models):
    table = tmp_path / "new.ids.csv"
    table.write_bytes((models / "new.csv").read_bytes())
    for output in (table, tmp_path / "new.npy"):  # whose ids would go into new.ids.csv
        message = error_of("embed", models / "m.joblib", table, "-o", output)
        assert (
            message == f"--output {output} would overwrite the input {table}; choose another name."
        )
    assert table.read_bytes() == (models / "new.csv").read_bytes()


def test_an_unknown_suffix_is_an_error(tmp_path, models):
    arguments = ["embed", models / "m.joblib", models / "new.csv", "-o"]
    message = error_of(*arguments, tmp_path / "f.txt")
    assert message.endswith("f.txt: unsupported suffix '.txt'; use .csv, .parquet or .npy.")
    assert error_of(*arguments, tmp_path / "f").endswith(
        "the file name has no suffix; use .csv, .parquet or .npy."
    )


def test_a_file_in_a_directory_that_cannot_be_created_is_named(models):
    result = seqfeat("export", models / "m.joblib", "-o", "/proc/nowhere/m.onnx")
    assert result.status == 1
    assert result.err.splitlines()[-1] == (
        "seqfeat: error: /proc/nowhere/m.onnx: not saved, and any existing file is unchanged: No "
        "such file or directory"
    )


def test_a_model_that_could_not_be_saved_is_not_trained(tmp_path, csv):
    arguments = ["train", csv, *LONG, *QUICK, "-o"]
    assert "use .joblib or .skops" in error_of(*arguments, tmp_path / "m.pkl")
    assert "is a directory" in error_of(*arguments, tmp_path)
    ok(*arguments, tmp_path / "m.joblib", "--no-baselines")
    result = seqfeat(*arguments, tmp_path / "m.skops")
    assert result.status == 1
    assert "m.json is the card of m.joblib" in result.err
    assert "Training" not in result.err


@pytest.mark.parametrize(
    ("option", "name", "module"),
    [("--report", "page.html", "bokeh"), ("--picture", "page.png", "matplotlib")],
)
def test_a_picture_that_could_not_be_drawn_is_an_error_before_the_training(
    tmp_path, csv, monkeypatch, option, name, module
):
    command = ["train", csv, *LONG, *QUICK, "-o", tmp_path / "m.joblib", option]
    assert error_of(*command, tmp_path / "page.txt").startswith(f"{option} {tmp_path}/page.txt: ")
    assert error_of(*command, csv / name) == f"{csv}: Not a directory"
    monkeypatch.setitem(sys.modules, module, None)
    result = seqfeat(*command, tmp_path / name)
    assert result.status == 1
    assert f"{option} needs {module}: pip install 'seqfeat[" in result.err
    assert "Training" not in result.err
