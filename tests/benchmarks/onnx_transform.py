"""How fast, deployed: the exported encoder in onnxruntime against `transform` in PyTorch.

The same series and weights, in turn, so that whatever else the machine does meets
both. `transform` gets series as users have them; onnxruntime gets them padded into one
array, all at once and, as `transform` does it inside, 64 at a time in order of length.
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
from tests.benchmarks.measure import OURS, Row, in_turn, threads, torch_threads

from seqfeat import LSTMAutoencoder, export_onnx
from seqfeat.datasets import load_japanese_vowels

EMBEDDING_DIM = 64
THREADS = (1, 2)
BATCH_SERIES = 64

Run = Callable[[], Any]


def transform(quick: bool) -> Iterator[Row]:
    """Yield the milliseconds of a call, in rounds, for many series and for one."""
    test_set = list(load_japanese_vowels(split="test", return_X_y=True)[0])
    walks = np.random.default_rng(0).normal(size=(1000, 150, 1)).cumsum(axis=1)
    # Weights that nobody trained take as long as any others.
    untrained = LSTMAutoencoder(EMBEDDING_DIM, max_iter=0, random_state=0)
    of_utterances, of_walks = clone(untrained).fit(test_set), clone(untrained).fit(walks)
    cases: dict[str, tuple[LSTMAutoencoder, Any, int]] = {
        f"{11 * len(test_set)} utterances": (of_utterances, 11 * test_set, 1),
        "1000 series of 150 steps": (of_walks, walks, 1),
        "one utterance": (of_utterances, test_set[:1], 100),
        "one series of 150 steps": (of_walks, walks[:1], 100),
    }
    for name, (autoencoder, series, calls) in cases.items():
        for n_threads in THREADS:
            case = f"{name}, {threads(n_threads)}"
            with torch_threads(n_threads):
                runs = contestants(autoencoder, series, n_threads)
                measure = partial(milliseconds, calls=calls)
                figures = in_turn(runs, measure, 3 if quick else 9)
                for contestant, turn, figure in figures:
                    yield Row("transform", case, EMBEDDING_DIM, contestant, "ms", turn, figure)


def contestants(autoencoder: LSTMAutoencoder, series: Any, n_threads: int) -> dict[str, Run]:
    """Return the ways to embed the series, all run once and compared."""
    session = exported(autoencoder, n_threads)
    X = padded(series)
    runs: dict[str, Run] = {
        OURS: lambda: autoencoder.transform(series),
        "onnxruntime": lambda: session.run(None, {"X": X})[0],
    }
    if len(X) > BATCH_SERIES:
        runs["onnxruntime, 64 at a time"] = lambda: in_batches(session, X)
    for run in runs.values():
        np.testing.assert_allclose(run(), autoencoder.transform(series), atol=1e-5)
    return runs


def exported(autoencoder: LSTMAutoencoder, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that wait for work in a loop would take the processor from PyTorch's turn.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    with tempfile.TemporaryDirectory() as folder:
        path = export_onnx(autoencoder, Path(folder) / "encoder.onnx")
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def padded(series: Any) -> np.ndarray:
    longest = max(len(item) for item in series)
    X = np.full((len(series), longest, series[0].shape[1]), np.nan, dtype=np.float32)
    for row, item in zip(X, series, strict=True):
        row[: len(item)] = item
    return X


def in_batches(session: onnxruntime.InferenceSession, X: np.ndarray) -> np.ndarray:
    """Embed series of similar length together, so that none waits for a longer one."""
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
