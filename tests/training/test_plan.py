"""What processes tell each other about a fit, and what everything else follows from."""

import numpy as np
import pytest

from seqfeat import DistributedError, InputError, LSTMAutoencoder
from seqfeat.nn.network import build_network, weights_of
from seqfeat.runtime.ranks import ALONE
from seqfeat.series import as_series
from seqfeat.series.scaling import channel_scaling
from seqfeat.training.parameters import FitParameters
from seqfeat.training.plan import EarlierFit, plan_epoch, plan_fit, share_facts
from seqfeat.training.targets.encoding import EncodedTargets
from tests.training.thread_ranks import run_on_ranks

DEFAULTS = {**LSTMAutoencoder().get_params(), "random_state": 0, "device": "cpu"}


def parameters_with(**params):
    return FitParameters(**{**DEFAULTS, **params})


def facts_of(X, y=None, ranks=ALONE, classes=None, sample_weight=None, **params):
    parameters = parameters_with(**params)
    return share_facts(
        lambda: as_series(X, missing=parameters.missing),
        y,
        sample_weight,
        parameters,
        ranks,
        classes=classes,
    )


def plan_of(X, y=None, earlier=None, **params):
    return plan_fit(parameters_with(**params), facts_of(X, y, **params), earlier)


def series_of(n_timesteps, n_samples=3, n_channels=1, seed=0):
    return np.random.default_rng(seed).normal(size=(n_samples, n_timesteps, n_channels))


# Facts of one process


def test_facts_describe_the_series():
    items = [item[:length] for item, length in zip(series_of(7), (7, 4, 5), strict=True)]
    facts = facts_of(items)
    assert facts.shard.first == 0
    assert facts.shard.lengths.tolist() == [7, 4, 5]
    assert not facts.shard.is_dense
    assert facts.statistics.mean == pytest.approx(np.concatenate(items).mean())
    assert facts.targets == EncodedTargets()
    assert facts_of(series_of(7)).shard.is_dense


def test_without_scale_the_statistics_change_nothing():
    statistics = facts_of(series_of(7), scale=None).statistics
    assert (statistics.mean.tolist(), statistics.scale.tolist()) == ([0.0], [1.0])


def test_labels_become_targets_only_if_they_are_used():
    facts = facts_of(series_of(4), ["b", "a", "b"], target_weight=0.5)
    assert (facts.targets.classes.tolist(), facts.targets.values.tolist()) == (
        ["a", "b"],
        [1, 0, 1],
    )
    assert facts_of(series_of(4), ["b", "a", "b"]).targets.values is None


def test_a_stream_may_name_more_classes_than_its_first_series_have():
    facts = facts_of(series_of(4), ["b", "b", "b"], target_weight=0.5, classes=["c", "a", "b"])
    assert (facts.targets.classes.tolist(), facts.targets.values.tolist()) == (
        ["a", "b", "c"],
        [1, 1, 1],
    )
    with pytest.raises(InputError, match=r"y holds \['d'\]"):
        facts_of(series_of(4), ["b", "d", "b"], target_weight=0.5, classes=["a", "b"])


def seed_of(random_state):
    return facts_of(series_of(4), random_state=random_state).seed


def test_a_random_state_decides_the_seed():
    assert seed_of(3) == seed_of(3) == seed_of(np.random.RandomState(3))
    assert seed_of(3) != seed_of(4)


def test_a_shared_random_state_gives_another_seed_each_time():
    shared = np.random.RandomState(3)
    assert seed_of(shared) != seed_of(shared)


def test_without_a_random_state_seeds_differ_and_nothing_global_is_drawn_from():
    before = np.random.get_state()  # noqa: NPY002
    seeds = {seed_of(None) for _ in range(10)}
    after = np.random.get_state()  # noqa: NPY002
    assert len(seeds) > 1
    assert before[2] == after[2]
    np.testing.assert_array_equal(before[1], after[1])


# Facts of several processes

