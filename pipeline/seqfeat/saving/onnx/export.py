"""`export_onnx`: write a fitted pipeline as one ONNX file with a card, verified before that."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.exceptions import ExportError
from seqfeat.saving.card_format import is_graph
from seqfeat.saving.cards import make_card
from seqfeat.saving.model_files import check_card_replaceable, write_model
from seqfeat.sklearn_compat import BaseSearchCV

__all__ = ["export_onnx"]

Steps = list[tuple[str, Any]]

OLDEST_OPSET, NEWEST_OPSET = 15, 22
"""Versions of ONNX's operators with which the whole graph was tested."""
SUPPORTED = (
    "Supported are a fitted LSTMAutoencoder, alone or as the first step of a Pipeline, followed by "
    "scikit-learn transformers and a classifier or regressor"
)


def export_onnx(
    estimator: Any,
    path: str | os.PathLike[str],
    *,
    dtype: str = "float32",
    opset: int = 17,
) -> Path:
    """Write a fitted pipeline as one ONNX graph, with scaling and classifier or regressor.

    The file runs wherever ONNX does, without Python, scikit-learn or PyTorch. Before it
    is written, the graph is run in onnxruntime and compared with the pipeline on
    randomly drawn series, which takes seconds. Requires ``pip install 'seqfeat[onnx]'``.

    ONNX files have no checksum, and a damaged one may run and return wrong numbers. So a
    card is written next to the file, with the SHA-256 of both. `load_card`, or
    ``seqfeat info NAME.onnx`` on the command line, checks the file against it; runtimes
    do not need it.

    Parameters
    ----------
    estimator : LSTMAutoencoder or Pipeline
        A fitted estimator. The first step of a pipeline must be the `LSTMAutoencoder`.
        For a search, such as `~sklearn.model_selection.GridSearchCV`, its best
        estimator is exported.
    path : str or path-like
        ``NAME.onnx``; the card is written as ``NAME.onnx.json``. Existing files are
        replaced only if the export succeeds, and then both or neither of them. Missing
        folders are created.
    dtype : {"float32", "float64"}, default="float32"
        The dtype of the input and the outputs. Values are scaled in float64 either way.
        Choose ``"float64"`` for a small signal on an offset so large that float32 cannot
        represent both.
    opset : int, default=17
        The newest version of ONNX's operators to use, from 15 to 22.

    Returns
    -------
    path : Path
        The file.

    Raises
    ------
    NotFittedError
        If the estimator or one of its steps is not fitted.
    ExportError
        If a parameter or the suffix is invalid, if a step, which the message names, cannot
        be converted, or if the graph does not return the pipeline's results. Nothing is
        written.
    ModelFileError
        If the card would overwrite a file that is not this graph's card.
    OSError
        If the files cannot be written. No partial files are left behind.
    ImportError
        If onnx, skl2onnx or onnxruntime is not installed.

    See Also
    --------
    make_classifier, make_regressor : Make a pipeline that can be exported.
    load_card : Check a file that was exported, and return its card.

    Notes
    -----
    The graph has one input, ``X``, of shape (n_series, n_timesteps, n_channels) with any
    number of series and timesteps, or (n_series, n_timesteps) if the estimator was
    fitted on a table. ONNX has no ragged lists: shorter series are padded with NaN at
    the end. This is the only input that Python may reject, with ``missing="error"``, but
    the graph accepts. Whatever else Python rejects, the graph rejects as well, with a
    runtime error that contains, for example,
    ``infinity_in_the_series_whose_index_ends_the_requested_shape``.

    The outputs depend on the last step:

    ================================  ==============================================
    last step                         outputs
    ================================  ==============================================
    classifier with `predict_proba`   ``label``, ``probabilities`` (n_series, n_classes)
    other classifiers                 ``label``, ``decision_function`` if there is one
    regressor                         ``prediction`` (n_series,), or (n_series, n_targets)
    transformer                       ``features``
    `LSTMAutoencoder` alone           ``embeddings`` (n_series, embedding_dim)
    ================================  ==============================================

    The columns of ``probabilities`` are in the order of ``classes_``. The metadata of
    the file contain it as ``classes``, along with the versions and a description of the
    input.

    Of regressors of several targets, linear models, trees, forests and neighbours are
    exported; of a `~sklearn.compose.TransformedTargetRegressor`, those whose inverse is
    ``np.exp``, ``np.expm1``, ``np.square`` or a scaler.

    Every series of a batch takes as many steps as the longest one, so batches of a few
    dozen series of similar length are the fastest.

    The embeddings of PyTorch and onnxruntime differ by about 1e-7. Probabilities and
    labels change just as little, except for classifiers that are discontinuous, such as
    trees, when a series happens to be at a threshold.

    Examples
    --------
    >>> import numpy as np, onnxruntime, os, tempfile
    >>> from seqfeat import export_onnx, make_classifier
    >>> from seqfeat.datasets import load_japanese_vowels
    >>> X, y = load_japanese_vowels(return_X_y=True)
    >>> pipeline = make_classifier(embedding_dim=8, max_iter=5, random_state=0).fit(X, y)
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = export_onnx(pipeline, os.path.join(folder.name, "speakers.onnx"))

    Where the model is deployed, NumPy is enough to pad series of different lengths with
    NaN:

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
    _check_parameters(Path(path), dtype, opset)
    steps = _flatten_steps(estimator)
    _check_steps(estimator, steps)
    _check_converters(steps)
    target = Path(os.path.realpath(path))
    check_card_replaceable(target)
    data = _build(steps, np.dtype(dtype), opset)
    write_model(target, data, make_card(estimator, data, target, "onnx"))
    return Path(path)


def _import_extra() -> None:
    """Raise `ImportError` if one of the libraries of the extra is missing."""
    try:
        for name in ("onnx", "skl2onnx", "onnxruntime"):
            import_module(name)
    except ImportError as error:
        raise ImportError(
            f"Exporting requires {error.name}, which is not installed: pip install 'seqfeat[onnx]'",
            name=error.name,
        ) from error


def _check_parameters(path: Path, dtype: Any, opset: Any) -> None:
    if not is_graph(path):
        raise ExportError(f"{path.name} has the suffix {path.suffix!r}; pass NAME.onnx.")
    if dtype not in ("float32", "float64"):
        raise ExportError(f"dtype={dtype!r}; pass 'float32' or 'float64'.")
    is_integer = isinstance(opset, (int, np.integer)) and not isinstance(opset, bool)
    if not is_integer or not OLDEST_OPSET <= opset <= NEWEST_OPSET:
        raise ExportError(
            f"opset={opset!r}; pass an integer from {OLDEST_OPSET} to {NEWEST_OPSET}. A runtime "
            "supports every opset up to its own newest one."
        )


def _flatten_steps(estimator: Any, name: str = "") -> Steps:
    """Return the steps of nested pipelines, and of the best estimators of searches, as one list."""
    if isinstance(estimator, BaseSearchCV):
        check_is_fitted(estimator, "best_estimator_")
        return _flatten_steps(estimator.best_estimator_, name)
    if isinstance(estimator, Pipeline):
        nested = [
            _flatten_steps(step, f"{name}__{step_name}" if name else step_name)
            for step_name, step in estimator.steps
        ]
        return [step for steps in nested for step in steps]
    if estimator is None or estimator == "passthrough":
        return []
    return [(name or "autoencoder", estimator)]


def _check_steps(estimator: Any, steps: Steps) -> None:
    """Raise unless all steps are fitted and the first one is the only autoencoder."""
    if not steps or type(steps[0][1]) is not LSTMAutoencoder:
        reason = f"{type(steps[0][1]).__name__} comes first" if steps else "it has no steps"
        raise ExportError(f"{type(estimator).__name__} cannot be exported: {reason}. {SUPPORTED}.")
    for name, step in steps[1:]:
        if isinstance(step, LSTMAutoencoder):
            raise ExportError(f"step {name!r} is a second LSTMAutoencoder. {SUPPORTED}.")
    for _, step in steps:
        check_is_fitted(step)


def _check_converters(steps: Steps) -> None:
    """Raise `ExportError` if there is no converter for a step."""
    for name, step in steps[1:]:
        # What a TransformedTargetRegressor fitted is exported within it.
        inner = getattr(step, "regressor_", None)
        missing = next((s for s in (step, inner) if s is not None and not _has_converter(s)), None)
        if missing is not None:
            raise ExportError(
                f"step {name!r} cannot be exported: skl2onnx has no converter for "
                f"{type(missing).__name__}. {SUPPORTED} for which skl2onnx has a converter "
                "(skl2onnx.supported_converters() lists them). Register one with "
                "skl2onnx.update_registered_converter, replace the step, or export the "
                "LSTMAutoencoder alone and process its embeddings outside the graph."
            )


def _has_converter(step: Any) -> bool:
    from skl2onnx import get_model_alias

    from seqfeat.saving.onnx.predictors import find_converter

    try:
        get_model_alias(type(step))
    except RuntimeError:
        return find_converter(step) is not None
    return True


def _build(steps: Steps, dtype: np.dtype[Any], opset: int) -> bytes:
    """Return the first graph that matches the pipeline, as the bytes of a file.

    The steps after the encoder compute in float64, as in scikit-learn. If the last step
    cannot, the others still do, and it receives their results as float32.
    """
    failures: dict[str, Exception] = {}
    for precision in ("float64", "float32") if len(steps) > 1 else ("float64",):
        try:
            return _build_with_precision(steps, dtype, opset, precision)
        # skl2onnx and onnxruntime raise errors of all kinds.
        except Exception as error:
            failures[precision] = error
    raise ExportError(_describe_failure(steps, failures)) from failures["float64"]


def _build_with_precision(steps: Steps, dtype: np.dtype[Any], opset: int, precision: str) -> bytes:
    """Convert and verify; return the bytes of the file."""
    from seqfeat.saving.onnx.conversion import build_model, outputs_of
    from seqfeat.saving.onnx.verification import draw_series, embed_on_cpu, run_steps, verify_model

    (_, autoencoder), tail = steps[0], steps[1:]
    outputs = outputs_of(steps)
    X = draw_series(autoencoder, dtype)
    embeddings = embed_on_cpu(autoencoder, X)
    examples = [run_steps(tail, output.method, embeddings.astype(np.float64)) for output in outputs]
    model = build_model(steps, outputs, examples, dtype, opset, precision)
    verify_model(model, X, embeddings, tail, outputs)
    data: bytes = model.SerializeToString()
    return data


def _describe_failure(steps: Steps, failures: dict[str, Exception]) -> str:
    if len(steps) == 1:
        return (
            "the graph of the LSTMAutoencoder is not usable: "
            f"{_summarize(failures['float64'])}. Nothing was written. If the versions of onnx, "
            "skl2onnx and onnxruntime are those that seqfeat requires, please report this as a bug."
        )
    name, last = steps[-1]
    reasons = {precision: _summarize(error) for precision, error in failures.items()}
    if len(set(reasons.values())) == 1:
        reason = reasons["float64"]
    else:
        reason = "; ".join(f"in {precision}, {reason}" for precision, reason in reasons.items())
    return (
        f"the pipeline with {type(last).__name__} as its last step, {name!r}, cannot be exported: "
        f"{reason}. Nothing was written. Replace that step, or export the LSTMAutoencoder alone "
        "and process its embeddings outside the graph."
    )


def _summarize(error: Exception) -> str:
    """Return our own message in full, and the beginning of another library's."""
    if isinstance(error, ExportError):
        return str(error)
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:300]}"
