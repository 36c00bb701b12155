"""Prints digests of everything that models return, under each of torch's defaults and modes.

    python -m tests.torch_defaults

Each case runs in a process of its own, forked before seqfeat is imported: it fits, loads and runs
models of many kinds, by one backend, and changes one default or enters one mode at one moment. The
output is JSON: for each case the digest of every result by name, or the error.
"""

import hashlib
import importlib
import itertools
import json
import multiprocessing
import os
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch

SETTINGS = {
    "float64": lambda: torch.set_default_dtype(torch.float64),
    "float16": lambda: torch.set_default_dtype(torch.float16),
    "meta": lambda: torch.set_default_device("meta"),
    "bfloat16 products": lambda: torch.set_float32_matmul_precision("medium"),
}
MODES = {
    "autocast": lambda: enter(torch.autocast("cpu", torch.bfloat16)),
    "inference mode": lambda: enter(torch.inference_mode()),
    "no gradients": lambda: enter(torch.no_grad()),
}
MOMENTS = "import", "load", "transform"
"""What comes after the change; a fit counts as a load."""

CASES = [
    # What is made when a model is loaded is also made where the change comes before the import.
    *(("kernels", *case) for case in itertools.product(SETTINGS, ("import", "transform"))),
    *(("torch", change, "import") for change in SETTINGS),
    *itertools.product(["kernels", "torch"], [*MODES, "nothing", "planted"], ["load"]),
]
LIBRARIES = (
    *("sklearn.linear_model", "sklearn.model_selection", "sklearn.preprocessing", "pandas"),
    *("torch.optim", "torch._dynamo", "onnx", "skl2onnx", "onnxruntime", "skops.io"),
)
"""Imported once, in the parent process, to save time."""

ROOT = Path(__file__).parents[1]


def plant_a_fault():
    """Make a tensor from the defaults, and change one: a control that digests show it."""
    from seqfeat.nn.network import Decoder

    def time_features(decoder, n_steps, like):
        steps = torch.arange(n_steps, dtype=torch.get_default_dtype(), device=like.device)
        return torch.cos(steps[:, None] * torch.arange(1, decoder.n_time_features + 1))

    Decoder.time_features = time_features
    torch.set_default_dtype(torch.float16)


CHANGES = {**SETTINGS, **MODES, "nothing": lambda: None, "planted": plant_a_fault}


entered = []


def enter(mode):
    """Enter a mode of torch's, and stay there until the process ends."""
    entered.append(mode)
    mode.__enter__()


