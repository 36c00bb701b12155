"""Pickles of fitted estimators open as the same model, or not at all."""

import copy
import functools
import io
import json
import os
import pickle
import pickletools
import subprocess
import sys
import zipfile

import joblib
import numpy as np
import pytest
import torch
from joblib.numpy_pickle import NumpyUnpickler
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError

from seqfeat import LSTMAutoencoder, ModelFileError, ModelVersionError, make_classifier
from seqfeat.datasets import load_japanese_vowels
from seqfeat.runtime.checked_state import CheckedStateMixin
from seqfeat.sklearn_compat import ProgressBar

# One or two epochs show whether the parts fit together, not whether training converges.
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def utterances(n_speakers=3, each=8):
    X, y = load_japanese_vowels(return_X_y=True)
    rows = np.concatenate([np.arange(each) + 30 * speaker for speaker in range(n_speakers)])
    return X[rows], y[rows]


def small(**params):
    return LSTMAutoencoder(**{"embedding_dim": 4, "max_iter": 1, "random_state": 0, **params})


def fit_plain():
    return small().fit(utterances()[0])


def fit_statistics():
    return small(pooling="statistics").fit(utterances()[0])


def fit_with_everything():
    estimator = small(bidirectional=True, pooling="mean", dropout=0.1, early_stopping=True)
    return estimator.set_params(target_weight=0.5, missing="mask").fit(*utterances())


def fit_on_a_stream():
    return small(random_state=np.random.RandomState(0)).partial_fit(utterances()[0])


def fit_with_a_progress_bar():
    return small().set_callbacks(ProgressBar()).fit(utterances()[0])


@pytest.fixture(
    scope="module",
    params=[
        fit_plain,
        fit_statistics,
        fit_with_everything,
        fit_on_a_stream,
        fit_with_a_progress_bar,
    ],
    ids=lambda fit: fit.__name__,
)
def estimator(request):
    """A fitted autoencoder of each kind, which tests must not change."""
    return request.param()


@pytest.fixture(scope="module")
def autoencoder():
    """A fitted autoencoder, which tests must not change."""
    return fit_plain()


@pytest.fixture(scope="module")
def pipeline():
    return make_classifier(4, max_iter=1, random_state=0).fit(*utterances())


def assert_predicts_the_same(restored, pipeline):
    X, _ = utterances(9, 3)
    assert restored.predict_proba(X).tobytes() == pipeline.predict_proba(X).tobytes()
    embeddings = [model[:-1].transform(X).tobytes() for model in (restored, pipeline)]
    assert embeddings[0] == embeddings[1]


# There and back


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_pickle_round_trip(pipeline, protocol):
    assert_predicts_the_same(pickle.loads(pickle.dumps(pipeline, protocol)), pipeline)


@pytest.mark.parametrize("compress", [0, 3])
def test_joblib_round_trip(tmp_path, pipeline, compress):
    path = tmp_path / "model.joblib"
    joblib.dump(pipeline, path, compress=compress)
    assert_predicts_the_same(joblib.load(path), pipeline)


def test_joblib_round_trip_with_memory_mapped_weights(tmp_path, pipeline):
    path = tmp_path / "model.joblib"
    joblib.dump(pipeline, path)
    before = path.read_bytes()
    restored = joblib.load(path, mmap_mode="r")
    weights = restored.named_steps["autoencoder"].weights_
    assert any(isinstance(weight, np.memmap) for weight in weights.values())
    assert_predicts_the_same(restored, pipeline)
    restored.fit(*utterances())
    assert_predicts_the_same(restored, pipeline)
    assert path.read_bytes() == before


def test_every_method_and_attribute_survives(estimator):
    restored = pickle.loads(pickle.dumps(estimator))
    X, _ = utterances(9, 3)
    assert restored.transform(X).tobytes() == estimator.transform(X).tobytes()
    assert restored.score_samples(X).tobytes() == estimator.score_samples(X).tobytes()
    assert restored.score(X) == estimator.score(X)
    for own, original in zip(restored.reconstruct(X), estimator.reconstruct(X), strict=True):
        assert own.tobytes() == original.tobytes()
    assert vars(restored).keys() == vars(estimator).keys()
    assert restored.loss_curve_ == estimator.loss_curve_
    assert restored.architecture_ == estimator.architecture_


def test_using_an_estimator_does_not_change_its_pickle(pipeline):
    before = pickle.dumps(pipeline)
    restored = pickle.loads(before)
    restored.predict(utterances()[0])
    assert pickle.dumps(restored) == pickle.dumps(pickle.loads(before))


def test_an_unfitted_estimator_survives():
    restored = pickle.loads(pickle.dumps(small(hidden_dim=7)))
    assert restored.get_params() == small(hidden_dim=7).get_params()
    with pytest.raises(NotFittedError):
        restored.transform(utterances()[0])