X = series_of(6, n_samples=7, n_channels=2)
Y = np.array(["a", "a", "b", "b", "c", "c", "a"])
SHARDS = slice(0, 3), slice(3, 7)


def test_processes_learn_the_facts_of_all_in_one_exchange():
    items = [item[:length] for item, length in zip(X, (6, 2, 3, 6, 5, 6, 4), strict=True)]
    labelled = {"target_weight": 0.5, "missing": "mask"}
    alone = facts_of(items, Y, **labelled)

    def share(ranks):
        own = SHARDS[ranks.rank]
        # Rank 0's seed counts.
        seed = (0, 99)[ranks.rank]
        facts = facts_of(items[own], Y[own], ranks, random_state=seed, **labelled)
        return facts, ranks.n_messages

    for rank, (facts, n_messages) in enumerate(run_on_ranks(share)):
        assert n_messages == 1
        assert facts.shard.first == SHARDS[rank].start
        assert facts.shard.lengths.tolist() == alone.shard.lengths.tolist()
        assert not facts.shard.is_dense
        np.testing.assert_allclose(facts.statistics.mean, alone.statistics.mean)
        np.testing.assert_allclose(facts.statistics.std, alone.statistics.std)
        assert facts.statistics.count.tolist() == alone.statistics.count.tolist()
        assert facts.targets.classes.tolist() == ["a", "b", "c"]
        assert facts.targets.values.tolist() == alone.targets.values[SHARDS[rank]].tolist()
        assert facts.seed == alone.seed


@pytest.mark.parametrize("lengths", [(6, 6), (6, 5)])
def test_a_shared_set_is_dense_if_all_lengths_are_equal(lengths):
    def share(ranks):
        return facts_of(X[SHARDS[ranks.rank], : lengths[ranks.rank]], ranks=ranks)

    for facts in run_on_ranks(share):
        assert facts.shard.is_dense == (lengths[0] == lengths[1])


@pytest.mark.parametrize(
    ("bad_X", "bad_y", "message"),
    [
        (np.full((2, 6, 2), np.inf), Y[:2], "contains infinity"),
        (X[3:], Y[:2], "inconsistent numbers of samples"),
        (X[3:], ["a", None, "b", "a"], "1 of 4 series has no label"),
    ],
)
def test_an_error_in_one_process_is_raised_in_all(bad_X, bad_y, message):
    def share(ranks):
        inputs = (X[:3], Y[:3]) if ranks.rank == 0 else (bad_X, bad_y)
        return facts_of(*inputs, ranks, target_weight=0.5)

    other, own = run_on_ranks(share)
    assert isinstance(own, ValueError)
    assert message in str(own)
    assert isinstance(other, DistributedError)
    assert str(other).startswith("rank 1 of 2, with which this process shares a fit, failed: ")
    assert f"{type(own).__name__}: " in str(other)
    assert message in str(other)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (X[:, :, :1], "series with 2 channels in rank 0, but series with 1 channels in rank 1"),
        (X[:, :, 0], "series with 2 channels in rank 0, but a table of 6 timesteps in rank 1"),
    ],
)
def test_processes_with_series_of_different_forms_all_say_so(other, message):
    found = run_on_ranks(lambda ranks: facts_of((X, other)[ranks.rank], ranks=ranks))
    for error in found:
        assert isinstance(error, InputError)
        assert message in str(error)


def test_a_single_class_in_all_processes_is_an_error_in_all():
    def share(ranks):
        return facts_of(X[SHARDS[ranks.rank]], ["a"] * (3 + ranks.rank), ranks, target_weight=0.5)

    assert all("y holds 1 class" in str(error) for error in run_on_ranks(share))


# The architecture


