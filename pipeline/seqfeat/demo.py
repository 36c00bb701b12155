"""The main job on real data: ``python -m seqfeat.demo``, which ``make run`` calls.

Trains on Japanese Vowels, compares with baselines on the official test set,
saves the pipeline with its card and a picture, and predicts again in a fresh
process.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

import seqfeat
from seqfeat.classifier import make_classifier
from seqfeat.datasets import load_japanese_vowels
from seqfeat.series import as_series

__all__ = ["baselines", "main"]

EMBEDDING_DIMS = [16, 32, 64]
LONGEST = 29
"""Timesteps of the longest utterance, to which the baselines pad."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demonstration and return the exit status."""
    options = _parser().parse_args(arguments)
    if options.predict:
        return _predict(options.predict)
    options.output.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    X, y = load_japanese_vowels(split="train", return_X_y=True)
    X_test, y_test = load_japanese_vowels(split="test", return_X_y=True)
    print(f"Japanese Vowels: {len(X)} utterances to train on, {len(X_test)} to test on,")
    print(f"12 channels, {min(map(len, X))} to {LONGEST} timesteps, 9 speakers.\n")

    embedding_dim = _choose_embedding_dim(X, y, options)
    pipeline = _train(X, y, embedding_dim, options)
    metrics = _report(pipeline, X, y, X_test, y_test, embedding_dim, options)
    path = options.output / f"{options.name}.joblib"
    seqfeat.save(pipeline, path, metrics=metrics, notes="Japanese Vowels, official training split")
    print(f"Saved {path} ({path.stat().st_size / 1024:.0f} KiB) and its card.")
    _draw(pipeline, X_test, y_test, path.with_suffix(".png"))
    _predict_in_fresh_process(pipeline, path, X_test)
    print(f"Done in {time.perf_counter() - started:.0f} s.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m seqfeat.demo", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("models"), help="folder to save into")
    parser.add_argument("--name", default="latest", help="file name of the model (default: latest)")
    parser.add_argument("--max-iter", type=int, default=None, help="epochs, if not the default")
    parser.add_argument("--jobs", type=int, default=2, help="processes of the search (default: 2)")
    parser.add_argument("--predict", type=Path, help="only load this model and print predictions")
    return parser


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    settings: dict[str, Any] = {"random_state": 0}
    if options.max_iter is not None:
        settings["max_iter"] = options.max_iter
    return settings


def _choose_embedding_dim(
    X: NDArray[np.object_], y: NDArray[np.str_], options: argparse.Namespace
) -> int:
    """Search the embedding's length by cross-validation on the training set."""
    print(f"Searching embedding_dim among {EMBEDDING_DIMS}, 3 folds of the training set:")
    search = GridSearchCV(
        make_classifier(**_settings(options)),
        {"autoencoder__embedding_dim": EMBEDDING_DIMS},
        cv=StratifiedKFold(3, shuffle=True, random_state=0),
        n_jobs=options.jobs,
        refit=False,
    )
    search.set_callbacks(*_progress_bars(max_propagation_depth=0)).fit(X, y)
    results = search.cv_results_
    for dim, mean, spread in zip(
        EMBEDDING_DIMS, results["mean_test_score"], results["std_test_score"], strict=True
    ):
        print(f"  embedding_dim={dim:<4} accuracy {mean:.3f} ± {spread:.3f}")
    best = int(search.best_params_["autoencoder__embedding_dim"])
    print(f"Chosen: embedding_dim={best}.\n")
    return best


def _train(
    X: NDArray[np.object_], y: NDArray[np.str_], embedding_dim: int, options: argparse.Namespace
) -> Pipeline:
    print("Training on the whole training set:")
    pipeline = make_classifier(embedding_dim, **_settings(options))
    started = time.perf_counter()
    with warnings.catch_warnings():
        # Of the classifier, which is done at once and has no bar.
        warnings.filterwarnings("ignore", message=".* does not support callbacks")
        pipeline.set_callbacks(*_progress_bars()).fit(X, y).set_callbacks()
    seconds = time.perf_counter() - started
    print(f"Trained {pipeline['autoencoder'].n_iter_} epochs in {seconds:.1f} s.\n")
    return pipeline


