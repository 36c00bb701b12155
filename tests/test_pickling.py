import copy
import os
import pickle
import pickletools
import subprocess
import sys

import joblib
import numpy as np
import pytest
import torch
from joblib.numpy_pickle import NumpyUnpickler
from sklearn.base import clone
from sklearn.callback import ProgressBar
from sklearn.exceptions import NotFittedError

from seqfeat import LSTMAutoencoder, ModelFileError, make_classifier
from seqfeat.datasets import load_japanese_vowels

# Two or three epochs say whether things fit together, not whether they converge.
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def utterances(n_speakers=3, each=8):
    X, y = load_japanese_vowels(return_X_y=True)
    rows = np.concatenate([np.arange(each) + 30 * speaker for speaker in range(n_speakers)])
    return X[rows], y[rows]


def small(**params):
    return LSTMAutoencoder(**{"embedding_dim": 4, "max_iter": 2, "random_state": 0, **params})


def fitted_plain():
    return small().fit(utterances()[0])


def fitted_with_everything():
    estimator = small(bidirectional=True, pooling="mean", dropout=0.1, early_stopping=True)
    return estimator.set_params(target_weight=0.5, missing="mask").fit(*utterances())


def fitted_on_a_stream():
    return small(random_state=np.random.RandomState(0)).partial_fit(utterances()[0])


def fitted_under_a_progress_bar():
    return fitted_plain().set_callbacks(ProgressBar()).fit(utterances()[0])


AUTOENCODERS = [
    fitted_plain,
    fitted_with_everything,
    fitted_on_a_stream,
    fitted_under_a_progress_bar,
]


@pytest.fixture(scope="module")
def pipeline():
    return make_classifier(4, max_iter=2, random_state=0).fit(*utterances())


def assert_predicts_the_same(restored, pipeline):
    X, _ = utterances(9, 3)
    assert restored.predict_proba(X).tobytes() == pipeline.predict_proba(X).tobytes()
    embeddings = [model[:-1].transform(X).tobytes() for model in (restored, pipeline)]
    assert embeddings[0] == embeddings[1]


# There and back


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_round_trip(pipeline, protocol):
    assert_predicts_the_same(pickle.loads(pickle.dumps(pipeline, protocol)), pipeline)


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 1), ("xz", 1)], ids=str)
def test_joblib_round_trip(tmp_path, pipeline, compress):
    path = tmp_path / "model.joblib"
    joblib.dump(pipeline, path, compress=compress)
    assert_predicts_the_same(joblib.load(path), pipeline)


@pytest.mark.parametrize("mmap_mode", ["r", "c"])
def test_joblib_round_trip_with_memory_mapped_weights(tmp_path, pipeline, mmap_mode):
    path = tmp_path / "model.joblib"
    joblib.dump(pipeline, path)
    before = path.read_bytes()
    restored = joblib.load(path, mmap_mode=mmap_mode)
    weights = restored.named_steps["autoencoder"].weights_
    assert any(isinstance(weight, np.memmap) for weight in weights.values())
    assert_predicts_the_same(restored, pipeline)
    restored.fit(*utterances())
    assert_predicts_the_same(restored, pipeline)
    assert path.read_bytes() == before


@pytest.mark.parametrize("fit", AUTOENCODERS)
def test_every_method_and_attribute_survives(fit):
    estimator = fit()
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


def test_pickling_does_not_change_with_use(pipeline):
    before = pickle.dumps(pipeline)
    restored = pickle.loads(before)
    restored.predict(utterances()[0])
    assert pickle.dumps(restored) == pickle.dumps(pickle.loads(before))


def test_an_unfitted_estimator_survives():
    restored = pickle.loads(pickle.dumps(small(hidden_dim=7)))
    assert restored.get_params() == small(hidden_dim=7).get_params()
    with pytest.raises(NotFittedError):
        restored.transform(utterances()[0])


# What is inside


def globals_of(payload):
    """Return the modules that a pickle of protocol 2 names."""
    operations = pickletools.genops(payload)
    names = [argument for opcode, argument, _ in operations if opcode.name == "GLOBAL"]
    return {name.split(" ")[0] for name in names}


def strings_of(payload):
    """Return all text in a pickle; later protocols name modules by it."""
    return {argument for _, argument, _ in pickletools.genops(payload) if isinstance(argument, str)}


def is_torch(module):
    return module.split(".")[0] == "torch"


def test_these_tests_would_see_a_tensor():
    tensor = {"weight": torch.zeros(2)}
    assert any(map(is_torch, globals_of(pickle.dumps(tensor, 2))))
    assert any(map(is_torch, strings_of(pickle.dumps(tensor))))


