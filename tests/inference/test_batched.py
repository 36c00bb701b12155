"""Running a network over many series, against calling it directly, series by series."""

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from seqfeat import DeviceMemoryError
from seqfeat.inference import batched
from seqfeat.inference.batched import decode, embed, reconstruct
from seqfeat.inference.evaluation import evaluate
from seqfeat.nn.backend import TorchBackend
from seqfeat.series import as_series
from seqfeat.series.scaling import channel_scaling, identity_scaling
from tests.inference.networks import LENGTHS, directly, make_network, scaled_by_hand

CPU = torch.device("cpu")


def assert_close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def rows_of(batches):
    return np.concatenate([batch[0] for batch in batches]).tolist()


def random_embeddings(n_series, seed=3):
    return np.random.default_rng(seed).uniform(-1, 1, size=(n_series, 3)).astype(np.float32)


# embed, reconstruct, decode


def test_embeddings_are_those_of_each_series_alone(
    backend, network, items, series, scaling, batch_size
):
    batches = list(embed(backend, series, scaling))
    assert sorted(rows_of(batches)) == list(range(len(items)))
    by_hand = scaled_by_hand(items)
    for rows, embeddings in batches:
        assert len(rows) <= batch_size
        for row, embedding in zip(rows, embeddings, strict=True):
            assert_close(embedding, directly(network, by_hand[row])[0])


def test_reconstructions_are_those_of_each_series_alone(
    backend, network, items, series, scaling, batch_size
):
    batches = list(reconstruct(backend, series, scaling))
    assert sorted(rows_of(batches)) == list(range(len(items)))
    by_hand = scaled_by_hand(items)
    for batch in batches:
        assert len(batch.rows) <= batch_size
        for position, row in enumerate(batch.rows):
            length = LENGTHS[row]
            embedding, reconstruction = directly(network, by_hand[row])
            assert_close(batch.embeddings[position], embedding)
            assert_close(batch.reconstruction[position, :length], reconstruction)
            assert_close(batch.scaled[position, :length], np.nan_to_num(by_hand[row]))
            observed = batch.observed[position]
            np.testing.assert_array_equal(observed[:length], ~np.isnan(items[row]))
            assert not observed[length:].any()


def test_some_rows_can_be_reconstructed(backend, series, scaling):
    rows = np.array([8, 1, 4])
    every = {row: batch for batch in reconstruct(backend, series, scaling) for row in batch.rows}
    (batch,) = reconstruct(backend, series, scaling, rows)
    assert batch.rows.tolist() == [8, 1, 4]  # of 3, 9 and 9 timesteps
    for row, reconstruction in zip(batch.rows, batch.reconstruction, strict=True):
        expected = every[row].reconstruction[every[row].rows.tolist().index(row)]
        assert_close(reconstruction, expected[:9])


def test_decoded_series_are_those_of_each_embedding_alone(backend, network, batch_size):
    embeddings = random_embeddings(10)
    batches = list(decode(backend, embeddings, 7))
    assert rows_of(batches) == list(range(10))
    for rows, series in batches:
        assert series.shape == (len(rows), 7, 2)
        assert len(rows) <= batch_size
        for row, one in zip(rows, series, strict=True):
            assert_close(one, network.decode(torch.from_numpy(embeddings[row : row + 1]), 7)[0])


@pytest.mark.usefixtures("batch_size")
def test_batches_are_sorted_by_length_and_cut_to_their_longest_series(backend, series, scaling):
    lengths = series.lengths
    batches = list(reconstruct(backend, series, scaling))
    assert (np.diff(lengths[rows_of(batches)]) >= 0).all()
    for batch in batches:
        longest = lengths[batch.rows].max()
        assert batch.scaled.shape[1] == batch.reconstruction.shape[1] == longest


def test_complete_series_need_no_mask(backend):
    dense = as_series(np.random.default_rng(2).normal(size=(5, 4, 2)))
    batches = list(reconstruct(backend, dense, channel_scaling(dense)))
    assert [batch.observed for batch in batches] == [None]


# Batch sizes


@pytest.mark.parametrize(("n_values", "expected"), [(1, 1), (2 * 9 * 2, 2), (5 * 9 * 2 + 1, 5)])
def test_long_series_come_in_smaller_batches(
    backend, series, scaling, monkeypatch, n_values, expected
):
    whole = np.concatenate([batch for _, batch in embed(backend, series, scaling)])
    monkeypatch.setattr(batched, "MAX_BATCH_VALUES", n_values)
    batches = list(embed(backend, series, scaling))
    assert max(len(rows) for rows, _ in batches) == expected
    assert_close(np.concatenate([batch for _, batch in batches]), whole)


def test_long_decoded_series_come_in_smaller_batches(backend, monkeypatch):
    embeddings = random_embeddings(11)
    ((_, expected),) = decode(backend, embeddings, 7)
    monkeypatch.setattr(batched, "MAX_BATCH_VALUES", 3 * 7 * 2)
    batches = list(decode(backend, embeddings, 7))
    assert [len(rows) for rows, _ in batches] == [3, 3, 3, 2]
    assert_close(np.concatenate([series for _, series in batches]), expected)


