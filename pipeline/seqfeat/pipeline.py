"""The autoencoder with a classifier or regressor, and a fitted pipeline taken apart again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn import pipeline as sklearn_pipeline
from sklearn.base import ClassifierMixin, RegressorMixin, is_classifier, is_regressor
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV, RidgeCV
from sklearn.preprocessing import StandardScaler
from sklearn.utils.metaestimators import available_if

from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.exceptions import InputError, InputTypeError
from seqfeat.inference.fitted_rows import check_not_cut
from seqfeat.inference.pretrained import model_steps
from seqfeat.series.arrays import reusable
from seqfeat.training.rehearsal import rehearse
from seqfeat.training.targets.labels import are_multilabel, check_labels_of, class_labels, names_of
from seqfeat.training.targets.numbers import target_numbers

__all__ = ["Pipeline", "PipelineParts", "make_classifier", "make_regressor", "pipeline_parts"]


def _can_score(pipeline: Any) -> bool:
    return hasattr(super(Pipeline, pipeline), "score")


class Pipeline(sklearn_pipeline.Pipeline):  # type: ignore[misc]
    """A `~sklearn.pipeline.Pipeline` that finds out before the training what fails after it.

    `make_classifier` and `make_regressor` return one. `fit` first checks that every series has a
    label or its numbers. Then it checks that the last step can be fitted to features of such
    series: a classifier where there are few series in a class, or many that are identical, and a
    regressor always. `score` checks `y`, too. In all else it is its base class.
    """

    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Fit the steps one after the other, after checking what the last one needs.

        Parameters
        ----------
        X : array-like
            Series, as in `LSTMAutoencoder.fit`.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Their classes; for a regressor, one number of each series, or several.
        **params
            Passed on to the steps, as by `~sklearn.pipeline.Pipeline`.

        Returns
        -------
        self : Pipeline

        Raises
        ------
        InputError
            If a series has no label or number, if `y` names other series, if the types of labels
            differ, if numbers are not finite, or if the last step cannot be fitted to series and
            `y` such as these.
        """
        X = reusable(X)
        self._check_before_training(X, y, has_params=bool(params))
        super().fit(X, y, **params)
        return self

    @available_if(_can_score)  # type: ignore[untyped-decorator]
    def score(self, X: Any, y: Any = None, sample_weight: Any = None, **params: Any) -> float:
        """Return the mean accuracy of a classifier, or R squared of a regressor.

        Of several targets, R squared is the mean.

        Parameters
        ----------
        X : array-like
            Series, as in `fit`.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Their classes or numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the series.
        **params
            Passed on to the steps, as by `~sklearn.pipeline.Pipeline`.

        Returns
        -------
        score : float

        Raises
        ------
        InputError
            If a series has no label or number, or if `y` names other series.
        """
        X, autoencoder = reusable(X), self._first_autoencoder()
        if autoencoder is not None and y is not None:
            check_labels_of(X, y)
            if is_regressor(self.steps[-1][1]):
                target_numbers(y, names_of(X))
            check_not_cut(autoencoder, X)
        return float(super().score(X, y, sample_weight, **params))

    def _first_autoencoder(self) -> LSTMAutoencoder | None:
        """Return the autoencoder if it is what the series go to."""
        first = self.steps[0][1]
        return first if isinstance(first, LSTMAutoencoder) else None

    def _check_before_training(self, X: Any, y: Any, *, has_params: bool) -> None:
        autoencoder, last = self._first_autoencoder(), self.steps[-1][1]
        if autoencoder is None or not hasattr(last, "predict"):
            return
        if not (is_classifier(last) or is_regressor(last)):
            return
        if y is None:
            raise InputError(
                f"{type(last).__name__} requires y to be passed, but the target y is None. Pass "
                f"{'the labels' if is_classifier(last) else 'one number for each series'}."
            )
        if is_regressor(last):
            numbers = target_numbers(y, names_of(X))
            targets: NDArray[Any] = numbers if are_multilabel(y) else numbers[:, 0]
        else:
            if isinstance(y, np.ndarray) and y.dtype.kind == "T":
                raise InputTypeError(
                    "y is an array of NumPy's StringDType, which scikit-learn's classifiers do not "
                    "take; pass y.astype(str)."
                )
            if are_multilabel(y):
                autoencoder._validate_params()
                return
            targets = class_labels(y, names_of(X))
        autoencoder._validate_params()
        if not has_params:
            # A step that needs a parameter of `fit` could not be tried without it.
            rehearse(X, targets, self.steps[1:], autoencoder.embedding_dim)