@pytest.mark.parametrize(
    ("pooling", "n_timesteps", "length", "stride", "patch_len"),
    [
        ("reservoir", 1, 1, 1, 1),
        ("reservoir", 12, 2, 1, 1),
        ("reservoir", 96, 16, 1, 3),
        ("reservoir", 150, 16, 1, 5),
        ("reservoir", 600, 16, 2, 19),
        ("reservoir", 3000, 16, 6, 94),
        ("reservoir", 12000, 24, 24, 375),
        ("statistics", 1, 1, 1, 1),
        ("statistics", 12, 2, 1, 1),
        ("statistics", 96, 16, 1, 3),
        ("statistics", 150, 16, 2, 5),
        ("statistics", 3000, 24, 24, 94),
    ],
)
def test_windows_and_patches_bound_the_recurrence(pooling, n_timesteps, length, stride, patch_len):
    architecture = plan_of(series_of(n_timesteps), pooling=pooling).architecture
    assert (architecture.window_len, architecture.window_stride) == (length, stride)
    assert architecture.patch_len == patch_len
    assert n_timesteps / stride <= (512 if pooling == "reservoir" else 128)
    assert n_timesteps / patch_len <= 32


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
def test_without_statistics_the_encoder_reads_the_decoders_patches(pooling):
    architecture = plan_of(series_of(150), pooling=pooling).architecture
    assert architecture.window_len == architecture.window_stride == architecture.patch_len == 5


@pytest.mark.parametrize("pooling", ["reservoir", "statistics", "last"])
def test_windows_may_be_chosen(pooling):
    chosen = {"pooling": pooling, "window_len": 10, "window_stride": 7}
    architecture = plan_of(series_of(150), **chosen).architecture
    assert (architecture.window_len, architecture.window_stride) == (10, 7)
    assert plan_of(series_of(150), window_len=1).architecture.window_stride == 1


@pytest.mark.parametrize("pooling", ["reservoir", "statistics"])
def test_windows_that_skip_timesteps_are_an_error(pooling):
    with pytest.raises(InputError, match=r"window_stride=5 is larger than .* 4, .*window_len"):
        plan_of(series_of(150), pooling=pooling, window_len=4, window_stride=5)


@pytest.mark.parametrize(
    ("name", "value", "default"),
    [("bidirectional", True, "False"), ("masking_ratio", 0.2, "0.0"), ("input_noise", 0.1, "0.0")],
)
def test_what_has_no_effect_on_a_reservoir_is_an_error(name, value, default):
    words = rf"{name}={value} has no effect with pooling='reservoir'.*Set {name}={default}"
    with pytest.raises(InputError, match=words):
        plan_of(series_of(9), **{name: value})
    assert plan_of(series_of(9), pooling="statistics", **{name: value})


def test_a_reservoir_is_96_units_wide_and_reads_all_timesteps():
    plan = plan_of(series_of(150), reconstruction_fraction=0.3, target_weight=0.0)
    assert (plan.architecture.hidden_dim, plan.architecture.n_linear_steps) == (96, 150)
    assert plan.reservoir.reconstruction_fraction == 0.3
    plan = plan_of(series_of(150), pooling="statistics", embedding_dim=8)
    assert (plan.architecture.hidden_dim, plan.architecture.n_linear_steps) == (16, 0)
    assert plan.reservoir is None


def test_parameters_lead_to_the_plain_network():
    """Width by width: n_channels -> 2E -> E, and E -> E -> 2E -> n_channels."""
    plain = {"embedding_dim": 2, "patch_len": 1, "n_time_features": 0, "pooling": "last"}
    network = build_network(plan_of(series_of(150), **plain).architecture)
    shapes = {name: weight.shape for name, weight in network.state_dict().items()}
    assert {name: shape for name, shape in shapes.items() if "weight" in name} == {
        "encoder.forward_layers.0.weight_ih_l0": (16, 1),
        "encoder.forward_layers.0.weight_hh_l0": (16, 4),
        "encoder.forward_layers.1.weight_ih_l0": (8, 4),
        "encoder.forward_layers.1.weight_hh_l0": (8, 2),
        "decoder.layers.0.weight_ih_l0": (8, 2),
        "decoder.layers.0.weight_hh_l0": (8, 2),
        "decoder.layers.1.weight_ih_l0": (16, 2),
        "decoder.layers.1.weight_hh_l0": (16, 4),
        "decoder.output.weight": (1, 4),
    }


