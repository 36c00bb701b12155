"""`EmbeddingSizeDisplay`: the scores of a search against ``embedding_dim``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_classifier, is_regressor
from sklearn.utils.validation import check_is_fitted

from seqfeat.display.drawing import get_axes, split_axes
from seqfeat.exceptions import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["EmbeddingSizeDisplay"]

Floats = NDArray[np.float64]


class EmbeddingSizeDisplay:
    """Score, fit time and file size against ``embedding_dim``.

    Create one with `from_estimator` or `from_sizes`.

    Parameters
    ----------
    sizes : ndarray of shape (n_sizes,)
        Values of ``embedding_dim``, in ascending order.
    scores : ndarray of shape (n_sizes,)
        The score of each size.
    spreads : ndarray of shape (n_sizes,) or None
        Standard deviation of each score, drawn as error bars.
    fit_times : ndarray of shape (n_sizes,) or None
        Time to fit each size, in seconds.
    is_early : ndarray of shape (n_sizes,) or None
        Which sizes a halving search eliminated before its last iteration. Their
        scores come from fewer resources, so their markers are hollow.
    file_bytes : ndarray of shape (n_sizes,) or None
        Size of the model file, in bytes.
    score_name : str
        Label of the score axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes that were drawn into; hidden, as they only frame `axes_`.
    axes_ : ndarray of Axes, shape (1,) to (3,)
        The axes of the scores and, where they are known, the fit times and file sizes.
    figure_ : matplotlib Figure
        The figure of the axes.

    See Also
    --------
    LossCurveDisplay : The loss curves of a single fit.

    Examples
    --------
    >>> from seqfeat.display import EmbeddingSizeDisplay
    >>> display = EmbeddingSizeDisplay.from_sizes([8, 16, 32], [0.90, 0.95, 0.94])
    >>> display.axes_[0].get_xlabel()
    'embedding_dim'
    """

    def __init__(
        self,
        sizes: NDArray[np.int64],
        scores: Floats,
        spreads: Floats | None = None,
        fit_times: Floats | None = None,
        is_early: NDArray[np.bool_] | None = None,
        file_bytes: Floats | None = None,
        *,
        score_name: str = "score",
    ) -> None:
        self.sizes = sizes
        self.scores = scores
        self.spreads = spreads
        self.fit_times = fit_times
        self.is_early = is_early
        self.file_bytes = file_bytes
        self.score_name = score_name

    @classmethod
    def from_estimator(
        cls,
        search: Any,
        *,
        metric: str | None = None,
        file_bytes: ArrayLike | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Plot the results of a fitted search over ``embedding_dim``.

        If the search covered other parameters as well, the best candidate of each
        size is shown. For a halving search, only candidates of the last iteration
        that a size reached are considered.

        Parameters
        ----------
        search : GridSearchCV, RandomizedSearchCV or a halving search
            A fitted search.
        metric : str, default=None
            Which metric to plot, if the search has several. By default, the one that
            it refits by.
        file_bytes : array-like of shape (n_sizes,), default=None
            Size of the model file for each ``embedding_dim``, in bytes and in
            ascending order of ``embedding_dim``.
        ax : matplotlib Axes, default=None
            Axes to draw into. By default, a new figure is created.

        Returns
        -------
        display : EmbeddingSizeDisplay

        Raises
        ------
        InputError
            If the search did not cover ``embedding_dim``, has no such metric, or
            `file_bytes` does not have one value per size.
        NotFittedError
            If the search is not fitted.
        ImportError
            If matplotlib is missing.
        """
        check_is_fitted(search, "cv_results_")
        results = search.cv_results_
        metric = _check_metric(search, metric)
        rows = _best_candidates(results, _sizes(results), results[f"mean_test_{metric}"])
        iterations = np.asarray(results.get("iter", np.zeros(len(results["params"]))))
        name = metric if metric != "score" else _score_name(search)
        sizes = _sizes(results)[rows]
        display = cls(
            sizes,
            np.asarray(results[f"mean_test_{metric}"])[rows],
            np.asarray(results[f"std_test_{metric}"])[rows],
            np.asarray(results["mean_fit_time"])[rows],
            iterations[rows] < iterations.max(),
            _check_one_per_size(sizes, "file_bytes", file_bytes),
            score_name=f"{name}\n(mean ± std of {search.n_splits_} splits)",
        )
        return display.plot(ax=ax)

    @classmethod
    def from_sizes(
        cls,
        sizes: ArrayLike,
        scores: ArrayLike,
        spreads: ArrayLike | None = None,
        fit_times: ArrayLike | None = None,
        file_bytes: ArrayLike | None = None,
        *,
        score_name: str = "score",
        ax: Axes | None = None,
    ) -> Self:
        """Plot scores that you already have.

        Parameters
        ----------
        sizes : array-like of shape (n_sizes,)
            Values of ``embedding_dim``, in any order.
        scores : array-like of shape (n_sizes,)
            The score of each size.
        spreads : array-like of shape (n_sizes,), default=None
            Standard deviation of each score.
        fit_times : array-like of shape (n_sizes,), default=None
            Time to fit each size, in seconds.
        file_bytes : array-like of shape (n_sizes,), default=None
            Size of the model file, in bytes.
        score_name : str, default="score"
            Label of the score axis.
        ax : matplotlib Axes, default=None
            Axes to draw into. By default, a new figure is created.

        Returns
        -------
        display : EmbeddingSizeDisplay

        Raises
        ------
        InputError
            If there are no sizes, or another argument does not have one value per
            size.
        """
        dims = np.asarray(sizes, dtype=np.int64)
        columns = {
            "scores": scores,
            "spreads": spreads,
            "fit_times": fit_times,
            "file_bytes": file_bytes,
        }
        checked = [_check_one_per_size(dims, name, column) for name, column in columns.items()]
        order = np.argsort(dims)
        in_order = [None if column is None else column[order] for column in checked]
        score, spread, fit_time, n_bytes = in_order
        assert score is not None
        display = cls(dims[order], score, spread, fit_time, None, n_bytes, score_name=score_name)
        return display.plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Plot the scores and, below them, fit times and file sizes.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw into. By default, a new figure is created.

        Returns
        -------
        self : EmbeddingSizeDisplay
        """
        kibibytes = None if self.file_bytes is None else self.file_bytes / 1024
        costs = {"fit time (s)": self.fit_times, "file size (KiB)": kibibytes}
        known = [(name, values) for name, values in costs.items() if values is not None]
        self.ax_ = get_axes(ax, self, figsize=(7, 3.5 + 1.5 * len(known)))
        self.figure_: Figure | Any = self.ax_.figure
        self.axes_ = split_axes(self.ax_, 1 + len(known), 1, [2.0, *(1.0 for _ in known)])[:, 0]
        self._plot_scores(self.axes_[0])
        for axes, (name, values) in zip(self.axes_[1:], known, strict=True):
            _plot_costs(axes, self.sizes, values, name)
        for axes in self.axes_:
            axes.set_xscale("log", base=2)
            axes.set_xticks(self.sizes, [str(size) for size in self.sizes])
            axes.minorticks_off()
            axes.grid(alpha=0.25)
        self.axes_[-1].set_xlabel("embedding_dim")
        return self

    def _plot_scores(self, ax: Any) -> None:
        ax.errorbar(self.sizes, self.scores, self.spreads, color="tab:blue", capsize=4, marker="o")
        if self.is_early is not None and self.is_early.any():
            ax.plot(
                self.sizes[self.is_early],
                self.scores[self.is_early],
                "o",
                mfc="white",
                mec="tab:blue",
                zorder=3,  # above the markers of the error bars
                label="eliminated early, with fewer resources",
            )
            ax.legend(frameon=False)
        ax.set_ylabel(self.score_name)


def _plot_costs(ax: Any, sizes: NDArray[np.int64], costs: Floats, name: str) -> None:
    ax.plot(sizes, costs, color="tab:gray", marker="o")
    ax.set_ylabel(name)
    ax.set_ylim(0, 1.1 * max(float(costs.max()), 1e-9))


def _check_one_per_size(
    sizes: NDArray[np.int64], name: str, values: ArrayLike | None
) -> Floats | None:
    """Return the values as an array, after checking that there is one per size."""
    if values is None:
        return None
    column = np.asarray(values, dtype=np.float64)
    if column.shape != sizes.shape or sizes.size == 0:
        raise InputError(
            f"sizes has {sizes.size} values and {name} has {column.size}; pass at least one size, "
            "and one value per size."
        )
    return column


def _sizes(results: Any) -> NDArray[np.int64]:
    """Return the ``embedding_dim`` of each candidate."""
    names = [
        name for name in results if name.split("__")[-1].removeprefix("param_") == "embedding_dim"
    ]
    if not names:
        searched = sorted(n.removeprefix("param_") for n in results if n.startswith("param_"))
        raise InputError(
            f"the search covered {', '.join(searched)} but not embedding_dim; add "
            "'autoencoder__embedding_dim' to its parameters."
        )
    return np.asarray(results[names[0]], dtype=np.int64)


def _check_metric(search: Any, metric: str | None) -> str:
    """Return the metric to plot, after checking that the search has it."""
    known = [n.removeprefix("mean_test_") for n in search.cv_results_ if n.startswith("mean_test_")]
    if metric is None:
        metric = search.refit if isinstance(search.refit, str) else "score"
    if metric not in known:
        raise InputError(
            f"metric={metric!r} is not among those of the search; pass one of {known}."
        )
    return metric


def _score_name(search: Any) -> str:
    """Return what the search's only score is called."""
    if isinstance(search.scoring, str):
        return search.scoring
    if is_classifier(search.estimator):
        return "accuracy"
    return "R squared" if is_regressor(search.estimator) else "score"


def _best_candidates(results: Any, sizes: NDArray[np.int64], scores: Any) -> NDArray[np.int64]:
    """Return the row of each size's best candidate in the last iteration it reached."""
    iterations = np.asarray(results.get("iter", np.zeros(len(sizes))))
    scores = np.nan_to_num(np.asarray(scores, dtype=np.float64), nan=-np.inf)
    best = []
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        rows = rows[iterations[rows] == iterations[rows].max()]
        best.append(rows[scores[rows].argmax()])
    return np.array(best)
