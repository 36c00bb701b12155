"""Point by point, what belongs to the whole process is as the caller left it."""

import json
import threading

import pytest
import torch

from seqfeat import LSTMAutoencoder
from tests.autoencoders import waves
from tests.programs import run_python


@pytest.fixture(scope="module")
def changes():
    program = "import warnings; warnings.simplefilter('ignore')\n"
    program += "from tests.global_state import main; main()"
    return json.loads(run_python(program).splitlines()[-1])


@pytest.mark.slow
def test_public_calls_leave_the_state_of_the_process_alone(changes):
    """Random states, filters, environment, threads, signals, logging, settings of libraries."""
    changed = {call: names for call, names in changes.items() if names and call != "planted"}
    assert len(changes) > 25
    assert changed == {}


@pytest.mark.slow
def test_a_change_would_be_seen(changes):
    assert set(changes["planted"]) == {
        *("NumPy's random state", "environment", "warning filters"),
        *("threads of a new thread", "torch: threads"),
    }


def test_a_thread_that_first_uses_torch_during_a_fit_keeps_its_number_of_threads():
    before, seen = torch.get_num_threads(), []
    torch.set_num_threads(3)

    class Observer:
        def setup(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
            thread.start()
            thread.join()

        def on_fit_task_end(self, estimator, context):
            pass

        def teardown(self, estimator, context):
            pass

    try:
        LSTMAutoencoder(2, max_iter=2, device="cpu").set_callbacks(Observer()).fit(waves())
    finally:
        torch.set_num_threads(before)
    # Of the fit as a whole, and of its epochs, during which torch's operations run on one thread.
    assert len(seen) == 3
    assert set(seen) == {3}