# What a pickle contains


def globals_of(payload):
    """Return the modules that a pickle of protocol 2 imports."""
    operations = pickletools.genops(payload)
    names = [argument for opcode, argument, _ in operations if opcode.name == "GLOBAL"]
    return {name.split(" ")[0] for name in names}


def strings_of(payload):
    """Return all strings in a pickle, which in later protocols include the modules' names."""
    return {argument for _, argument, _ in pickletools.genops(payload) if isinstance(argument, str)}


def is_torch(module):
    return module.split(".")[0] == "torch"


def test_these_tests_would_notice_a_tensor():
    tensor = {"weight": torch.zeros(2)}
    assert any(map(is_torch, globals_of(pickle.dumps(tensor, 2))))
    assert any(map(is_torch, strings_of(pickle.dumps(tensor))))


def test_a_pickle_contains_no_torch_object(estimator):
    estimator.transform(utterances()[0])
    modules = globals_of(pickle.dumps(estimator, 2))
    assert "seqfeat.autoencoder" in modules
    assert not any(map(is_torch, modules))
    assert not any(map(is_torch, strings_of(pickle.dumps(estimator))))


def test_a_joblib_file_contains_no_torch_object(tmp_path, pipeline, monkeypatch):
    pipeline.predict(utterances()[0])
    joblib.dump(pipeline, tmp_path / "model.joblib")
    find_class, modules = NumpyUnpickler.find_class, set()

    def record_module(unpickler, module, name):
        modules.add(module)
        return find_class(unpickler, module, name)

    monkeypatch.setattr(NumpyUnpickler, "find_class", record_module)
    assert_predicts_the_same(joblib.load(tmp_path / "model.joblib"), pipeline)
    assert {"seqfeat.autoencoder", "seqfeat.pipeline"} <= modules
    assert not any(map(is_torch, modules))


# In another process


LOAD_AND_PREDICT = """
import pickle, sys, joblib, torch
assert not torch.cuda.is_available()
pipeline, X = joblib.load(sys.argv[1])
sys.stdout.buffer.write(pipeline.predict_proba(X).tobytes())
with open(sys.argv[2], "rb") as file:
    pipeline, X = pickle.load(file)
sys.stdout.buffer.write(pipeline.predict_proba(X).tobytes())
"""


@pytest.mark.slow
def test_a_new_process_without_cuda_predicts_the_same_bytes(tmp_path, pipeline):
    X, _ = utterances(9, 3)
    paths = tmp_path / "model.joblib", tmp_path / "model.pickle"
    joblib.dump((pipeline, X), paths[0])
    paths[1].write_bytes(pickle.dumps((pipeline, X)))
    environment = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": str(torch.get_num_threads())}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", LOAD_AND_PREDICT, *paths],
        env={**os.environ, **environment},
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr.decode()
    assert result.stdout == 2 * pipeline.predict_proba(X).tobytes()


# Copies


def test_a_deep_copy_predicts_the_same_and_is_independent(pipeline):
    X, y = utterances()
    expected = pipeline.predict_proba(X)
    twin = copy.deepcopy(pipeline)
    assert_predicts_the_same(twin, pipeline)
    twin.set_params(autoencoder__random_state=1).fit(X, y)
    assert not np.array_equal(twin.predict_proba(X), expected)
    np.testing.assert_array_equal(pipeline.predict_proba(X), expected)


def test_a_copy_shares_no_weights(autoencoder):
    twin = copy.deepcopy(autoencoder)
    for name, weight in autoencoder.weights_.items():
        assert not np.shares_memory(weight, twin.weights_[name])


def test_replaced_weights_are_used_at_once():
    X, _ = utterances()
    first, second = fit_plain(), small(random_state=1).fit(X)
    first.transform(X)
    first.weights_ = second.weights_
    np.testing.assert_array_equal(first.transform(X), second.transform(X))


def test_a_clone_is_unfitted_and_fits_the_same(pipeline):
    twin = clone(pipeline)
    with pytest.raises(NotFittedError):
        twin.predict(utterances()[0])
    assert_predicts_the_same(twin.fit(*utterances()), pipeline)


def test_joblib_computes_the_same_hash_for_a_copy(estimator):
    # joblib.Memory, which is a Pipeline's memory=, looks up its entries by these.
    assert joblib.hash(estimator) == joblib.hash(copy.deepcopy(estimator))
    assert joblib.hash(estimator) == joblib.hash(pickle.loads(pickle.dumps(estimator)))


# Checksum and version


