"""`evaluate`, against scikit-learn's scores and sums by hand."""

import tracemalloc

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score

from seqfeat.inference import batched
from seqfeat.inference.evaluation import evaluate
from seqfeat.nn.kernels import make_backend
from seqfeat.runtime.ranks import Ranks
from seqfeat.series import Series, as_series
from seqfeat.series.scaling import channel_scaling, identity_scaling
from tests.inference.networks import directly, make_network, scaled_by_hand

CPU = torch.device("cpu")


def columns(items, network):
    """Return true and reconstructed values of each channel, over all observed values, by hand."""
    true, reconstructed = ([], []), ([], [])
    for item in scaled_by_hand(items):
        reconstruction = directly(network, item)[1]
        for channel in (0, 1):
            observed = ~np.isnan(item[:, channel])
            true[channel].append(item[observed, channel])
            reconstructed[channel].append(reconstruction[observed, channel])
    return [[np.concatenate(parts) for parts in each] for each in (true, reconstructed)]


@pytest.mark.usefixtures("batch_size")
def test_r_squared_is_that_of_scikit_learn(backend, network, items, series, scaling):
    true, reconstructed = columns(items, network)
    scores = [r2_score(*pair) for pair in zip(true, reconstructed, strict=True)]
    variation = [len(column) * column.var() for column in true]
    expected = np.average(scores, weights=variation)
    assert evaluate(backend, series, scaling).r_squared == pytest.approx(expected, rel=1e-5)


def test_r_squared_does_not_depend_on_the_mean_of_the_scaling(backend, network, items, series):
    # Scaled by another set's statistics, the true values no longer have mean 0.
    other = channel_scaling(as_series([item + 4 for item in items], missing="mask"))
    shifted = [np.asarray((item - other.mean) / other.scale) for item in items]
    error = sum(np.nansum((directly(network, item)[1] - item) ** 2) for item in shifted)
    values = np.concatenate(shifted)
    variation = np.nansum((values - np.nanmean(values, axis=0)) ** 2)
    evaluation = evaluate(backend, series, other)
    assert evaluation.r_squared == pytest.approx(1 - error / variation, rel=1e-5)


@pytest.mark.usefixtures("batch_size")
def test_errors_and_counts_are_those_of_each_series(backend, network, items, series, scaling):
    evaluation = evaluate(backend, series, scaling)
    by_hand = scaled_by_hand(items)
    errors = [np.nansum((directly(network, item)[1] - item) ** 2) for item in by_hand]
    np.testing.assert_allclose(evaluation.squared_error, errors, rtol=1e-4)
    assert evaluation.n_values.tolist() == [int((~np.isnan(item)).sum()) for item in items]


def test_errors_and_counts_of_a_complete_set(backend, network):
    items = np.random.default_rng(2).normal([3, -1], [2, 5], size=(5, 9, 2))
    series = as_series(items)
    evaluation = evaluate(backend, series, channel_scaling(series))
    errors = [((directly(network, one)[1] - one) ** 2).sum() for one in scaled_by_hand(items)]
    np.testing.assert_allclose(evaluation.squared_error, errors, rtol=1e-4)
    assert evaluation.n_values.tolist() == [18] * 5


def test_some_rows_are_evaluated_alone(backend, series, scaling):
    rows = np.array([1, 4, 8])
    every, some = (evaluate(backend, series, scaling, rows=chosen) for chosen in (None, rows))
    np.testing.assert_allclose(some.squared_error, every.squared_error[rows], rtol=1e-5)
    assert some.n_values.tolist() == every.n_values[rows].tolist()


class TwoRanks(Ranks):
    """Pretends that another process holds the same series."""

    def all_gather(self, own):
        return [own, own]


def test_processes_that_share_the_series_are_evaluated_together(backend, series, scaling):
    alone = evaluate(backend, series, scaling)
    together = evaluate(backend, series, scaling, ranks=TwoRanks())
    np.testing.assert_array_equal(together.squared_error, np.tile(alone.squared_error, 2))
    np.testing.assert_array_equal(together.n_values, np.tile(alone.n_values, 2))
    assert together.r_squared == pytest.approx(alone.r_squared, rel=1e-12)
    assert together.embedding_spread == pytest.approx(alone.embedding_spread, rel=1e-12)


@pytest.mark.usefixtures("batch_size")
def test_the_spread_is_that_of_the_embedding_dimension_that_varies_most(
    backend, network, items, series, scaling
):
    embeddings = [directly(network, item)[0] for item in scaled_by_hand(items)]
    expected = np.std(np.array(embeddings, dtype=np.float64), axis=0).max()
    spread = evaluate(backend, series, scaling).embedding_spread
    assert spread == pytest.approx(expected, rel=1e-4)


def constant_network(constant):
    """Return a network that reconstructs every value as `constant`."""
    network = make_network()
    network.decoder.output.weight.zero_()
    network.decoder.output.bias.fill_(constant)
    return network


def test_predicting_the_mean_scores_0(backend_of):
    series = as_series(np.random.default_rng(4).normal(7, 3, size=(30, 6, 2)))
    evaluation = evaluate(backend_of(constant_network(0.0)), series, channel_scaling(series))
    assert evaluation.r_squared == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(("constant", "score"), [(0.0, 1.0), (0.5, 0.0)])
def test_constant_series_score_as_in_scikit_learn(backend_of, constant, score):
    series = as_series(np.full((4, 6, 2), 5.0))
    evaluation = evaluate(backend_of(constant_network(constant)), series, channel_scaling(series))
    assert evaluation.r_squared == score == r2_score(np.zeros(8), np.full(8, constant))


def peak_of_evaluating(n_samples):
    """Return the most memory that NumPy takes, which is traced, while series are evaluated."""
    values = np.lib.stride_tricks.as_strided(
        np.sin(np.arange(n_samples + 400, dtype=np.float32)), (n_samples, 400, 1), (4, 4, 4)
    )
    series = Series(values, np.full(n_samples, 400))
    backend = make_backend(make_network(1), CPU)
    tracemalloc.start()
    try:
        evaluate(backend, series, identity_scaling(1))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_fault_34_memory_is_bounded_by_a_batch_not_by_the_number_of_series(monkeypatch):
    monkeypatch.setitem(batched.MAX_BATCH_SERIES, "cpu", 32)
    # Both have enough batches for all threads to be at their largest at the same time.
    few, many = peak_of_evaluating(640), peak_of_evaluating(6400)
    # 5760 more series of 400 float32 values are 9 MB more.
    assert many - few < 1_000_000
