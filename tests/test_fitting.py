"""One fit from beginning to end: splits, seeds, warnings, interrupts, and the cache after it."""

import gc
import pickle
import threading
import warnings
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from seqfeat import LSTMAutoencoder
from seqfeat.inference.evaluation import Evaluation
from seqfeat.inference.fitted import cached_network, fitted_scaling
from seqfeat.nn.initialization import initialize
from seqfeat.nn.network import Architecture, build_network, weights_of
from seqfeat.series import as_series
from seqfeat.series.scaling import channel_scaling
from seqfeat.training.fit import FitResult, run_fit, split_rows, warn_about
from seqfeat.training.history import History
from seqfeat.training.plan import Plan, draw_seed
from seqfeat.training.trainer import Settings

CPU = torch.device("cpu")
SETTINGS = Settings(max_iter=3, batch_size=8, learning_rate=5e-3)
ignore_convergence = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def sines(n_samples=32, n_timesteps=12, seed=0):
    phase = np.random.default_rng(seed).uniform(0, 6, size=(n_samples, 1))
    return np.sin(np.linspace(0, 5, n_timesteps) + phase)[:, :, None]


def autoencoder(**params):
    plain = {"pooling": "last", "input_noise": 0.0, "patch_len": 1, "max_iter": 3}
    return LSTMAutoencoder(**{"embedding_dim": 4, "random_state": 0, **plain, **params})


def plan_of(X, **changes):
    series = as_series(X, missing="mask")
    architecture = Architecture(series.n_channels, 3, 6)
    plan = Plan(series, channel_scaling(series), architecture, SETTINGS, CPU, seed=0)
    return replace(plan, **changes)


def plan_to_split(n_samples, fraction, targets=None, seed=0):
    targets = None if targets is None else np.asarray(targets)
    X = np.zeros((n_samples, 2, 1))
    return plan_of(X, validation_fraction=fraction, targets=targets, seed=seed)


# Splits


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.25, 0.5, 0.99])
@pytest.mark.parametrize("n_samples", [2, 3, 5, 20, 33])
def test_a_split_takes_its_share_and_leaves_something(n_samples, fraction):
    rows, held_out = split_rows(plan_to_split(n_samples, fraction))
    assert sorted([*rows, *held_out]) == list(range(n_samples))
    assert len(held_out) == min(int(np.ceil(fraction * n_samples)), n_samples - 1)
    assert min(len(rows), len(held_out)) >= 1


@pytest.mark.parametrize(("n_samples", "fraction"), [(1, 0.5), (10, None)])
def test_a_single_series_is_not_held_out_nor_anything_without_a_fraction(n_samples, fraction):
    rows, held_out = split_rows(plan_to_split(n_samples, fraction))
    assert rows.tolist() == list(range(n_samples))
    assert len(held_out) == 0


def test_a_split_keeps_the_shares_of_the_classes():
    targets = np.repeat([0, 1, 2], [50, 30, 20])
    rows, held_out = split_rows(plan_to_split(100, 0.1, targets))
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
def test_classes_too_small_to_share_are_split_all_the_same(targets, fraction):
    rows, held_out = split_rows(plan_to_split(len(targets), fraction, targets))
    assert sorted([*rows, *held_out]) == list(range(len(targets)))
    assert len(held_out) == int(np.ceil(fraction * len(targets)))


def test_the_seed_decides_the_split():
    first, second, other = (
        split_rows(plan_to_split(50, 0.2, seed=seed))[1].tolist() for seed in (1, 1, 2)
    )
    assert first == second
    assert first != other


# Seeds


def test_the_same_random_state_gives_the_same_seed():
    assert draw_seed(3) == draw_seed(3) == draw_seed(np.random.RandomState(3))
    assert draw_seed(3) != draw_seed(4)


def test_a_shared_random_state_gives_another_seed_each_time():
    shared = np.random.RandomState(3)
    assert draw_seed(shared) != draw_seed(shared)