def _progress_bars(**parameters: Any) -> list[Any]:
    """Return scikit-learn's progress bar, on a terminal that has rich."""
    try:
        import rich  # noqa: F401  (what the bar is drawn with)
    except ImportError:
        print("(For progress bars: pip install 'seqfeat[progress]')")
        return []
    from sklearn.callback import ProgressBar

    return [ProgressBar(**parameters)]


def _report(
    pipeline: Pipeline,
    X: NDArray[np.object_],
    y: NDArray[np.str_],
    X_test: NDArray[np.object_],
    y_test: NDArray[np.str_],
    embedding_dim: int,
    options: argparse.Namespace,
) -> dict[str, float]:
    """Print and return how well the pipeline and its baselines do on the test set."""
    r_squared = pipeline["autoencoder"].score(X_test)
    print(f"Reconstruction on the test set: R squared {r_squared:.3f} (0 = predicts the mean)\n")
    accuracies = {"seqfeat": float(pipeline.score(X_test, y_test))}
    for name, baseline in baselines(embedding_dim, _settings(options)).items():
        accuracies[name] = float(baseline.fit(X, y).score(X_test, y_test))
    print(f"Test accuracy, {len(X_test)} utterances (official split, one seed):")
    for name, accuracy in accuracies.items():
        print(f"  {name:<42} {accuracy:.3f}")
    print()
    return {"test_r_squared": float(r_squared), "test_accuracy": accuracies["seqfeat"]}


def baselines(embedding_dim: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Return what a set of features has to beat, under a readable name."""
    pad = FunctionTransformer(partial(padded, n_timesteps=LONGEST))
    classifier = make_classifier()["classifier"]
    svc = make_pipeline(pad, StandardScaler(), SVC())
    pca = PCA(embedding_dim, random_state=0)
    untrained = make_classifier(embedding_dim, **{**settings, "max_iter": 0})
    return {
        "padded series + RBF SVC (C by 3-fold CV)": GridSearchCV(
            svc, {"svc__C": [0.1, 1, 10, 100]}, cv=3
        ),
        f"padded series + PCA({embedding_dim}) + same classifier": make_pipeline(
            pad, StandardScaler(), pca, StandardScaler(), classifier
        ),
        "untrained encoder + same classifier": untrained,
    }


def padded(X: Any, n_timesteps: int) -> NDArray[np.float64]:
    """Return series as rows of one table, zeros behind each one's end."""
    series = as_series(X)
    table = np.zeros((len(series), n_timesteps, series.n_channels))
    table[:, : series.n_timesteps] = np.nan_to_num(series.values)
    return table.reshape(len(series), -1)


def _draw(pipeline: Pipeline, X: NDArray[np.object_], y: NDArray[np.str_], path: Path) -> None:
    from seqfeat.display import EmbeddingDisplay

    try:
        display = EmbeddingDisplay.from_estimator(pipeline["autoencoder"], X, y)
    except ImportError as error:
        print(f"No picture: {error}")
        return
    display.ax_.set_title(f"{len(X)} test utterances, embedded without labels; colour: speaker")
    path.parent.mkdir(parents=True, exist_ok=True)
    display.figure_.savefig(path, dpi=130)
    print(f"Saved {path}, a picture of the embedding.")


def _predict_in_fresh_process(pipeline: Pipeline, path: Path, X: NDArray[np.object_]) -> None:
    """Load the saved model in another process and compare its predictions."""
    command = [sys.executable, "-m", "seqfeat.demo", "--predict", str(path)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if answer.split() != pipeline.predict(X).tolist():
        raise RuntimeError(f"{path} predicts differently in a fresh process")
    print("Loaded it in a fresh process: the same 370 predictions.")


def _predict(path: Path) -> int:
    X_test, _ = load_japanese_vowels(split="test", return_X_y=True)
    print(*seqfeat.load(path).predict(X_test))
    return 0


if __name__ == "__main__":
    sys.exit(main())
