import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score

import seqfeat as library
from tests.commands import error_of, meters, ok, waves

pytestmark = pytest.mark.usefixtures("one_thread", "small_batches")


def test_scores_are_those_of_scikit_learn(models, model, new):
    result = ok("evaluate", models / "m.joblib", models / "new.csv", "--json").json
    predicted = model.predict(new.X)
    assert result["accuracy"] == model.score(*new)
    low, high = result["accuracy_interval"]
    assert low < result["accuracy"] <= high
    assert result["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(new.y, predicted))
    assert result["macro_f1"] == pytest.approx(f1_score(new.y, predicted, average="macro"))
    assert result["confusion_matrix"] == confusion_matrix(new.y, predicted).tolist()
    assert result["r_squared"] == pytest.approx(model["autoencoder"].score(new.X), rel=1e-6)
    assert result["per_class"]["shop"]["n_series"] == 12


def test_the_text_names_the_classes_and_the_recorded_accuracy(models):
    out = ok("evaluate", models / "m.joblib", models / "new.csv").out
    recorded = json.loads((models / "m.json").read_text())["metrics"]["test_accuracy"]
    assert f"Accuracy on the test set of the training: {recorded:.3f}" in out
    assert "class  precision  recall" in out
    assert out.count("home") == 3


def test_many_classes_are_shown_without_their_confusion_matrix(models, monkeypatch):
    monkeypatch.setattr("seqfeat.cli.commands.evaluate.MAX_CLASSES_SHOWN", 1)
    out = ok("evaluate", models / "m.joblib", models / "new.csv").out
    assert out.count("home") == 1
    assert "--json" in out


def test_without_a_classifier_only_the_reconstruction_is_scored(models):
    result = ok("evaluate", models / "rows.joblib", models / "rows.npy", "--json").json
    expected = library.load(models / "rows.joblib").score(waves())
    assert result == {
        "command": "evaluate",
        "n_series": 30,
        "r_squared": pytest.approx(expected, rel=1e-6),
    }


def test_labels_that_are_not_classes_count_as_errors(tmp_path, models):
    frame = meters(24, seed=1)
    frame.loc[frame["meter"] == "m003", "kind"] = "school"
    frame.to_csv(tmp_path / "schools.csv", index=False)
    result = ok("evaluate", models / "m.joblib", tmp_path / "schools.csv", "--json")
    assert "warning: label school is not a class of the model" in result.err
    assert result.json["unknown_labels"] == ["school"]
    assert result.json["per_class"]["school"]["recall"] == 0


def test_numeric_labels_in_a_table_match_classes_that_are_text(demo):
    assert pd.read_csv(demo / "new.csv")["label"].dtype.kind == "i"
    columns = ["--id", "series", "--time", "time", "--label", "label"]
    result = ok("evaluate", demo / "m.joblib", demo / "new.csv", *columns, "--json").json
    expected = ok("evaluate", demo / "m.joblib", "demo:japanese-vowels:test", "--json").json
    for name in ("accuracy", "classes", "confusion_matrix", "unknown_labels"):
        assert result[name] == expected[name], name


def test_missing_or_foreign_labels_are_an_error(models):
    arguments = ["evaluate", models / "m.joblib"]
    message = error_of(*arguments, models / "unlabelled.csv")
    assert message.endswith("has no labels to compare with; pass --label COLUMN.")
    message = error_of(*arguments, models / "new.csv", "--label", "meter")
    assert message.startswith("none of the labels (m000, m001")


def test_missing_values_are_masked_as_in_the_training(tmp_path):
    rows = waves()
    rows[::3, 15:] = np.nan
    rows[1::3, 4:9] = np.nan
    np.save(tmp_path / "gaps.npy", rows)
    path = tmp_path / "gaps.joblib"
    options = ["--embedding-dim", "2", "--max-iter", "2", "--missing", "mask", "--test-size", "0"]
    ok("train", tmp_path / "gaps.npy", *options, "-o", path)
    result = ok("evaluate", path, tmp_path / "gaps.npy", "--json").json
    assert result["r_squared"] == pytest.approx(library.load(path).score(rows), abs=1e-6)
