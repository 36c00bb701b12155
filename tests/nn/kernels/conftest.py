import pytest

from tests.compiled import compiled_kernels


@pytest.fixture
def kernels(lanes):
    """The compiled kernels, with vectors of each length."""
    return compiled_kernels(lanes)
