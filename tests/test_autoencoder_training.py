"""How the estimator trains: again, in parts, with labels, until it stops, and from a seed."""

import copy
import pickle
import random

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import silhouette_score

from seqfeat import InputError, TrainingError
from seqfeat.sklearn_compat import FitCallback
from tests.autoencoders import (
    CORRUPTED,
    assert_same_weights,
    fit_quietly,
    learned,
    ragged_waves,
    small,
    utterances,
    waves,
)

# Two or three epochs say whether things fit together, not whether they converge.
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.fixture(scope="module")
def fitted():
    return fit_quietly(small(), waves())


# warm_start


def test_warm_start_starts_from_the_earlier_weights(fitted):
    estimator = copy.deepcopy(fitted).set_params(warm_start=True, max_iter=0)
    assert_same_weights(estimator.fit(waves(seed=5)), fitted)


def test_warm_start_continues_where_the_earlier_fit_ended():
    params = {"embedding_dim": 8, "learning_rate_init": 0.02, "pooling": "statistics"}
    params["input_noise"] = 0.1
    estimator = small(max_iter=60, warm_start=True, **params).fit(waves(24, 12))
    first = estimator.loss_curve_[0]
    estimator.set_params(max_iter=2).fit(waves(24, 12))
    assert len(estimator.loss_curve_) == estimator.n_iter_ == 2
    assert estimator.loss_curve_[0] < 0.5 * first


def test_warm_start_continues_with_the_decoder_of_the_earlier_reservoir():
    params = {"embedding_dim": 8, "learning_rate_init": 0.02, "early_stopping": False}
    estimator = small(max_iter=60, warm_start=True, **params).fit(waves(24, 12))
    first, embeddings = estimator.loss_curve_[0], estimator.transform(waves(24, 12))
    estimator.set_params(max_iter=2).fit(waves(24, 12))
    assert len(estimator.loss_curve_) == estimator.n_iter_ == 2
    assert estimator.loss_curve_[0] < 0.5 * first
    np.testing.assert_array_equal(estimator.transform(waves(24, 12)), embeddings)


def test_without_warm_start_fit_starts_anew(fitted):
    assert_same_weights(copy.deepcopy(fitted).fit(waves()), fitted)


def test_warm_start_accepts_series_of_another_length(fitted):
    estimator = copy.deepcopy(fitted).set_params(warm_start=True)
    assert estimator.fit(waves(n_timesteps=11)).n_timesteps_in_ == 11


@pytest.mark.parametrize(
    ("name", "value"),
    [("embedding_dim", 5), ("hidden_dim", 9), ("patch_len", 2), ("window_len", 3)],
)
def test_warm_start_rejects_another_architecture(fitted, name, value):
    estimator = copy.deepcopy(fitted).set_params(warm_start=True, **{name: value})
    with pytest.raises(InputError, match=f"{name} is .* but now it would be {value}"):
        estimator.fit(waves())
    assert_same_weights(estimator, fitted)


@pytest.mark.parametrize(("name", "value"), [("bidirectional", True), ("pooling", "mean")])
def test_warm_start_rejects_another_encoder(name, value):
    fitted = small(pooling="statistics").fit(waves())
    estimator = copy.deepcopy(fitted).set_params(warm_start=True, **{name: value})
    with pytest.raises(InputError, match=f"{name} is .* but now it would be {value}"):
        estimator.fit(waves())
    assert_same_weights(estimator, fitted)


def test_warm_start_rejects_other_channels(fitted):
    estimator = copy.deepcopy(fitted).set_params(warm_start=True)
    with pytest.raises(InputError, match="n_channels is 2, but now it would be 3"):
        estimator.fit(waves(n_channels=3))


# partial_fit


