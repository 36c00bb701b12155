"""The main job, from training to a prediction in a fresh process."""

import contextlib
import hashlib
import io
import json

import joblib
import numpy as np
import pytest
from sklearn.pipeline import Pipeline

from seqfeat.datasets import load_japanese_vowels
from seqfeat.demo import baselines, main, padded


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory):
    """Run it once; return the folder it saved into and what it printed."""
    folder = tmp_path_factory.mktemp("models")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(["--output", str(folder), "--max-iter", "4", "--jobs", "2"]) == 0
    return folder, printed.getvalue()


@pytest.fixture(scope="module")
def folder(demonstration):
    return demonstration[0]


def test_the_saved_pipeline_predicts(folder):
    pipeline = joblib.load(folder / "latest.joblib")
    X, _ = load_japanese_vowels(split="test", return_X_y=True)
    assert isinstance(pipeline, Pipeline)
    assert pipeline.predict(X[:5]).shape == (5,)


def test_the_card_describes_the_file_beside_it(folder):
    card = json.loads((folder / "latest.json").read_text())
    digest = hashlib.sha256((folder / "latest.joblib").read_bytes()).hexdigest()
    assert card["sha256"] == digest
    assert card["classes"] == list("123456789")
    assert card["input"]["n_channels"] == 12
    assert card["notes"] == "Japanese Vowels, official training split"
    assert card["parameters"]["autoencoder__max_iter"] == 4
    X, y = load_japanese_vowels(split="test", return_X_y=True)
    pipeline = joblib.load(folder / "latest.joblib")
    assert card["metrics"]["test_accuracy"] == pipeline.score(X, y)


def test_the_picture_is_a_png(folder):
    assert (folder / "latest.png").read_bytes().startswith(b"\x89PNG")


def test_it_prints_the_result_beside_its_baselines(demonstration):
    printed = demonstration[1]
    for words in ("R squared", "seqfeat", "RBF SVC", "PCA(", "untrained encoder", "Chosen"):
        assert words in printed


def test_padded_rows_hold_the_series_and_then_zeros():
    rows = padded([np.ones((2, 3)), np.full((4, 3), 2.0)], n_timesteps=5)
    assert rows.shape == (2, 15)
    np.testing.assert_array_equal(rows[0], [1.0] * 6 + [0.0] * 9)
    np.testing.assert_array_equal(rows[1], [2.0] * 12 + [0.0] * 3)


def test_baselines_include_an_encoder_without_training():
    untrained = baselines(8, {"random_state": 0})["untrained encoder + same classifier"]
    X, y = load_japanese_vowels(return_X_y=True)
    assert untrained.fit(X, y)["autoencoder"].n_iter_ == 0
