"""Make the golden files of a version that changes what is saved.

    python -m tests.golden.make FOLDER

The files of a released version are never made again: tests check that they still open.
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

import seqfeat
from seqfeat.datasets import load_japanese_vowels


def main(folder: Path) -> None:
    X, y = load_japanese_vowels(return_X_y=True)
    X, y = X[::6], y[::6]
    model = seqfeat.make_classifier(
        4,
        LogisticRegression(),
        max_iter=20,
        pooling="statistics",
        bidirectional=True,
        target_weight=0.0,
        missing="mask",
        random_state=0,
    )
    model.fit(X, y)
    lengths = np.array([len(series) for series in X])
    padded = np.zeros((len(X), lengths.max(), 12), dtype=np.float32)
    for row, series in zip(padded, X, strict=True):
        row[: len(series)] = series
    series = [row[:length] for row, length in zip(padded, lengths, strict=True)]
    for suffix in ("joblib", "skops"):
        seqfeat.save(model, folder / suffix / f"golden.{suffix}", notes="for tests")
    np.savez_compressed(
        folder / "golden.npz",
        X=padded,
        lengths=lengths,
        embeddings=model["autoencoder"].transform(series),
        probabilities=model.predict_proba(series),
        labels=model.predict(series),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
