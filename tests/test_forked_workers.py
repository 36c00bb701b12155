"""Fault 31: processes forked after torch was used, its threads and locks and all."""

import subprocess
import sys

import pytest
import torch

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork")

BEFORE = """
import multiprocessing, warnings
import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from seqfeat import LSTMAutoencoder, make_classifier

warnings.simplefilter("ignore", ConvergenceWarning)
torch.set_num_threads(4)
torch.rand(1500, 1500) @ torch.rand(1500, 1500)  # OpenMP's threads, which no child inherits
phase = np.random.default_rng(0).uniform(0, 6, size=(200, 1))
X = np.sin(np.linspace(0, 5, 24) + phase)[:, :, None]
"""


def run(program):
    """Run a program in a process of its own; one that hangs fails."""
    done = subprocess.run(
        [sys.executable, "-c", BEFORE + program], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_fault_31_a_forked_process_fits_and_transforms_on_the_cpu():
    program = """
model = LSTMAutoencoder(4, max_iter=2, random_state=0, device="cpu").fit(X)
Z = model.transform(X)

def again(task):
    if task == "transform":
        return model.transform(X)
    return LSTMAutoencoder(4, max_iter=2, random_state=0, device="cpu").fit(X).transform(X)

with multiprocessing.get_context("fork").Pool(2) as pool:
    for other in pool.map(again, ["transform", "fit", "transform", "fit"]):
        print(np.array_equal(other, Z))
"""
    assert run(program) == ["True"] * 4


def test_fault_31_a_search_on_forked_processes_gives_the_serial_scores():
    program = """
import joblib

classifier = make_classifier(2, max_iter=2, random_state=0, device="cpu")
grid = {"autoencoder__embedding_dim": [2, 4]}
search = GridSearchCV(classifier, grid, cv=2, refit=False, error_score="raise")
y = np.sin(phase[:, 0]) > 0
serial = search.fit(X, y).cv_results_["mean_test_score"]
with joblib.parallel_config("multiprocessing", n_jobs=2):
    print(np.array_equal(search.fit(X, y).cv_results_["mean_test_score"], serial))
"""
    assert run(program) == ["True"]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_fault_31_a_forked_process_says_that_it_cannot_use_cuda():
    program = """
model = LSTMAutoencoder(4, max_iter=1, random_state=0, device="cuda").fit(X)
model.transform(X)

def again(task):
    try:
        model.transform(X) if task == "transform" else model.fit(X)
    except RuntimeError as error:
        return "forked subprocess" in str(error) and "spawn" in str(error)

with multiprocessing.get_context("fork").Pool(2) as pool:
    print(*pool.map(again, ["transform", "fit"]))
"""
    assert run(program) == ["True", "True"]
