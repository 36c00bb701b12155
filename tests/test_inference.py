"""Running a network over many series against calling it directly, series by series."""

import threading
import tracemalloc

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score

from seqfeat.inference import batched as inference
from seqfeat.inference.batched import decode, embed, rebuild
from seqfeat.inference.evaluation import evaluate
from seqfeat.nn.initialization import initialize
from seqfeat.nn.kernels.encoder import EmbeddingProgram
from seqfeat.nn.network import Architecture, RecurrentAutoencoder
from seqfeat.series import Series, as_series
from seqfeat.series.scaling import channel_scaling, identity_scaling

CPU = torch.device("cpu")
LENGTHS = (5, 9, 2, 7, 9, 4, 1, 8, 3, 6, 9)


def make_network(n_channels=2):
    network = RecurrentAutoencoder(
        Architecture(n_channels, 3, 6, patch_len=2, n_time_features=2, time_period=5)
    )
    initialize(network, torch.Generator().manual_seed(0))
    return network.requires_grad_(False)


@pytest.fixture
def network():
    return make_network()


@pytest.fixture
def items():
    """Series of unequal lengths about 3, two of them with gaps."""
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
    monkeypatch.setitem(inference.BATCH_SERIES, "cpu", request.param)
    return request.param


def scaled_by_hand(items):
    """Return each series with each channel standardised over all of them."""
    everything = np.concatenate(items)
    mean, deviation = np.nanmean(everything, axis=0), np.nanstd(everything, axis=0)
    return [(item - mean) / deviation for item in items]


def directly(network, item):
    """Return the embedding and the reconstruction of one scaled series."""
    values = torch.tensor(np.nan_to_num(item)[None], dtype=torch.float32)
    embedding = network.encode(values, torch.tensor([len(item)]))
    return embedding[0].numpy(), network.decode(embedding, len(item))[0].numpy()


def assert_close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def rows_of(batches):
    return np.concatenate([batch[0] for batch in batches]).tolist()


# embed, rebuild, decode


def test_embedding_equals_the_network_on_each_series(network, items, series, scaling, batch_size):
    batches = list(embed(network, series, scaling, CPU))
    assert sorted(rows_of(batches)) == list(range(len(items)))
    by_hand = scaled_by_hand(items)
    for rows, embeddings in batches:
        assert len(rows) <= batch_size
        for row, embedding in zip(rows, embeddings, strict=True):
            assert_close(embedding, directly(network, by_hand[row])[0])


def test_rebuilding_equals_the_network_on_each_series(network, items, series, scaling, batch_size):
    batches = list(rebuild(network, series, scaling, CPU))
    assert sorted(rows_of(batches)) == list(range(len(items)))
    by_hand = scaled_by_hand(items)
    for batch in batches:
        assert len(batch.rows) <= batch_size
        for place, row in enumerate(batch.rows):
            length = LENGTHS[row]
            embedding, rebuilt = directly(network, by_hand[row])
            assert_close(batch.embeddings[place], embedding)
            assert_close(batch.rebuilt[place, :length], rebuilt)
            assert_close(batch.scaled[place, :length], np.nan_to_num(by_hand[row]))
            observed = batch.observed[place]
            np.testing.assert_array_equal(observed[:length], ~np.isnan(items[row]))
            assert not observed[length:].any()


def test_batches_come_in_order_of_length_and_are_cut_to_their_longest(
    network, series, scaling, batch_size
):
    lengths = series.lengths
    batches = list(rebuild(network, series, scaling, CPU))
    assert (np.diff(lengths[rows_of(batches)]) >= 0).all()
    for batch in batches:
        assert batch.scaled.shape[1] == batch.rebuilt.shape[1] == lengths[batch.rows].max()


def test_series_without_gaps_need_no_mask(network):
    dense = as_series(np.random.default_rng(2).normal(size=(5, 4, 2)))
    batches = list(rebuild(network, dense, channel_scaling(dense), CPU))
    assert [batch.observed for batch in batches] == [None]


def test_decoding_equals_the_network_on_each_embedding(network, batch_size):
    codes = np.random.default_rng(3).uniform(-1, 1, size=(10, 3)).astype(np.float32)
    batches = list(decode(network, codes, 7, CPU))
    assert rows_of(batches) == list(range(10))
    for rows, rebuilt in batches:
        assert rebuilt.shape == (len(rows), 7, 2)
        assert len(rows) <= batch_size
        for row, one in zip(rows, rebuilt, strict=True):
            assert_close(one, network.decode(torch.from_numpy(codes[row : row + 1]), 7)[0])


# Memory


