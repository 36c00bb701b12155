"""How a fit begins and ends: splits, seeds, warnings, interrupts, the cache of networks."""

import gc
import pickle
import threading

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score

from seqfeat import LayoutWarning, LSTMAutoencoder
from seqfeat.inference import batched as inference
from seqfeat.inference.batched import decode, embed, rebuild
from seqfeat.inference.evaluation import evaluate
from seqfeat.inference.fitted import _entries, cached_network
from seqfeat.nn.initialization import initialize
from seqfeat.nn.network import Architecture, build_network
from seqfeat.series import as_series
from seqfeat.series.scaling import channel_scaling
from seqfeat.training.fit import split_rows
from seqfeat.training.plan import Plan, draw_seed
from seqfeat.training.trainer import Settings

CPU = torch.device("cpu")


def waves(n_samples=24, n_timesteps=16, seed=0):
    phase = np.random.default_rng(seed).uniform(0, 6, size=(n_samples, 1))
    return np.sin(np.linspace(0, 5, n_timesteps) + phase)[:, :, None]


def plan(n_samples, fraction, targets=None, seed=0):
    series = as_series(np.zeros((n_samples, 3, 2)))
    architecture = Architecture(2, 3, 6)
    settings = Settings(1, 8, 1e-3)
    return Plan(
        series,
        channel_scaling(series),
        architecture,
        settings,
        CPU,
        seed,
        targets=targets,
        validation_fraction=fraction,
    )


# Splits and seeds


@pytest.mark.parametrize(("n_samples", "n_held_out"), [(1, 0), (2, 1), (3, 1), (20, 2), (25, 3)])
def test_a_tenth_is_held_out_and_never_everything(n_samples, n_held_out):
    rows, held_out = split_rows(plan(n_samples, 0.1))
    assert len(held_out) == n_held_out
    assert sorted([*rows, *held_out]) == list(range(n_samples))


def test_nothing_is_held_out_without_a_fraction():
    rows, held_out = split_rows(plan(10, None))
    assert (len(rows), len(held_out)) == (10, 0)


def test_classes_keep_their_shares():
    targets = np.array([0] * 30 + [1] * 10)
    _, held_out = split_rows(plan(40, 0.2, targets))
    assert np.bincount(targets[held_out]).tolist() == [6, 2]


@pytest.mark.parametrize("targets", [[0, 1, 2, 3, 4, 5], [0, 0, 0, 0, 0, 1]])
def test_classes_too_small_to_share_are_split_at_random(targets):
    rows, held_out = split_rows(plan(6, 0.2, np.array(targets)))
    assert (len(rows), len(held_out)) == (4, 2)


def test_a_seed_is_drawn_without_touching_global_states():
    before = np.random.get_state()  # noqa: NPY002
    assert draw_seed(None) != draw_seed(None)
    assert draw_seed(5) == draw_seed(5)
    shared = np.random.RandomState(5)
    assert draw_seed(shared) != draw_seed(shared)
    after = np.random.get_state()  # noqa: NPY002
    np.testing.assert_array_equal(before[1], after[1])


# Warnings


def test_fault_19_a_collapse_is_named_with_its_score_and_a_way_out():
    estimator = LSTMAutoencoder(4, max_iter=1, learning_rate_init=1e-6, random_state=0)
    with pytest.warns(ConvergenceWarning, match=r"explains -?0\.\d+ of the variance.*max_iter"):
        estimator.fit(waves())
    assert estimator.best_score_ < 0.05


def test_fault_19_a_constant_embedding_is_named():
    same = np.repeat(waves(1), 12, axis=0)
    with pytest.warns(ConvergenceWarning, match="embedding is constant"):
        LSTMAutoencoder(4, max_iter=60, random_state=0).fit(same)


def test_warnings_point_at_the_line_that_called_fit():
    estimator = LSTMAutoencoder(4, max_iter=1, learning_rate_init=1e-6, random_state=0)
    with pytest.warns((ConvergenceWarning, LayoutWarning)) as caught:
        estimator.fit(waves().transpose(0, 2, 1))
    assert {warning.category for warning in caught} == {ConvergenceWarning, LayoutWarning}
    assert {warning.filename for warning in caught} == {__file__}


def test_a_good_fit_does_not_warn():
    assert LSTMAutoencoder(8, max_iter=60, random_state=0).fit(waves()).best_score_ > 0.5


class Interrupt:
    """A callback that presses ctrl-C at the end of an epoch."""

    def __init__(self, task_id):
        self.task_id = task_id

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        if context.task_name == "epoch" and context.task_id == self.task_id:
            raise KeyboardInterrupt

    def on_fit_task_end(self, estimator, context):
        pass


def test_fault_20_an_interrupted_fit_is_a_fit():
    estimator = LSTMAutoencoder(8, max_iter=60, random_state=0).set_callbacks(Interrupt(30))
    with pytest.warns(ConvergenceWarning, match="interrupted in epoch 31 of 60"):
        estimator.fit(waves())
    assert estimator.n_iter_ == 30
    assert estimator.transform(waves()).shape == (24, 8)