def test_classes_build_a_head():
    labelled = {"pooling": "statistics", "target_weight": 0.5}
    assert plan_of(series_of(4), ["a", "b", "c"], **labelled).architecture.n_classes == 3
    labelled["target_weight"] = 0.0
    assert plan_of(series_of(4), ["a", "b", "c"], **labelled).architecture.n_classes == 0


def test_classes_weight_the_statistics_of_a_reservoir():
    plan = plan_of(series_of(4), ["a", "b", "c"], target_weight=0.5)
    assert plan.architecture.n_classes == 0
    assert plan.classes.tolist() == ["a", "b", "c"]
    assert plan.dataset.targets.tolist() == [0, 1, 2]
    assert plan.reservoir.target_weight == 0.5


# The settings


@pytest.mark.parametrize(
    ("n_samples", "batch_size", "expected"),
    [
        (3, "auto", 3),
        (50, "auto", 8),
        (200, "auto", 25),
        (2500, "auto", 100),
        (10**6, "auto", 256),
        (50, 32, 32),
        (50, 64, 50),
    ],
)
def test_the_batch_size_grows_with_the_set(n_samples, batch_size, expected):
    zeros = np.broadcast_to(np.zeros((1, 2, 1)), (n_samples, 2, 1))
    settings = plan_of(zeros, batch_size=batch_size, scale=None).settings
    assert settings.batch_size == expected


def test_settings_are_the_parameters():
    given = {
        "max_iter": 3,
        "weight_decay": 0.3,
        "dropout": 0.1,
        "masking_ratio": 0.2,
        "input_noise": 0.4,
        "target_weight": 0.5,
        "n_iter_no_change": 6,
        "tol": 0.7,
    }
    params = {"pooling": "statistics", "learning_rate_init": 0.8, **given}
    settings = plan_of(series_of(4), [0, 1, 1], **params).settings
    assert {name: getattr(settings, name) for name in given} == given
    assert (settings.learning_rate, settings.decay) == (0.8, True)


def test_an_encoder_that_was_fitted_to_the_series_learns_at_a_tenth_of_the_rate():
    assert plan_of(series_of(4), pooling="statistics").settings.encoder_rate == 0.1
    assert plan_of(series_of(4), pooling="last").settings.encoder_rate == 1.0


@pytest.mark.parametrize("pooling", ["reservoir", "statistics"])
def test_initial_weights_may_be_kept_if_they_were_fitted_with_a_reservoir(pooling):
    settings = plan_of(series_of(4), pooling=pooling).settings
    assert settings.keeps_start == (pooling == "reservoir")


@pytest.mark.parametrize("pooling", ["reservoir", "statistics"])
def test_series_are_held_out_with_early_stopping_only(pooling):
    X = series_of(4, n_samples=20)
    assert plan_of(X, pooling=pooling, early_stopping=False).validation_fraction is None
    early = {"pooling": pooling, "early_stopping": True, "validation_fraction": 0.3}
    assert plan_of(X[:4], **early).validation_fraction == 0.3


@pytest.mark.parametrize(
    ("pooling", "n_samples", "expected"),
    [
        ("reservoir", 19, None),
        ("reservoir", 20, 0.1),
        ("statistics", 20, None),
        ("last", 20, None),
    ],
)
def test_a_reservoir_holds_series_out_if_there_are_twenty(pooling, n_samples, expected):
    plan = plan_of(series_of(4, n_samples=n_samples), pooling=pooling)
    assert plan.validation_fraction == expected


@pytest.mark.parametrize(
    ("pooling", "n_samples", "batch_size", "expected"),
    [
        ("reservoir", 19, "auto", 0),
        ("reservoir", 20, "auto", 30),
        ("reservoir", 2500, "auto", 30),
        ("reservoir", 2500, 25, 15),
        ("reservoir", 40_000, "auto", 10),
        ("reservoir", 10**6, "auto", 4),
        ("statistics", 3, "auto", 60),
        ("statistics", 10**6, "auto", 60),
        ("last", 2500, 50, 60),
    ],
)
def test_a_decoder_gets_1500_updates_within_4_to_30_epochs(
    pooling, n_samples, batch_size, expected
):
    zeros = np.broadcast_to(np.zeros((1, 2, 1)), (n_samples, 2, 1))
    plan = plan_of(zeros, pooling=pooling, batch_size=batch_size, scale=None)
    assert plan.settings.max_iter == expected
    assert plan_of(zeros, pooling=pooling, max_iter=7, scale=None).settings.max_iter == 7