def test_without_a_random_state_seeds_differ_and_nothing_global_is_drawn_from():
    before = np.random.get_state()  # noqa: NPY002
    seeds = {draw_seed(None) for _ in range(10)}
    after = np.random.get_state()  # noqa: NPY002
    assert len(seeds) > 1
    assert before[2] == after[2]
    np.testing.assert_array_equal(before[1], after[1])


@ignore_convergence
def test_a_seed_gives_the_same_weights_on_any_number_of_threads():
    # Wide enough that the decompositions of the initial weights are shared among threads.
    before, results = torch.get_num_threads(), []
    try:
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            results.append(autoencoder(embedding_dim=64, max_iter=1).fit(sines(8)).weights_)
    finally:
        torch.set_num_threads(before)
    for name, value in results[0].items():
        np.testing.assert_array_equal(value, results[1][name])


# The training set


def read_whole(plan):
    source = plan.source()
    return source.load(torch.arange(len(source))).series


def test_the_training_set_is_the_series_scaled_with_zeros_where_nothing_was_seen():
    rng = np.random.default_rng(0)
    items = [rng.normal([5, 100], [1, 9], size=(length, 2)) for length in (4, 2, 6)]
    items[2][1, 0] = np.nan
    everything = np.concatenate(items)
    data = read_whole(plan_of(items, targets=np.array([1, 0, 1])))
    expected, observed = np.zeros((3, 6, 2)), np.zeros((3, 6, 2), dtype=bool)
    for row, item in enumerate(items):
        scaled = (item - np.nanmean(everything, axis=0)) / np.nanstd(everything, axis=0)
        expected[row, : len(item)] = np.nan_to_num(scaled)
        observed[row, : len(item)] = ~np.isnan(item)
    np.testing.assert_allclose(data.values, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(data.observed, observed)
    assert data.values.dtype == torch.float32
    assert data.lengths.tolist() == [4, 2, 6]
    assert data.targets.tolist() == [1, 0, 1]


def test_a_complete_training_set_needs_no_mask():
    data = read_whole(plan_of(sines()))
    assert (data.observed, data.targets) == (None, None)


def test_blocks_make_up_the_training_set(monkeypatch):
    whole = read_whole(plan_of(sines()))
    monkeypatch.setattr("seqfeat.scaled.BLOCK_BYTES", 5 * 8 * 12)
    np.testing.assert_array_equal(read_whole(plan_of(sines())).values, whole.values)


# Carrying out


class Silent:
    """An observer that only counts."""

    def __init__(self):
        self.events = []

    def begin_epoch(self):
        self.events.append("begin")

    def end_epoch(self, network, history):
        self.events.append("end")
        return False


def test_a_plan_is_carried_out_the_same_way_twice_and_left_alone():
    plan = plan_of(sines(), validation_fraction=0.25)
    observer = Silent()
    first, second = run_fit(plan, observer), run_fit(plan, observer)
    assert observer.events == ["begin", "end"] * 6
    assert first.history.loss_curve == second.history.loss_curve
    assert len(first.history.validation_loss_curve) == 3
    assert len(first.quality.squared_error) == 8


def test_the_quality_is_that_of_the_watched_series():
    outcome = run_fit(plan_of(sines(), validation_fraction=0.25), Silent())
    mean_error = outcome.quality.squared_error.sum() / outcome.quality.n_values.sum()
    assert mean_error == pytest.approx(min(outcome.history.validation_loss_curve), rel=1e-5)


def test_start_weights_are_where_training_starts():
    plan = plan_of(sines())
    start = weights_of(run_fit(plan, Silent()).network)
    still = replace(SETTINGS, learning_rate=1e-12)
    outcome = run_fit(replace(plan, start_weights=start, settings=still), Silent())
    for name, value in weights_of(outcome.network).items():
        np.testing.assert_allclose(value, start[name], atol=1e-8)


def test_weights_travel_as_copies():
    network = build_network(Architecture(1, 2, 4))
    initialize(network, torch.Generator().manual_seed(0))
    arrays = weights_of(network)
    rebuilt = build_network(network.architecture, arrays)
    for array in arrays.values():
        array.fill(7.0)
    for name, value in rebuilt.state_dict().items():
        assert torch.equal(value, network.state_dict()[name])


# Warnings (faults 18 to 20)


def outcome_with(r_squared=0.9, spread=0.5, n_samples=3, **history):
    quality = Evaluation(np.ones(n_samples), np.full(n_samples, 5), r_squared, spread)
    return FitResult(build_network(Architecture(1, 2, 4)), History(**history), quality)


def complaints(outcome):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_about(outcome, SETTINGS)
    assert {warning.category for warning in caught} <= {ConvergenceWarning}
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (outcome_with(loss_curve=[1.0]), []),
        (outcome_with(loss_curve=[1.0], r_squared=0.04), ["explains 0.040 of the variance"]),
        (outcome_with(loss_curve=[1.0], r_squared=-2.0), ["explains -2.000 of the variance"]),
        (outcome_with(loss_curve=[1.0], spread=1e-5), ["standard deviation over the series is"]),
        (outcome_with(loss_curve=[1.0], spread=0.0, n_samples=1), []),
        (outcome_with(r_squared=-1.0, spread=0.0), []),  # untrained on purpose
        (
            outcome_with(loss_curve=[2.0, 1.0], best_iter=2, stop_reason="diverged"),
            ["not finite in epoch 3; the weights of epoch 2 were kept. Lower learning_rate_init"],
        ),
        (
            outcome_with(loss_curve=[2.0, 3.0], best_iter=1, stop_reason="interrupted"),
            ["interrupted in epoch 3 of 3; the weights of epoch 1 were kept"],
        ),
        (
            outcome_with(loss_curve=[1.0], r_squared=0.0, spread=0.0),
            ["max_iter (it is 3)", "embedding is constant"],
        ),
    ],
)
def test_complaints_name_what_happened_and_what_to_do(outcome, words):
    messages = complaints(outcome)
    assert len(messages) == len(words)
    for message, word in zip(messages, words, strict=True):
        assert word in message