def make_classifier(
    embedding_dim: int | None = 64,
    classifier: ClassifierMixin | None = None,
    *,
    memory: Any = None,
    **autoencoder_params: Any,
) -> Pipeline:
    """Return a pipeline that embeds series and classifies the embeddings.

    Parameters
    ----------
    embedding_dim : int or None, default=64
        Length of the embedding; None keeps all statistics, see `LSTMAutoencoder`.
    classifier : estimator, default=None
        Any scikit-learn classifier. None is ``LogisticRegression(C=10, tol=1e-3, max_iter=1000)``,
        or for the thousands of features of ``embedding_dim=None``
        ``RidgeClassifierCV(alphas=np.logspace(-3, 3, 10))``.
    memory : str or object with the joblib.Memory interface, default=None
        Cache for fitted autoencoders, so that a search over the classifier's parameters trains
        each autoencoder only once. Across calls it is of use only if ``random_state`` is set.
    **autoencoder_params
        Passed on to `LSTMAutoencoder`. With ``target_weight=0.5``, the labels that the classifier
        needs serve the features as well, which pays if `embedding_dim` is small.

    Returns
    -------
    pipeline : Pipeline
        A `~sklearn.pipeline.Pipeline` with the steps ``"autoencoder"``, ``"scaler"`` and
        ``"classifier"``; in a search, the parameters are named accordingly, such as
        ``autoencoder__embedding_dim``.

    See Also
    --------
    make_regressor : The same for numbers.
    LSTMAutoencoder : The transformer alone.

    Examples
    --------
    >>> from seqfeat import make_classifier
    >>> from seqfeat.datasets import load_japanese_vowels
    >>> X, y = load_japanese_vowels(return_X_y=True)
    >>> pipeline = make_classifier(embedding_dim=16, max_iter=5, random_state=0)
    >>> pipeline.fit(X, y).predict(X).shape
    (270,)
    """
    if classifier is None and embedding_dim is None:
        classifier = RidgeClassifierCV(alphas=np.logspace(-3, 3, 10))
    elif classifier is None:
        classifier = LogisticRegression(C=10, tol=1e-3, max_iter=1000)
    return Pipeline(
        [
            ("autoencoder", LSTMAutoencoder(embedding_dim, **autoencoder_params)),
            ("scaler", StandardScaler()),
            ("classifier", classifier),
        ],
        memory=memory,
    )