@pytest.mark.parametrize(
    ("is_compiled", "n_series", "n_timesteps", "expected"),
    [
        (False, 10, 6, 10),
        (False, 400, 6, 64),
        (False, 800, 6, 100),
        (False, 3000, 6, 256),
        (False, 3000, 75, 109),
        (False, 800, 9000, 64),
        (True, 400, 6, 64),
        (True, 3000, 75, 256),
        (True, 3000, 300, 145),
    ],
)
def test_very_many_short_series_come_in_larger_batches(
    is_compiled, n_series, n_timesteps, expected
):
    backend = SimpleNamespace(
        network=make_network(),
        device=CPU,
        is_compiled=is_compiled,
        decode=lambda embeddings, n_timesteps: torch.zeros(len(embeddings), 1, 2),
    )
    embeddings = np.zeros((n_series, 3), dtype=np.float32)
    batches = [len(rows) for rows, _ in decode(backend, embeddings, n_timesteps)]
    assert max(batches) == expected


def with_memory_for(backend, n_series):
    """Let a backend run out of memory on larger batches."""
    decode_batch = backend.decode

    def decode_small_batch(embeddings, n_timesteps):
        if len(embeddings) > n_series:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return decode_batch(embeddings, n_timesteps)

    backend.decode = decode_small_batch
    return backend


def test_fault_24_batches_that_do_not_fit_into_memory_are_halved(backend_of, network):
    embeddings = random_embeddings(24)
    ((_, expected),) = decode(backend_of(network), embeddings, 7)
    batches = list(decode(with_memory_for(backend_of(network), 5), embeddings, 7))
    assert rows_of(batches) == list(range(24))
    assert_close(np.concatenate([series for _, series in batches]), expected)
    with pytest.raises(DeviceMemoryError, match="device='cpu'"):
        next(decode(with_memory_for(backend_of(network), 0), embeddings, 7))


# The caller's side


def every_function(backend, series, scaling):
    return [
        embed(backend, series, scaling),
        reconstruct(backend, series, scaling),
        decode(backend, random_embeddings(len(series)), 5),
    ]


def test_no_mode_leaks_to_the_caller_between_batches(backend, series, scaling, monkeypatch):
    monkeypatch.setitem(batched.MAX_BATCH_SERIES, "cpu", 4)
    for batches in every_function(backend, series, scaling):
        for _ in batches:
            assert not torch.is_inference_mode_enabled()
            assert torch.is_grad_enabled()
            weight = torch.ones(1, requires_grad=True)
            (2 * weight).backward()
            assert weight.grad.item() == 2


def test_a_caller_that_stops_early_is_left_in_no_mode(backend, series, scaling, monkeypatch):
    monkeypatch.setitem(batched.MAX_BATCH_SERIES, "cpu", 4)
    for batches in every_function(backend, series, scaling):
        next(batches)
        batches.close()
        assert not torch.is_inference_mode_enabled()


def test_an_error_of_the_caller_is_not_taken_for_one_of_the_network(backend, series, scaling):
    batches = embed(backend, series, scaling)
    next(batches)
    with pytest.raises(RuntimeError, match="mine"):
        batches.throw(RuntimeError("mine"))


def test_inference_builds_no_graph(backend_of, series, scaling):
    trainable = make_network().requires_grad_(True)
    for _, embeddings in embed(backend_of(trainable), series, scaling):
        assert isinstance(embeddings, np.ndarray)
    assert all(weight.grad is None for weight in trainable.parameters())


# Threads


@pytest.fixture
def set_threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def threads_of_a_new_thread():
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(torch.get_num_threads).result()


def test_the_number_of_threads_changes_no_bit_and_is_restored(backend, set_threads, monkeypatch):
    monkeypatch.setitem(batched.MAX_BATCH_SERIES, "cpu", 4)
    rng = np.random.default_rng(0)
    series = as_series([rng.normal(size=(5 + row % 7, 2)) for row in range(37)])
    scaling = channel_scaling(series)
    embeddings, errors = {}, {}
    for n_threads in (1, 2, 3):
        set_threads(n_threads)
        batches = list(embed(backend, series, scaling))
        embeddings[n_threads] = np.concatenate([embeddings for _, embeddings in batches])
        errors[n_threads] = evaluate(backend, series, scaling).squared_error
        assert torch.get_num_threads() == threads_of_a_new_thread() == n_threads
    for n_threads in (2, 3):
        np.testing.assert_array_equal(embeddings[n_threads], embeddings[1])
        np.testing.assert_array_equal(errors[n_threads], errors[1])


def test_batches_run_at_the_same_time_one_per_thread(backend, set_threads, monkeypatch):
    monkeypatch.setitem(batched.MAX_BATCH_SERIES, "cpu", 4)
    set_threads(2)
    both, decode_batch, inner_threads = threading.Barrier(2, timeout=60), backend.decode, []

    def decode_with_another(embeddings, n_timesteps):
        both.wait()  # breaks unless two batches are under way
        inner_threads.append(torch.get_num_threads())
        return decode_batch(embeddings, n_timesteps)

    backend.decode = decode_with_another
    series = as_series(np.random.default_rng(0).normal(size=(16, 6, 2)))
    batches = reconstruct(backend, series, identity_scaling(2))
    assert sum(len(batch.rows) for batch in batches) == 16
    assert torch.get_num_threads() == 2
    if isinstance(backend, TorchBackend):
        assert inner_threads == [1, 1, 1, 1]
