"""`EmbeddingSizeDisplay`, a search's score against the length of the embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from seqfeat.display.drawing import axes_or_new, divided
from seqfeat.exceptions import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["EmbeddingSizeDisplay"]

Floats = NDArray[np.float64]


class EmbeddingSizeDisplay:
    """Score, its spread, the time of a fit and the size of a file, against ``embedding_dim``.

    Use `from_estimator` or `from_sizes` to make one.

    Parameters
    ----------
    sizes : ndarray of shape (n_sizes,)
        Lengths of the embedding, ascending.
    scores : ndarray of shape (n_sizes,)
        The score of each.
    spreads : ndarray of shape (n_sizes,) or None
        Standard deviation of the score, drawn as a bar up and down.
    fit_times : ndarray of shape (n_sizes,) or None
        Seconds of a fit, drawn below.
    is_early : ndarray of shape (n_sizes,) or None
        Which sizes a halving search dropped early, so that their scores come from
        less training; drawn hollow.
    file_bytes : ndarray of shape (n_sizes,) or None
        Bytes of the model's file, drawn at the bottom.
    score_name : str
        What the score is.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The frame around all that was drawn, after `plot`.
    axes_ : ndarray of Axes, shape (1,) to (3,)
        Score and, of what is known, time and bytes.
    figure_ : matplotlib Figure
        Their figure.

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
        """Draw a fitted search over ``embedding_dim``.

        Where other parameters were searched as well, the best candidate of each
        size counts; of a halving search, only the last round that a size reached.

        Parameters
        ----------
        search : GridSearchCV, RandomizedSearchCV or a halving search
            Fitted.
        metric : str, default=None
            Which score, if the search has several; None is the one it refits by.
        file_bytes : array-like of shape (n_sizes,), default=None
            Bytes of the model's file for each size, the smallest size first.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : EmbeddingSizeDisplay

        Raises
        ------
        InputError
            If ``embedding_dim`` was not searched, there is no such metric, or
            `file_bytes` are not one for each size.
        NotFittedError
            If the search is not fitted.
        ImportError
            If matplotlib is missing.
        """
        check_is_fitted(search, "cv_results_")
        results = search.cv_results_
        metric = _metric(search, metric)
        rows = _best_of_each_size(results, _sizes(results), results[f"mean_test_{metric}"])
        last = np.asarray(results.get("iter", np.zeros(len(results["params"]))))
        name = metric if metric != "score" else _score_name(search)
        sizes = _sizes(results)[rows]
        display = cls(
            sizes,
            np.asarray(results[f"mean_test_{metric}"])[rows],
            np.asarray(results[f"std_test_{metric}"])[rows],
            np.asarray(results["mean_fit_time"])[rows],
            last[rows] < last.max(),
            _one_for_each(sizes, "file_bytes", file_bytes),
            score_name=f"{name}\n(mean ± deviation, {search.n_splits_} splits)",
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
        """Draw scores that you have.

        Parameters
        ----------
        sizes : array-like of shape (n_sizes,)
            Lengths of the embedding, in any order.
        scores : array-like of shape (n_sizes,)
            The score of each.
        spreads : array-like of shape (n_sizes,), default=None
            Standard deviation of each score.
        fit_times : array-like of shape (n_sizes,), default=None
            Seconds of a fit.
        file_bytes : array-like of shape (n_sizes,), default=None
            Bytes of the model's file.
        score_name : str, default="score"
            What the score is.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : EmbeddingSizeDisplay

        Raises
        ------
        InputError
            If there are no sizes, or another number of anything else.
        """
        dims = np.asarray(sizes, dtype=np.int64)
        given = {
            "scores": scores,
            "spreads": spreads,
            "fit_times": fit_times,
            "file_bytes": file_bytes,
        }
        columns = [_one_for_each(dims, name, column) for name, column in given.items()]
        order = np.argsort(dims)
        ordered = [None if column is None else column[order] for column in columns]
        scored, spread, times, n_bytes = ordered
        assert scored is not None
        display = cls(dims[order], scored, spread, times, None, n_bytes, score_name=score_name)
        return display.plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Draw scores and, below, times and bytes.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        self : EmbeddingSizeDisplay
        """
        kibibytes = None if self.file_bytes is None else self.file_bytes / 1024
        costs = {"time of a fit (s)": self.fit_times, "file (KiB)": kibibytes}
        known = [(name, values) for name, values in costs.items() if values is not None]
        self.ax_ = axes_or_new(ax, self, size=(7, 3.5 + 1.5 * len(known)))
        self.figure_: Figure | Any = self.ax_.figure
        self.axes_ = divided(self.ax_, 1 + len(known), 1, [2.0, *(1.0 for _ in known)])[:, 0]
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
                zorder=3,  # above the error bars' own dots
                label="dropped early, after less training",
            )
            ax.legend(frameon=False)
        ax.set_ylabel(self.score_name)


def _plot_costs(ax: Any, sizes: NDArray[np.int64], costs: Floats, name: str) -> None:
    ax.plot(sizes, costs, color="tab:gray", marker="o")
    ax.set_ylabel(name)
    ax.set_ylim(0, 1.1 * max(float(costs.max()), 1e-9))


def _one_for_each(sizes: NDArray[np.int64], name: str, values: ArrayLike | None) -> Floats | None:
    """Return values as an array, and refuse any other number of them than there are sizes."""
    if values is None:
        return None
    column = np.asarray(values, dtype=np.float64)
    if column.shape != sizes.shape or sizes.size == 0:
        raise InputError(
            f"sizes has {sizes.size} values and {name} {column.size}; pass one of each for every "
            "size, and at least one size."
        )
    return column


def _sizes(results: Any) -> NDArray[np.int64]:
    """Return the embedding_dim of each candidate."""
    names = [
        name for name in results if name.split("__")[-1].removeprefix("param_") == "embedding_dim"
    ]
    if not names:
        searched = sorted(n.removeprefix("param_") for n in results if n.startswith("param_"))
        raise InputError(
            f"the search went over {', '.join(searched)} and not over embedding_dim; add "
            "'autoencoder__embedding_dim' to what it searches."
        )
    return np.asarray(results[names[0]], dtype=np.int64)


def _metric(search: Any, metric: str | None) -> str:
    known = [n.removeprefix("mean_test_") for n in search.cv_results_ if n.startswith("mean_test_")]
    if metric is None:
        metric = search.refit if isinstance(search.refit, str) else "score"
    if metric not in known:
        raise InputError(f"metric={metric!r}, but the search has {known}; pass one of them.")
    return metric


def _score_name(search: Any) -> str:
    if isinstance(search.scoring, str):
        return search.scoring
    return "accuracy" if is_classifier(search.estimator) else "score"


def _best_of_each_size(results: Any, sizes: NDArray[np.int64], scores: Any) -> NDArray[np.int64]:
    """Return the rows of the best candidate of each size, in its last round."""
    rounds = np.asarray(results.get("iter", np.zeros(len(sizes))))
    scores = np.nan_to_num(np.asarray(scores, dtype=np.float64), nan=-np.inf)
    best = []
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        rows = rows[rounds[rows] == rounds[rows].max()]
        best.append(rows[scores[rows].argmax()])
    return np.array(best)
