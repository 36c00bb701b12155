"""Fault 38: random edits of saved states, which end in an error or describe a network.

Whoever edits a state computes its checksum again, so that everything depends on
`seqfeat.inference.consistency`. What it accepts runs in a process with limits, and is compared
with plain PyTorch modules that have the same weights.
"""

import collections
import copy
import multiprocessing
import os
import pickle
import resource
import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import InvalidParameterError

from seqfeat import LSTMAutoencoder
from seqfeat.exceptions import ModelFileError, SeqfeatError
from seqfeat.nn.network import Architecture, build_network

pytestmark = pytest.mark.fuzz

N_EDITS = 150
"""States that are edited in each test."""
SECONDS = 60
"""Limit for one state; most take a twentieth of a second."""
MEMORY = 2 * 2**30
"""Address space for the states, beyond what imports take."""
N_TIMESTEPS, N_CHANNELS = 24, 4
LONGEST = 2**12
"""Timesteps of series that are made to try a state."""


# The models whose states are edited


def walks(n_series, n_timesteps, n_channels):
    steps = np.random.default_rng(0).normal(size=(n_series, n_timesteps, n_channels))
    return steps.cumsum(axis=1)


def fit_models():
    """Return small models that have, together, everything that can be learned."""
    X, y = walks(24, N_TIMESTEPS, N_CHANNELS), np.arange(24) % 3
    windows = {"window_len": 4, "window_stride": 2, "patch_len": 4}
    plain = {"hidden_dim": 5, "max_iter": 1, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            LSTMAutoencoder(3, **plain, **windows, pooling="statistics", target_weight=0.5)
            .set_output(transform="default")
            .partial_fit(X, np.array(["a", "b", "c"])[y]),
            LSTMAutoencoder(3, **plain, **windows, target_weight=0.5).fit(X, y),
            LSTMAutoencoder(3, **plain, pooling="mean", target_weight=0.5).fit(X, X[:, 0, :2]),
            LSTMAutoencoder(3, **plain, target_weight=0.5).fit(X, X[:, 0, 0]),
            LSTMAutoencoder(3, **plain, window_len=5).partial_fit(X),
            LSTMAutoencoder(None, **plain).fit(X[:, :, 0]),
            LSTMAutoencoder(3, **plain, pooling="last", scale=None, bidirectional=True).fit(X),
            LSTMAutoencoder(3, **plain, pooling="mean", missing="mask", early_stopping=True).fit(X),
            LSTMAutoencoder(3, **plain, pooling="max", n_time_features=0).fit(X[:, :, 0]),
        ]


# The edits


def choose(rng, options):
    options = list(options)
    return options[rng.integers(len(options))]


def any_value(rng):
    """Return a value of some other type or range."""
    return choose(
        rng,
        [
            *(None, True, False, 0, 1, -1, 3, 7, 64, 10**6, 2**31, 10**13, 2**64, -(10**400)),
            *(0.0, 1.0, -2.5, 1e300, np.nan, np.inf, "", "4", "auto", "max", "cpu", "no such"),
            *([], [1.0], [np.nan], ["a"], (), {}, {"a": 1}, {3: None}, b"\0", range(3), slice(3)),
            *(int, dict, np.float32, len, np.int64(4), np.float64(1), np.bool_(True), np.str_("x")),
            *(np.zeros(()), np.zeros(4), np.ones((4, 4), "f4"), np.zeros(0), np.array("a")),
            *(np.array([None, "a"]), np.array([[]], object), np.random.RandomState(0)),
            *(np.arange(3), np.full(4, np.nan), np.array(["b", "a", "c"]), np.ma.ones(4)),
            LSTMAutoencoder(),
        ],
    )


