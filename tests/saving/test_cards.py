"""A saved model's card describes it, and never overwrites anything else."""

import hashlib
import json
import os

import numpy as np
import pytest

import seqfeat
from seqfeat import InputError, ModelFileError

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def card_of(path):
    return json.loads(path.with_suffix(".json").read_text())


@pytest.mark.parametrize("suffix", ["joblib", "skops"])
def test_the_card_describes_the_model(tmp_path, pipeline, utterances, suffix):
    path = seqfeat.save(pipeline, tmp_path / f"model.{suffix}", metrics={"accuracy": 0.5})
    card = card_of(path)
    assert card["file"] == path.name
    assert card["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert card["bytes"] == path.stat().st_size
    assert card["versions"]["seqfeat"] == seqfeat.__version__
    assert card["metrics"] == {"accuracy": 0.5}
    assert card["task"] == "classification"
    assert card["classes"] == sorted(set(utterances[1].tolist()))
    assert card["input"]["n_channels"] == 12
    assert card["parameters"]["autoencoder__embedding_dim"] == 4
    assert "LogisticRegression" in card["parameters"]["classifier"]
    assert ("executes code" in card["notice"]) == (suffix == "joblib")


def test_the_card_of_a_regressor_has_numbers_and_no_classes(tmp_path, regressor):
    metrics = {"test_r_squared": 0.9, "test_mae": 1.5}
    reading = {"target": ("length", "first value")}
    path = seqfeat.save(regressor, tmp_path / "m.joblib", metrics=metrics, reading=reading)
    card = seqfeat.load_card(path)
    assert (card["task"], card["classes"]) == ("regression", None)
    assert card["metrics"] == metrics
    assert card["reading"]["target"] == ["length", "first value"]
    assert "RidgeCV" in card["parameters"]["regressor"]


def test_the_card_of_features_alone_says_so(tmp_path, pipeline):
    path = seqfeat.save(pipeline[:-1], tmp_path / "m.joblib")
    assert seqfeat.load_card(path)["task"] == "features"


def test_metrics_become_plain_numbers(tmp_path, pipeline):
    metrics = {"a": np.float32(0.5), "b": np.int64(3), "c": 1}
    path = seqfeat.save(pipeline, tmp_path / "m.joblib", metrics=metrics, notes="<b>mine</b>")
    assert card_of(path)["metrics"] == {"a": 0.5, "b": 3, "c": 1}
    assert card_of(path)["notes"] == "<b>mine</b>"


@pytest.mark.parametrize("value", [np.nan, np.inf, "0.5", None, True, [0.5]])
def test_an_invalid_metric_is_refused_before_anything_is_written(tmp_path, pipeline, value):
    with pytest.raises(InputError, match=r"metrics\['accuracy'\]"):
        seqfeat.save(pipeline, tmp_path / "m.joblib", metrics={"accuracy": value})
    assert os.listdir(tmp_path) == []


def test_another_file_in_the_card_s_place_is_not_overwritten(tmp_path, pipeline):
    seqfeat.save(pipeline, tmp_path / "m.joblib")
    with pytest.raises(ModelFileError, match=r"m.json is the card of m.joblib"):
        seqfeat.save(pipeline, tmp_path / "m.skops")
    (tmp_path / "n.json").write_text('{"mine": 1}')
    with pytest.raises(ModelFileError, match="some other JSON file"):
        seqfeat.save(pipeline, tmp_path / "n.joblib")
    assert sorted(os.listdir(tmp_path)) == ["m.joblib", "m.json", "n.json"]


def test_fault_28_a_folder_in_the_card_s_place_is_an_error(tmp_path, pipeline):
    (tmp_path / "model.json").mkdir()
    with pytest.raises(OSError, match=r"model\.json"):
        seqfeat.save(pipeline, tmp_path / "model.joblib")
    assert os.listdir(tmp_path) == ["model.json"]
