"""Running a program in a Python process of its own."""

import os
import subprocess
import sys


def run_python(program, *, arguments=(), environment=None, cwd=None, timeout=300):
    """Return what a program prints; fail with its errors if it fails, and if it hangs."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, **(environment or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
