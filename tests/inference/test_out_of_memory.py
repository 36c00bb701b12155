"""Inference whose batches do not fit into memory (fault 24)."""

import os

import numpy as np
import pytest
import torch

from seqfeat import DeviceMemoryError
from seqfeat.inference.batched import decode, embed
from seqfeat.inference.evaluation import evaluate
from seqfeat.series import as_series
from seqfeat.series.scaling import channel_scaling, identity_scaling
from tests.training.examples import (
    compiled_backend,
    cuda_backend,
    make_network,
    torch_backend,
)
from tests.training.scarcity import (
    CheckedBackend,
    MemoryMaps,
    allocate_too_much_on_cuda,
    out_of_memory_beyond,
)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(params=["kernels", "torch"])
def backend(request):
    return (compiled_backend if request.param == "kernels" else torch_backend)(make_network())


@pytest.fixture
def series():
    rng = np.random.default_rng(3)
    return as_series([rng.normal(size=(2 + index % 9, 2)) for index in range(90)])


def embeddings_of(backend, series):
    result = np.full((len(series), 3), np.nan, dtype=np.float32)
    for rows, batch in embed(backend, series, channel_scaling(series)):
        result[rows] = batch
    return result


@pytest.mark.parametrize("n_series", [1, 7, 40])
def test_fault_24_batches_are_halved_and_the_embeddings_stay(backend, series, n_series):
    struggling = embeddings_of(out_of_memory_beyond(backend, n_series), series)
    np.testing.assert_allclose(struggling, embeddings_of(backend, series), atol=1e-6)


def test_fault_24_batches_are_halved_and_the_score_stays(backend, series):
    scaling = channel_scaling(series)
    expected = evaluate(backend, series, scaling)
    struggling = evaluate(out_of_memory_beyond(backend, 5), series, scaling)
    np.testing.assert_allclose(struggling.squared_error, expected.squared_error, rtol=1e-5)
    assert struggling.r_squared == pytest.approx(expected.r_squared, rel=1e-6)


def test_fault_24_a_smaller_batch_is_kept_for_the_rest(backend):
    sizes = []

    def check(size):
        sizes.append(size)
        if size > 10:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    codes = np.random.default_rng(4).uniform(-1, 1, size=(21, 3)).astype(np.float32)
    batches = list(decode(CheckedBackend(backend, check), codes, 5))
    assert np.concatenate([rows for rows, _ in batches]).tolist() == list(range(21))
    # Batches of 64, 32 and 16 series failed, those of 8 did not.
    assert sizes == [21, 21, 16, 8, 8, 5]


def test_fault_24_a_single_series_too_large_is_an_error_with_advice(backend, series):
    message = r"single series.*shorter series.*hidden_dim.*device='cpu'"
    with pytest.raises(DeviceMemoryError, match=message):
        embeddings_of(out_of_memory_beyond(backend, 0), series)


def test_other_errors_are_not_taken_for_a_lack_of_memory(backend, series):
    sizes = []

    def check(size):
        sizes.append(size)
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        embeddings_of(CheckedBackend(backend, check), series)
    assert len(sizes) == 1


@pytest.mark.skipif(os.name != "posix", reason="elsewhere the kernels' memory is torch's")
@pytest.mark.usefixtures("lanes")
def test_without_memory_for_a_batch_it_is_halved(monkeypatch):
    maps, series = MemoryMaps(monkeypatch), as_series(np.ones((64, 31, 2)))
    expected = list(embed(compiled_backend(make_network()), series, identity_scaling(2)))
    assert len(expected) == 1
    # Room for half a batch, whatever the width of the kernels' vectors.
    maps.limit = 0.75 * max(maps.sizes)
    backend = compiled_backend(make_network())
    batches = list(embed(backend, series, identity_scaling(2)))
    assert [len(rows) for rows, _ in batches] == [32, 32]
    np.testing.assert_array_equal(np.concatenate([batch for _, batch in batches]), expected[0][1])


# CUDA


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_out_of_memory_halves_batches(series):
    expected = embeddings_of(torch_backend(make_network()), series)
    backend = cuda_backend(make_network().requires_grad_(False))
    struggling = out_of_memory_beyond(backend, 7, allocate_too_much_on_cuda)
    np.testing.assert_allclose(embeddings_of(struggling, series), expected, atol=1e-4)
