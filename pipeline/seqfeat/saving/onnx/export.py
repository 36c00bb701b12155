"""`export_onnx`: a fitted pipeline as one ONNX file, checked before it is written."""

from __future__ import annotations

import os
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.exceptions import ExportError
from seqfeat.runtime.atomic_files import atomic_write

__all__ = ["export_onnx"]

Steps = list[tuple[str, Any]]

OLDEST_OPSET, NEWEST_OPSET = 15, 22
"""Versions of ONNX's operators for which the whole graph was tested."""
WHAT_CAN_BE_EXPORTED = (
    "What can be exported is a fitted LSTMAutoencoder, alone or as the first step of a Pipeline "
    "of scikit-learn's transformers and classifiers or regressors"
)


def export_onnx(
    estimator: Any,
    path: str | os.PathLike[str],
    *,
    dtype: str = "float32",
    opset: int = 17,
) -> Path:
    """Write a fitted pipeline as one ONNX graph, scaling and classifier included.

    The file runs wherever ONNX does, without Python, scikit-learn or PyTorch. Before it
    is written, it is run in onnxruntime and compared with the pipeline on series
    drawn at random; it takes seconds. Needs ``pip install 'seqfeat[onnx]'``.

    Parameters
    ----------
    estimator : LSTMAutoencoder or Pipeline
        Fitted. Of a pipeline, the first step has to be the LSTMAutoencoder; of a
        search, such as `~sklearn.model_selection.GridSearchCV`, the best
        estimator is taken.
    path : str or path-like
        Where to write. A file that is there is replaced only when all is well.
    dtype : {"float32", "float64"}, default="float32"
        Type of the numbers that go in and come out. Scaling is done in float64
        either way; ``"float64"`` is for a small signal on an offset so large that
        float32 does not hold both.
    opset : int, default=17
        The newest version of ONNX's operators that may be used, from 15 to 22.

    Returns
    -------
    path : Path
        The file.

    Raises
    ------
    NotFittedError
        If the estimator, or a step of it, is not fitted.
    ExportError
        If a step cannot be converted, which the message names, or if the graph
        does not give the pipeline's results. Nothing was written then.
    ImportError
        If onnx, skl2onnx or onnxruntime is missing.

    See Also
    --------
    make_classifier : Makes such a pipeline.

    Notes
    -----
    The graph has one input, ``X``, of shape (n_series, n_timesteps, n_channels) with
    any number of series and timesteps, or of a table's shape (n_series, n_timesteps)
    after a fit on a table. ONNX has no lists of series of unequal length: NaN behind a
    shorter series is its end. That alone is read more freely than by Python with
    ``missing="error"``; what else Python refuses, the graph refuses as well, with an
    error of the runtime that holds, for example,
    ``infinity_in_the_series_whose_index_ends_the_requested_shape``.

    The outputs are those of the last step:

    ================================  ==============================================
    last step                         outputs
    ================================  ==============================================
    classifier with `predict_proba`   ``label``, ``probabilities`` (n_series, n_classes)
    other classifiers                 ``label``, ``decision_function`` if there is one
    regressor                         ``prediction``
    transformer                       ``features``
    `LSTMAutoencoder` alone           ``embeddings`` (n_series, embedding_dim)
    ================================  ==============================================

    The order of ``probabilities`` is that of ``classes_``, which the file's metadata
    hold as ``classes``, beside the versions and what goes in.

    A batch computes as many steps as its longest series has: batches of some dozens of
    series of similar length are the fastest.

    A difference of 1e-7 between the embeddings of PyTorch and onnxruntime remains.
    Probabilities and labels follow them without a jump, but for classifiers that jump
    themselves, such as trees, at a threshold that a series happens to meet.

    Examples
    --------
    >>> import numpy as np, onnxruntime, os, tempfile
    >>> from seqfeat import export_onnx, make_classifier
    >>> from seqfeat.datasets import load_japanese_vowels
    >>> X, y = load_japanese_vowels(return_X_y=True)
    >>> pipeline = make_classifier(embedding_dim=8, max_iter=5, random_state=0).fit(X, y)
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = export_onnx(pipeline, os.path.join(folder.name, "speakers.onnx"))

    Where the model is used, series of unequal length become one array, NaN behind the
    shorter ones; NumPy is enough:

    >>> longest = max(len(series) for series in X)
    >>> padded = np.full((len(X), longest, 12), np.nan, dtype=np.float32)
    >>> for row, series in zip(padded, X):
    ...     row[: len(series)] = series
    >>> session = onnxruntime.InferenceSession(path)
    >>> label, probabilities = session.run(["label", "probabilities"], {"X": padded})
    >>> bool((label == pipeline.predict(X)).all()), probabilities.shape
    (True, (270, 9))
    >>> folder.cleanup()
    """
    _import_extra()
    _check_parameters(dtype, opset)
    steps = _fitted_steps(estimator)
    _refuse_steps_without_converter(steps)
    target = Path(path)
    graph = _checked_graph(steps, np.dtype(dtype), opset)
    target.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(target, graph)
    return target


def _import_extra() -> None:
    try:
        for name in ("onnx", "skl2onnx", "onnxruntime"):
            import_module(name)
    except ImportError as error:
        raise ImportError(
            f"Exporting needs {error.name}, which is not installed: pip install 'seqfeat[onnx]'",
            name=error.name,
        ) from error


