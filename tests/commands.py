"""What the tests of the commands share: series in files, and running a command in this process."""

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple

import numpy as np
import pandas as pd

from seqfeat.cli import main

LONG = ["--id", "meter", "--time", "day", "--label", "kind"]
QUICK = ["--embedding-dim", "4", "--max-iter", "3"]


class Done(NamedTuple):
    """How a command ended and what it said."""

    status: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


def seqfeat(*arguments):
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as end:  # of argparse
            status = end.code
    return Done(status, out.getvalue(), err.getvalue())


def ok(*arguments):
    """Run a command that has to end well."""
    done = seqfeat(*arguments)
    assert done.status == 0, done.err
    return done


def complaint(*arguments, status=1):
    """Return the one line that a command says instead of a result."""
    done = seqfeat(*arguments)
    assert done.status == status
    assert done.out == ""
    lines = done.err.splitlines()
    assert lines[-1].startswith("seqfeat: error: ")
    assert not any("Traceback" in line for line in lines)
    return lines[-1].removeprefix("seqfeat: error: ")


def meters(n_series=40, seed=0):
    """A long table of waves, those of homes slower than those of shops."""
    rng = np.random.default_rng(seed)
    parts = []
    for series in range(n_series):
        day = np.arange(rng.integers(15, 25))
        is_shop = series % 2 == 1
        wave = np.sin(day * (1.4 if is_shop else 0.5) + rng.uniform(0, 6))
        columns = {
            "meter": f"m{series:03}",
            "day": day,
            "load": wave.round(4),
            "heat": rng.normal(size=len(day)).round(4),
            "kind": "shop" if is_shop else "home",
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def small_batches(monkeypatch):
    """Let streams come in parts of a few series."""
    monkeypatch.setattr("seqfeat.series.streaming.BATCH_BYTES", 4000)
    monkeypatch.setattr("seqfeat.series.streaming.slices.__defaults__", (4000,))