def make_regressor(
    embedding_dim: int | None = 64,
    regressor: RegressorMixin | None = None,
    *,
    memory: Any = None,
    **autoencoder_params: Any,
) -> Pipeline:
    """Return a pipeline that embeds series and predicts numbers from the embeddings.

    Parameters
    ----------
    embedding_dim : int or None, default=64
        Length of the embedding; None keeps all statistics, see `LSTMAutoencoder`.
    regressor : estimator, default=None
        Any scikit-learn regressor. None is ``RidgeCV(alphas=np.logspace(-3, 3, 10))``, which
        takes several numbers for each series, too.
    memory : str or object with the joblib.Memory interface, default=None
        Cache for fitted autoencoders, as in `make_classifier`.
    **autoencoder_params
        Passed on to `LSTMAutoencoder`, with ``target_type="continuous"`` unless you pass another.
        With ``target_weight=0.5``, the numbers that the regressor needs serve the features as
        well.

    Returns
    -------
    pipeline : Pipeline
        A `~sklearn.pipeline.Pipeline` with the steps ``"autoencoder"``, ``"scaler"`` and
        ``"regressor"``. Its `score` is R squared.

    See Also
    --------
    make_classifier : The same for classes.
    LSTMAutoencoder : The transformer alone.
    sklearn.compose.TransformedTargetRegressor : A regressor for the logarithm of a number, say.
    sklearn.metrics.PredictionErrorDisplay : Plots true numbers against predicted ones.

    Examples
    --------
    How fast a wave is, and how far it is shifted:

    >>> import numpy as np
    >>> from seqfeat import make_regressor
    >>> rng = np.random.default_rng(0)
    >>> y = rng.uniform([0.2, 0], [0.4, 2], size=(60, 2))
    >>> X = np.sin(y[:, :1] * np.arange(50) + y[:, 1:])[:, :, None]
    >>> pipeline = make_regressor(embedding_dim=16, max_iter=5, random_state=0)
    >>> pipeline.fit(X[:40], y[:40]).predict(X[40:]).shape
    (20, 2)
    >>> pipeline.score(X[40:], y[40:]) > 0.8
    True
    """
    if regressor is None:
        regressor = RidgeCV(alphas=np.logspace(-3, 3, 10))
    autoencoder_params.setdefault("target_type", "continuous")
    return Pipeline(
        [
            ("autoencoder", LSTMAutoencoder(embedding_dim, **autoencoder_params)),
            ("scaler", StandardScaler()),
            ("regressor", regressor),
        ],
        memory=memory,
    )


@dataclass(frozen=True)
class PipelineParts:
    """The steps of a fitted model, in order.

    Attributes
    ----------
    before : list of transformers
        Transformers of series, before the autoencoder; none in most models.
    autoencoder : LSTMAutoencoder
    after : list of transformers
        Transformers of embeddings, such as a scaler.
    classifier : classifier or None
        The last step, if it is a classifier.
    regressor : regressor or None
        The last step, if it is a regressor.
    """

    before: list[Any]
    autoencoder: LSTMAutoencoder
    after: list[Any]
    classifier: Any | None
    regressor: Any | None

    def series(self, X: Any) -> Any:
        """Return the series as the autoencoder receives them."""
        return _transform(self.before, X)

    def features(self, embeddings: Any) -> Any:
        """Return the embeddings as the classifier or regressor receives them."""
        return _transform(self.after, embeddings)


def pipeline_parts(model: Any) -> PipelineParts:
    """Take a model apart, without copying anything.

    Parameters
    ----------
    model : LSTMAutoencoder, Pipeline or search
        Pipelines may be nested. A search such as `~sklearn.model_selection.GridSearchCV`
        stands for its best estimator.

    Returns
    -------
    parts : PipelineParts

    Raises
    ------
    InputError
        If not exactly one step is an `LSTMAutoencoder`, or if the last step predicts neither
        classes nor numbers, such as clusters.
    """
    steps = list(model_steps(model))
    positions = [i for i, step in enumerate(steps) if isinstance(step, LSTMAutoencoder)]
    if len(positions) != 1:
        raise InputError(
            f"{type(model).__name__} has {len(positions)} steps that are an LSTMAutoencoder; pass "
            "a fitted LSTMAutoencoder, or a fitted Pipeline with exactly one."
        )
    (position,) = positions
    before, autoencoder, after = steps[:position], steps[position], steps[position + 1 :]
    last = after.pop() if after and _is_last_step(after[-1]) else None
    if last is None:
        return PipelineParts(before, autoencoder, after, classifier=None, regressor=None)
    if is_classifier(last):
        return PipelineParts(before, autoencoder, after, classifier=last, regressor=None)
    if is_regressor(last):
        return PipelineParts(before, autoencoder, after, classifier=None, regressor=last)
    raise InputError(
        f"the last step is {type(last).__name__}, which predicts neither classes nor numbers; pass "
        "the pipeline without it, model[:-1]."
    )


def _is_last_step(step: Any) -> bool:
    """Tell whether a step predicts; a discriminant analysis does although it also transforms."""
    return not hasattr(step, "transform") or is_classifier(step) or is_regressor(step)


def _transform(transformers: list[Any], values: Any) -> Any:
    for transformer in transformers:
        values = transformer.transform(values)
    return values
