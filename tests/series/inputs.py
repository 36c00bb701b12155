"""Series for the tests of this folder, and how their errors are looked at."""

import numpy as np
import pandas as pd
import pytest

from seqfeat.exceptions import InputError, InputTypeError, SeqfeatError

NAN = np.nan


def random_values(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def unequal_series(n_channels=2):
    return [random_values(length, n_channels, seed=length) for length in (4, 2, 5)]


def as_object_array(items):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def padded(items):
    """Return series of unequal length as one array; pandas is the oracle."""
    frames = [pd.DataFrame(item) for item in items]
    longest = max(map(len, frames))
    return np.stack([frame.reindex(range(longest)).to_numpy() for frame in frames])


def assert_series_equal(left, right):
    """Check that two pandas Series of arrays have the same ids and values."""
    pd.testing.assert_index_equal(left.index, right.index)
    for one, other in zip(left, right, strict=True):
        np.testing.assert_array_equal(one, other)


def error_of(function, *arguments, error=InputError, **options):
    """Return the message of the error that a call raises, which is seqfeat's and Python's own."""
    with pytest.raises(error) as caught:
        function(*arguments, **options)
    if issubclass(error, InputError):
        assert isinstance(caught.value, SeqfeatError)
        assert isinstance(caught.value, ValueError)
        assert isinstance(caught.value, TypeError) == (error is InputTypeError)
    return str(caught.value)
