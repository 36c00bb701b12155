"""`EmbeddingDisplay`, the embeddings in a plane."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA

from seqfeat.display.drawing import axes_or_new, qualitative_colours
from seqfeat.exceptions import InputError
from seqfeat.pipeline import pipeline_parts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["EmbeddingDisplay", "principal_plane", "spread_apart"]


LEAST_DISTANCE = 0.055
"""Between the names of two classes, as a share of the picture."""

Floats = NDArray[np.float64]


class EmbeddingDisplay:
    """Embeddings in the plane of their two principal components, or as UMAP lays them out.

    Use `from_estimator` or `from_embeddings` to make one; the axes hold what
    was drawn.

    Parameters
    ----------
    positions : ndarray of shape (n_samples, 2)
        Where each series lies.
    labels : ndarray of shape (n_samples,) or None
        Colours; None draws all series alike.
    explained : ndarray of shape (2,) or None
        Share of the embeddings' variance along each axis; None for UMAP, whose
        axes have no unit and no direction.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes, after `plot`.
    figure_ : matplotlib Figure
        Their figure.
    centroids_ : ndarray of shape (n_classes, 2) or None
        The mean position of each class, in sorted order, marked with a cross.

    See Also
    --------
    ReconstructionDisplay : The series themselves.

    Examples
    --------
    >>> import numpy as np
    >>> from seqfeat.display import EmbeddingDisplay
    >>> embeddings = np.random.default_rng(0).normal(size=(20, 8))
    >>> display = EmbeddingDisplay.from_embeddings(embeddings, ["a", "b"] * 10)
    >>> display.centroids_.shape
    (2, 2)
    """

    def __init__(
        self, positions: Floats, labels: NDArray[Any] | None, explained: Floats | None
    ) -> None:
        self.positions = positions
        self.labels = labels
        self.explained = explained

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike | None = None,
        *,
        projection: str = "pca",
        random_state: int = 0,
        ax: Axes | None = None,
    ) -> Self:
        """Embed series and draw them.

        Parameters
        ----------
        estimator : LSTMAutoencoder, Pipeline or search
            Fitted. Of a pipeline, the last step is left out if it predicts.
        X : array-like
            Series in any form that the estimator takes.
        y : array-like of shape (n_samples,), default=None
            Labels to colour by.
        projection : {"pca", "umap"}, default="pca"
            The plane of the two principal components, or UMAP, which keeps
            neighbours together and not distances; it needs ``umap-learn``.
        random_state : int, default=0
            UMAP's seed.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : EmbeddingDisplay

        Raises
        ------
        InputError
            If `projection` is neither.
        ImportError
            If matplotlib or, for UMAP, umap-learn is missing.
        """
        parts = pipeline_parts(estimator)
        embeddings = parts.features(parts.autoencoder.transform(parts.series(X)))
        return cls.from_embeddings(
            embeddings, y, projection=projection, random_state=random_state, ax=ax
        )

    @classmethod
    def from_embeddings(
        cls,
        embeddings: ArrayLike,
        y: ArrayLike | None = None,
        *,
        projection: str = "pca",
        random_state: int = 0,
        ax: Axes | None = None,
    ) -> Self:
        """Draw embeddings.

        Parameters
        ----------
        embeddings : array-like of shape (n_samples, embedding_dim)
            For UMAP of at least four series.
        y : array-like of shape (n_samples,), default=None
            Labels to colour by.
        projection : {"pca", "umap"}, default="pca"
            See `from_estimator`.
        random_state : int, default=0
            UMAP's seed.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : EmbeddingDisplay

        Raises
        ------
        InputError
            If `projection` is neither, or there are too few series for it.
        ImportError
            If matplotlib or, for UMAP, umap-learn is missing.
        """
        embeddings = np.asarray(embeddings, dtype=np.float64)
        labels = None if y is None else np.asarray(y)
        explained: Floats | None
        if projection == "pca":
            positions, explained = principal_plane(embeddings)
        elif projection == "umap":
            positions, explained = _umap_plane(embeddings, random_state), None
        else:
            raise InputError(f"projection={projection!r}; pass 'pca' or 'umap'.")
        return cls(positions, labels, explained).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Draw the series as points and, of each class, its centroid and its name.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        self : EmbeddingDisplay
        """
        self.ax_ = axes_or_new(ax, self, size=(7, 5.5))
        self.figure_: Figure | Any = self.ax_.figure
        self.centroids_: Floats | None = None
        if self.labels is None:
            self._scatter(self.positions)
        else:
            self._plot_classes(self.labels)
        self._name_axes()
        self.ax_.set_aspect("equal", adjustable="datalim")
        return self

    def _name_axes(self) -> None:
        for index, (axis, number) in enumerate({"x": "first", "y": "second"}.items()):
            name = f"{number} UMAP coordinate"
            if self.explained is not None:
                share = self.explained[index]
                name = f"{number} principal component ({share:.0%} of the variance)"
            self.ax_.set(**{f"{axis}label": name})

    def _scatter(self, points: Floats, **style: Any) -> None:
        self.ax_.scatter(points[:, 0], points[:, 1], s=18, alpha=0.8, linewidths=0, **style)

    def _plot_classes(self, labels: NDArray[Any]) -> None:
        classes = np.unique(labels)
        colours = qualitative_colours(len(classes))
        centroids = np.array([self.positions[labels == label].mean(axis=0) for label in classes])
        self.centroids_ = centroids
        for colour, label in zip(colours, classes, strict=True):
            self._scatter(self.positions[labels == label], color=colour)
        least = LEAST_DISTANCE * float(np.ptp(self.positions, axis=0).max())
        named = zip(colours, classes, centroids, spread_apart(centroids, least), strict=True)
        for colour, label, centroid, place in named:
            self.ax_.plot(*centroid, "x", color="black", markersize=5, zorder=3)
            self._name_class(str(label), place, colour)

    def _name_class(self, name: str, place: Floats, colour: Floats) -> None:
        self.ax_.annotate(
            # A dollar sign would begin a formula.
            name.replace("$", r"\$"),
            (place[0], place[1]),
            # Above the cross, which marks the centroid itself.
            xytext=(0, 11),
            textcoords="offset points",
            ha="center",
            va="center",
            weight="bold",
            bbox={"boxstyle": "round,pad=0.25", "fc": "white", "ec": colour, "alpha": 0.9},
            zorder=4,
        )


