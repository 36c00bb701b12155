"""Running exported graphs in onnxruntime and comparing them with the pipeline."""

import warnings

import numpy as np
from onnxruntime import GraphOptimizationLevel, InferenceSession, SessionOptions
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from seqfeat import LSTMAutoencoder

LEVELS = [
    GraphOptimizationLevel.ORT_DISABLE_ALL,
    GraphOptimizationLevel.ORT_ENABLE_BASIC,
    GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    GraphOptimizationLevel.ORT_ENABLE_ALL,
]


def small(**params):
    return LSTMAutoencoder(**{"embedding_dim": 4, "max_iter": 1, "random_state": 0, **params})


def fit_quietly(estimator, X, y=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(X, y)


def append(autoencoder, last, X, y):
    """Return a pipeline of a fitted autoencoder, a scaler and a last step fitted after it."""
    scaler, last = StandardScaler(), clone(last)
    fit_quietly(last, scaler.fit_transform(autoencoder.transform(X)), y)
    return make_pipeline(autoencoder, scaler, last)


def pad(items, dtype=np.float32, extra=0):
    """Return series of different lengths as one array, padded with NaN."""
    items = [np.asarray(item) for item in items]
    shape = (len(items), max(map(len, items)) + extra, *items[0].shape[1:])
    X = np.full(shape, np.nan, dtype=dtype)
    for row, item in zip(X, items, strict=True):
        row[: len(item)] = item
    return X


def open_session(path, level=GraphOptimizationLevel.ORT_ENABLE_ALL):
    options = SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return InferenceSession(path, options, providers=["CPUExecutionProvider"])


def results_of(session, X):
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"X": X}), strict=True))


METHODS = {"label": "predict", "probabilities": "predict_proba", "prediction": "predict"}


def assert_equal_results(session, pipeline, items, dtype=np.float32):
    """Compare the graph's results for padded series with the pipeline's for a list of them."""
    found = results_of(session, pad(items, dtype))
    for name, result in found.items():
        expected = getattr(pipeline, METHODS.get(name, name))(items)
        assert result.shape == expected.shape
        if name == "label":
            np.testing.assert_array_equal(result, expected)
        else:
            assert result.dtype == dtype
            np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)
    return found


def assert_equal_embeddings(session, autoencoder, X, items=None):
    """Compare the graph's embeddings of an array with the autoencoder's, of `items` if given."""
    expected = autoencoder.transform(X if items is None else items)
    found = results_of(session, X)
    assert list(found) == ["embeddings"]
    assert found["embeddings"].dtype == X.dtype
    np.testing.assert_allclose(found["embeddings"], expected, rtol=1e-5, atol=1e-5)
