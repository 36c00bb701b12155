"""Fault 38: a file whose numbers contradict each other does not open."""

import copy
import pickle

import numpy as np
import pytest

import seqfeat
from seqfeat import LSTMAutoencoder, ModelFileError
from seqfeat.inference.consistency import check_consistent, check_optimizer_state

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

N_CHANNELS = 8


def walks():
    return np.random.default_rng(0).normal(size=(20, 32, N_CHANNELS)).cumsum(axis=1)


@pytest.fixture(scope="module")
def fitted():
    """A stream with classes: it has everything that can be learned."""
    model = LSTMAutoencoder(
        4,
        window_len=4,
        window_stride=2,
        patch_len=4,
        pooling="statistics",
        target_weight=0.5,
        random_state=0,
    )
    return model.partial_fit(walks(), np.arange(20) % 3)


@pytest.fixture(scope="module")
def reservoir():
    """A stream whose encoder is not trained."""
    model = LSTMAutoencoder(4, hidden_dim=6, window_len=4, target_weight=0.5, random_state=0)
    return model.partial_fit(walks(), np.arange(20) % 3)


def without(name):
    return lambda learned: learned.pop(name)


def set_to(name, value):
    return lambda learned: learned.__setitem__(name, value)


def dimensions(**values):
    return lambda learned: learned["architecture_"].update(values)


def weight(name, change):
    return lambda learned: learned["weights_"].__setitem__(name, change(learned["weights_"][name]))


def moments(**values):
    return lambda learned: learned["_optimizer_state"]["state"][0].update(values)


def one_channel(learned):
    """Say that the 32 inputs of a step are 32 channels, and that series have a single one."""
    one = {"window_len": 1, "window_stride": 1, "n_channels": 32, "patch_len": 1}
    learned["architecture_"].update(one)
    learned.update({f"{name}_": value for name, value in one.items() if name != "n_channels"})
    learned.update(n_channels_in_=1, n_features_in_=1)
    learned.update(mean_=np.zeros(1), std_=np.ones(1), n_observed_=np.full(1, 9.0))


def nan_in(array):
    changed = array.copy()
    changed.flat[-1] = np.nan
    return changed


HEAD, LAST = "head.bias", "decoder.output.weight"
FIRST = "encoder.forward_layers.0.weight_ih_l0"

CASES = {
    "channels": (one_channel, "n_channels_in_ is 1, but its network has 32"),
    "stride of -1": (dimensions(window_stride=-1), "window_stride=-1"),
    "stride of 0": (dimensions(window_stride=0), "window_stride_ is 2, but its network's is 4"),
    "another stride": (dimensions(window_stride=3), "window_stride_ is 2, but its network's is 3"),
    "stride beyond the window": (dimensions(window_stride=5), "larger than window_len=4"),
    "no period": (dimensions(time_period=0), "time_period=0"),
    "text for a number": (dimensions(hidden_dim="8"), "hidden_dim='8'"),
    "pooling": (dimensions(pooling="last"), "its weights are"),
    "unknown pooling": (dimensions(pooling="median"), "pooling='median'"),
    "a huge network": (dimensions(hidden_dim=2**28), "weight_ih_l0 is float32 of shape"),
    "an unknown dimension": (dimensions(depth=3), "TypeError.*depth"),
    "a dimension that overflows": (dimensions(hidden_dim=2**62), "contradicts itself"),
    "no architecture": (without("architecture_"), "KeyError: 'architecture_'"),
    "an architecture of another type": (set_to("architecture_", 3), "TypeError"),
    "a missing weight": (lambda learned: learned["weights_"].pop(HEAD), "its weights are"),
    "shape of a weight": (weight(HEAD, lambda w: w[:2]), r"head.bias is float32 of shape \(2,\)"),
    "transposed weights": (weight(LAST, np.transpose), "output.weight is float32 of shape"),
    "dtype of a weight": (weight(HEAD, lambda w: w.astype("f8")), "head.bias is float64"),
    "type of a weight": (weight(HEAD, list), "AttributeError"),
    "a weight that is NaN": (weight(FIRST, nan_in), "weight_ih_l0 is not finite"),
    "weights of another type": (set_to("weights_", None), "contradicts itself"),
    "a learned dimension": (set_to("embedding_dim_", 5), "embedding_dim_ is 5, .* is 4"),
    "another number of channels": (set_to("n_channels_in_", 7), "n_channels_in_ is 7"),
    "channels of the means": (set_to("mean_", np.zeros(7)), r"mean_ is float64 of shape \(7,\)"),
    "dtype of the deviations": (set_to("std_", np.ones(8, "f4")), "std_ is float32"),
    "a mean that is infinite": (set_to("mean_", np.full(8, np.inf)), "mean_ is .*inf"),
    "a negative deviation": (set_to("std_", -np.ones(8)), "std_ is .*-1"),
    "a negative count": (set_to("n_observed_", -np.ones(8)), "n_observed_ is .*-1"),
    "no means": (without("mean_"), "KeyError: 'mean_'"),
    "no timesteps": (set_to("n_timesteps_in_", 0), "n_timesteps_in_ is 0"),
    "a table of channels": (set_to("is_table_", True), "table, but its network has 8 channels"),
    "classes": (set_to("classes_", np.arange(4)), "classes_ has 4 classes, but its network 3"),
    "no classes": (without("classes_"), "classes_ has 0 classes"),
    "short moments": (moments(exp_avg=np.zeros(3, "f4")), r"optimizer for weights 0 .*\(3,\)"),
    "dtype of moments": (moments(exp_avg=np.zeros((32, 32))), "optimizer for weights 0"),
    "moments of other weights": (
        lambda learned: learned["_optimizer_state"]["state"].update({99: {}}),
        "optimizer for weights 99",
    ),
    "no moments": (
        lambda learned: learned["_optimizer_state"]["state"][0].pop("exp_avg_sq"),
        "optimizer for weights 0",
    ),
}