@pytest.mark.parametrize("fit", AUTOENCODERS)
def test_a_pickle_holds_no_torch_object(fit):
    estimator = fit()
    estimator.transform(utterances()[0])
    modules = globals_of(pickle.dumps(estimator, 2))
    assert "seqfeat.autoencoder" in modules
    assert not any(map(is_torch, modules))
    assert not any(map(is_torch, strings_of(pickle.dumps(estimator))))


def test_a_pickled_pipeline_holds_no_torch_object(pipeline):
    pipeline.predict(utterances()[0])
    modules = globals_of(pickle.dumps(pipeline, 2))
    assert {"seqfeat.autoencoder", "sklearn.pipeline"} <= modules
    assert not any(map(is_torch, modules))


def test_a_joblib_file_holds_no_torch_object(tmp_path, pipeline, monkeypatch):
    joblib.dump(pipeline, tmp_path / "model.joblib")
    find_class, modules = NumpyUnpickler.find_class, set()

    def watched(unpickler, module, name):
        modules.add(module)
        return find_class(unpickler, module, name)

    monkeypatch.setattr(NumpyUnpickler, "find_class", watched)
    assert_predicts_the_same(joblib.load(tmp_path / "model.joblib"), pipeline)
    assert "seqfeat.autoencoder" in modules
    assert not any(map(is_torch, modules))


# In another process


LOAD_AND_PREDICT = """
import sys, joblib, torch
assert not torch.cuda.is_available()
pipeline, X = joblib.load(sys.argv[1])
sys.stdout.buffer.write(pipeline.predict_proba(X).tobytes())
"""


def dump_pickle(model, path):
    path.write_bytes(pickle.dumps(model))


@pytest.mark.parametrize("dump", [joblib.dump, dump_pickle])
def test_a_fresh_process_without_cuda_predicts_the_same_bytes(tmp_path, pipeline, dump):
    X, _ = utterances(9, 3)
    path = tmp_path / "model"
    dump((pipeline, X), path)
    hidden = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": str(torch.get_num_threads())}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", LOAD_AND_PREDICT, path],
        env={**os.environ, **hidden},
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr.decode()
    assert result.stdout == pipeline.predict_proba(X).tobytes()


# Copies


def test_a_deep_copy_predicts_the_same_and_lives_on_its_own(pipeline):
    X, y = utterances()
    expected = pipeline.predict_proba(X)
    twin = copy.deepcopy(pipeline)
    assert_predicts_the_same(twin, pipeline)
    twin.set_params(autoencoder__random_state=1).fit(X, y)
    assert not np.array_equal(twin.predict_proba(X), expected)
    np.testing.assert_array_equal(pipeline.predict_proba(X), expected)


def test_a_copy_shares_no_weights():
    estimator = fitted_plain()
    twin = copy.deepcopy(estimator)
    for name, weight in estimator.weights_.items():
        assert not np.shares_memory(weight, twin.weights_[name])


def test_replaced_weights_are_used_at_once():
    X, _ = utterances()
    first, second = fitted_plain(), small(random_state=1).fit(X)
    first.transform(X)
    first.weights_ = second.weights_
    np.testing.assert_array_equal(first.transform(X), second.transform(X))


def test_a_clone_is_unfitted_and_fits_the_same(pipeline):
    twin = clone(pipeline)
    with pytest.raises(NotFittedError):
        twin.predict(utterances()[0])
    assert_predicts_the_same(twin.fit(*utterances()), pipeline)


@pytest.mark.parametrize("make", AUTOENCODERS)
def test_joblib_hashes_a_copy_alike(make):
    # joblib.Memory, a Pipeline's memory=, finds its entries by these.
    estimator = make()
    assert joblib.hash(estimator) == joblib.hash(copy.deepcopy(estimator))
    assert joblib.hash(estimator) == joblib.hash(pickle.loads(pickle.dumps(estimator)))


def test_a_pickle_without_a_checksum_opens():
    # From before there was one.
    estimator = fitted_plain()
    again = LSTMAutoencoder()
    again.__setstate__(dict(vars(estimator)))
    X = utterances()[0]
    np.testing.assert_array_equal(again.transform(X), estimator.transform(X))
    assert "_checksum" not in vars(again)


def test_a_changed_weight_is_noticed():
    state = fitted_plain().__getstate__()
    name = next(iter(state["weights_"]))
    state["weights_"] = {**state["weights_"], name: state["weights_"][name] + 1e-7}
    with pytest.raises(ModelFileError, match="its checksum differs"):
        LSTMAutoencoder().__setstate__(state)
