"""A model that was trained on the demo's arrays, and what a stranger then gives it."""

import json

import numpy as np
import pandas as pd
import pytest
from tests.commands import complaint, ok

from seqfeat.cli.training_sets import as_classes

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
COLUMNS = ["--id", "series", "--time", "time"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    quick = ["--embedding-dim", "8", "--max-iter", "2", "--no-baselines"]
    ok("train", "demo:japanese-vowels", *quick, "-o", folder / "m.joblib")
    ok("convert", "demo:japanese-vowels:test", "-o", folder / "new.csv")
    return folder / "m.joblib", folder / "new.csv"


def test_labels_that_are_numbers_in_a_table_are_the_archives_texts(files):
    model, table = files
    assert pd.read_csv(table)["label"].dtype.kind == "i"
    found = ok("evaluate", model, table, *COLUMNS, "--label", "label", "--json").json
    expected = ok("evaluate", model, "demo:japanese-vowels:test", "--json").json
    for name in ("accuracy", "classes", "confusion_matrix", "unknown_labels"):
        assert found[name] == expected[name], name


def test_a_report_takes_them_too(files, tmp_path):
    pytest.importorskip("bokeh")
    model, table = files
    ok("report", model, table, *COLUMNS, "--label", "label", "-o", tmp_path / "r.html")
    card = json.loads(model.with_suffix(".json").read_text())
    accuracy = f"{card['metrics']['test_accuracy']:.3f}"
    assert accuracy in (tmp_path / "r.html").read_text()


def test_a_long_table_without_its_columns_is_told_which_options_name_them(files):
    model, table = files
    said = complaint("predict", model, table)
    assert "X is a 2D table of shape (5687, 15)" in said
    assert said.endswith(
        "--id and --time name the columns that say which; each row is a series otherwise."
    )
    assert "X[None]" not in said


def test_a_column_too_many_is_told_which_options_name_channels(files):
    model, table = files
    said = complaint("predict", model, table, *COLUMNS)
    assert "X has 13 features, but LSTMAutoencoder is expecting 12" in said
    assert "--channels names the columns that are channels, --label one that is none." in said


@pytest.mark.parametrize(
    ("labels", "classes", "expected"),
    [
        ([1, 2, 7], ["1", "2"], ["1", "2", "7"]),
        ([1.0, 2.0], ["1", "2"], ["1", "2"]),
        ([1.5, 2.0], ["1.5", "2"], ["1.5", "2"]),
        (["1", "2"], [1, 2], [1, 2]),
        (["1", "x"], [1, 2], ["1", "x"]),
        ([3, 4], ["a", "b"], [3, 4]),
        (["a", "b"], ["a", "b"], ["a", "b"]),
        ([1, 2], [1, 2, 3], [1, 2]),
    ],
)
def test_labels_become_the_classes_that_are_written_alike(labels, classes, expected):
    assert as_classes(np.array(labels), np.array(classes)).tolist() == expected
