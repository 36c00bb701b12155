"""Numbers as targets on the command line: train, search, evaluate, predict, report."""

import json

import numpy as np
import pandas as pd
import pytest

from seqfeat import load
from tests.commands import seqfeat

OPTIONS = ["--id", "patient", "--time", "t", "--target", "dose", "--max-iter", "0"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a long table, and a model that predicts one of its columns."""
    folder = tmp_path_factory.mktemp("targets")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(48):
        dose, phase = rng.uniform(1, 3), rng.uniform(0, 6)
        rows += [(f"p{number}", t, dose * np.sin(t / 3 + phase), round(dose, 3)) for t in range(30)]
    table = pd.DataFrame(rows, columns=["patient", "t", "x", "dose"])
    table.to_csv(folder / "long.csv", index=False)
    result = seqfeat(
        *("train", folder / "long.csv", *OPTIONS, "--embedding-dim", "16"),
        *("-o", folder / "m.joblib", "--report", folder / "m.html"),
    )
    assert result.status == 0, result.err
    (folder / "training.txt").write_text(result.err + result.out)
    return folder


def test_training_compares_with_baselines(folder):
    text = (folder / "training.txt").read_text()
    assert "dose -> target" in text
    assert "R squared of the predictions on 12 held-out series of 48" in text
    for name in ("mean", "raw series + ridge", "PCA(16) + same regressor"):
        assert f"  {name}" in text
    metrics = json.loads((folder / "m.json").read_text())["metrics"]
    assert metrics["test_r2"] > 0.9
    assert 0 < metrics["test_mae"] < 0.3


def test_the_report_is_about_numbers(folder):
    page = (folder / "m.html").read_text()
    assert "Predicted against true numbers" in page
    assert "predict the mean of the training series" in page


def test_predictions_are_those_of_the_model(folder):
    result = seqfeat("predict", folder / "m.joblib", folder / "long.csv")
    table = pd.read_csv(folder / "long.csv")
    series = [part[["x"]].to_numpy() for _, part in table.groupby("patient", sort=False)]
    printed = [float(line.split(",")[1]) for line in result.out.splitlines()[1:]]
    np.testing.assert_allclose(printed, load(folder / "m.joblib").predict(series), rtol=1e-6)


def test_evaluation_prints_both_errors(folder):
    result = seqfeat("evaluate", folder / "m.joblib", folder / "long.csv")
    assert "R squared of the predictions 1.000 on 48 series" in result.out
    assert "mean absolute error" in result.out
    assert "on the test set of the training" in result.out


def test_a_search_scores_predictions(folder):
    result = seqfeat(
        *("search", folder / "long.csv", *OPTIONS, "--embedding-dim", "2,16"),
        *("-o", folder / "s.joblib"),
    )
    assert "R squared of the predictions, mean and std of 3 folds" in result.out
    assert json.loads((folder / "s.json").read_text())["metrics"]["cv_r2"] > 0.8


def test_decimal_commas_are_read(folder, tmp_path):
    table = pd.read_csv(folder / "long.csv")
    table.to_csv(tmp_path / "comma.csv", sep=";", decimal=",", index=False)
    result = seqfeat(
        "train", tmp_path / "comma.csv", *OPTIONS, "--no-baselines", "-o", tmp_path / "c.joblib"
    )
    assert "dose is 1." in result.err


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("much", "--target dose: series p0 has 'much', which is no number"),
        ("", "--target dose: 1 of 48 series have no number, the first one being p0"),
        ("inf", "--target dose: series p0 has 'inf', which is not finite"),
    ],
)
def test_what_is_no_number_is_an_error(folder, value, says, tmp_path):
    table = pd.read_csv(folder / "long.csv", dtype=str)
    table.loc[table["patient"] == "p0", "dose"] = value
    table.to_csv(tmp_path / "bad.csv", index=False)
    result = seqfeat("train", tmp_path / "bad.csv", *OPTIONS, "-o", tmp_path / "m.joblib")
    assert result.status != 0
    assert says in result.err
    assert not (tmp_path / "m.joblib").exists()


def test_labels_that_are_numbers_lead_to_the_option(folder, tmp_path):
    options = [*OPTIONS[:4], "--label", "dose", "-o", tmp_path / "m.joblib"]
    result = seqfeat("train", folder / "long.csv", *options)
    assert "Pass --target to predict numbers" in result.err


def test_windows_take_the_number_of_their_last_row(tmp_path):
    steps = np.arange(400)
    table = pd.DataFrame(
        {"r": np.repeat(["a", "b", "c", "d"], 100), "x": np.sin(steps / 5), "y": steps}
    )
    table.to_csv(tmp_path / "long.csv", index=False)
    options = ["--id", "r", "--target", "y", "--window", "20", "--max-iter", "0", "--no-baselines"]
    result = seqfeat("train", tmp_path / "long.csv", *options, "-o", tmp_path / "m.joblib")
    assert result.status == 0, result.err
    assert "y is 19 to 399" in result.err
    assert "Holding out 1 of 4 recordings" in result.err


def test_the_numbers_of_a_file_of_arrays_are_called_y(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(24, 20, 1))
    np.savez(tmp_path / "x.npz", X=X, y=X[:, :, 0].mean(axis=1))
    options = ["--target", "y", "--max-iter", "0", "--no-baselines", "-o", tmp_path / "m.joblib"]
    result = seqfeat("train", tmp_path / "x.npz", *options)
    assert result.status == 0, result.err
    assert "R squared of the predictions" in result.out