def test_a_changed_weight_is_noticed(autoencoder):
    state = autoencoder.__getstate__()
    name = next(iter(state["weights_"]))
    state["weights_"] = {**state["weights_"], name: state["weights_"][name] + 1e-7}
    with pytest.raises(ModelFileError, match="its checksum does not match"):
        LSTMAutoencoder().__setstate__(state)


@pytest.mark.filterwarnings("ignore")
def test_fault_25_a_flipped_bit_is_an_error_or_changes_no_embedding(autoencoder):
    file = io.BytesIO()
    joblib.dump(autoencoder, file)
    intact, X = file.getvalue(), utterances()[0][:4]
    expected = autoencoder.transform(X)
    positions = np.random.default_rng(0).choice(len(intact), 400, replace=False).tolist()
    positions += [*range(64), *range(len(intact) - 64, len(intact))]
    n_errors = 0
    for position in positions:
        damaged = bytearray(intact)
        damaged[position] ^= 1 << position % 8
        try:
            embeddings = joblib.load(io.BytesIO(damaged)).transform(X)
        except Exception:  # unpickling damaged bytes raises errors of all kinds
            n_errors += 1
        else:
            np.testing.assert_array_equal(embeddings, expected)
    assert n_errors > len(positions) / 2


@pytest.mark.parametrize("key", ["_checksum", "_seqfeat_version"])
def test_fault_38_a_state_without_a_checksum_or_version_is_refused(autoencoder, key):
    """Every version that ever saved a fitted estimator added both."""
    state = autoencoder.__getstate__()
    del state[key]
    with pytest.raises(ModelFileError, match="no version or no checksum"):
        LSTMAutoencoder().__setstate__(state)


@pytest.mark.parametrize("version", [3, "new", b"0.1", ["0.1"]])
def test_fault_38_a_version_that_is_none_is_refused(autoencoder, version):
    state = {**autoencoder.__getstate__(), "_seqfeat_version": version}
    with pytest.raises(ModelFileError, match=r"cannot be restored \((Type|Value)Error"):
        LSTMAutoencoder().__setstate__(state)


@pytest.mark.parametrize("state", [None, 3, [], ["weights_"], [("weights_", {})], "state", {3: 4}])
def test_fault_38_a_state_of_another_type_is_refused(state):
    with pytest.raises(ModelFileError, match="cannot be restored"):
        LSTMAutoencoder().__setstate__(state)


@pytest.mark.parametrize(
    "name",
    ["transform", "_check_learned", "_n_features_out", "_parameter_constraints", "__array__"],
)
@pytest.mark.parametrize("value", [dict, 3])
@pytest.mark.parametrize("is_fitted", [True, False])
def test_fault_38_no_attribute_hides_one_of_the_class(autoencoder, name, value, is_fitted):
    """skops trusts built-in types, and `dict` as a method would be called without an error."""
    forged = copy.deepcopy(autoencoder) if is_fitted else LSTMAutoencoder()
    vars(forged)[name] = value
    with pytest.raises(ModelFileError, match=f"its attribute {name} would replace"):
        copy.deepcopy(forged)


def test_fault_38_nothing_new_can_pose_as_a_method(autoencoder):
    forged = copy.deepcopy(autoencoder)
    forged.predict = dict
    with pytest.raises(ModelFileError, match="its attribute predict would replace a method"):
        copy.deepcopy(forged)


def test_notes_of_users_are_kept(autoencoder):
    noted = copy.deepcopy(autoencoder)
    noted.trained_on, noted._site = "the second line", {"plant": 3}
    again = pickle.loads(pickle.dumps(noted))
    assert (again.trained_on, again._site) == ("the second line", {"plant": 3})


class Extended(LSTMAutoencoder):
    """What users may write: another parameter, and something of their own that is learned."""

    def __init__(self, embedding_dim=4, *, hidden_dim=8, max_iter=1, extra="default"):
        super().__init__(embedding_dim, hidden_dim=hidden_dim, max_iter=max_iter)
        self.extra = extra

    def fit(self, X, y=None):
        super().fit(X, y)
        self.network_ = torch.nn.Linear(2, 1)
        return self


def test_a_subclass_may_learn_more():
    X = utterances()[0]
    fitted = Extended(extra=3).fit(X)
    again = pickle.loads(pickle.dumps(fitted))
    assert again.get_params() == fitted.get_params()
    assert torch.equal(again.network_.weight, fitted.network_.weight)
    np.testing.assert_array_equal(again.transform(X), fitted.transform(X))


def test_a_state_that_is_refused_leaves_nothing_behind(autoencoder):
    state = {**autoencoder.__getstate__(), "n_channels_in_": 99}
    restored = LSTMAutoencoder.__new__(LSTMAutoencoder)
    with pytest.raises(ModelFileError):
        restored.__setstate__(state)
    assert vars(restored) == LSTMAutoencoder().get_params()