@pytest.mark.parametrize(("n_values", "expected"), [(1, 1), (2 * 9 * 2, 2), (5 * 9 * 2 + 1, 5)])
def test_long_series_come_in_smaller_batches(
    network, series, scaling, monkeypatch, n_values, expected
):
    whole = np.concatenate([batch for _, batch in embed(network, series, scaling, CPU)])
    monkeypatch.setattr(inference, "BATCH_VALUES", n_values)
    batches = list(embed(network, series, scaling, CPU))
    assert max(len(rows) for rows, _ in batches) == expected
    assert_close(np.concatenate([batch for _, batch in batches]), whole)


@pytest.mark.parametrize(
    ("n_series", "n_timesteps", "expected"),
    [(10, 6, 10), (400, 6, 64), (800, 6, 100), (3000, 6, 256), (3000, 75, 109), (800, 9000, 64)],
)
def test_very_many_short_series_come_in_larger_batches(n_series, n_timesteps, expected):
    codes = np.zeros((n_series, 3), dtype=np.float32)
    network = make_network()
    network.decode = lambda codes, n_timesteps: torch.zeros(len(codes), 1, 2)
    batches = [len(rows) for rows, _ in decode(network, codes, n_timesteps, CPU)]
    assert max(batches) == expected


def peak_of_evaluating(n_samples):
    """Return NumPy's peak memory, which is traced, while many series are evaluated."""
    values = np.lib.stride_tricks.as_strided(
        np.sin(np.arange(n_samples + 400, dtype=np.float32)), (n_samples, 400, 1), (4, 4, 4)
    )
    series = Series(values, np.full(n_samples, 400))
    tracemalloc.start()
    evaluate(make_network(1), series, identity_scaling(1), CPU)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_is_bounded_by_a_batch_not_by_the_number_of_series(monkeypatch):
    monkeypatch.setitem(inference.BATCH_SERIES, "cpu", 32)
    # Both of enough batches for threads to meet at their largest, wherever each of them is.
    few, many = peak_of_evaluating(640), peak_of_evaluating(6400)
    # 5760 series more of 400 float32 values are 9 MB more.
    assert many - few < 1_000_000


# evaluate


def columns(items, network):
    """Return truth and guess of each channel over all observed values, by hand."""
    truth, guess = ([], []), ([], [])
    for item in scaled_by_hand(items):
        rebuilt = directly(network, item)[1]
        for channel in (0, 1):
            observed = ~np.isnan(item[:, channel])
            truth[channel].append(item[observed, channel])
            guess[channel].append(rebuilt[observed, channel])
    return [[np.concatenate(parts) for parts in each] for each in (truth, guess)]


@pytest.mark.usefixtures("batch_size")
def test_r_squared_is_that_of_scikit_learn(network, items, series, scaling):
    truth, guess = columns(items, network)
    scores = [r2_score(*pair) for pair in zip(truth, guess, strict=True)]
    variation = [len(column) * column.var() for column in truth]
    expected = np.average(scores, weights=variation)
    quality = evaluate(network, series, scaling, CPU)
    assert quality.r_squared == pytest.approx(expected, rel=1e-5)


@pytest.mark.usefixtures("batch_size")
def test_r_squared_does_not_depend_on_the_mean_of_fit(network, items, series):
    # Scaled by another set's statistics, the truth no longer has mean 0.
    other = channel_scaling(as_series([item + 4 for item in items], missing="mask"))
    error, variation = 0.0, 0.0
    shifted = [np.asarray((item - other.mean) / other.scale) for item in items]
    for item in shifted:
        error += np.nansum((directly(network, item)[1] - item) ** 2)
    everything = np.concatenate(shifted)
    variation = np.nansum((everything - np.nanmean(everything, axis=0)) ** 2)
    quality = evaluate(network, series, other, CPU)
    assert quality.r_squared == pytest.approx(1 - error / variation, rel=1e-5)


@pytest.mark.usefixtures("batch_size")
def test_errors_and_counts_belong_to_their_series(network, items, series, scaling):
    quality = evaluate(network, series, scaling, CPU)
    by_hand = scaled_by_hand(items)
    errors = [np.nansum((directly(network, item)[1] - item) ** 2) for item in by_hand]
    np.testing.assert_allclose(quality.squared_error, errors, rtol=1e-4)
    assert quality.n_values.tolist() == [int((~np.isnan(item)).sum()) for item in items]


@pytest.mark.usefixtures("batch_size")
def test_the_spread_is_the_largest_deviation_of_an_embedding_dimension(
    network, items, series, scaling
):
    embeddings = [directly(network, item)[0] for item in scaled_by_hand(items)]
    expected = np.std(np.array(embeddings, dtype=np.float64), axis=0).max()
    quality = evaluate(network, series, scaling, CPU)
    assert quality.embedding_spread == pytest.approx(expected, rel=1e-4)


def silent_network(constant):
    """Return a network that rebuilds every value as `constant`."""
    network = make_network()
    network.decoder.output.weight.zero_()
    network.decoder.output.bias.fill_(constant)
    return network


