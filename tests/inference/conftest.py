import numpy as np
import pytest
import torch

from seqfeat.inference import batched
from seqfeat.nn.backend import TorchBackend
from seqfeat.nn.kernels import make_backend
from seqfeat.series import as_series
from seqfeat.series.scaling import channel_scaling
from tests.inference.networks import LENGTHS, make_network

CPU = torch.device("cpu")


@pytest.fixture(params=["compiled", "torch"])
def backend_of(request):
    """Return a function that makes a backend of a network, of one kind or the other."""
    if request.param == "torch":
        return lambda network: TorchBackend(network, CPU)
    if not make_backend(make_network(), CPU).is_compiled:
        pytest.skip("needs llvmlite")
    return lambda network: make_backend(network, CPU)


@pytest.fixture
def network():
    return make_network()


@pytest.fixture
def backend(backend_of, network):
    return backend_of(network)


@pytest.fixture
def items():
    """Series of unequal length, two of them with missing values."""
    rng = np.random.default_rng(1)
    items = [rng.normal([3, -1], [2, 5], size=(length, 2)) for length in LENGTHS]
    items[1][3, 0] = items[3][0] = np.nan
    return items


@pytest.fixture
def series(items):
    return as_series(items, missing="mask")


@pytest.fixture
def scaling(series):
    return channel_scaling(series)


@pytest.fixture(params=[1, 3, 64])
def batch_size(request, monkeypatch):
    monkeypatch.setitem(batched.MAX_BATCH_SERIES, "cpu", request.param)
    return request.param