def test_fault_38_learned_attributes_without_weights_are_refused(autoencoder):
    forged = copy.deepcopy(autoencoder)
    del forged.weights_
    with pytest.raises(ModelFileError, match="weights_ is missing"):
        copy.deepcopy(forged)


def test_fault_38_a_state_that_repeats_itself_without_end_is_refused(autoencoder, monkeypatch):
    monkeypatch.setattr("seqfeat.runtime.checked_state.MAX_PARTS", 10**4)
    state = autoencoder.__getstate__()
    state["note"] = functools.reduce(lambda inner, _: [inner] * 10, range(30), [])
    with pytest.raises(ModelFileError, match="more than 10000 numbers"):
        LSTMAutoencoder().__setstate__(state)


def test_fault_38_a_skops_file_without_a_state_holds_an_unfitted_estimator(autoencoder):
    skops = pytest.importorskip("skops.io")
    source, target = zipfile.ZipFile(io.BytesIO(skops.dumps(autoencoder))), io.BytesIO()
    schema = {**json.loads(source.read("schema.json")), "content": None}
    with zipfile.ZipFile(target, "w") as forged:
        forged.writestr("schema.json", json.dumps(schema))
    trusted = ["seqfeat.autoencoder.LSTMAutoencoder"]
    restored = skops.loads(target.getvalue(), trusted=trusted)
    with pytest.raises(NotFittedError):
        restored.transform(utterances()[0])


def test_an_unfitted_estimator_opens_with_whatever_parameters_it_has():
    """`fit` checks them."""
    assert copy.deepcopy(LSTMAutoencoder(max_iter="many")).max_iter == "many"


def test_fault_36_classes_of_another_byte_order_open_again():
    """pickle restores arrays in the byte order of the machine."""
    X, y = utterances()
    order = ">" if sys.byteorder == "little" else "<"
    classes = np.unique(y).astype(f"{order}U1")
    fitted = small(target_weight=0.5).partial_fit(X, y, classes=classes)
    assert pickle.loads(pickle.dumps(fitted)).classes_.tolist() == ["1", "2", "3"]


@pytest.mark.parametrize("dtype", [bool, np.int8, np.float32, "U1", object, "datetime64[D]"])
def test_fault_36_classes_of_any_dtype_that_fit_takes_open_again(dtype):
    X, _ = utterances()
    y = np.array(["0", "1"])[np.arange(len(X)) % 2].astype("U1" if dtype is object else np.int64)
    fitted = small(target_weight=0.5).fit(X, y.astype(dtype))
    opened = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(opened.classes_, np.unique(y.astype(dtype)))


def test_fault_36_a_pickle_of_a_newer_version_is_refused(autoencoder, monkeypatch):
    monkeypatch.setattr("seqfeat.runtime.checked_state.__version__", "99.1")
    payload = pickle.dumps(autoencoder)
    monkeypatch.undo()
    with pytest.raises(ModelVersionError, match=r"seqfeat 99\.1, but this is seqfeat"):
        pickle.loads(payload)


# Pickles of earlier versions


class Earlier(CheckedStateMixin, BaseEstimator):
    """An estimator as an earlier version saved it."""

    def __init__(self, size=3):
        self.size = size

    def fit(self):
        self.weights_ = {"weight": np.arange(4.0)}
        self.deviation_ = np.array([0.5, 2.0])
        return self


class Later(CheckedStateMixin, BaseEstimator):
    """The same estimator in this version, with another parameter and a renamed attribute."""

    def __init__(self, size=3, extra="default"):
        self.size = size
        self.extra = extra


def test_fault_36_a_renamed_attribute_opens_under_its_new_name():
    restored = Later()
    restored.__setstate__(Earlier(size=5).fit().__getstate__())
    assert restored.std_.tolist() == [0.5, 2.0]
    assert not hasattr(restored, "deviation_")
    assert restored.weights_["weight"].tolist() == [0, 1, 2, 3]
    assert restored.size == 5
    # Saved again under the new name, it opens as well.
    assert copy.deepcopy(restored).std_.tolist() == [0.5, 2.0]


def test_fault_36_a_damaged_attribute_is_noticed_under_its_old_name():
    state = Earlier().fit().__getstate__()
    state["deviation_"] = state["deviation_"] + 1e-7
    with pytest.raises(ModelFileError, match="its checksum does not match"):
        Later().__setstate__(state)


def test_fault_36_a_parameter_that_was_added_since_has_its_default():
    restored = Later()
    restored.__setstate__(Earlier(size=5).fit().__getstate__())
    assert restored.get_params() == {"size": 5, "extra": "default"}