def _check_parameters(dtype: Any, opset: Any) -> None:
    if dtype not in ("float32", "float64"):
        raise ExportError(f"dtype={dtype!r}; pass 'float32' or 'float64'.")
    is_integer = isinstance(opset, (int, np.integer)) and not isinstance(opset, bool)
    if not is_integer or not OLDEST_OPSET <= opset <= NEWEST_OPSET:
        raise ExportError(
            f"opset={opset!r}; pass an integer from {OLDEST_OPSET} to {NEWEST_OPSET}. A runtime "
            "reads every opset up to its own newest."
        )


def _fitted_steps(estimator: Any) -> Steps:
    """Return all steps as one flat list, the autoencoder first."""
    steps = _flat_steps("", estimator)
    if not steps or type(steps[0][1]) is not LSTMAutoencoder:
        first = f"{type(steps[0][1]).__name__} comes first" if steps else "it has no steps"
        raise ExportError(
            f"{type(estimator).__name__} cannot be exported: {first}. {WHAT_CAN_BE_EXPORTED}."
        )
    for name, step in steps[1:]:
        if isinstance(step, LSTMAutoencoder):
            raise ExportError(f"step {name!r} is a second LSTMAutoencoder. {WHAT_CAN_BE_EXPORTED}.")
    for _, step in steps:
        check_is_fitted(step)
    return steps


def _flat_steps(name: str, estimator: Any) -> Steps:
    """Return the steps of pipelines within pipelines, and of searches the best."""
    if isinstance(estimator, BaseSearchCV):
        check_is_fitted(estimator, "best_estimator_")
        return _flat_steps(name, estimator.best_estimator_)
    if isinstance(estimator, Pipeline):
        nested = [_flat_steps(f"{name}__{n}" if name else n, step) for n, step in estimator.steps]
        return [step for steps in nested for step in steps]
    if estimator is None or estimator == "passthrough":
        return []
    return [(name or "autoencoder", estimator)]


def _refuse_steps_without_converter(steps: Steps) -> None:
    for name, step in steps[1:]:
        if not _has_converter(step):
            raise ExportError(
                f"step {name!r} cannot be exported: skl2onnx has no converter for "
                f"{type(step).__name__}. {WHAT_CAN_BE_EXPORTED} for which skl2onnx has one "
                "(skl2onnx.supported_converters() lists them). Register one with "
                "skl2onnx.update_registered_converter, put another step in its place, or export "
                "the LSTMAutoencoder alone and go on from its embeddings."
            )


def _has_converter(step: Any) -> bool:
    from skl2onnx import get_model_alias

    from seqfeat.saving.onnx.classifier_graphs import own_converter

    try:
        get_model_alias(type(step))
    except RuntimeError:
        return own_converter(step) is not None
    return True


def _checked_graph(steps: Steps, dtype: np.dtype[Any], opset: int) -> bytes:
    """Return the first graph that gives the pipeline's results.

    The steps behind the encoder compute in float64, as in scikit-learn; where
    a last step cannot, the others do, and it takes their results as float32.
    """
    failures: dict[str, Exception] = {}
    for precision in ("float64", "float32") if len(steps) > 1 else ("float64",):
        try:
            return _graph(steps, dtype, opset, precision)
        # skl2onnx and onnxruntime raise whatever comes to hand.
        except Exception as error:
            failures[precision] = error
    raise ExportError(_failure(steps, failures)) from failures["float64"]


def _failure(steps: Steps, failures: dict[str, Exception]) -> str:
    if len(steps) == 1:
        return (
            "the graph of the LSTMAutoencoder cannot be used: "
            f"{_first_line(failures['float64'])}. Nothing was written. If the versions of onnx, "
            "skl2onnx and onnxruntime are those that seqfeat names, please report it."
        )
    name, last = steps[-1]
    in_words = {precision: _first_line(error) for precision, error in failures.items()}
    if len(set(in_words.values())) == 1:
        reasons = in_words["float64"]
    else:
        reasons = "; ".join(f"computed in {how}, {reason}" for how, reason in in_words.items())
    return (
        f"the pipeline with {type(last).__name__} as its last step, {name!r}, cannot be exported: "
        f"{reasons}. Nothing was written. Put another step in its place, or export the "
        "LSTMAutoencoder alone and go on from its embeddings."
    )


def _first_line(error: Exception) -> str:
    """Return the beginning of what another library has to say."""
    if isinstance(error, ExportError):
        return str(error)
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:300]}"


def _graph(steps: Steps, dtype: np.dtype[Any], opset: int, precision: str) -> bytes:
    """Convert, finish and check; return the file's bytes."""
    import onnx

    from seqfeat.saving.onnx.checks import check_graph, draw_series, embeddings_on_cpu, result_of
    from seqfeat.saving.onnx.conversion import convert
    from seqfeat.saving.onnx.finishing import add_papers, finish, outputs_of

    (_, autoencoder), tail = steps[0], steps[1:]
    outputs = outputs_of(steps)
    X = draw_series(autoencoder, dtype)
    embeddings = embeddings_on_cpu(autoencoder, X)
    in_double = embeddings.astype(np.float64)
    results = [result_of(tail, output.method, in_double) for output in outputs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = convert(steps, dtype, opset, precision)
    finish(model, outputs, results, dtype)
    add_papers(model, autoencoder, steps[-1][1], outputs)
    onnx.checker.check_model(model, full_check=True)
    check_graph(model, X, embeddings, tail, outputs)
    data: bytes = model.SerializeToString()
    return data
