"""The model that ships opens and does what its card says."""

import hashlib
import json
from pathlib import Path

import seqfeat
from seqfeat.datasets import load_japanese_vowels

MODEL = Path(__file__).parents[1] / "models" / "japanese-vowels.joblib"
CARD = json.loads(MODEL.with_suffix(".json").read_text())


def test_the_file_is_the_one_of_the_card():
    assert hashlib.sha256(MODEL.read_bytes()).hexdigest() == CARD["sha256"]


def test_it_reaches_the_accuracy_of_its_card():
    X, y = load_japanese_vowels(split="test", return_X_y=True)
    assert abs(seqfeat.load(MODEL).score(X, y) - CARD["metrics"]["test_accuracy"]) < 0.005