def any_array(rng, array):
    """Return an array changed in its numbers, its layout or its type."""
    array = np.array(array)
    kind = rng.integers(17)
    if kind == 0:
        return array.T
    if kind == 1:
        return array.reshape(-1)
    if kind == 2:
        return array.reshape(*array.shape[::-1])
    if kind == 3:
        return array.astype(
            choose(rng, ["f8", "f4", "f2", ">f4", ">f8", "i8", "i4", "?", "O", "c8"])
        )
    if kind == 4:
        return np.asfortranarray(array)
    if kind == 5:
        return array[1:]
    if kind == 6:
        return np.concatenate([array, array]) if array.ndim else array
    if kind == 7:
        return array[None]
    if kind == 8:
        return np.broadcast_to(array.reshape(-1)[:1], array.shape)
    if kind == 9:
        return array[::-1] if array.ndim else array
    if kind == 10 and array.dtype.kind == "f":
        return array * array.dtype.type(choose(rng, [-1, 0, 1e-30, 1e-3, 3, 1e3, 1e6, 1e12, 1e30]))
    if kind == 11:
        return np.ma.asarray(array)
    if kind == 12 and array.ndim == 2:
        return array.view(np.matrix)
    if array.dtype.kind == "f" and array.size:
        special = [np.nan, np.inf, -np.inf, 0, -1, 1e-40, 1e3, 1e10, 1e16, 1e20, 3e38]
        array.reshape(-1)[rng.integers(array.size)] = choose(rng, special)
    return array


def delete(rng, state):
    del state[choose(rng, state)]


def replace(rng, state):
    state[choose(rng, state)] = any_value(rng)


def replace_learned(rng, state):
    state[choose(rng, [name for name in state if name.endswith("_")])] = any_value(rng)


def add(rng, state):
    names = ["transform", "_check_learned", "__setstate__", "_n_features_out", "__class__", "note"]
    names += ["predict", "_parameter_constraints", "medians_", "get_params", "set_output", "_note"]
    names += ["classes_", "feature_names_in_", "_optimizer_state", "deviation_", "__array__", 3]
    names += ["_sklearn_output_config", "_skl_callbacks", "_metadata_request", "_validate_params"]
    state[choose(rng, names)] = any_value(rng)


def swap(rng, state):
    first, second = choose(rng, state), choose(rng, state)
    state[first], state[second] = state[second], state[first]


