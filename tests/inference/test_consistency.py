"""Fault 38: a file whose numbers contradict each other does not open."""

import copy
import pickle

import joblib
import numpy as np
import pandas as pd
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
    "channels": (one_channel, "n_channels_in_ is 1, of type int, not 32"),
    "stride of -1": (dimensions(window_stride=-1), "window_stride=-1"),
    "stride of 0": (dimensions(window_stride=0), "window_stride_ is 2, of type int, not 4"),
    "another stride": (dimensions(window_stride=3), "window_stride_ is 2, of type int, not 3"),
    "stride beyond the window": (dimensions(window_stride=5), "larger than window_len=4"),
    "no period": (dimensions(time_period=0), "time_period=0"),
    "a shorter period": (dimensions(time_period=9), "n_timesteps_in_ is 32, .* from 33 to"),
    "text for a number": (dimensions(hidden_dim="8"), "hidden_dim='8'"),
    "a float for a number": (dimensions(hidden_dim=8.0), r"hidden_dim=8\.0"),
    "a bool for a number": (dimensions(time_period=True), "time_period=True"),
    "a NumPy scalar": (dimensions(hidden_dim=np.int64(8)), r"hidden_dim=np\.int64\(8\)"),
    "a number for a bool": (dimensions(bidirectional=0), "bidirectional=0"),
    "linear steps": (dimensions(n_linear_steps=3), "n_linear_steps=3 with pooling='statistics'"),
    "pooling": (
        dimensions(pooling="last"),
        "weights_ and its network differ in encoder.projection",
    ),
    "unknown pooling": (dimensions(pooling="median"), "pooling='median'"),
    "pooling of another type": (dimensions(pooling=["last"]), r"pooling=\['last'\]"),
    "a huge network": (dimensions(hidden_dim=2**28), "hidden_dim_ is 8, of type int, not 2684"),
    "an unknown dimension": (dimensions(depth=3), "architecture_ is .*, not a dict of"),
    "a dimension that overflows": (dimensions(hidden_dim=2**62), "hidden_dim=4611"),
    "a number of 400 digits": (dimensions(hidden_dim=10**400), "hidden_dim=1000"),
    "a dimension that is missing": (
        lambda learned: learned["architecture_"].pop("time_period"),
        "architecture_ is .*, not a dict of",
    ),
    "no architecture": (without("architecture_"), "architecture_ is missing"),
    "an architecture of another type": (set_to("architecture_", 3), "architecture_ is 3"),
    "a missing weight": (lambda learned: learned["weights_"].pop(HEAD), "differ in head.bias"),
    "shape of a weight": (weight(HEAD, lambda w: w[:2]), r"head.bias is float32 of shape \(2,\)"),
    "transposed weights": (weight(LAST, np.transpose), "output.weight is float32 of shape"),
    "dtype of a weight": (weight(HEAD, lambda w: w.astype("f8")), "head.bias is float64"),
    "a weight of objects": (weight(HEAD, lambda w: w.astype(object)), "head.bias is object"),
    "a masked weight": (weight(HEAD, np.ma.asarray), "head.bias is MaskedArray, float32"),
    "type of a weight": (weight(HEAD, list), r"head.bias is \[.*, of type list"),
    "a weight that is NaN": (weight(FIRST, nan_in), "weight_ih_l0 is .* from -3.4"),
    "infinite weights": (weight(FIRST, lambda w: np.full_like(w, np.inf)), "l0 is .* from -3.4"),
    "weights of another type": (set_to("weights_", None), "weights_ is None"),
    "a learned dimension": (set_to("embedding_dim_", 5), "embedding_dim_ is 5, .*, not 4"),
    "no learned dimension": (without("window_stride_"), "window_stride_ is missing, not 2"),
    "another number of channels": (set_to("n_channels_in_", 7), "n_channels_in_ is 7"),
    "channels as a float": (
        set_to("n_channels_in_", 8.0),
        r"n_channels_in_ is 8\.0, of type float",
    ),
    "features": (set_to("n_features_in_", 9), "n_features_in_ is 9, of type int, not 8"),
    "names": (set_to("feature_names_in_", np.array(["a"], object)), "feature_names_in_ is object"),
    "channels of the means": (set_to("mean_", np.zeros(7)), r"mean_ is float64 of shape \(7,\)"),
    "dtype of the deviations": (set_to("std_", np.ones(8, "f4")), "std_ is float32"),
    "a mean that is infinite": (set_to("mean_", np.full(8, np.inf)), "mean_ is .*inf"),
    "a negative deviation": (set_to("std_", -np.ones(8)), "std_ is .*-1"),
    "a negative count": (set_to("n_observed_", -np.ones(8)), "n_observed_ is .*-1"),
    "no means": (without("mean_"), "mean_ is missing"),
    "the divisor": (set_to("scale_", np.full(8, 0.5)), "scale_ is .*, not what follows from"),
    "no timesteps": (set_to("n_timesteps_in_", 0), "n_timesteps_in_ is 0"),
    "too many timesteps": (set_to("n_timesteps_in_", 10**13), "n_timesteps_in_ is 10000000000000"),
    "a table of channels": (
        set_to("is_table_", True),
        "is_table_ is True, of type bool, not False",
    ),
    "a number for a table": (set_to("is_table_", 0), "is_table_ is 0, of type int"),
    "classes": (set_to("classes_", np.arange(4)), "classes_ is int64 of shape .*, not 3 classes"),
    "no classes": (without("classes_"), "classes_ is missing, not 3 classes"),
    "equal classes": (set_to("classes_", np.array([1, 1, 2])), "not an array .* in order"),
    "classes out of order": (set_to("classes_", np.array([2, 1, 3])), "in order"),
    "a class that is NaN": (set_to("classes_", np.array([1, 2, np.nan])), "in order"),
    "classes of objects": (set_to("classes_", np.array([1, 2, 3], object)), "classes_ is object"),
    "losses of another type": (
        set_to("loss_curve_", [1]),
        "loss_curve_ is .*, not a list of finite",
    ),
    "a loss that is NaN": (set_to("validation_loss_curve_", [np.nan]), "validation_loss_curve_ is"),
    "epochs": (set_to("n_iter_", 2), "n_iter_ is 2, of type int, not an integer from 0 to 1"),
    "the best epoch": (set_to("best_iter_", -1), "best_iter_ is -1"),
    "the score": (set_to("best_score_", "high"), "best_score_ is 'high'"),
    "a parameter": (set_to("missing", 3), "'missing' parameter of LSTMAutoencoder must be"),
    "a parameter out of range": (set_to("max_iter", -1), "'max_iter' parameter"),
    "the container": (set_to("_sklearn_output_config", []), r"_sklearn_output_config is \[\]"),
    "the callbacks": (set_to("_skl_callbacks", dict), "_skl_callbacks"),
    "short moments": (moments(exp_avg=np.zeros(3, "f4")), "optimizer for weights 0 .*exp_avg is"),
    "dtype of moments": (moments(exp_avg=np.zeros((32, 32))), "optimizer for weights 0"),
    "squares below 0": (moments(exp_avg_sq=-np.ones((32, 32), "f4")), "optimizer for weights 0"),
    "moments of other weights": (
        lambda learned: learned["_optimizer_state"]["state"].update({99: {}}),
        "optimizer for weights 99",
    ),
    "moments of weights with text for a name": (
        lambda learned: learned["_optimizer_state"]["state"].update({"0": {}}),
        "_optimizer_state is",
    ),
    "no moments": (
        lambda learned: learned["_optimizer_state"]["state"][0].pop("exp_avg_sq"),
        "optimizer for weights 0",
    ),
}

