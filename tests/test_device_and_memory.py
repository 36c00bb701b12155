"""Devices, threads, and what happens when memory runs out."""

import io
import pickle
import pickletools
import threading

import numpy as np
import pytest
import torch
from tests.scarce import out_of_memory_beyond

from seqfeat import DeviceError, DeviceMemoryError, LSTMAutoencoder
from seqfeat.inference.batched import embed
from seqfeat.nn.batch import Batch
from seqfeat.nn.initialization import initialize
from seqfeat.nn.network import Architecture, RecurrentAutoencoder
from seqfeat.runtime.device import (
    full_precision,
    halving_on_out_of_memory,
    is_out_of_memory,
    mixed_precision,
    resolve_device,
    single_threaded,
    to_device,
)
from seqfeat.series import as_series
from seqfeat.series.scaling import channel_scaling
from seqfeat.training.trainer import Settings, Trainer, train

CPU = torch.device("cpu")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


# Names


def test_auto_is_whatever_is_there():
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert resolve_device("cpu") == CPU


@pytest.mark.parametrize("name", ["gpu", "tpu:0", "", "meta"])
def test_an_unknown_device_names_the_known_ones(name):
    with pytest.raises(DeviceError, match="'auto', 'cpu', 'cuda'"):
        resolve_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
@pytest.mark.parametrize("name", ["cuda", "cuda:0"])
def test_fault_23_cuda_without_one(name):
    X = np.random.default_rng(0).normal(size=(8, 5, 2))
    estimator = LSTMAutoencoder(2, max_iter=0, device=name)
    with pytest.raises(DeviceError, match="device='auto' or device='cpu'"):
        estimator.fit(X)
    assert not hasattr(estimator, "weights_")


def test_the_cpu_needs_no_special_context():
    x = torch.ones(3)
    with mixed_precision(CPU), full_precision(CPU):
        assert (x @ x).dtype == torch.float32
    assert to_device(np.ones(2, dtype=np.float32), CPU).device == CPU


# Threads


def test_single_threaded_restores_the_setting():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with single_threaded():
            assert torch.get_num_threads() == 1
            with single_threaded():
                assert torch.get_num_threads() == 1
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with pytest.raises(ZeroDivisionError), single_threaded():
            1 / 0  # noqa: B018
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_fits_in_several_threads_restore_the_setting():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    barrier = threading.Barrier(4)
    seen = []

    def work():
        barrier.wait()
        with single_threaded():
            seen.append(torch.get_num_threads())

    try:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == [1] * 4
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


# Memory (fault 24)


def small_network():
    network = RecurrentAutoencoder(Architecture(2, 3, 6))
    initialize(network, torch.Generator().manual_seed(0))
    return network


@pytest.fixture
def data():
    values = torch.randn((24, 6, 2), generator=torch.Generator().manual_seed(1))
    return Batch(values, torch.full((24,), 6))


SETTINGS = Settings(3, 12, 1e-2, dropout=0.2, input_noise=0.3, masking_ratio=0.2)


def test_fault_24_training_goes_on_with_smaller_batches(data):
    generator = torch.Generator().manual_seed(2)
    struggling = out_of_memory_beyond(small_network(), 4)
    trainer = Trainer(struggling, SETTINGS, generator, CPU)
    trainer.prepare(len(data), None)
    trainer.run(data, None, lambda: None, lambda history: False)
    assert trainer.micro_batch == 3

    undisturbed = small_network()
    train(undisturbed, data, SETTINGS, torch.Generator().manual_seed(2))
    for name, weight in undisturbed.state_dict().items():
        torch.testing.assert_close(struggling.state_dict()[name], weight, rtol=1e-3, atol=1e-5)


def test_fault_24_a_single_series_too_many_is_an_error_with_advice(data):
    with pytest.raises(DeviceMemoryError, match="patch_len"):
        train(out_of_memory_beyond(small_network(), 0), data, SETTINGS, torch.Generator())


def test_fault_24_inference_goes_on_with_smaller_batches(data):
    series = as_series(data.values.numpy())
    scaling = channel_scaling(series)
    expected = embeddings(small_network(), series, scaling)
    struggling = embeddings(out_of_memory_beyond(small_network(), 5), series, scaling)
    np.testing.assert_allclose(struggling, expected, rtol=1e-6)
    with pytest.raises(DeviceMemoryError, match="device='cpu'"):
        embeddings(out_of_memory_beyond(small_network(), 0), series, scaling)


def embeddings(network, series, scaling):
    result = np.full((len(series), 3), np.nan)
    for rows, batch in embed(network, series, scaling, CPU):
        result[rows] = batch
    return result


def test_other_errors_are_not_taken_for_memory():
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    with (
        pytest.raises(RuntimeError, match="shapes"),
        halving_on_out_of_memory(lambda: True, CPU),
    ):
        raise RuntimeError("shapes do not match")


# CUDA


@pytest.fixture
def series():
    rng = np.random.default_rng(3)
    phase = rng.uniform(0, 6, size=(60, 1))
    return np.sin(np.linspace(0, 6, 40) + phase)[:, :, None]


@pytest.mark.cuda
@needs_cuda
def test_cuda_trains_and_agrees_with_the_cpu(series):
    on_cuda = LSTMAutoencoder(8, device="cuda", random_state=0).fit(series)
    assert on_cuda.score(series) > 0.8
    on_cpu = pickle.loads(pickle.dumps(on_cuda)).set_params(device="cpu")
    np.testing.assert_allclose(on_cpu.transform(series), on_cuda.transform(series), atol=1e-4)
    np.testing.assert_allclose(on_cpu.reconstruct(series), on_cuda.reconstruct(series), atol=1e-3)


@pytest.mark.cuda
@needs_cuda
def test_cuda_leaves_no_tensor_in_the_pickle(series):
    fitted = LSTMAutoencoder(4, max_iter=2, device="cuda").partial_fit(series)
    fitted.transform(series)
    names = [argument for _, argument, _ in pickletools.genops(io.BytesIO(pickle.dumps(fitted)))]
    assert not [name for name in names if isinstance(name, str) and name.startswith("torch")]


@pytest.mark.cuda
@needs_cuda
def test_cuda_takes_every_option_and_unequal_lengths(series):
    ragged = [row[: 10 + index % 30] for index, row in enumerate(series)]
    estimator = LSTMAutoencoder(
        4,
        bidirectional=True,
        pooling="mean",
        dropout=0.1,
        masking_ratio=0.1,
        target_weight=0.3,
        early_stopping=True,
        max_iter=3,
        device="cuda",
        random_state=0,
    ).fit(ragged, np.arange(60) % 2)
    alone = np.concatenate([estimator.transform([row]) for row in ragged])
    np.testing.assert_allclose(estimator.transform(ragged), alone, atol=1e-5)


@pytest.mark.cuda
@needs_cuda
def test_cuda_out_of_memory_halves_the_batch(data):
    trainer = Trainer(
        out_of_memory_beyond(small_network(), 3), SETTINGS, torch.Generator(), torch.device("cuda")
    )
    trainer.prepare(len(data), None)
    history = trainer.run(data, None, lambda: None, lambda history: False)
    assert trainer.micro_batch == 3
    assert history.n_iter == 3