def test_the_scaling_of_a_stream_is_that_of_the_whole_set():
    series = ragged_waves(30)
    estimator = small()
    for start in range(0, 30, 7):
        estimator.partial_fit(series[start : start + 7])
    values = np.concatenate(series)
    np.testing.assert_allclose(estimator.mean_, values.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(estimator.scale_, values.std(axis=0), rtol=1e-12)


@pytest.mark.parametrize(("pooling", "gain"), [("reservoir", 0.02), ("statistics", 0.1)])
def test_the_loss_falls_over_a_stream(pooling, gain):
    estimator = small(pooling=pooling, learning_rate_init=0.05, random_state=5)
    X = waves(24, 12)
    scores = [estimator.partial_fit(waves(24, 12, seed=seed)).score(X) for seed in range(40)]
    losses = estimator.loss_curve_
    assert len(losses) == estimator.n_iter_ == estimator.best_iter_ == 40
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    assert scores[-1] > scores[0] + gain


def test_a_stream_remembers_its_longest_series():
    estimator = small().partial_fit(waves(n_timesteps=12))
    assert estimator.partial_fit(waves(n_timesteps=20)).n_timesteps_in_ == 20
    assert estimator.partial_fit(waves(n_timesteps=5)).n_timesteps_in_ == 20


def test_a_stream_of_tables_stays_a_table():
    estimator = small()
    for seed in (0, 1):
        estimator.partial_fit(waves(n_channels=1, seed=seed)[:, :, 0])
        assert estimator.is_table_
        assert estimator.n_features_in_ == estimator.n_timesteps_in_ == 8


def test_partial_fit_continues_a_fit(fitted):
    estimator = copy.deepcopy(fitted).partial_fit(waves())
    assert estimator.n_iter_ == fitted.n_iter_ + 1
    assert estimator.loss_curve_[:-1] == fitted.loss_curve_
    np.testing.assert_allclose(estimator.mean_, fitted.mean_, rtol=1e-12)


def test_fit_after_partial_fit_starts_anew(fitted):
    estimator = small().partial_fit(waves(seed=1)).fit(waves())
    assert_same_weights(estimator, fitted)
    assert vars(estimator).keys() == vars(fitted).keys()


def test_a_pickled_stream_continues_bit_identically():
    stream = small(random_state=np.random.RandomState(0))
    for seed in range(3):
        stream.partial_fit(waves(seed=seed))
    restored = pickle.loads(pickle.dumps(stream))
    for seed in range(3, 6):
        stream.partial_fit(waves(seed=seed))
        restored.partial_fit(waves(seed=seed))
    assert_same_weights(stream, restored)
    assert stream.loss_curve_ == restored.loss_curve_


@pytest.mark.parametrize(
    ("pooling", "name"),
    [
        ("reservoir", "decoder.layers.0.weight_ih_l0"),
        ("statistics", "encoder.forward_layers.0.weight_ih_l0"),
    ],
)
def test_a_stream_keeps_the_optimizers_momentum(pooling, name):
    estimator = small(pooling=pooling).partial_fit(waves())
    forgetful = clone(estimator)
    vars(forgetful).update(learned(estimator))
    estimator.partial_fit(waves(seed=1))
    forgetful.partial_fit(waves(seed=1))
    assert estimator.loss_curve_[0] == forgetful.loss_curve_[0]
    assert not np.array_equal(estimator.weights_[name], forgetful.weights_[name])


def test_all_classes_of_a_stream_can_be_given_in_advance():
    X, y = utterances(3)
    estimator = small(target_weight=0.5)
    estimator.partial_fit(X[:10], y[:10], classes=["1", "2", "3"])
    estimator.partial_fit(X[16:], y[16:])
    assert estimator.classes_.tolist() == ["1", "2", "3"]
    with pytest.raises(InputError, match=r"y holds \['9'\], which are not among the classes"):
        estimator.partial_fit(X[:2], ["1", "9"])
    with pytest.raises(ValueError, match="requires y to be passed"):
        estimator.partial_fit(X[:2])


def test_without_them_the_classes_of_a_stream_are_those_of_its_first_part():
    X, y = utterances(3)
    estimator = small(target_weight=0.5).partial_fit(X[:16], y[:16])
    assert estimator.classes_.tolist() == ["1", "2"]
    with pytest.raises(InputError, match=r"\['3'\]"):
        estimator.partial_fit(X[16:], y[16:])


def test_there_is_no_partial_fit_with_early_stopping():
    estimator = small(early_stopping=True)
    assert not hasattr(estimator, "partial_fit")
    with pytest.raises(AttributeError, match="has no attribute 'partial_fit'") as caught:
        estimator.partial_fit(waves())
    assert "does not support early_stopping" in str(caught.value.__cause__)


def test_partial_fit_rejects_other_channels(fitted):
    with pytest.raises(ValueError, match="X has 3 features"):
        copy.deepcopy(fitted).partial_fit(waves(n_channels=3))


# Stopping, and the best weights


class WeightsOfEveryEpoch(FitCallback):
    def __init__(self):
        self.weights = []

    def setup(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if context.task_name == "epoch":
            self.weights.append(fitted_estimator.weights_)

    def teardown(self, estimator, context):
        pass


@pytest.mark.parametrize("early_stopping", [False, True])
def test_the_weights_of_the_epoch_with_the_lowest_monitored_loss_are_kept(early_stopping):
    seen = WeightsOfEveryEpoch()
    # Learns too fast, so that the best epoch is not the last.
    params = {"learning_rate_init": 2.0, "batch_size": 8, "max_iter": 12, "random_state": 5}
    params.update(pooling="statistics", early_stopping=early_stopping)
    estimator = small(**params).set_callbacks(seen).fit(waves(24))
    monitored = estimator.validation_loss_curve_ if early_stopping else estimator.loss_curve_
    assert estimator.best_iter_ == 1 + np.argmin(monitored)
    assert estimator.best_iter_ < estimator.n_iter_
    best, last = seen.weights[estimator.best_iter_ - 1], seen.weights[-1]
    for name, weight in estimator.weights_.items():
        np.testing.assert_array_equal(weight, best[name])
    assert any(not np.array_equal(best[name], last[name]) for name in best)


def test_the_initial_weights_of_a_reservoir_are_kept_if_no_epoch_is_better():
    # Learns too fast, so that no epoch is better than the linear map.
    params = {"learning_rate_init": 2.0, "batch_size": 8, "max_iter": 12, "hidden_dim": 96}
    estimator = small(**params).fit(waves(24))
    untrained = small(**{**params, "max_iter": 0}).fit(waves(24))
    assert len(estimator.validation_loss_curve_) == estimator.n_iter_ == 12
    assert estimator.best_iter_ == 0
    assert_same_weights(estimator, untrained)
    assert estimator.best_score_ == untrained.best_score_


def test_the_best_weights_of_a_decoder_are_kept():
    seen = WeightsOfEveryEpoch()
    params = {"learning_rate_init": 0.02, "batch_size": 32, "max_iter": 30, "early_stopping": True}
    estimator = small(embedding_dim=8, random_state=5, **params)
    estimator.set_callbacks(seen).fit(waves(200, 40))
    assert estimator.best_iter_ == 1 + np.argmin(estimator.validation_loss_curve_)
    assert 0 < estimator.best_iter_ < estimator.n_iter_
    best, last = seen.weights[estimator.best_iter_ - 1], seen.weights[-1]
    changed = {name for name in best if not np.array_equal(best[name], last[name])}
    for name, weight in estimator.weights_.items():
        np.testing.assert_array_equal(weight, best[name])
    assert changed == {
        name for name in best if name.startswith(("decoder.layers.", "decoder.output."))
    }


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("pooling", ["reservoir", "statistics"])
def test_training_stops_without_progress(early_stopping, pooling):
    params = {"max_iter": 50, "tol": 1e9, "n_iter_no_change": 2, "pooling": pooling}
    estimator = small(early_stopping=early_stopping, **params).fit(waves())
    assert 2 <= estimator.n_iter_ < 50


@pytest.mark.parametrize("pooling", ["reservoir", "statistics"])
def test_training_continues_while_there_is_progress(pooling):
    params = {"early_stopping": True, "tol": 0.0, "n_iter_no_change": 3, "batch_size": 16}
    params["pooling"] = pooling
    X = waves(200, 40) if pooling == "reservoir" else waves(96, 12)
    estimator = small(max_iter=25, learning_rate_init=0.02, **params).fit(X)
    assert estimator.best_iter_ > 10


# Labels


@pytest.mark.parametrize(("pooling", "gain"), [("reservoir", 0.2), ("statistics", 0.3)])
def test_labels_draw_classes_apart(pooling, gain):
    X, y = waves(40), np.arange(40) % 2
    X[y == 1, :, 1] += 1.0
    silhouettes = {}
    for weight in (0.0, 0.9):
        params = {"pooling": pooling, "learning_rate_init": 0.05, "target_weight": weight}
        estimator = small(max_iter=80 if pooling == "statistics" else 0, **params)
        silhouettes[weight] = silhouette_score(estimator.fit_transform(X, y), y)
    assert silhouettes[0.9] > silhouettes[0.0] + gain


@pytest.mark.parametrize("pooling", ["reservoir", "statistics"])
def test_labels_may_be_numbers_or_text(pooling):
    X, y = utterances()
    params = {"pooling": pooling, "target_weight": 0.5}
    numbers = small(**params).fit(X, y.astype(int))
    assert numbers.classes_.tolist() == [1, 2]
    assert_same_weights(numbers, small(**params).fit(X, list(y)))


@pytest.mark.parametrize(("pooling", "n_classes"), [("reservoir", 0), ("statistics", 2)])
def test_only_a_trained_encoder_has_a_head(pooling, n_classes):
    estimator = small(pooling=pooling, target_weight=0.5).fit(*utterances())
    assert estimator.architecture_["n_classes"] == n_classes
    assert estimator.classes_.tolist() == ["1", "2"]
    assert ("head.weight" in estimator.weights_) == (n_classes > 0)


# The untrained encoder, and what is printed


def test_max_iter_0_gives_the_untrained_encoder(recwarn):
    X = waves()
    estimator = small(max_iter=0).fit(X)
    assert not recwarn.list
    assert (estimator.n_iter_, estimator.best_iter_, estimator.loss_curve_) == (0, 0, [])
    assert estimator.transform(X).std(axis=0).min() > 0
    # Weights that are not fitted to the data do not depend on it.
    plain, other = (small(max_iter=0, pooling="max").fit(some) for some in (X, np.exp(X)))
    assert_same_weights(plain, other)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_verbose_prints_a_line_per_epoch(early_stopping, capsys):
    estimator = small(verbose=1, early_stopping=early_stopping).fit(waves())
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == ["Epoch 1/3", "Epoch 2/3", "Epoch 3/3"]
    assert f"loss = {estimator.loss_curve_[-1]:.5f}" in lines[-1]
    if early_stopping:
        assert f"validation loss = {estimator.validation_loss_curve_[-1]:.5f}" in lines[-1]
    else:
        assert "validation" not in lines[-1]


def test_fit_prints_nothing_by_default(capsys):
    small().fit(waves())
    assert capsys.readouterr() == ("", "")


@pytest.mark.filterwarnings("error::sklearn.exceptions.ConvergenceWarning")
def test_warnings_are_attributed_to_the_line_that_calls_fit():
    estimator = small(pooling="statistics", max_iter=1, learning_rate_init=1e-6)
    with pytest.warns((ConvergenceWarning, UserWarning)) as caught:
        estimator.fit(waves().transpose(0, 2, 1))
    assert len({warning.category for warning in caught}) == 2
    assert {warning.filename for warning in caught} == {__file__}


# Seeds


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"dropout": 0.2, "early_stopping": True},
        {"pooling": "statistics"},
        CORRUPTED,
        {"bidirectional": True, "pooling": "mean"},
    ],
)
def test_fault_32_the_same_seed_gives_the_same_bits(params):
    X = ragged_waves()
    first, second = small(**params).fit(X), small(**params).fit(X)
    assert_same_weights(first, second)
    assert first.loss_curve_ == second.loss_curve_
    assert first.transform(X).tobytes() == second.transform(X).tobytes()


