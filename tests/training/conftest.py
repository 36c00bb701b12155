import pytest

from tests.training import examples


@pytest.fixture(params=["kernels", "torch"])
def backend_of(request):
    """Return a function that makes the backend of a network, one of the two kinds."""
    return {"kernels": examples.compiled_backend, "torch": examples.torch_backend}[request.param]


@pytest.fixture
def ragged():
    return examples.ragged()


@pytest.fixture
def waves():
    return examples.waves()


@pytest.fixture
def noise():
    return examples.noise()
