"""Prints what each public call changes of the state that a whole process shares.

    python -m tests.global_state

The output is JSON: for each call, the names of what it changed.
"""

import faulthandler
import gc
import json
import locale
import logging
import os
import random
import signal
import socket
import sys
import tempfile
import threading
import warnings
from decimal import getcontext
from importlib import import_module
from pathlib import Path

import joblib
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import sklearn
import torch

from tests.new_threads import threads_of_a_new_thread

mpl.use("Agg")


def torch_settings():
    """Return torch's settings by name."""
    backends = torch.backends
    names = {
        "default dtype": torch.get_default_dtype,
        "default device": torch.get_default_device,
        "gradients": torch.is_grad_enabled,
        "inference mode": torch.is_inference_mode_enabled,
        "autocast": lambda: torch.is_autocast_enabled("cpu"),
        "deterministic": torch.are_deterministic_algorithms_enabled,
        "anomalies": torch.is_anomaly_enabled,
        "threads": torch.get_num_threads,
        "threads between operations": torch.get_num_interop_threads,
        "matmul": torch.get_float32_matmul_precision,
        "cudnn": lambda: (
            *(backends.cudnn.enabled, backends.cudnn.benchmark),
            *(backends.cudnn.deterministic, backends.cudnn.allow_tf32),
        ),
        "mkldnn": lambda: (backends.mkldnn.enabled, backends.mkldnn.deterministic),
        "sharing": torch.multiprocessing.get_sharing_strategy,
        "print options": lambda: str(torch._tensor_str.PRINT_OPTS),
        "random state": lambda: torch.get_rng_state().tolist(),
    }
    return {f"torch: {name}": str(function()) for name, function in names.items()}


def loggers():
    """Return level, handlers and flags of all loggers that there were at the beginning."""
    found = [logging.getLogger(), *(logging.getLogger(name) for name in LOGGERS)]
    return [(one.name, one.level, one.handlers, one.propagate, one.disabled) for one in found]


LOGGERS = sorted(logging.root.manager.loggerDict)
SIGNALS = [one for one in signal.valid_signals() if one not in (signal.SIGKILL, signal.SIGSTOP)]


def snapshot():
    """Return the state of the process by name."""
    return {
        "Python's random state": random.getstate(),
        "NumPy's random state": str(np.random.get_state(legacy=False)),  # noqa: NPY002
        "warning filters": list(warnings.filters),
        "function that shows warnings": warnings.showwarning,
        "environment": dict(os.environ),
        "working directory": os.getcwd(),
        "umask": (os.umask(0o22), os.umask(0o22))[1],
        "import path": list(sys.path),
        "recursion limit": sys.getrecursionlimit(),
        "switch interval": sys.getswitchinterval(),
        "standard streams": (sys.stdin, sys.stdout, sys.stderr),
        "hooks": (sys.excepthook, sys.displayhook, threading.excepthook, sys.unraisablehook),
        "tracing": (sys.gettrace(), sys.getprofile()),
        "signal handlers": {int(one): signal.getsignal(one) for one in SIGNALS},
        "alarm": signal.getitimer(signal.ITIMER_REAL),
        "garbage collection": (gc.isenabled(), gc.get_threshold(), gc.get_debug()),
        "faulthandler": faulthandler.is_enabled(),
        "locale": locale.setlocale(locale.LC_ALL),
        "time limit of sockets": socket.getdefaulttimeout(),
        "folder of temporary files": tempfile.gettempdir(),
        "decimals": str(getcontext()),
        "logging": loggers(),
        "level under which logging is off": logging.root.manager.disable,
        "class of loggers": logging.getLoggerClass(),
        "running threads": sorted(thread.name for thread in threading.enumerate()),
        "floating point errors": np.geterr(),
        "print options": str(np.get_printoptions()),
        "matplotlib's settings": dict(mpl.rcParams),
        "matplotlib's backend": mpl.get_backend(),
        "open figures": plt.get_fignums(),
        "scikit-learn's settings": sklearn.get_config(),
        "pandas's settings": str(pd.core.config_init.cf._global_config),
        "joblib's backends": sorted(joblib.parallel.BACKENDS),
        "threads of a new thread": threads_of_a_new_thread(),
        **torch_settings(),
    }


def walks(n_series=24, n_timesteps=30):
    """Return series of two channels."""
    return np.random.default_rng(0).normal(size=(n_series, n_timesteps, 2)).cumsum(axis=1)