def walks(n_series=24, n_timesteps=40):
    """Return series of unequal lengths with a gap."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_series, n_timesteps, 2)).cumsum(axis=1)
    X[3, 5:8, 0] = np.nan
    lengths = rng.integers(20, n_timesteps + 1, n_series)
    return [series[:length] for series, length in zip(X, lengths, strict=True)]


X, Y = walks(), np.arange(24) % 3


def golden_series():
    with np.load(ROOT / "tests" / "golden" / "golden.npz") as golden:
        lengths = golden["lengths"][:9]
        return [x[:length] for x, length in zip(golden["X"], lengths, strict=False)]


class Killed(BaseException):
    """As if the process had been killed."""


def fit_and_resume(model):
    """Fit with checkpoints; the process is killed after the first one, and the fit starts again."""
    from seqfeat.training.checkpoints import Checkpoints

    write = Checkpoints.write

    def write_and_die(checkpoints, n_iter, state):
        write(checkpoints, n_iter, state)
        raise Killed

    Checkpoints.write = write_and_die
    try:
        model.fit(X)
    except Killed:
        Checkpoints.write = write
    return model.fit(X)


def make_models(folder):
    """Return models by name, fitted and loaded."""
    from seqfeat import LSTMAutoencoder, load, make_classifier
    from tests.versions import is_of_a_later_scikit_learn

    def model(**parameters):
        common = {"max_iter": 2, "random_state": 0, "missing": "mask", "device": "cpu"}
        return LSTMAutoencoder(**{"embedding_dim": 4, **common, **parameters})

    trained = {"pooling": "statistics"}
    corrupted = {"dropout": 0.2, "input_noise": 0.1, "masking_ratio": 0.2}
    golden = ROOT / "tests" / "golden"
    saved = {
        "shipped": ROOT / "models" / "japanese-vowels.joblib",
        "golden joblib": golden / "joblib" / "golden.joblib",
        "golden skops": golden / "skops" / "golden.skops",
    }
    return {
        "reservoir": model(dropout=0.2).fit(X),
        "reservoir with labels": model(target_weight=0.4, early_stopping=False).fit(X, Y),
        "statistics": model(bidirectional=True, early_stopping=True, **trained, **corrupted).fit(X),
        "last": model(pooling="last", target_weight=0.4, bidirectional=True, **corrupted).fit(X, Y),
        "mean": model(pooling="mean", batch_size=24, embedding_dim=32).fit(X),
        "max": model(pooling="max", scale=None, n_time_features=0).fit(X),
        "stream": model(target_weight=0.4, **trained).partial_fit(X, Y).partial_fit(X[:20], Y[:20]),
        "reservoir on a stream": model().partial_fit(X).partial_fit(X[:20]),
        "continued": model(warm_start=True, **trained).fit(X).fit(X),
        "continued reservoir": model(warm_start=True).fit(X).fit(X),
        "resumed": fit_and_resume(
            model(early_stopping=True, **trained, **corrupted, checkpoint_dir=folder)
        ),
        "resumed reservoir": fit_and_resume(model(dropout=0.2, checkpoint_dir=folder)),
        "classifier": make_classifier(4, max_iter=2, missing="mask", random_state=0).fit(X, Y),
        **{
            name: load(path) for name, path in saved.items() if not is_of_a_later_scikit_learn(path)
        },
    }


def results_of(name, model, folder):
    """Yield the results of a model by name."""
    from seqfeat import export_onnx, load, save, transform_into

    autoencoder, series = model, X
    if name in ("shipped", "golden joblib", "golden skops"):
        series = golden_series()
    if hasattr(model, "steps"):
        autoencoder = model["autoencoder"]
        yield "probabilities", model.predict_proba(series)
    yield from autoencoder.weights_.items()
    yield "losses", np.array(autoencoder.loss_curve_)
    yield "score", np.array(autoencoder.best_score_)
    embeddings = autoencoder.transform(series)
    yield "embeddings", embeddings
    yield "embedding of a single series", autoencoder.transform(series[:1])
    yield "decoded series", autoencoder.inverse_transform(embeddings)
    yield "reconstructions", np.concatenate(autoencoder.reconstruct(series))
    yield "scores", autoencoder.score_samples(series)
    if name in ("reservoir", "statistics"):
        copy = load(save(model, folder / "copy.joblib"))
        yield "embeddings of a copy", copy.transform(series)
        yield "embeddings in a file", transform_into(model, X, folder / "embeddings.npy")
    if name == "classifier":
        yield "graph", np.frombuffer(export_onnx(model, folder / "graph.onnx").read_bytes(), "u1")


def digests_of(case):
    """Return the digests of all results in one case."""
    backend, change, moment = case
    warnings.simplefilter("ignore")
    os.environ["SEQFEAT_FAST"] = "0" if backend == "torch" else "1"
    found = {}

    def change_before(step):
        if moment == step:
            CHANGES[change]()

    try:
        with tempfile.TemporaryDirectory() as folder:
            change_before("import")
            for module in ("autoencoder", "pipeline", "saving.persistence", "saving.onnx"):
                importlib.import_module(f"seqfeat.{module}")
            change_before("load")
            models = make_models(Path(folder))
            change_before("transform")
            for name, model in models.items():
                for result, value in results_of(name, model, Path(folder)):
                    content = f"{value.dtype} {value.shape}".encode() + value.tobytes()
                    found[f"{name}: {result}"] = hashlib.sha256(content).hexdigest()[:16]
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return found


def main():
    for library in LIBRARIES:
        importlib.import_module(library)
    with multiprocessing.get_context("fork").Pool(2, maxtasksperchild=1) as pool:
        found = pool.map(digests_of, CASES, chunksize=1)
    digests = {" ".join(case): one for case, one in zip(CASES, found, strict=True)}
    print(json.dumps(digests))


if __name__ == "__main__":
    main()
