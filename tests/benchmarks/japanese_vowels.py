"""How well: accuracy on the official test set of Japanese Vowels, over five seeds."""

import time
from typing import Any

import numpy as np
from sklearn.base import clone

from seqfeat import make_classifier
from seqfeat.datasets import load_japanese_vowels
from seqfeat.demo import baselines

SEEDS = range(5)
EMBEDDING_DIM = 64


def main() -> None:
    X, y = load_japanese_vowels(split="train", return_X_y=True)
    X_test, y_test = load_japanese_vowels(split="test", return_X_y=True)
    print("Japanese Vowels, official split, 270 utterances to train on and 370 to test on")
    print(f"{'':<44}{'median':>8}{'least':>8}{'most':>8}{'fit, s':>8}")
    candidates: dict[str, Any] = {"make_classifier()": make_classifier()}
    candidates |= {
        "with target_weight=0.5": make_classifier(target_weight=0.5),
        'with pooling="last"': make_classifier(pooling="last"),
        "with input_noise=0": make_classifier(input_noise=0.0),
    }
    candidates |= baselines(EMBEDDING_DIM, {})
    for name, candidate in candidates.items():
        scores, seconds = [], []
        for seed in SEEDS:
            pipeline = seeded(candidate, seed)
            started = time.perf_counter()
            pipeline.fit(X, y)
            seconds.append(time.perf_counter() - started)
            scores.append(pipeline.score(X_test, y_test))
        print(
            f"{name:<44}{np.median(scores):8.3f}{min(scores):8.3f}{max(scores):8.3f}"
            f"{np.median(seconds):8.1f}",
            flush=True,
        )
    print()


def seeded(estimator: Any, seed: int) -> Any:
    """Return a copy whose every random_state is the seed."""
    copy = clone(estimator)
    names = [name for name in copy.get_params() if name.endswith("random_state")]
    return copy.set_params(**dict.fromkeys(names, seed))