X, Y = walks(), np.arange(24) % 3


def calls(folder):
    """Yield the name and the function of every public call, in an order that works."""
    import seqfeat
    from seqfeat import display, series
    from seqfeat.datasets import load_japanese_vowels

    def make(**parameters):
        common = {"max_iter": 2, "random_state": None, "device": "cpu"}
        return seqfeat.LSTMAutoencoder(4, **{**common, **parameters})

    table = pd.DataFrame(
        {
            "id": np.repeat(np.arange(24), 30),
            "time": np.tile(np.arange(30), 24),
            "label": np.repeat(Y, 30),
            "x": X[:, :, 0].ravel(),
        }
    )
    table.to_csv(folder / "table.csv", index=False)
    model, trained = make(), make(pooling="statistics", dropout=0.2, input_noise=0.1)
    classifier = seqfeat.make_classifier(4, max_iter=2)
    yield "fit", lambda: model.fit(X)
    yield "fit of a trained encoder", lambda: trained.fit(X)
    yield "fit with PyTorch", lambda: make(pooling="max", bidirectional=True, verbose=0).fit(X)
    yield "fit with checkpoints", lambda: make(checkpoint_dir=folder / "checkpoints").fit(X)
    yield "partial_fit", lambda: make().partial_fit(X)
    yield "transform", lambda: model.transform(X)
    yield "inverse_transform", lambda: model.inverse_transform(model.transform(X))
    yield "reconstruct", lambda: model.reconstruct(X)
    yield "score", lambda: model.score(X)
    yield "score_samples", lambda: model.score_samples(X)
    yield "an error", lambda: raises(lambda: model.transform(np.full((2, 30, 2), np.nan)))
    yield "fit of a classifier", lambda: classifier.fit(X, Y)
    yield "predict", lambda: classifier.predict(X)
    yield "transform_into", lambda: seqfeat.transform_into(model, X, folder / "features.npy")
    yield "save", lambda: seqfeat.save(classifier, folder / "model.joblib")
    yield "load", lambda: seqfeat.load(folder / "model.joblib")
    yield "save as skops", lambda: seqfeat.save(classifier, folder / "secure.skops")
    yield "load from skops", lambda: seqfeat.load(folder / "secure.skops")
    yield "export_onnx", lambda: seqfeat.export_onnx(classifier, folder / "graph.onnx")
    yield "read", lambda: series.read(folder / "table.csv", series_id="id", time="time")
    yield (
        "read_into",
        lambda: seqfeat.read_into(
            folder / "table.csv", folder / "series.npy", series_id="id", time="time", label="label"
        ),
    )
    yield "from_long", lambda: series.from_long(table, series_id="id", time="time", label="label")
    yield "load_japanese_vowels", lambda: load_japanese_vowels(return_X_y=True)
    yield "save_report", lambda: seqfeat.save_report(classifier, X, Y, folder / "report.html")
    yield "LossCurveDisplay", lambda: shown(display.LossCurveDisplay.from_estimator(model))
    yield (
        "ReconstructionDisplay",
        lambda: shown(display.ReconstructionDisplay.from_estimator(model, X)),
    )
    yield "EmbeddingDisplay", lambda: shown(display.EmbeddingDisplay.from_estimator(model, X, Y))

    yield (
        "adapters",
        lambda: [import_module(f"seqfeat.adapters.{one}") for one in ("aeon", "sktime")],
    )


def shown(drawn):
    """Close the figure that a display made."""
    plt.close(drawn.figure_)


def raises(call):
    """Make a call that has to fail."""
    try:
        call()
    except ValueError:
        return
    raise AssertionError("no error")


def plant():
    """Change some of the state, as a control that it is seen."""
    np.random.seed(7)  # noqa: NPY002
    os.environ["SEQFEAT_PLANTED"] = "1"
    warnings.simplefilter("always")
    torch.set_num_threads(torch.get_num_threads() + 1)


def changes_of(call):
    """Return the names of what a call changes."""
    before = snapshot()
    call()
    after = snapshot()
    return [name for name in before if before[name] != after[name]]


def main():
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        changes = {"import": changes_of(lambda: import_module("seqfeat"))}
        changes |= {name: changes_of(call) for name, call in calls(Path(folder))}
        changes["planted"] = changes_of(plant)
    print(json.dumps(changes))


if __name__ == "__main__":
    main()
