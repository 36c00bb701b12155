import signal

import pytest
import torch

from seqfeat import make_classifier
from seqfeat.datasets import load_japanese_vowels

# A run begun in the background by a script ignores ctrl-C, and so would all its children;
# the tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_ignore_collect(collection_path):
    """Look for doctests in the package alone: some helpers of the tests are programs."""
    is_helper = collection_path.suffix == ".py" and not collection_path.name.startswith("test_")
    return True if is_helper and collection_path.name != "__init__.py" else None


def pytest_collection_modifyitems(items):
    """Mark the tests and doctests that start a Dask cluster."""
    for item in items:
        if "cluster" in item.path.parts:
            item.add_marker(pytest.mark.processes)


@pytest.fixture(scope="module")
def one_thread():
    """Networks as small as those of the tests spend their time waiting for each other's threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def utterances():
    """A fifth of the training set, in order: series of all speakers, and their labels."""
    X, y = load_japanese_vowels(return_X_y=True)
    return X[::5], y[::5]


@pytest.fixture(scope="module")
def pipeline(utterances):
    """A small fitted classifier of the utterances."""
    return make_classifier(4, max_iter=2, random_state=0).fit(*utterances)


# Vectors of SSE and NEON, of AVX2 and of AVX-512; each length runs on any CPU, if more slowly.
@pytest.fixture(params=[4, 8, 16])
def lanes(request, monkeypatch):
    """Run networks by kernels with vectors of each length."""
    from tests.compiled import compiled_kernels

    monkeypatch.setattr("seqfeat.nn.kernels._kernels", lambda: compiled_kernels(request.param))
    return request.param
