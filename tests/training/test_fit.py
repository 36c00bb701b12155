"""A fit from its plan to its result, what it warns about, and what an interrupt leaves behind."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning

from seqfeat import LayoutWarning, LSTMAutoencoder
from seqfeat.inference.evaluation import Evaluation
from seqfeat.nn.network import Architecture, build_network, weights_of
from seqfeat.runtime.ranks import ALONE
from seqfeat.series import as_series
from seqfeat.series.scaling import channel_scaling
from seqfeat.training.dataset import Dataset, Shard
from seqfeat.training.fit import FitResult, run_fit, split_rows, warn_about
from seqfeat.training.history import History
from seqfeat.training.plan import Plan
from seqfeat.training.trainer import TrainingSettings
from tests.training.examples import (
    CPU,
    Observer,
    assert_equal_weights,
    sines,
    stop_after,
)
from tests.training.thread_ranks import run_on_ranks

pytestmark = pytest.mark.usefixtures("one_thread")
ignore_convergence = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SETTINGS = TrainingSettings(max_iter=3, batch_size=8, learning_rate=5e-3)


def autoencoder(**params):
    plain = {"pooling": "last", "patch_len": 1, "max_iter": 3, "random_state": 0, "device": "cpu"}
    return LSTMAutoencoder(**{"embedding_dim": 4, **plain, **params})


def plan_of(X, targets=None, seed=0, **changes):
    series = as_series(X, missing="mask")
    targets = None if targets is None else np.asarray(targets)
    dataset = Dataset(series, channel_scaling(series), Shard.whole(series), targets)
    plan = Plan(dataset, Architecture(series.n_channels, 3, 6), SETTINGS, CPU, seed)
    return replace(plan, **changes)


# The validation set


def split(n_samples, fraction, targets=None, seed=0):
    plan = plan_of(np.zeros((n_samples, 2, 1)), targets, validation_fraction=fraction)
    return split_rows(plan, seed)


@pytest.mark.parametrize(
    ("n_samples", "fraction", "n_held_out"),
    [
        (2, 0.01, 1),
        (2, 0.99, 1),
        (3, 0.1, 1),
        (3, 0.99, 2),
        (20, 0.1, 2),
        (25, 0.1, 3),
        (33, 0.5, 17),
        (33, 0.99, 32),
    ],
)
def test_at_least_one_series_is_held_out_and_never_all(n_samples, fraction, n_held_out):
    rows, held_out = split(n_samples, fraction)
    assert len(held_out) == n_held_out
    assert sorted([*rows, *held_out]) == list(range(n_samples))
    assert rows.tolist() == sorted(rows)
    assert held_out.tolist() == sorted(held_out)


@pytest.mark.parametrize(("n_samples", "fraction"), [(1, 0.5), (10, None)])
def test_nothing_is_held_out_of_a_single_series_or_without_a_fraction(n_samples, fraction):
    rows, held_out = split(n_samples, fraction)
    assert rows.tolist() == list(range(n_samples))
    assert len(held_out) == 0


def test_classes_keep_their_shares():
    targets = np.repeat([0, 1, 2], [50, 30, 20])
    rows, held_out = split(100, 0.1, targets)
    assert np.bincount(targets[held_out]).tolist() == [5, 3, 2]
    assert np.bincount(targets[rows]).tolist() == [45, 27, 18]


@pytest.mark.parametrize(
    ("targets", "fraction"),
    [
        ([0, 0, 0, 0, 0, 1], 0.5),  # a class of one
        ([0, 1, 2, 0, 1, 2], 0.2),  # fewer held out than classes
        ([0, 1, 2, 0, 1, 2], 0.7),  # fewer left than classes
        ([0, 2, 0, 2, 0, 2], 0.3),  # a class that does not occur
        ([1, 1], 0.5),
    ],
)
def test_classes_too_small_to_keep_their_shares_are_split_all_the_same(targets, fraction):
    rows, held_out = split(len(targets), fraction, targets)
    assert sorted([*rows, *held_out]) == list(range(len(targets)))
    assert len(held_out) == int(np.ceil(fraction * len(targets)))


def test_the_seed_decides_the_split():
    first, second, other = (split(50, 0.2, seed=seed)[1].tolist() for seed in (1, 1, 2))
    assert first == second
    assert first != other


def test_processes_split_the_classes_of_all_in_the_same_way():
    targets = np.repeat([0, 1, 2], [50, 30, 20])
    expected = split(100, 0.1, targets)

    def split_shard(ranks):
        rows = (slice(0, 60), slice(60, 100))[ranks.rank]
        plan = plan_of(np.zeros((100, 2, 1)), targets, validation_fraction=0.1, ranks=ranks)
        data, own = plan.dataset, np.arange(100)[rows]
        shard = Shard(rows.start, data.series.lengths, is_dense=True)
        shared = Dataset(data.series.take(own), data.scaling, shard, targets[rows])
        return split_rows(replace(plan, dataset=shared), 0)

    for found in run_on_ranks(split_shard):
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])


# The result


def test_a_plan_gives_the_same_result_twice_and_stays_as_it_is():
    plan, told = plan_of(sines(), validation_fraction=0.25), []
    observer = Observer(lambda *_: told.append("end"), lambda: told.append("begin"))
    first, second = run_fit(plan, observer), run_fit(plan, observer)
    assert told == ["begin", "end"] * 6
    assert first.history == second.history
    assert_equal_weights(first.network, second.network)
    assert len(first.history.validation_loss_curve) == 3
    assert len(first.evaluation.squared_error) == 8


def test_the_monitored_series_are_evaluated():
    result = run_fit(plan_of(sines(), validation_fraction=0.25))
    mean_error = result.evaluation.squared_error.sum() / result.evaluation.n_values.sum()
    assert mean_error == pytest.approx(min(result.history.validation_loss_curve), rel=1e-5)
    assert len(run_fit(plan_of(sines())).evaluation.squared_error) == 32


def test_training_starts_from_given_weights():
    plan = plan_of(sines())
    start = weights_of(run_fit(plan).network)
    still = replace(SETTINGS, learning_rate=1e-12)
    result = run_fit(replace(plan, start_weights=start, settings=still))
    for name, value in weights_of(result.network).items():
        np.testing.assert_allclose(value, start[name], atol=1e-8)


def test_an_observer_sees_the_weights_of_each_epoch():
    seen = []
    result = run_fit(
        plan_of(sines()), Observer(lambda network, _: seen.append(weights_of(network)))
    )
    assert_equal_weights(seen[result.history.best_iter - 1], weights_of(result.network))
    assert not np.array_equal(seen[0]["decoder.output.weight"], seen[1]["decoder.output.weight"])


def test_an_observer_may_stop_a_fit():
    result = run_fit(plan_of(sines()), stop_after(2))
    assert (result.history.n_iter, result.history.stop_reason) == (2, "callback")


@ignore_convergence
def test_a_seed_gives_the_same_weights_on_any_number_of_threads():
    # Wide enough that the decompositions of the initial weights are shared among threads.
    results = []
    for n_threads in (1, 2):
        torch.set_num_threads(n_threads)
        model = autoencoder(embedding_dim=64, pooling="statistics", max_iter=1)
        results.append(model.fit(sines(8)).weights_)
        assert torch.get_num_threads() == n_threads
        torch.set_num_threads(1)
    assert_equal_weights(*results)


# Warnings (faults 18 to 20)


def result_with(r_squared=0.9, spread=0.5, n_samples=3, **history):
    evaluation = Evaluation(np.ones(n_samples), np.full(n_samples, 5), r_squared, spread)
    return FitResult(build_network(Architecture(1, 2, 4)), History(**history), {}, evaluation)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (result_with(n_iter=1), []),
        (result_with(n_iter=1, r_squared=0.04), ["explains 0.040 of the variance"]),
        (result_with(n_iter=1, r_squared=-2.0), ["explains -2.000 of the variance"]),
        (result_with(n_iter=1, spread=1e-5), ["standard deviation over the series is 1.0e-05"]),
        (result_with(n_iter=1, spread=0.0, n_samples=1), []),
        (result_with(r_squared=-1.0, spread=0.0), []),  # untrained on purpose
        (
            result_with(n_iter=2, best_iter=2, stop_reason="diverged"),
            ["not finite in epoch 3; the weights of epoch 2 were kept. Lower learning_rate_init"],
        ),
        (
            result_with(n_iter=2, best_iter=1, stop_reason="interrupted"),
            ["interrupted in epoch 3 of 3; the weights of epoch 1 were kept"],
        ),
        (
            result_with(n_iter=1, r_squared=0.0, spread=0.0),
            ["max_iter (it is 3)", "embedding is constant"],
        ),
    ],
)
def test_warnings_name_what_happened_and_what_to_do(result, words):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_about(result, SETTINGS)
    assert {warning.category for warning in caught} <= {ConvergenceWarning}
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == len(words)
    for message, word in zip(messages, words, strict=True):
        assert word in message


def test_fault_19_a_fit_that_predicts_the_mean_says_so():
    model = autoencoder(max_iter=1, learning_rate_init=1e-7)
    message = r"explains -?0\.\d+ .*R squared; 0 means 'predicts the mean'.*max_iter"
    with pytest.warns(ConvergenceWarning, match=message):
        model.fit(sines())
    assert model.best_score_ < 0.05


def test_fault_19_a_constant_embedding_says_so():
    same = np.repeat(sines(1), 20, axis=0)
    with pytest.warns(ConvergenceWarning, match="embedding is constant"):
        autoencoder(max_iter=40, learning_rate_init=1e-2).fit(same)


def test_warnings_point_to_the_line_that_called_fit():
    model = autoencoder(max_iter=1, learning_rate_init=1e-7)
    with pytest.warns((ConvergenceWarning, LayoutWarning)) as caught:
        model.fit(sines().transpose(0, 2, 1))
    assert {warning.category for warning in caught} == {ConvergenceWarning, LayoutWarning}
    assert {warning.filename for warning in caught} == {__file__}


def test_a_good_fit_says_nothing():
    model = autoencoder(embedding_dim=8, n_time_features=4, max_iter=60, learning_rate_init=1e-2)
    assert model.fit(sines()).best_score_ > 0.5


# Interrupts (faults 20 and 22)


class PressCtrlC:
    """A callback that interrupts at the beginning or at the end of an epoch."""

    def __init__(self, epoch, at_end=False):
        self.epoch, self.at_end = epoch, at_end

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        self.interrupt(context, at_end=False)

    def on_fit_task_end(self, estimator, context):
        self.interrupt(context, at_end=True)

    def interrupt(self, context, at_end):
        is_now = (context.task_name, context.task_id) == ("epoch", self.epoch)
        if is_now and at_end == self.at_end:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("callback", "n_iter"), [(PressCtrlC(2), 2), (PressCtrlC(0, at_end=True), 1)], ids=["2", "1"]
)
def test_fault_20_an_interrupted_fit_ends_fitted_and_warns(callback, n_iter):
    model = autoencoder(max_iter=6).set_callbacks(callback)
    with pytest.warns(ConvergenceWarning) as caught:
        model.fit(sines())
    messages = [str(warning.message) for warning in caught]
    (message,) = [message for message in messages if "interrupted" in message]
    assert f"interrupted in epoch {n_iter + 1} of 6" in message
    assert model.n_iter_ == len(model.loss_curve_) == n_iter
    assert model.best_iter_ == 1 + int(np.argmin(model.loss_curve_))
    assert np.isfinite(model.transform(sines())).all()


def test_fault_20_an_interrupt_before_the_first_epoch_is_raised():
    model = autoencoder().set_callbacks(PressCtrlC(0))
    with pytest.raises(KeyboardInterrupt):
        model.fit(sines())
    assert not hasattr(model, "weights_")


@ignore_convergence
def test_fault_22_an_interrupted_fit_leaves_the_earlier_one_intact():
    model = autoencoder().fit(sines())
    before, expected = dict(vars(model)), model.transform(sines())
    with pytest.raises(KeyboardInterrupt):
        model.set_callbacks(PressCtrlC(0)).fit(sines(seed=1))
    for name in ("weights_", "mean_", "loss_curve_", "n_iter_"):
        assert getattr(model, name) is before[name]
    np.testing.assert_array_equal(model.transform(sines()), expected)


# Several processes


def test_processes_that_share_a_plan_have_one_result():
    X, targets = np.random.default_rng(0).normal(size=(40, 6, 2)), np.arange(40) % 3
    architecture = Architecture(2, 3, 6, n_classes=3, pooling="statistics")
    whole = plan_of(X, targets, architecture=architecture, validation_fraction=0.25)

    def run(ranks, rows=slice(0, 40)):
        series = whole.dataset.series
        shard = Shard(rows.start, series.lengths, is_dense=True)
        own = series.take(np.arange(40)[rows])
        dataset = Dataset(own, whole.dataset.scaling, shard, targets[rows])
        return run_fit(replace(whole, dataset=dataset, ranks=ranks))

    expected = run(ALONE)
    shards = slice(0, 15), slice(15, 40)
    first, second = run_on_ranks(lambda ranks: run(ranks, shards[ranks.rank]))
    assert first.history == second.history
    assert_equal_weights(first.network, second.network)
    np.testing.assert_allclose(first.history.loss_curve, expected.history.loss_curve, rtol=1e-4)
    for found in (first, second):
        evaluation = found.evaluation
        assert len(evaluation.squared_error) == 10
        assert evaluation.r_squared == pytest.approx(expected.evaluation.r_squared, rel=1e-3)


# CUDA


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_trains_with_every_option_and_unequal_lengths():
    X = [row[: 4 + index % 9] for index, row in enumerate(sines(60))]
    options = {"dropout": 0.1, "masking_ratio": 0.1, "target_weight": 0.3, "early_stopping": True}
    architecture = {"bidirectional": True, "pooling": "mean"}
    model = autoencoder(**architecture, **options, device="cuda").fit(X, np.arange(60) % 2)
    alone = np.concatenate([model.transform([row]) for row in X])
    np.testing.assert_allclose(model.transform(X), alone, atol=1e-5)
