"""Pictures, in scikit-learn's Display convention. Needs ``seqfeat[plot]``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["EmbeddingDisplay"]


LEAST_DISTANCE = 0.055
"""Between the names of two classes, as a share of the picture."""


class EmbeddingDisplay:
    """Embeddings in the plane of their two principal components.

    Use `from_estimator` or `from_embeddings` to make one; the axes hold what
    was drawn.

    Parameters
    ----------
    positions : ndarray of shape (n_samples, 2)
        Where each series lies.
    labels : ndarray of shape (n_samples,) or None
        Colours; None draws all series alike.
    explained : ndarray of shape (2,)
        Share of the embeddings' variance along each axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes, after `plot`.
    figure_ : matplotlib Figure
        Their figure.
    """

    def __init__(
        self,
        positions: NDArray[np.float64],
        labels: NDArray[Any] | None,
        explained: NDArray[np.float64],
    ) -> None:
        self.positions = positions
        self.labels = labels
        self.explained = explained

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: ArrayLike | None = None, *, ax: Axes | None = None
    ) -> Self:
        """Embed series and draw them.

        Parameters
        ----------
        estimator : LSTMAutoencoder or Pipeline
            Fitted. Of a pipeline, the last step is left out if it predicts.
        X : array-like
            Series in any form that the estimator takes.
        y : array-like of shape (n_samples,), default=None
            Labels to colour by.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : EmbeddingDisplay

        Raises
        ------
        ImportError
            If matplotlib is missing.
        """
        if isinstance(estimator, Pipeline) and hasattr(estimator[-1], "predict"):
            estimator = estimator[:-1]
        return cls.from_embeddings(estimator.transform(X), y, ax=ax)

    @classmethod
    def from_embeddings(
        cls, embeddings: ArrayLike, y: ArrayLike | None = None, *, ax: Axes | None = None
    ) -> Self:
        """Draw embeddings.

        Parameters
        ----------
        embeddings : array-like of shape (n_samples, embedding_dim)
            At least two series.
        y : array-like of shape (n_samples,), default=None
            Labels to colour by.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : EmbeddingDisplay
        """
        embeddings = np.asarray(embeddings, dtype=np.float64)
        n_components = min(2, *embeddings.shape)
        pca = PCA(n_components=n_components).fit(embeddings)
        positions = np.zeros((len(embeddings), 2))
        positions[:, :n_components] = pca.transform(embeddings)
        explained = np.zeros(2)
        explained[:n_components] = pca.explained_variance_ratio_
        labels = None if y is None else np.asarray(y)
        return cls(positions, labels, explained).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Draw the series as points, and each class's name near its centre.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        self : EmbeddingDisplay
        """
        self.ax_ = _new_axes() if ax is None else ax
        self.figure_: Figure | Any = self.ax_.figure
        if self.labels is None:
            self._scatter(self.positions)
        else:
            self._plot_classes(self.labels)
        for axis, share in zip("xy", self.explained, strict=True):
            number = "first" if axis == "x" else "second"
            label = f"{number} principal component ({share:.0%} of the variance)"
            self.ax_.set(**{f"{axis}label": label})
        self.ax_.set_aspect("equal", adjustable="datalim")
        return self

    def _scatter(self, points: NDArray[np.float64], **style: Any) -> None:
        self.ax_.scatter(points[:, 0], points[:, 1], s=18, alpha=0.8, linewidths=0, **style)

    def _plot_classes(self, labels: NDArray[Any]) -> None:
        classes = np.unique(labels)
        colours = _colours(len(classes))
        centres = np.array([self.positions[labels == label].mean(axis=0) for label in classes])
        least = LEAST_DISTANCE * float(np.ptp(self.positions, axis=0).max())
        for colour, label, place in zip(colours, classes, _apart(centres, least), strict=True):
            self._scatter(self.positions[labels == label], color=colour)
            self.ax_.annotate(
                str(label),
                place,
                ha="center",
                va="center",
                weight="bold",
                bbox={"boxstyle": "round,pad=0.25", "fc": "white", "ec": colour, "alpha": 0.9},
            )


def _apart(places: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    """Push places apart that are closer than `least`, so that no name hides another."""
    places = places.copy()
    # Never exactly on each other, so that there is a way to push.
    places += least * 1e-3 * np.arange(len(places))[:, None] * [1.0, -1.0]
    # With names by the hundred there is no room to push into.
    for _ in range(50 if len(places) <= 50 else 0):
        for first in range(len(places)):
            for second in range(first):
                gap = places[first] - places[second]
                distance = float(np.hypot(*gap))
                if 0 < distance < least:
                    push = gap * (least - distance) / distance / 2
                    places[first] += push
                    places[second] -= push
    return places


def _new_axes() -> Axes:
    try:
        from matplotlib.figure import Figure as NewFigure
    except ImportError as error:
        raise ImportError(
            "EmbeddingDisplay needs matplotlib; install it with: pip install 'seqfeat[plot]'"
        ) from error
    # Not through pyplot, which keeps every figure alive and may want a screen.
    return NewFigure(figsize=(7, 5.5), layout="constrained").add_subplot()


def _colours(n_colours: int) -> NDArray[np.float64]:
    """Return colours that stay apart: a qualitative set, or for many classes a wheel."""
    from matplotlib import colormaps

    if n_colours <= 10:
        return np.asarray(colormaps["tab10"](np.arange(n_colours)))
    return np.asarray(colormaps["hsv"](np.arange(n_colours) / n_colours))