# Continuing an earlier fit


def earlier_fit(X, y=None, n_iter=2, **params):
    plan = plan_of(X, y, **params)
    weights = {
        name: np.zeros_like(weight)
        for name, weight in weights_of(build_network(plan.architecture)).items()
    }
    scaling = plan.dataset.scaling
    return EarlierFit(
        plan.architecture, weights, scaling, plan.classes, None, n_iter, {"state": {}}
    )


def test_warm_start_takes_the_weights_but_neither_scaling_nor_optimizer():
    earlier, other = earlier_fit(series_of(150)), series_of(150, seed=1)
    plan = plan_of(other, earlier=earlier)
    assert plan.start_weights is earlier.weights
    assert plan.optimizer_state is None
    np.testing.assert_array_equal(plan.dataset.scaling.mean, channel_scaling(as_series(other)).mean)


def test_warm_start_takes_series_of_another_length():
    chosen = {"patch_len": 2, "window_len": 3, "window_stride": 2}
    plan = plan_of(series_of(20), earlier=earlier_fit(series_of(30), **chosen), **chosen)
    assert plan.architecture.time_period == 10


@pytest.mark.parametrize(
    ("X", "y", "params", "message"),
    [
        (series_of(9), [0, 1, 2], {"embedding_dim": 5}, "embedding_dim is 64, but now it would be"),
        (series_of(9, n_channels=2), [0, 1, 2], {}, "n_channels is 1, but now it would be 2"),
        (series_of(9), [0, 1, 3], {}, r"classes is \[0, 1, 2\], but .* \[0, 1, 3\]"),
    ],
)
@pytest.mark.parametrize("pooling", ["reservoir", "statistics"])
def test_warm_start_with_another_network_is_an_error(X, y, params, message, pooling):
    earlier = earlier_fit(series_of(9), [0, 1, 2], pooling=pooling, target_weight=0.5)
    with pytest.raises(InputError, match=f"warm_start=True .* {message}.*warm_start=False"):
        plan_of(X, y, earlier, pooling=pooling, target_weight=0.5, **params)


@pytest.mark.parametrize(
    ("pooling", "message"),
    [
        ("reservoir", r"classes is \[0, 1, 2\], but now it would be \[0, 1\]"),
        ("statistics", "n_classes is 3, but now it would be 2"),
    ],
)
def test_warm_start_with_fewer_classes_is_an_error(pooling, message):
    earlier = earlier_fit(series_of(9), [0, 1, 2], pooling=pooling, target_weight=0.5)
    with pytest.raises(InputError, match=f"warm_start=True .* {message}.*warm_start=False"):
        plan_of(series_of(9), [0, 1, 1], earlier, pooling=pooling, target_weight=0.5)


def test_a_stream_passes_once_at_a_constant_fifth_of_the_rate():
    parameters = parameters_with(learning_rate_init=0.5)
    settings = plan_epoch(parameters, facts_of(series_of(4)), None).settings
    assert (settings.max_iter, settings.learning_rate, settings.decay) == (1, 0.1, False)


def test_a_stream_continues_with_weights_optimizer_and_scaling():
    first, second = series_of(150), series_of(40, seed=1)
    earlier = earlier_fit(first)
    plan = plan_epoch(parameters_with(), facts_of(second), earlier)
    # The architecture, too, although the new series alone would lead to another one.
    assert plan.architecture == earlier.architecture != plan_of(second).architecture
    assert plan.start_weights is earlier.weights
    assert plan.optimizer_state is earlier.optimizer_state
    both = np.concatenate([first.ravel(), second.ravel()])
    assert plan.dataset.scaling.mean == pytest.approx(both.mean())
    assert plan.dataset.scaling.std == pytest.approx(both.std())


