"""Helpers for tests of the commands: run one in this process, and make data for it."""

import io
import json
import signal
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple

import numpy as np
import pandas as pd

from seqfeat.cli import main

LONG = ["--id", "meter", "--time", "day", "--label", "kind"]
QUICK = ["--embedding-dim", "4", "--max-iter", "3"]


class Result(NamedTuple):
    """The exit status and the output of a command."""

    status: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


def seqfeat(*arguments, interrupt_at=()):
    """Run a command in this process.

    With `interrupt_at`, press ctrl-C once all these texts have been printed to standard
    output, one after the other.
    """
    out, err = InterruptingOutput(interrupt_at), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as exit:  # argparse
            status = exit.code
    return Result(status, out.getvalue(), err.getvalue())


class InterruptingOutput(io.StringIO):
    def __init__(self, texts):
        super().__init__()
        self.texts = list(texts)

    def write(self, text):
        n_written = super().write(text)
        if self.texts and self.texts[0] in text:
            self.texts.pop(0)
            if not self.texts:
                signal.raise_signal(signal.SIGINT)
        return n_written


def ok(*arguments):
    """Run a command that must succeed."""
    result = seqfeat(*arguments)
    assert result.status == 0, result.err
    return result


def error_of(*arguments):
    """Run a command that must fail, and return its one-line error message."""
    result = seqfeat(*arguments)
    assert result.status == 1
    assert result.out == ""
    assert "Traceback" not in result.err
    last = result.err.splitlines()[-1]
    assert last.startswith("seqfeat: error: ")
    return last.removeprefix("seqfeat: error: ")


def meters(n_series=40, seed=0):
    """Return a long table of waves, which are slower for homes than for shops."""
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


def waves(n_series=30):
    """Return an array of sine waves of 20 timesteps and one channel."""
    return np.sin(np.arange(20) / 3 + np.arange(n_series)[:, None])[:, :, None]


def assert_close(actual, expected):
    """Compare embeddings, whose last bits may depend on the other series of a batch."""
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
