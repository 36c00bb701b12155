"""Fault 31: processes that are forked after torch was used, with its threads and locks."""

import sys

import pytest
import torch

from tests.programs import run_python

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform == "win32", reason="needs fork"),
]

SETUP = """
import json, multiprocessing, pickle, warnings
import joblib
import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from seqfeat import LSTMAutoencoder, make_classifier

warnings.simplefilter("ignore", ConvergenceWarning)
torch.set_num_threads(4)
torch.rand(1500, 1500) @ torch.rand(1500, 1500)  # starts OpenMP's threads, which no child inherits
phase = np.random.default_rng(0).uniform(0, 6, size=(200, 1))
X = np.sin(np.linspace(0, 5, 24) + phase)[:, :, None]
"""

ON_CPU = """
# Wide enough for PyTorch to share a matrix of weights among threads.
def new():
    return LSTMAutoencoder(80, pooling=pooling, max_iter=1, random_state=0, device="cpu")

model = new().fit(X)
saved = pickle.dumps(model)
Z = model.transform(X)

def embed(task):
    if task == "transform":
        return model.transform(X)
    return (new().fit(X) if task == "fit" else pickle.loads(saved)).transform(X)

with multiprocessing.get_context("fork").Pool(2) as pool:
    results = pool.map(embed, ["transform", "fit", "load", "transform", "fit", "load"])
print(all(np.array_equal(result, Z) for result in results))

classifier = make_classifier(2, pooling=pooling, max_iter=2, random_state=0, device="cpu")
grid = {"autoencoder__embedding_dim": [2, 4]}
search = GridSearchCV(classifier, grid, cv=2, refit=False, error_score="raise")
y = np.sin(phase[:, 0]) > 0
serial = search.fit(X, y).cv_results_["mean_test_score"]
with joblib.parallel_config("multiprocessing", n_jobs=2):
    forked = search.fit(X, y).cv_results_["mean_test_score"]
print(np.array_equal(forked, serial))
"""

ON_CUDA = """
model = LSTMAutoencoder(4, max_iter=1, random_state=0, device="cuda").fit(X)
model.transform(X)

def names_spawn(task):
    try:
        model.transform(X) if task == "transform" else model.fit(X)
    except RuntimeError as error:
        return "forked subprocess" in str(error) and "spawn" in str(error)

with multiprocessing.get_context("fork").Pool(2) as pool:
    print(*pool.map(names_spawn, ["transform", "fit"]))
"""


def run(program):
    return run_python(SETUP + program, timeout=240).split()


@pytest.fixture(scope="module", params=["reservoir", "statistics"])
def on_cpu(request):
    return run(f"pooling = {request.param!r}\n{ON_CPU}")


def test_fault_31_forked_processes_fit_and_transform_on_the_cpu(on_cpu):
    assert on_cpu[0] == "True"


def test_fault_31_a_search_on_forked_processes_gives_the_serial_scores(on_cpu):
    assert on_cpu[1] == "True"


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_fault_31_a_forked_process_gets_a_clear_error_on_cuda():
    assert run(ON_CUDA) == ["True", "True"]
