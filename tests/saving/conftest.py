import pytest

import seqfeat


@pytest.fixture(scope="module")
def regressor(utterances):
    """A small fitted regressor of the length of an utterance, and its first value."""
    X, _ = utterances
    y = [[len(series), series[0, 0]] for series in X]
    return seqfeat.make_regressor(4, max_iter=0, random_state=0).fit(X, y)