def test_fault_20_an_interrupt_before_the_first_epoch_is_raised():
    estimator = LSTMAutoencoder(4).set_callbacks(Interrupt(0))
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(waves())
    assert not hasattr(estimator, "weights_")


# The cache of networks


@pytest.fixture
def fitted():
    return LSTMAutoencoder(4, max_iter=0, random_state=0).fit(waves())


def test_the_network_is_built_once_and_kept_outside(fitted):
    network, device = cached_network(fitted)
    assert cached_network(fitted)[0] is network
    assert device.type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert not [value for value in vars(fitted).values() if isinstance(value, torch.nn.Module)]


def test_other_weights_are_another_network(fitted):
    first = fitted.transform(waves())
    fitted.weights_ = {name: value * 0.5 for name, value in fitted.weights_.items()}
    assert not np.allclose(fitted.transform(waves()), first)


def test_the_network_goes_with_its_estimator():
    estimator = LSTMAutoencoder(4, max_iter=0, random_state=0).fit(waves())
    estimator.transform(waves())
    gc.collect()
    before = len(_entries)
    del estimator
    gc.collect()
    assert len(_entries) == before - 1


def test_fault_29_eight_threads_with_a_cold_cache_agree_with_one(fitted):
    X = waves(200)
    expected = fitted.transform(X)
    cold = pickle.loads(pickle.dumps(fitted))
    barrier, results = threading.Barrier(8), [None] * 8

    def work(index):
        barrier.wait()
        results[index] = cold.transform(X)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        np.testing.assert_array_equal(result, expected)


# Inference


@pytest.fixture
def trained():
    """A network with random weights, ragged series with a gap, and their scaling."""
    rng = np.random.default_rng(1)
    items = [rng.normal(3, 2, size=(length, 2)) for length in (5, 9, 2, 7, 9, 4, 1)]
    items[1][3, 0] = np.nan
    series = as_series(items, missing="mask")
    network = build_network(Architecture(2, 3, 6, patch_len=2, n_time_features=2, time_period=5))
    initialize(network, torch.Generator().manual_seed(0))
    return network, series, channel_scaling(series), items


@pytest.mark.parametrize("batch_series", [1, 3, 64])
def test_rows_come_back_in_place_whatever_the_batch(trained, batch_series, monkeypatch):
    network, series, scaling, items = trained
    monkeypatch.setitem(inference.BATCH_SERIES, "cpu", batch_series)
    rows_seen = []
    for rows, batch in embed(network, series, scaling, CPU):
        assert len(rows) <= batch_series
        assert not torch.is_inference_mode_enabled()
        rows_seen += rows.tolist()
        for row, embedding in zip(rows, batch, strict=True):
            alone = np.nan_to_num((items[row] - scaling.mean) / scaling.scale)
            values = torch.tensor(alone[None], dtype=torch.float32)
            with torch.no_grad():
                expected = network.encode(values, torch.tensor([len(alone)]))[0]
            np.testing.assert_allclose(embedding, expected, rtol=1e-5, atol=1e-6)
    assert sorted(rows_seen) == list(range(7))


def test_r_squared_is_that_of_scikit_learn(trained):
    network, series, scaling, _ = trained
    truth, guess = [], []
    for batch in rebuild(network, series, scaling, CPU):
        for channel in (0, 1):
            mask = batch.observed[:, :, channel]
            truth.append((channel, batch.scaled[:, :, channel][mask]))
            guess.append((channel, batch.rebuilt[:, :, channel][mask]))
    columns = [
        np.concatenate([values for c, values in parts if c == channel])
        for parts in (truth, guess)
        for channel in (0, 1)
    ]
    scores = [r2_score(columns[c], columns[2 + c]) for c in (0, 1)]
    variation = [((columns[c] - columns[c].mean()) ** 2).sum() for c in (0, 1)]
    quality = evaluate(network, series, scaling, CPU)
    assert quality.r_squared == pytest.approx(np.average(scores, weights=variation), rel=1e-5)
    assert quality.n_values.tolist() == [10, 17, 4, 14, 18, 8, 2]


def test_constant_series_score_one_or_nothing():
    series = as_series(np.ones((4, 3, 1)))
    network = build_network(Architecture(1, 2, 4))
    initialize(network, torch.Generator().manual_seed(0))
    assert evaluate(network, series, channel_scaling(series), CPU).r_squared == 1.0
    with torch.no_grad():
        network.decoder.output.bias.fill_(1.0)
    assert evaluate(network, series, channel_scaling(series), CPU).r_squared == 0.0


def test_decoding_in_batches_equals_decoding_at_once(trained, monkeypatch):
    network, *_ = trained
    embeddings = np.random.default_rng(2).uniform(-1, 1, size=(11, 3)).astype(np.float32)
    with torch.no_grad():
        expected = network.decode(torch.from_numpy(embeddings), 7).numpy()
    monkeypatch.setattr("seqfeat.inference.BATCH_VALUES", 3 * 14)
    result = np.empty_like(expected)
    sizes = []
    for rows, scaled in decode(network, embeddings, 7, CPU):
        result[rows] = scaled
        sizes.append(len(rows))
    assert sizes == [3, 3, 3, 2]
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)