def test_fault_19_a_fit_that_predicts_the_mean_says_so():
    estimator = autoencoder(max_iter=1, learning_rate_init=1e-7)
    with pytest.warns(ConvergenceWarning, match=r"R squared; 0 is 'predicts the mean'.*max_iter"):
        estimator.fit(sines())
    assert estimator.best_score_ < 0.05


def test_fault_19_a_constant_embedding_says_so():
    same = np.repeat(sines(1), 20, axis=0)
    with pytest.warns(ConvergenceWarning, match="embedding is constant"):
        autoencoder(max_iter=40, learning_rate_init=1e-2).fit(same)


def test_a_good_fit_says_nothing():
    estimator = autoencoder(
        embedding_dim=8, n_time_features=4, max_iter=60, learning_rate_init=1e-2
    )
    assert estimator.fit(sines()).best_score_ > 0.5


# Interrupts through scikit-learn's callbacks (fault 20)


class PressCtrlC:
    """A callback that interrupts at the beginning or the end of an epoch."""

    def __init__(self, epoch, at_end=False):
        self.epoch = epoch
        self.at_end = at_end

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


def interrupted(callback, X, estimator):
    with pytest.warns(ConvergenceWarning) as caught:
        estimator.set_callbacks(callback).fit(X)
    messages = [str(warning.message) for warning in caught]
    return [message for message in messages if "interrupted" in message]


@pytest.mark.parametrize(
    ("callback", "n_iter"), [(PressCtrlC(2), 2), (PressCtrlC(0, at_end=True), 1)], ids=["2", "1"]
)
def test_fault_20_an_interrupted_fit_ends_fitted_and_warns(callback, n_iter):
    estimator = autoencoder(max_iter=6)
    (message,) = interrupted(callback, sines(), estimator)
    assert f"interrupted in epoch {n_iter + 1} of 6" in message
    assert estimator.n_iter_ == len(estimator.loss_curve_) == n_iter
    assert estimator.best_iter_ == 1 + int(np.argmin(estimator.loss_curve_))
    assert np.isfinite(estimator.transform(sines())).all()


