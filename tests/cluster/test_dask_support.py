"""Importing Dask on demand, and what the scheduler knows about its workers."""

import threading

from seqfeat.cluster.dask_support import worker_info
from tests.programs import run_python

WITHOUT_DASK = """
import sys
for name in ("dask", "distributed"):
    sys.modules[name] = None  # as if it were not installed
from seqfeat import cluster

def search():
    with cluster.searching(None):
        pass

for function in (lambda: cluster.transform(None, None), lambda: cluster.fit(None, None), search):
    try:
        function()
    except ImportError as error:
        print(error)
"""


def test_without_dask_every_function_names_the_extra():
    lines = run_python(WITHOUT_DASK).splitlines()
    assert len(lines) == 3
    assert all("pip install 'seqfeat[cluster]'" in line for line in lines)


def test_workers_are_found_even_while_dask_refreshes_without_them(client):
    # Dask's client does that every two seconds, and the answer lists no workers.
    is_done = threading.Event()

    def refresh():
        while not is_done.is_set():
            client.sync(client._update_scheduler_info, n_workers=0)

    thread = threading.Thread(target=refresh)
    thread.start()
    try:
        found = [worker_info(client) for _ in range(500)]
    finally:
        is_done.set()
        thread.join()
    assert {len(workers) for workers in found} == {2}
