"""NumPy's error state and Python's warnings are the caller's, and change no result."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning

from seqfeat import transform_into
from seqfeat.inference import batched
from tests.autoencoders import learned, small, waves

pytestmark = pytest.mark.usefixtures("one_thread")


def with_tiny_and_huge_values():
    X = waves()
    X[:, :, 0] *= 1e-310
    X[:, :, 1] *= 1e300
    return X


def with_missing_values():
    X = waves()
    X[3, 5:] = X[5, 2, 1] = np.nan
    X[0, 0, 0] = 5e-324
    return X


def everything(X, **params):
    """Return what every method makes of series."""
    model = small(max_iter=1, missing="mask", early_stopping=False, **params).fit(X)
    Z = model.transform(X)
    stream = small(max_iter=1, missing="mask", early_stopping=False, **params)
    return {
        **learned(model),
        "transform": Z,
        "inverse_transform": model.inverse_transform(Z.astype(np.float32)),
        "reconstruct": model.reconstruct(X),
        "score": model.score(X),
        "score_samples": model.score_samples(X),
        "transform_into": transform_into(model, X, np.zeros(Z.shape, np.float32)),
        "partial_fit": stream.partial_fit(X).partial_fit(X[:5]).mean_,
    }


@pytest.mark.parametrize("series", [waves, with_tiny_and_huge_values, with_missing_values])
@pytest.mark.parametrize("pooling", ["reservoir", "statistics", "max"])
def test_fault_48_errors_and_warnings_of_numpy_change_nothing(series, pooling):
    X = series()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = everything(X, pooling=pooling)
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        with np.errstate(all="raise"):
            found = everything(X, pooling=pooling)
            assert set(np.geterr().values()) == {"raise"}
    np.testing.assert_equal(found, expected)


def test_fault_48_series_that_other_threads_scale_are_not_affected(monkeypatch):
    model, X = small(max_iter=0).fit(waves()), waves()
    X[:, 0, 0] = 5e-324
    monkeypatch.setattr(batched, "SMALL_BATCH_SERIES", 2)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with warnings.catch_warnings(), np.errstate(all="raise"):
            warnings.simplefilter("error")
            strict = model.reconstruct(X)
        np.testing.assert_array_equal(strict, model.reconstruct(X))
    finally:
        torch.set_num_threads(before)