def test_a_stream_without_scale_keeps_values_as_they_are():
    earlier = earlier_fit(series_of(9), scale=None)
    plan = plan_epoch(parameters_with(scale=None), facts_of(series_of(9), scale=None), earlier)
    assert plan.dataset.scaling.scale.tolist() == [1.0]


def test_every_part_of_a_stream_has_a_seed_of_its_own():
    facts = facts_of(series_of(9))
    seeds = [
        plan_epoch(parameters_with(), facts, earlier_fit(series_of(9), n_iter=n_iter)).seed
        for n_iter in (1, 1, 2)
    ]
    assert seeds[0] == seeds[1] != seeds[2]


# Checkpoints

LABELLED = {"target_weight": 0.5, "early_stopping": True}


def folder_of(tmp_path, X=X, y=Y, **params):
    params = {**LABELLED, "checkpoint_dir": tmp_path, **params}
    return plan_of(X, y, **params).checkpoints.folder


def test_the_same_fit_has_the_same_folder(tmp_path):
    assert folder_of(tmp_path) == folder_of(tmp_path, X.copy(), list(Y))
    assert folder_of(tmp_path).parent == tmp_path
    assert plan_of(X, Y, **LABELLED).checkpoints is None


@pytest.mark.parametrize(
    "change",
    [
        {"embedding_dim": 5},
        {"max_iter": 7},
        {"scale": None},
        {"dropout": 0.1},
        {"pooling": "statistics"},
        {"reconstruction_fraction": 0.3},
        {"target_weight": 0.4},
        {"validation_fraction": 0.2},
        {"random_state": 1},
        {"random_state": None},
        {"X": X + np.where(np.arange(7) == 5, 1e-9, 0.0)[:, None, None]},
        {"X": X.astype(np.float32)},
        {"y": np.roll(Y, 1)},
        {"y": np.where(Y == "c", "d", Y)},
    ],
)
def test_another_fit_has_another_folder(change, tmp_path):
    assert folder_of(tmp_path, **change) != folder_of(tmp_path)


def test_what_does_not_decide_the_result_does_not_change_the_folder(tmp_path):
    folder = folder_of(tmp_path)
    assert folder_of(tmp_path, verbose=1, checkpoint_every=2, missing="mask") == folder
    unseeded = [folder_of(tmp_path, random_state=None) for _ in range(2)]
    assert unseeded[0] == unseeded[1]


def test_start_weights_have_a_part_in_the_folder(tmp_path):
    first, second = earlier_fit(X), earlier_fit(X)
    second.weights["decoder.output.bias"][0] += 1
    folders = {
        plan_of(X, earlier=earlier, checkpoint_dir=tmp_path).checkpoints.folder
        for earlier in (None, first, second)
    }
    assert len(folders) == 3


def test_processes_that_share_a_fit_find_the_folder_of_one_alone_and_rank_0_keeps_it(tmp_path):
    params = {**LABELLED, "checkpoint_dir": tmp_path}

    def plan(ranks):
        own = SHARDS[ranks.rank]
        facts = facts_of(X[own], Y[own], ranks, **params)
        return plan_fit(parameters_with(**params), facts, None).checkpoints

    first, second = run_on_ranks(plan)
    assert first.folder == folder_of(tmp_path)
    assert second is None


def test_a_folder_that_rank_0_cannot_make_is_an_error_in_all(tmp_path):
    (tmp_path / "file").write_text("")
    params = {"checkpoint_dir": tmp_path / "file"}

    def plan(ranks):
        own = SHARDS[ranks.rank]
        return plan_fit(parameters_with(**params), facts_of(X[own], ranks=ranks, **params), None)

    first, second = run_on_ranks(plan)
    assert isinstance(first, InputError)
    assert isinstance(second, DistributedError)
    assert "checkpoint_dir=" in str(second)
