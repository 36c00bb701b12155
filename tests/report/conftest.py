import pytest

from seqfeat import make_classifier
from tests.report.pages import noisy_waves


@pytest.fixture(scope="session")
def small():
    """A classifier of noisy waves that has not been trained: fitted in no time."""
    X, y = noisy_waves(60)
    return make_classifier(2, max_iter=0, random_state=0).fit(X, y)
