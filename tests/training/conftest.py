import pytest

from seqfeat.nn.kernels import make_backend
from tests.training import examples


@pytest.fixture(params=["kernels", "torch"])
def backend_of(request):
    """Return a function that makes the backend of a network, one of the two kinds."""
    if request.param == "torch":
        return examples.torch_backend
    if not make_backend(examples.make_network(), examples.CPU).is_compiled:
        pytest.skip("needs llvmlite")
    return examples.compiled_backend


@pytest.fixture
def ragged():
    return examples.ragged()


@pytest.fixture
def waves():
    return examples.waves()


@pytest.fixture
def noise():
    return examples.noise()
