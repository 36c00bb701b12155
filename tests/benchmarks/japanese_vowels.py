"""Accuracy of whole pipelines on the official test set of Japanese Vowels, over five seeds."""

import time
import warnings
from collections.abc import Iterator
from typing import Any

from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from tests.benchmarks.measure import Row

from seqfeat import make_classifier
from seqfeat.cli.evaluation import classifier_baselines
from seqfeat.datasets import load_japanese_vowels

EMBEDDING_DIM = 64


def japanese_vowels(quick: bool) -> Iterator[Row]:
    """Yield the test accuracy of pipelines and baselines, and the seconds to fit them."""
    X, y = load_japanese_vowels(split="train", return_X_y=True)
    X_test, y_test = load_japanese_vowels(split="test", return_X_y=True)
    candidates: dict[str, Any] = {"make_classifier()": make_classifier()}
    candidates |= {
        "with target_weight=0.5": make_classifier(target_weight=0.5),
        'with pooling="last"': make_classifier(pooling="last"),
        "with embedding_dim=None": make_classifier(None),
    }
    candidates |= classifier_baselines(make_classifier(EMBEDDING_DIM), X, y)
    for name, candidate in candidates.items():
        for seed in range(1 if quick else 5):
            pipeline = clone_with_seed(candidate, seed)
            started = time.perf_counter()
            with warnings.catch_warnings():
                # One of the baselines is an untrained encoder, which warns.
                warnings.simplefilter("ignore", ConvergenceWarning)
                pipeline.fit(X, y)
            seconds = time.perf_counter() - started
            fields = ("Japanese Vowels", "370 test utterances", EMBEDDING_DIM, name)
            yield Row(*fields, "accuracy", seed, pipeline.score(X_test, y_test))
            yield Row(*fields, "seconds of fit", seed, seconds)


def clone_with_seed(estimator: Any, seed: int) -> Any:
    """Return a clone with all its random states set to the seed."""
    copy = clone(estimator)
    names = [name for name in copy.get_params() if name.endswith("random_state")]
    return copy.set_params(**dict.fromkeys(names, seed))