def test_predicting_the_mean_scores_nothing():
    series = as_series(np.random.default_rng(4).normal(7, 3, size=(30, 6, 2)))
    quality = evaluate(silent_network(0.0), series, channel_scaling(series), CPU)
    assert quality.r_squared == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(("constant", "score"), [(0.0, 1.0), (0.5, 0.0)])
def test_constant_series_score_as_scikit_learn_scores_them(constant, score):
    series = as_series(np.full((4, 6, 2), 5.0))
    quality = evaluate(silent_network(constant), series, channel_scaling(series), CPU)
    assert quality.r_squared == score == r2_score(np.zeros(8), np.full(8, constant))


# The consumer's side


def consumers(network, series, scaling):
    codes = np.zeros((len(series), 3), dtype=np.float32)
    return [
        embed(network, series, scaling, CPU),
        rebuild(network, series, scaling, CPU),
        decode(network, codes, 5, CPU),
    ]


def test_no_mode_leaks_to_the_consumer_between_batches(network, series, scaling, monkeypatch):
    monkeypatch.setitem(inference.BATCH_SERIES, "cpu", 4)
    for batches in consumers(network, series, scaling):
        for _ in batches:
            assert not torch.is_inference_mode_enabled()
            assert torch.is_grad_enabled()
            weight = torch.ones(1, requires_grad=True)
            (2 * weight).backward()
            assert weight.grad.item() == 2


def test_leaving_early_leaves_no_mode_behind(network, series, scaling, monkeypatch):
    monkeypatch.setitem(inference.BATCH_SERIES, "cpu", 4)
    for batches in consumers(network, series, scaling):
        next(batches)
        batches.close()
        assert not torch.is_inference_mode_enabled()


def test_an_error_of_the_consumer_is_not_taken_for_one_of_the_network(network, series, scaling):
    batches = embed(network, series, scaling, CPU)
    next(batches)
    with pytest.raises(RuntimeError, match="mine"):
        batches.throw(RuntimeError("mine"))


def test_inference_keeps_no_graph(series, scaling):
    with_gradients = make_network().requires_grad_(True)
    for _, embeddings in embed(with_gradients, series, scaling, CPU):
        assert isinstance(embeddings, np.ndarray)
    assert all(weight.grad is None for weight in with_gradients.parameters())


# Threads


@pytest.fixture
def set_threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_the_number_of_threads_changes_no_bit_and_stays_what_it_was(set_threads, monkeypatch):
    monkeypatch.setitem(inference.BATCH_SERIES, "cpu", 4)
    rng = np.random.default_rng(0)
    series = as_series([rng.normal(size=(5 + row % 7, 2)) for row in range(37)])
    network, scaling = make_network(), channel_scaling(series)
    embeddings, errors = {}, {}
    for n_threads in (1, 2, 3):
        set_threads(n_threads)
        parts = list(embed(network, series, scaling, CPU))
        embeddings[n_threads] = np.concatenate([embeddings for _, embeddings in parts])
        errors[n_threads] = evaluate(network, series, scaling, CPU).squared_error
        assert torch.get_num_threads() == n_threads
    for n_threads in (2, 3):
        np.testing.assert_array_equal(embeddings[n_threads], embeddings[1])
        np.testing.assert_array_equal(errors[n_threads], errors[1])


def test_batches_run_side_by_side_one_on_each_thread(set_threads, monkeypatch):
    monkeypatch.setitem(inference.BATCH_SERIES, "cpu", 4)
    set_threads(2)
    meeting = threading.Barrier(2, timeout=60)
    inner_threads = []

    class Meeting(RecurrentAutoencoder):
        def decode(self, *arguments):
            meeting.wait()  # breaks unless two batches are under way
            inner_threads.append(torch.get_num_threads())
            return super().decode(*arguments)

    network = Meeting(make_network().architecture).requires_grad_(False)
    series = as_series(np.random.default_rng(0).normal(size=(16, 6, 2)))
    batches = rebuild(network, series, identity_scaling(2), CPU)
    assert sum(len(batch.rows) for batch in batches) == 16
    assert inner_threads == [1, 1, 1, 1]


def test_programs_embed_side_by_side_and_set_nothing(set_threads, monkeypatch):
    monkeypatch.setitem(inference.BATCH_SERIES, "cpu", 4)
    set_threads(2)
    meeting, run = threading.Barrier(2, timeout=60), EmbeddingProgram.embed

    def meet(*arguments):
        meeting.wait()
        return run(*arguments)

    monkeypatch.setattr(EmbeddingProgram, "embed", meet)
    series = as_series(np.random.default_rng(0).normal(size=(16, 6, 2)))
    batches = embed(make_network(), series, identity_scaling(2), CPU)
    assert sum(len(rows) for rows, _ in batches) == 16
    assert torch.get_num_threads() == 2