THRESHOLDS, LINEAR = "encoder.thresholds", "decoder.linear.bias"

RESERVOIR_CASES = {
    "pooling": (dimensions(pooling="statistics"), "its weights are"),
    "a head": (dimensions(n_classes=3), "its weights are"),
    "no linear steps": (dimensions(n_linear_steps=0), "its weights are"),
    "other linear steps": (dimensions(n_linear_steps=31), "float32 of shape"),
    "a huge linear map": (dimensions(n_linear_steps=2**40), "float32 of shape"),
    "linear steps of -1": (dimensions(n_linear_steps=-1), "n_linear_steps=-1"),
    "other windows": (dimensions(window_len=8), "weight_ih_l0 is float32 of shape"),
    "shape of the thresholds": (weight(THRESHOLDS, lambda w: w[:5]), r"of shape \(5, 6\)"),
    "dtype of the thresholds": (weight(THRESHOLDS, lambda w: w.astype("f8")), "is float64"),
    "a threshold that is NaN": (weight(THRESHOLDS, nan_in), "thresholds is not finite"),
    "no linear map": (lambda learned: learned["weights_"].pop(LINEAR), "its weights are"),
    "a linear map that is NaN": (weight(LINEAR, nan_in), "linear.bias is not finite"),
    "short moments": (moments(exp_avg=np.zeros(3, "f4")), r"optimizer for weights 0 .*\(3,\)"),
    "moments of weights that are not trained": (
        lambda learned: learned["_optimizer_state"]["state"].update({10: {}}),
        "optimizer for weights 10",
    ),
}


def forge(model, change):
    """Return a copy of a model that was changed, as somebody could save it, checksum included."""
    forged = copy.deepcopy(model)
    change(vars(forged))
    return forged


def test_a_fitted_model_is_consistent(fitted, reservoir):
    check_consistent(fitted)
    check_consistent(reservoir)
    for parameters in (
        {},
        {"pooling": "last", "scale": None},
        {"pooling": "statistics", "bidirectional": True},
    ):
        check_consistent(LSTMAutoencoder(2, max_iter=1, **parameters).fit(walks()))
    check_consistent(LSTMAutoencoder(2, max_iter=0).fit(walks()[:, :, 0]))


@pytest.mark.parametrize(("change", "message"), CASES.values(), ids=CASES)
def test_fault_38_a_contradiction_is_an_error_on_loading(fitted, change, message):
    forged = pickle.dumps(forge(fitted, change))
    with pytest.raises(ModelFileError, match=message):
        pickle.loads(forged)


@pytest.mark.parametrize(("change", "message"), RESERVOIR_CASES.values(), ids=RESERVOIR_CASES)
def test_fault_38_a_contradiction_of_a_reservoir_is_an_error(reservoir, change, message):
    forged = pickle.dumps(forge(reservoir, change))
    with pytest.raises(ModelFileError, match=message):
        pickle.loads(forged)


@pytest.mark.parametrize("case", ["channels", "another stride", "short moments"])
@pytest.mark.parametrize("suffix", ["skops", "joblib"])
def test_fault_38_a_forged_file_does_not_open(fitted, case, suffix, tmp_path):
    if suffix == "skops":
        pytest.importorskip("skops")
    change, message = CASES[case]
    path = seqfeat.save(forge(fitted, change), tmp_path / f"model.{suffix}")
    with pytest.raises(ModelFileError, match=message):
        seqfeat.load(path)


@pytest.mark.parametrize("name", ["fitted", "reservoir"])
def test_a_stream_continues_from_every_kind_of_file(name, request, tmp_path):
    fitted = request.getfixturevalue(name)
    expected = copy.deepcopy(fitted).partial_fit(walks(), np.arange(20) % 3).weights_
    for file in ("one.joblib", "other.skops"):
        loaded = seqfeat.load(seqfeat.save(fitted, tmp_path / file))
        weights = loaded.partial_fit(walks(), np.arange(20) % 3).weights_
        for key, value in expected.items():
            np.testing.assert_array_equal(weights[key], value, err_msg=key)


@pytest.mark.parametrize("is_compiled", [True, False])
def test_an_optimizer_state_that_does_not_fit_never_reaches_an_optimizer(
    fitted, is_compiled, monkeypatch
):
    """PyTorch's fused AdamW would write beyond its arrays."""
    if not is_compiled:
        monkeypatch.setattr("seqfeat.nn.kernels._kernels", lambda: None)
    forged = forge(fitted, moments(exp_avg=np.zeros(3, "f4")))
    with pytest.raises(ModelFileError, match="optimizer for weights 0"):
        forged.partial_fit(walks(), np.arange(20) % 3)


def test_the_state_of_a_checkpoint_has_text_for_keys():
    state = {"exp_avg": np.zeros((2, 3), "f4"), "exp_avg_sq": np.zeros((2, 3), "f4")}
    state["step"] = np.array(1.0, dtype="f4")
    check_optimizer_state({"state": {"0": state}}, [(2, 3)])
    with pytest.raises(ModelFileError, match="weights 0"):
        check_optimizer_state({"state": {"0": state}}, [(3, 2)])
