"""Inference: the exported encoder in onnxruntime compared with `transform`.

Both get the same series and weights, in interleaved rounds. `transform` gets the series as
users have them; onnxruntime gets them padded into one array, once as a single batch and once
in batches of 64 sorted by length, as `transform` does internally.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from sklearn.base import clone
from tests.benchmarks.measure import OURS, Row, interleave, threads, torch_threads

from seqfeat import LSTMAutoencoder, export_onnx
from seqfeat.datasets import load_japanese_vowels

EMBEDDING_DIM = 64
THREADS = (1, 2)
BATCH_SERIES = 64

Run = Callable[[], Any]


def transform(quick: bool) -> Iterator[Row]:
    """Yield the milliseconds of a call in every round, for many series and for one."""
    test_set = list(load_japanese_vowels(split="test", return_X_y=True)[0])
    walks = np.random.default_rng(0).normal(size=(1000, 150, 1)).cumsum(axis=1)
    # Training the weights would not change the time.
    untrained = LSTMAutoencoder(EMBEDDING_DIM, max_iter=0, random_state=0)
    for_utterances, for_walks = clone(untrained).fit(test_set), clone(untrained).fit(walks)
    cases: dict[str, tuple[LSTMAutoencoder, Any, int]] = {
        f"{11 * len(test_set)} utterances": (for_utterances, 11 * test_set, 1),
        "1000 series of 150 steps": (for_walks, walks, 1),
        "one utterance": (for_utterances, test_set[:1], 100),
        "one series of 150 steps": (for_walks, walks[:1], 100),
    }
    for name, (autoencoder, series, calls) in cases.items():
        for n_threads in THREADS:
            case = f"{name}, {threads(n_threads)}"
            with torch_threads(n_threads):
                runs = contestants(autoencoder, series, n_threads)
                measure = partial(milliseconds, calls=calls)
                measurements = interleave(runs, measure, 3 if quick else 9)
                for contestant, number, value in measurements:
                    yield Row("transform", case, EMBEDDING_DIM, contestant, "ms", number, value)


def contestants(autoencoder: LSTMAutoencoder, series: Any, n_threads: int) -> dict[str, Run]:
    """Return the ways to embed the series, after checking that their results agree."""
    session = onnx_session(autoencoder, n_threads)
    X = pad_with_nan(series)
    runs: dict[str, Run] = {
        OURS: lambda: autoencoder.transform(series),
        "onnxruntime": lambda: session.run(None, {"X": X})[0],
    }
    if len(X) > BATCH_SERIES:
        runs["onnxruntime, 64 at a time"] = lambda: run_in_batches(session, X)
    for run in runs.values():
        np.testing.assert_allclose(run(), autoencoder.transform(series), atol=1e-5)
    return runs


def onnx_session(autoencoder: LSTMAutoencoder, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that spin while they wait for work would slow down our turn.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    with tempfile.TemporaryDirectory() as folder:
        path = export_onnx(autoencoder, Path(folder) / "encoder.onnx")
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def pad_with_nan(series: Any) -> np.ndarray:
    longest = max(len(item) for item in series)
    X = np.full((len(series), longest, series[0].shape[1]), np.nan, dtype=np.float32)
    for row, item in zip(X, series, strict=True):
        row[: len(item)] = item
    return X


def run_in_batches(session: onnxruntime.InferenceSession, X: np.ndarray) -> np.ndarray:
    """Embed series of similar length together, so that little padding is needed."""
    lengths = (~np.isnan(X[:, :, 0])).sum(axis=1)
    order = np.argsort(lengths, kind="stable")
    embeddings = np.empty((len(X), EMBEDDING_DIM), dtype=np.float32)
    for start in range(0, len(X), BATCH_SERIES):
        rows = order[start : start + BATCH_SERIES]
        batch = X[rows, : lengths[rows].max()]
        embeddings[rows] = session.run(None, {"X": batch})[0]
    return embeddings


def milliseconds(run: Run, calls: int) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        run()
    return 1e3 * (time.perf_counter() - started) / calls
