"""The model that ships with the project loads and is as accurate as its card says."""

import hashlib
import json
from pathlib import Path

import pytest

import seqfeat
from seqfeat.datasets import load_japanese_vowels
from tests.versions import skip_if_of_a_later_scikit_learn

MODEL = Path(__file__).parents[2] / "models" / "japanese-vowels.joblib"
CARD = json.loads(MODEL.with_suffix(".json").read_text())


def test_the_file_matches_its_card():
    assert hashlib.sha256(MODEL.read_bytes()).hexdigest() == CARD["sha256"]


@pytest.mark.filterwarnings("ignore::seqfeat.ModelVersionWarning")
def test_it_reaches_the_accuracy_in_its_card():
    skip_if_of_a_later_scikit_learn(MODEL)
    X, y = load_japanese_vowels(split="test", return_X_y=True)
    assert abs(seqfeat.load(MODEL).score(X, y) - CARD["metrics"]["test_accuracy"]) < 0.005