def principal_plane(embeddings: Floats) -> tuple[Floats, Floats]:
    """Return positions, shape (N, 2), and the share of the variance along both axes.

    Of embeddings with a single dimension the second coordinate is 0, and of a single
    series, or of series that are all alike, the first as well.
    """
    if len(embeddings) < 2 or not np.ptp(embeddings, axis=0).any():
        return np.zeros((len(embeddings), 2)), np.zeros(2)
    n_components = min(2, *embeddings.shape)
    pca = PCA(n_components=n_components).fit(embeddings)
    positions = np.zeros((len(embeddings), 2))
    positions[:, :n_components] = pca.transform(embeddings)
    explained = np.zeros(2)
    explained[:n_components] = pca.explained_variance_ratio_
    return positions, explained


def _umap_plane(embeddings: Floats, random_state: int) -> Floats:
    if len(embeddings) < 4:
        raise InputError(
            f"UMAP needs at least 4 series and got {len(embeddings)}; pass projection='pca'."
        )
    try:
        with warnings.catch_warnings():
            # Of Keras, which only its parametric kind needs.
            warnings.simplefilter("ignore", ImportWarning)
            from umap import UMAP
    except ImportError as error:
        raise ImportError(
            "projection='umap' needs umap-learn; install it with: pip install 'seqfeat[umap]', or "
            "pass projection='pca'."
        ) from error
    umap = UMAP(
        n_neighbors=min(15, len(embeddings) - 1),
        # The spectral one needs more series than it finds dimensions.
        init="spectral" if len(embeddings) > 15 else "random",
        random_state=random_state,
        n_jobs=1,  # what a seed means to it anyway
    )
    return np.asarray(umap.fit_transform(embeddings), dtype=np.float64)


def spread_apart(places: Floats, least: float) -> Floats:
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
