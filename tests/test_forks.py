"""Fault 40: processes that are forked while another thread loads, compiles or transforms."""

import sys

import pytest

from tests.programs import run_python

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform == "win32", reason="needs fork"),
]

SETUP = """
import os, signal, sys, threading, time, warnings
import numpy as np

warnings.simplefilter("ignore")
X = np.random.default_rng(0).normal(size=(30, 40, 2)).cumsum(axis=1)
path = sys.argv[1]

def child_ends_well(work):
    '''Whether a forked process comes to the end of some work within a minute.'''
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        try:
            work()
        finally:
            os._exit(0 if sys.exc_info()[0] is None else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""

SAVE = """
import seqfeat
model = seqfeat.LSTMAutoencoder(8, max_iter=1, random_state=0).fit(X)
seqfeat.save(model, path)
np.save(path + ".npy", model.transform(X))
"""

FORK_ONCE = """
import seqfeat  # imports nothing yet: that is done by the other thread

def load_and_transform():
    return seqfeat.load(path).transform(X)

expected = np.load(path + ".npy")
def check():
    np.testing.assert_array_equal(load_and_transform(), expected)

thread = threading.Thread(target=load_and_transform)
thread.start()
time.sleep(float(sys.argv[2]))
print(child_ends_well(check))
thread.join()
"""

FORK_OFTEN = """
import pickle
import seqfeat

model = seqfeat.load(path)
saved, expected = pickle.dumps(model), np.load(path + ".npy")
stop = threading.Event()

def check():
    np.testing.assert_array_equal(pickle.loads(saved).transform(X), expected)
    np.testing.assert_array_equal(model.transform(X), expected)

def work():
    while not stop.is_set():
        check()

threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads:
    thread.start()
delays = np.random.default_rng(1).uniform(0, 0.03, size=int(sys.argv[2]))
ended = []
for delay in delays:
    time.sleep(delay)
    ended.append(child_ends_well(check))
stop.set()
for thread in threads:
    thread.join()
print(*sorted(set(ended)))
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A saved model, with the embeddings that it returns beside it."""
    name = str(tmp_path_factory.mktemp("models") / "model.joblib")
    run_python(SETUP + SAVE, arguments=[name])
    return name


@pytest.mark.parametrize("delay", [0.1, 0.8])
def test_fault_40_a_child_forked_during_the_first_load_works(path, delay):
    """While the other thread imports PyTorch, and while it compiles the kernels."""
    assert run_python(SETUP + FORK_ONCE, arguments=[path, str(delay)]).split() == ["0"]


@pytest.mark.parametrize("n_forks", [10, pytest.param(50, marks=pytest.mark.fuzz)])
def test_fault_40_children_forked_at_any_moment_of_loading_and_transforming_work(path, n_forks):
    assert run_python(SETUP + FORK_OFTEN, arguments=[path, str(n_forks)]).split() == ["0"]