def test_fault_20_an_interrupt_before_the_first_epoch_is_raised():
    estimator = autoencoder().set_callbacks(PressCtrlC(0))
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(sines())
    assert not hasattr(estimator, "weights_")


@ignore_convergence
def test_fault_22_an_interrupted_fit_leaves_the_one_before_it_whole():
    estimator = autoencoder().fit(sines())
    before, expected = dict(vars(estimator)), estimator.transform(sines())
    with pytest.raises(KeyboardInterrupt):
        estimator.set_callbacks(PressCtrlC(0)).fit(sines(seed=1))
    for name in ("weights_", "mean_", "loss_curve_", "n_iter_"):
        assert getattr(estimator, name) is before[name]
    np.testing.assert_array_equal(estimator.transform(sines()), expected)


# The cache of networks


@pytest.fixture
def fitted():
    return autoencoder(max_iter=0, device="cpu").fit(sines())


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_kept_scaling_counts_what_a_stream_has_added():
    model, constant = LSTMAutoencoder(4, random_state=0), np.ones((8, 12, 1))
    for n_parts in (1, 2, 3):
        model.partial_fit(constant)
        assert model.n_observed_.tolist() == [n_parts * 8 * 12]


def test_a_scaling_is_kept_and_follows_what_was_learned():
    model = LSTMAutoencoder(4, max_iter=0, random_state=0).fit(sines())
    kept, before = fitted_scaling(model), model.transform(sines())
    assert fitted_scaling(model) is kept
    model.mean_ += 0.5
    assert fitted_scaling(model) is not kept
    np.testing.assert_array_equal(fitted_scaling(model).mean, model.mean_)
    assert not np.array_equal(model.transform(sines()), before)
    model.mean_ -= 0.5
    np.testing.assert_array_equal(model.transform(sines()), before)


def test_a_network_is_built_once_ready_for_inference(fitted):
    network, device = cached_network(fitted)
    assert cached_network(fitted)[0] is network
    assert device == CPU
    assert not network.training
    assert not any(weight.requires_grad for weight in network.parameters())
    for name, value in weights_of(network).items():
        np.testing.assert_array_equal(value, fitted.weights_[name])


def test_other_weights_make_another_network(fitted):
    first, expected = cached_network(fitted)[0], fitted.transform(sines())
    fitted.weights_ = {name: 0.5 * value for name, value in fitted.weights_.items()}
    assert cached_network(fitted)[0] is not first
    assert not np.allclose(fitted.transform(sines()), expected)


def test_fitting_again_makes_another_network(fitted):
    first = cached_network(fitted)[0]
    assert cached_network(fitted.fit(sines(seed=1)))[0] is not first


def test_estimators_do_not_share_a_network(fitted):
    other = clone(fitted).set_params(random_state=1).fit(sines())
    assert cached_network(other)[0] is not cached_network(fitted)[0]
    assert not np.allclose(other.transform(sines()), fitted.transform(sines()))


def test_the_network_goes_when_its_estimator_goes():
    estimator = autoencoder(max_iter=0).fit(sines())
    network = weakref.ref(cached_network(estimator)[0])
    assert network() is not None
    del estimator
    gc.collect()
    assert network() is None


def test_the_cache_is_no_part_of_the_estimator(fitted):
    before, pickled = dict(vars(fitted)), pickle.dumps(fitted)
    fitted.transform(sines())
    assert vars(fitted).keys() == before.keys()
    assert pickle.dumps(fitted) == pickled
    assert b"torch" not in pickled


def test_fault_29_eight_threads_with_a_cold_cache_agree_with_one(fitted):
    X = sines(200)
    expected = fitted.transform(X)
    cold = pickle.loads(pickle.dumps(fitted))
    barrier, results, networks = threading.Barrier(8), [None] * 8, set()

    def work(index):
        barrier.wait(timeout=60)
        results[index] = cold.transform(X)
        networks.add(id(cached_network(cold)[0]))

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(networks) == 1
    for result in results:
        np.testing.assert_array_equal(result, expected)
