"""Fault 37: the caller's defaults for torch's dtype and device, and its modes, reach no result."""

import json
import subprocess
import sys

import pytest

from tests.torch_defaults import CASES, ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork")


@pytest.mark.slow
def test_fault_37_results_do_not_depend_on_torchs_defaults():
    """Whenever they change: before the import, before fits and loads, or before transform."""
    command = [sys.executable, "-m", "tests.torch_defaults"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=600)
    assert done.returncode == 0, done.stderr
    digests = json.loads(done.stdout)

    differ = {}
    for backend, change, moment in CASES:
        expected = digests[f"{backend} nothing load"]
        found = digests[f"{backend} {change} {moment}"]
        assert len(expected) > 100, expected
        names = [name for name, digest in expected.items() if found.get(name) != digest]
        if names:
            differ[f"{backend}: {change} before {moment}"] = found.get("error", names)
    # A fault that was planted in both backends shows that others would be found.
    planted = {f"{backend}: planted before load" for backend in ("kernels", "torch")}
    assert planted <= differ.keys()
    assert differ.keys() == planted, differ