def edit_number(rng, state):
    names = [name for name, value in state.items() if type(value) in (int, float, bool)]
    name = choose(rng, names)
    changes = [lambda x: -x, lambda x: x + 1, lambda x: x - 1, lambda x: x * 2, float, np.int64]
    changes += [lambda x: x * 10**6, np.float32, bool, str, lambda x: x // 2, np.array]
    state[name] = choose(rng, changes)(state[name])


def edit_statistics(rng, state):
    name = choose(rng, [name for name, value in state.items() if isinstance(value, np.ndarray)])
    state[name] = any_array(rng, state[name])


def edit_weights(rng, state):
    weights, kind = state["weights_"], rng.integers(12)
    name = choose(rng, weights)
    if kind == 0:
        del weights[name]
    elif kind == 1:
        weights[name] = any_value(rng)
    elif kind == 2:
        weights[choose(rng, ["head.weight", "decoder.linear.bias", "x", 3, None])] = weights[name]
    elif kind == 3:
        other = choose(rng, weights)
        weights[name], weights[other] = weights[other], weights[name]
    else:
        weights[name] = any_array(rng, weights[name])


def edit_dimension(rng, state):
    dimensions = state["architecture_"]
    name, kind = choose(rng, dimensions), rng.integers(6)
    if kind == 0:
        del dimensions[name]
    elif kind == 1:
        dimensions[name] = any_value(rng)
    elif kind == 2:
        dimensions[choose(rng, ["depth", "pooling", 3])] = any_value(rng)
    elif name == "pooling":
        dimensions[name] = choose(rng, ["last", "mean", "max", "statistics", "reservoir"])
    elif type(dimensions[name]) is bool:
        dimensions[name] = not dimensions[name]
    else:
        value = dimensions[name]
        larger = [value + 1, value - 1, -value, 2 * value, 10**6, 2**31 - 1, 2**62, 10**12]
        dimensions[name] = choose(rng, [*larger, float(value), bool(value), np.int64(value)])
    if rng.random() < 0.5 and f"{name}_" in state and name in dimensions:
        state[f"{name}_"] = dimensions[name]


def edit_dimensions_together(rng, state):
    """Change several numbers so that they still agree, as far as that goes."""
    dimensions, kind = state["architecture_"], rng.integers(6)
    if kind == 0:
        # The same inputs of a step, made of other windows and channels.
        factor = choose(rng, [2, 4])
        up, down = (factor, 1) if rng.random() < 0.5 else (1, factor)
        for name, (times, over) in {
            "n_channels": (up, down),
            "window_len": (down, up),
            "window_stride": (down, up),
            "patch_len": (down, up),
        }.items():
            dimensions[name] = max(1, dimensions[name] * times // over)
            if f"{name}_" in state:
                state[f"{name}_"] = dimensions[name]
        n_channels = dimensions["n_channels"]
        state.update(n_channels_in_=n_channels, n_features_in_=n_channels)
        for name in ("n_observed_", "mean_", "std_", "scale_"):
            state[name] = np.resize(state[name], n_channels)
        period = -(-state["n_timesteps_in_"] // dimensions["patch_len"])
        dimensions["time_period"] = period
    elif kind == 1:
        stride = int(rng.integers(1, 1 + dimensions["window_len"]))
        dimensions["window_stride"] = state["window_stride_"] = stride
    elif kind == 2:
        n_timesteps = choose(rng, [1, 5, 100, 10**6, 2**31 - 1, 10**13])
        state["n_timesteps_in_"] = n_timesteps
        dimensions["time_period"] = -(-n_timesteps // dimensions["patch_len"])
        if state["is_table_"]:
            state["n_features_in_"] = n_timesteps
    elif kind == 3:
        dimensions["pooling"] = state["pooling"] = choose(rng, ["last", "mean", "max"])
    elif kind == 4:
        n_classes, width = choose(rng, [0, 1, 2, 5]), dimensions["embedding_dim"]
        dimensions["n_classes"] = n_classes
        state["classes_"] = np.arange(n_classes)
        state["weights_"]["head.weight"] = np.ones((n_classes, width), "f4")
        state["weights_"]["head.bias"] = np.ones(n_classes, "f4")
    else:
        # All of the scaling, as if the series had been of other magnitudes.
        factor = choose(rng, [1e-300, 1e-20, 1e20, 1e200, 1e300])
        for name in ("mean_", "std_", "scale_"):
            state[name] = state[name] * factor


def edit_parameter(rng, state):
    names = [name for name in state if not name.endswith("_") and not name.startswith("_")]
    state[choose(rng, names)] = any_value(rng)


def edit_optimizer(rng, state):
    optimizer = state.get("_optimizer_state")
    if optimizer is None:
        state["_optimizer_state"] = {"state": {0: {}}, "param_groups": []}
        return
    kind = rng.integers(5)
    number = choose(rng, optimizer["state"])
    moments = optimizer["state"][number]
    name = choose(rng, moments)
    if kind == 0:
        del optimizer["state"][number]
    elif kind == 1:
        optimizer["state"][choose(rng, [99, -1, "0", None, 2.5])] = moments
    elif kind == 2:
        group = choose(rng, optimizer["param_groups"])
        group[choose(rng, group)] = any_value(rng)
    elif kind == 3:
        moments[name] = any_value(rng)
    else:
        moments[name] = any_array(rng, moments[name])


EDITS = [
    *(delete, replace, replace_learned, add, swap, edit_number, edit_statistics, edit_statistics),
    *(edit_weights, edit_weights, edit_weights, edit_dimension, edit_dimension, edit_parameter),
    *(edit_dimensions_together, edit_dimensions_together, edit_optimizer),
]


def edited(model, rng):
    """Return a copy of a model whose state was edited, and the names of the edits."""
    state = copy.deepcopy(vars(model))
    names = []
    for _ in range(choose(rng, [1, 1, 1, 2, 3])):
        edit = choose(rng, EDITS)
        names.append(edit.__name__)
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                edit(rng, state)
        except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError):
            names[-1] += " (impossible)"
    forged = LSTMAutoencoder.__new__(LSTMAutoencoder)
    vars(forged).clear()
    vars(forged).update(state)
    return forged, names


# What becomes of them, in a process of its own


def worker(connection, is_compiled):
    """Answer states with what became of them until there are no more."""
    os.environ["SEQFEAT_FAST"] = "1" if is_compiled else "0"
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    # LLVM and PyTorch take what they need.
    model = fit_models()[0]
    try_out(model)
    with open("/proc/self/statm") as file:
        taken = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
    while (message := connection.recv()) is not None:
        connection.send(outcome(*message))


def outcome(form, data):
    """Return a word for what became of a state; one that begins with ``wrong`` is a fault."""
    try:
        model = load(form, data)
    except ModelFileError:
        return "refused by seqfeat"
    except Exception as error:
        return f"refused by {form}" if is_of(error, form) else f"wrong: loading: {error!r}"
    try:
        return try_out(model)
    except Exception as error:
        return f"wrong: {error!r}"


def load(form, data):
    if form == "pickle":
        return pickle.loads(data)
    import skops.io

    types = skops.io.get_untrusted_types(data=data)
    return skops.io.loads(data, trusted=types)


def is_of(error, form):
    """Tell whether an error comes from the library that reads the file."""
    trace = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
        if "seqfeat" in trace.tb_frame.f_globals["__name__"]:
            return False
    return True


def try_out(model):
    """Call everything that runs a network, and compare with PyTorch's modules."""
    n_timesteps = min(model.n_timesteps_in_, LONGEST) if hasattr(model, "weights_") else N_TIMESTEPS
    X = walks(5, n_timesteps, getattr(model, "n_channels_in_", N_CHANNELS))
    is_table = getattr(model, "is_table_", False)
    found = {}
    calls = {
        "transform": lambda: model.transform(X[:, :, 0] if is_table else X),
        "reconstruct": lambda: model.reconstruct(X[:, :, 0] if is_table else X),
        "score": lambda: model.score(X[:, :, 0] if is_table else X),
        "inverse_transform": lambda: model.inverse_transform(found["transform"]),
        "partial_fit": lambda: continue_stream(model, X),
    }
    errors = set()
    for name, call in calls.items():
        if name == "inverse_transform" and "transform" not in found:
            continue
        try:
            found[name] = call()
        except SeqfeatError as error:
            errors.add(type(error).__name__)
        except Exception as error:
            # A model may say that its series are longer than the limit of this process permits.
            is_too_long = name == "inverse_transform" and isinstance(error, MemoryError)
            if not is_too_long and not is_documented(error):
                raise
            errors.add(type(error).__name__)
    if "transform" in found:
        compare(model, X, found)
    if errors:
        return f"opened, then {', '.join(sorted(errors))}"
    return "opened, same results as PyTorch's modules"


def is_documented(error):
    """Tell whether an error is one that scikit-learn raises itself, or would in its own words."""
    is_of_columns = isinstance(error, ValueError) and "features as input" in str(error)
    return is_of_columns or isinstance(error, (InvalidParameterError, NotFittedError))


def continue_stream(model, X):
    if getattr(model, "_optimizer_state", None) is None:
        return None
    again = copy.deepcopy(model)
    y = None if not hasattr(model, "classes_") else np.resize(model.classes_, len(X))
    again.partial_fit(X, y)
    assert all(np.isfinite(weight).all() for weight in again.weights_.values())
    return None


def compare(model, X, found):
    """Compare with the network that the state describes, at a tolerance that it determines."""
    values = np.asarray((X - model.mean_) / model.scale_, dtype=np.float32)
    results = [run_plainly(model, values, noise) for noise in (0, 1, 2, 3)]
    embeddings, series = results[0]
    expected = {"transform": embeddings, "reconstruct": series * model.scale_ + model.mean_}
    if "inverse_transform" in found and model.n_timesteps_in_ == X.shape[1]:
        expected["inverse_transform"] = expected["reconstruct"]
    for name, value in expected.items():
        if name not in found:
            continue
        result = np.asarray(found[name]).reshape(value.shape)
        assert np.isfinite(result).all(), f"{name} is not finite"
        of_name = 0 if name == "transform" else 1
        change = max(np.abs(one[of_name] - results[0][of_name]).max() for one in results)
        unit = model.scale_.max() if of_name else 1.0
        bound = (30 * change + 1e-4 * (1 + np.abs(results[0][of_name]).max())) * unit
        difference = np.abs(result - value).max()
        assert difference <= bound, f"{name} differs by {difference}, not {bound}"
    if "score" in found:
        assert np.isfinite(found["score"]), "score is not finite"


def run_plainly(model, values, noise):
    """Return embeddings and scaled series, of slightly different numbers if there is noise."""
    rng = np.random.default_rng(noise)

    def near(array):
        factor = 1 + (noise > 0) * 1e-6 * rng.normal(size=array.shape)
        return np.ascontiguousarray(array * factor, dtype=np.float32)

    weights = {name: near(weight) for name, weight in model.weights_.items()}
    network = build_network(Architecture(**model.architecture_), weights)
    lengths = torch.full((len(values),), values.shape[1], dtype=torch.int64)
    with torch.inference_mode():
        embeddings = network.encode(torch.from_numpy(near(values)), lengths)
        series = network.decode(embeddings, values.shape[1])
    return embeddings.double().numpy(), series.double().numpy()


# The tests


class Worker:
    """A process that is replaced when it dies or hangs."""

    def __init__(self, is_compiled):
        self.is_compiled, self.process = is_compiled, None

    def ask(self, *message):
        if self.process is None:
            context = multiprocessing.get_context("spawn")
            self.connection, theirs = context.Pipe()
            self.process = context.Process(target=worker, args=(theirs, self.is_compiled))
            self.process.start()
            theirs.close()
        self.connection.send(message)
        try:
            if self.connection.poll(SECONDS):
                return self.connection.recv()
        except EOFError:
            self.process.join()
            code, self.process = self.process.exitcode, None
            return f"wrong: the process ended with {code}"
        self.close()
        return f"wrong: no answer within {SECONDS} s"

    def close(self):
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None


def serialized(form, model):
    if form == "pickle":
        return pickle.dumps(model)
    import skops.io

    return skops.io.dumps(model)


@pytest.fixture(scope="module")
def models():
    return fit_models()


RUNS = [
    *((f"kernels, skops, {part}", "skops", True, part) for part in range(8)),
    *((f"kernels, pickle, {part}", "pickle", True, 8 + part) for part in range(4)),
    *((f"PyTorch, skops, {part}", "skops", False, 12 + part) for part in range(4)),
]


@pytest.mark.parametrize(
    ("form", "is_compiled", "part"), [run[1:] for run in RUNS], ids=[run[0] for run in RUNS]
)
def test_fault_38_an_edited_state_is_refused_or_is_another_network(
    models, form, is_compiled, part, record_property
):
    if form == "skops":
        pytest.importorskip("skops")
    counts, wrong = collections.Counter(), []
    other = Worker(is_compiled)
    try:
        for seed in range(part * N_EDITS, (part + 1) * N_EDITS):
            rng = np.random.default_rng(seed)
            forged, edits = edited(choose(rng, models), rng)
            try:
                data = serialized(form, forged)
            except Exception:
                counts[f"not to be written by {form}"] += 1
                continue
            answer = other.ask(form, data)
            counts[answer.partition(":")[0]] += 1
            if answer.startswith("wrong"):
                wrong.append(f"seed {seed}, {', '.join(edits)}: {answer}")
    finally:
        other.close()
    for name, count in counts.items():
        record_property(name, count)
    print(dict(counts))
    assert not wrong, "\n".join(wrong)