THRESHOLDS, LINEAR = "encoder.thresholds", "decoder.linear.bias"

RESERVOIR_CASES = {
    "pooling": (dimensions(pooling="statistics"), "n_linear_steps=32 with pooling='statistics'"),
    "a head": (dimensions(n_classes=3), "n_classes=3 with pooling='reservoir'"),
    "backwards": (dimensions(bidirectional=True), "bidirectional=True with pooling='reservoir'"),
    "no linear steps": (dimensions(n_linear_steps=0), "differ in decoder.linear.bias"),
    "other linear steps": (dimensions(n_linear_steps=31), "float32 of shape"),
    "a huge linear map": (dimensions(n_linear_steps=2**30), "float32 of shape"),
    "linear steps of -1": (dimensions(n_linear_steps=-1), "n_linear_steps=-1"),
    "other windows": (dimensions(window_len=8), "window_len_ is 4, of type int, not 8"),
    "shape of the thresholds": (weight(THRESHOLDS, lambda w: w[:5]), r"of shape \(5, 6\)"),
    "dtype of the thresholds": (weight(THRESHOLDS, lambda w: w.astype("f8")), "is float64"),
    "a threshold that is NaN": (weight(THRESHOLDS, nan_in), "thresholds is .*from -3.4"),
    "no linear map": (lambda learned: learned["weights_"].pop(LINEAR), "differ in decoder.linear"),
    "a linear map that is NaN": (weight(LINEAR, nan_in), "linear.bias is .*from -3.4"),
    "one class": (set_to("classes_", np.arange(1)), "at least 2 different classes"),
    "short moments": (moments(exp_avg=np.zeros(3, "f4")), "optimizer for weights 0 .*exp_avg is"),
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


def assert_consistent(model):
    check_consistent(model, vars(model))


def test_a_fitted_model_is_consistent(fitted, reservoir):
    assert_consistent(fitted)
    assert_consistent(reservoir)
    for parameters in (
        {},
        {"pooling": "last", "scale": None},
        {"pooling": "statistics", "bidirectional": True},
    ):
        assert_consistent(LSTMAutoencoder(2, max_iter=1, **parameters).fit(walks()))


def test_every_form_of_input_leaves_a_consistent_model():
    X, rows = walks(), np.arange(20)
    model = LSTMAutoencoder(2, hidden_dim=3, max_iter=0, missing="mask")
    table = X[:, :, 0].copy()
    table[:, 30:] = np.nan
    lists = [series[: 20 + row % 3] for row, series in zip(rows, X, strict=True)]
    wide = pd.DataFrame(table, columns=[f"t{step}" for step in range(32)])
    index = pd.MultiIndex.from_product([rows, range(32)], names=["id", "time"])
    long = pd.DataFrame(X.reshape(-1, N_CHANNELS), index, [f"c{c}" for c in range(N_CHANNELS)])
    for form in (table, lists, wide, long, pd.DataFrame(table), table.tolist(), X.astype("f4")):
        assert_consistent(model.fit(form))


def test_streams_and_continued_fits_are_consistent():
    X, y = walks(), np.array(["a", "b"] * 10, dtype=object)
    stream = LSTMAutoencoder(2, hidden_dim=3, max_iter=1, pooling="last", target_weight=0.5)
    for part in (X[:, :20], X[:, :32], X[:, :10]):
        assert_consistent(stream.partial_fit(part, y))
    assert_consistent(stream.set_params(warm_start=True, patch_len=1).fit(X[:, :25], y))
    reservoir = LSTMAutoencoder(2, hidden_dim=3, max_iter=1, target_weight=0.5, warm_start=True)
    assert_consistent(reservoir.fit(X, y == "a"))
    assert_consistent(reservoir.set_params(window_len=5).fit(X[:, :25], y == "a"))


def test_parameters_may_be_changed_after_the_fit(fitted):
    """They are those of the next fit, so they need not agree with what was learned."""
    changed = copy.deepcopy(fitted).set_params(embedding_dim=9, window_stride="auto", scale=None)
    assert copy.deepcopy(changed).get_params() == changed.get_params()


def test_weights_that_joblib_has_mapped_into_memory_are_weights(fitted, tmp_path):
    joblib.dump(fitted, tmp_path / "model.joblib")
    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    assert isinstance(mapped.weights_[FIRST], np.memmap)
    np.testing.assert_array_equal(mapped.transform(walks()), fitted.transform(walks()))


def test_weights_in_columns_first_order_are_weights(fitted):
    forged = pickle.dumps(forge(fitted, weight(FIRST, np.asfortranarray)))
    loaded = pickle.loads(forged)
    np.testing.assert_array_equal(loaded.transform(walks()), fitted.transform(walks()))


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


@pytest.mark.parametrize("groups", [3, [], [{"betas": 7, "lr": "high", "params": [0]}]])
def test_fault_38_the_settings_of_a_saved_optimizer_are_not_used(fitted, groups):
    expected = copy.deepcopy(fitted).partial_fit(walks(), np.arange(20) % 3)
    forged = forge(fitted, lambda learned: learned["_optimizer_state"].update(param_groups=groups))
    continued = pickle.loads(pickle.dumps(forged)).partial_fit(walks(), np.arange(20) % 3)
    np.testing.assert_array_equal(continued.weights_[LAST], expected.weights_[LAST])


def test_the_state_of_a_checkpoint_has_text_for_keys():
    state = {"exp_avg": np.zeros((2, 3), "f4"), "exp_avg_sq": np.zeros((2, 3), "f4")}
    state["step"] = np.array(1.0, dtype="f4")
    check_optimizer_state({"state": {"0": state}}, [(2, 3)])
    with pytest.raises(ModelFileError, match="weights 0"):
        check_optimizer_state({"state": {"0": state}}, [(3, 2)])