def test_another_seed_gives_other_weights(fitted):
    Z = small(random_state=1).fit_transform(waves())
    assert not np.allclose(Z, fitted.transform(waves()))


def test_without_a_random_state_every_fit_differs():
    X = waves()
    estimator = small(random_state=None, max_iter=0)
    assert not np.allclose(estimator.fit_transform(X), estimator.fit_transform(X))


def test_the_number_of_threads_does_not_change_the_weights(fitted):
    torch.set_num_threads(2)
    try:
        estimator = small().fit(waves())
    finally:
        torch.set_num_threads(1)
    assert_same_weights(estimator, fitted)


# Global states


@pytest.fixture
def global_states_are_unchanged():
    before = global_states()
    yield
    assert global_states() == before


def global_states():
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    return (
        (kind, keys.tobytes(), *rest),
        torch.get_rng_state().numpy().tobytes(),
        random.getstate(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
    )


class FailingCallback(WeightsOfEveryEpoch):
    def on_fit_task_end(self, estimator, context):
        raise RuntimeError("the callback failed")


@pytest.mark.usefixtures("global_states_are_unchanged")
@pytest.mark.parametrize("random_state", [0, None])
@pytest.mark.parametrize("params", [{"dropout": 0.2, "early_stopping": True}, CORRUPTED])
def test_fault_33_no_method_changes_global_states(params, random_state):
    estimator = small(random_state=random_state, **params).fit(waves())
    estimator.inverse_transform(estimator.transform(waves()))
    estimator.reconstruct(waves())
    estimator.score(waves())
    estimator.set_params(early_stopping=False).partial_fit(waves())


@pytest.mark.usefixtures("global_states_are_unchanged")
def test_fault_33_a_fit_that_fails_does_not_change_global_states():
    with pytest.raises(RuntimeError, match="the callback failed"):
        small().set_callbacks(FailingCallback()).fit(waves())
    with pytest.raises(InputError):
        small().fit(np.full((2, 3, 1), np.inf))
    with pytest.raises(TrainingError):
        small(scale=None, learning_rate_init=1e30, batch_size=5).fit(1e14 * waves())
