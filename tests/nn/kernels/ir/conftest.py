import pytest

from tests.nn.kernels.arrays import Guards


@pytest.fixture
def guarded():
    """Arrays between guards, which are checked at the end."""
    guards = Guards()
    yield guards
    guards.check()
