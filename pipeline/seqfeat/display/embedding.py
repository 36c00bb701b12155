"""`EmbeddingDisplay`: embeddings in two dimensions."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA

from seqfeat.display.drawing import (
    escape_math,
    get_axes,
    qualitative_colours,
    separate_labels,
)
from seqfeat.exceptions import InputError
from seqfeat.pipeline import pipeline_parts
from seqfeat.training.targets.numbers import are_numbers, target_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.colorbar import Colorbar
    from matplotlib.figure import Figure

__all__ = ["EmbeddingDisplay", "project_pca"]

MIN_LABEL_DISTANCE = 0.055
"""Distance between the labels of two classes, as a fraction of the extent of the points."""

Floats = NDArray[np.float64]


class EmbeddingDisplay:
    """Embeddings projected into two dimensions by PCA or UMAP.

    Create one with `from_estimator` or `from_embeddings`.

    Parameters
    ----------
    positions : ndarray of shape (n_samples, 2)
        Coordinates of each series.
    labels : ndarray of shape (n_samples,) or None
        Class labels to colour the points by. With None, all points have the same
        colour, or that of their number.
    explained : ndarray of shape (2,) or None
        Fraction of the variance explained by each axis. None for UMAP, whose axes
        have no meaning of their own.
    numbers : Series of shape (n_samples,) or None, default=None
        Numbers to colour the points by; its name labels the scale.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes that were drawn into.
    figure_ : matplotlib Figure
        The figure of the axes.
    centroids_ : ndarray of shape (n_classes, 2) or None
        The mean position of each class, in sorted order of the classes. Each is
        marked with a cross.
    colorbar_ : matplotlib Colorbar or None
        The scale of the numbers.

    See Also
    --------
    ReconstructionDisplay : Series and their reconstructions.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from seqfeat.display import EmbeddingDisplay
    >>> embeddings = np.random.default_rng(0).normal(size=(20, 8))
    >>> display = EmbeddingDisplay.from_embeddings(embeddings, ["a", "b"] * 10)
    >>> display.centroids_.shape
    (2, 2)

    Numbers colour the points on a scale:

    >>> heights = pd.Series(np.linspace(1.5, 2.0, 20), name="height in m")
    >>> display = EmbeddingDisplay.from_embeddings(embeddings, heights)
    >>> display.colorbar_.ax.get_ylabel()
    'height in m'
    """

    def __init__(
        self,
        positions: Floats,
        labels: NDArray[Any] | None,
        explained: Floats | None,
        numbers: pd.Series[Any] | None = None,
    ) -> None:
        self.positions = positions
        self.labels = labels
        self.explained = explained
        self.numbers = numbers

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
        """Embed series with a fitted estimator and plot the embeddings.

        Parameters
        ----------
        estimator : LSTMAutoencoder, Pipeline or search
            A fitted estimator. A classifier or regressor at the end of a pipeline is
            skipped.
        X : array-like
            Series in any format that the estimator accepts.
        y : array-like of shape (n_samples,), default=None
            Class labels, or numbers, to colour the points by. With a regressor, all
            numbers are such, otherwise floats with a fractional part.
        projection : {"pca", "umap"}, default="pca"
            How to project the embeddings: onto their first two principal
            components, or by UMAP, which preserves neighbourhoods rather than
            distances and needs ``umap-learn``.
        random_state : int, default=0
            Seed of UMAP.
        ax : matplotlib Axes, default=None
            Axes to draw into. By default, a new figure is created.

        Returns
        -------
        display : EmbeddingDisplay

        Raises
        ------
        InputError
            If `projection` is unknown.
        ImportError
            If matplotlib or, for UMAP, umap-learn is missing.
        """
        parts = pipeline_parts(estimator)
        embeddings = parts.features(parts.autoencoder.transform(parts.series(X)))
        return cls.from_embeddings(
            embeddings,
            y,
            target_type="auto" if parts.regressor is None else "continuous",
            projection=projection,
            random_state=random_state,
            ax=ax,
        )

    @classmethod
    def from_embeddings(
        cls,
        embeddings: ArrayLike,
        y: ArrayLike | None = None,
        *,
        target_type: str = "auto",
        projection: str = "pca",
        random_state: int = 0,
        ax: Axes | None = None,
    ) -> Self:
        """Plot embeddings that you already have.

        Parameters
        ----------
        embeddings : array-like of shape (n_samples, embedding_dim)
            The embeddings. UMAP needs at least four.
        y : array-like of shape (n_samples,), default=None
            Class labels, or numbers, to colour the points by.
        target_type : {"auto", "continuous", "multiclass"}, default="auto"
            What `y` holds; ``"auto"`` takes floats with a fractional part as numbers.
        projection : {"pca", "umap"}, default="pca"
            See `from_estimator`.
        random_state : int, default=0
            Seed of UMAP.
        ax : matplotlib Axes, default=None
            Axes to draw into. By default, a new figure is created.

        Returns
        -------
        display : EmbeddingDisplay

        Raises
        ------
        InputError
            If `projection` is unknown, if there are too few series for UMAP, or several
            numbers for each series.
        ImportError
            If matplotlib or, for UMAP, umap-learn is missing.
        """
        embeddings = np.asarray(embeddings, dtype=np.float64)
        labels, numbers = None, None
        if y is not None and are_numbers(y, target_type):
            numbers = _one_number_each(y)
        elif y is not None:
            labels = np.asarray(y)
        explained: Floats | None
        if projection == "pca":
            positions, explained = project_pca(embeddings)
        elif projection == "umap":
            positions, explained = _project_umap(embeddings, random_state), None
        else:
            raise InputError(f"projection={projection!r} is unknown; pass 'pca' or 'umap'.")
        return cls(positions, labels, explained, numbers).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Plot one point per series, and each class's centroid and name or the scale of numbers.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw into. By default, a new figure is created.

        Returns
        -------
        self : EmbeddingDisplay
        """
        self.ax_ = get_axes(ax, self, figsize=(7, 5.5))
        self.figure_: Figure | Any = self.ax_.figure
        self.centroids_: Floats | None = None
        self.colorbar_: Colorbar | None = None
        if self.numbers is not None:
            self._plot_numbers(self.numbers)
        elif self.labels is None:
            self._scatter(self.positions)
        else:
            self._plot_classes(self.labels)
        self._label_axes()
        self.ax_.set_aspect("equal", adjustable="datalim")
        return self

    def _scatter(self, points: Floats, **style: Any) -> PathCollection:
        return self.ax_.scatter(points[:, 0], points[:, 1], s=18, alpha=0.8, linewidths=0, **style)

    def _plot_numbers(self, numbers: pd.Series[Any]) -> None:
        points = self._scatter(self.positions, c=numbers.to_numpy())
        self.colorbar_ = self.figure_.colorbar(points, ax=self.ax_)
        if numbers.name is not None:
            self.colorbar_.set_label(escape_math(str(numbers.name)))

    def _plot_classes(self, labels: NDArray[Any]) -> None:
        classes = np.unique(labels)
        colours = qualitative_colours(len(classes))
        centroids = np.array([self.positions[labels == label].mean(axis=0) for label in classes])
        self.centroids_ = centroids
        for colour, label in zip(colours, classes, strict=True):
            self._scatter(self.positions[labels == label], color=colour)
        extent = float(np.ptp(self.positions, axis=0).max())
        label_positions = separate_labels(centroids, MIN_LABEL_DISTANCE * extent)
        for colour, label, centroid, position in zip(
            colours, classes, centroids, label_positions, strict=True
        ):
            self.ax_.plot(*centroid, "x", color="black", markersize=5, zorder=3)
            self._add_class_label(str(label), position, colour)

    def _add_class_label(self, name: str, position: Floats, colour: Floats) -> None:
        self.ax_.annotate(
            escape_math(name),
            (position[0], position[1]),
            # Above the cross that marks the centroid.
            xytext=(0, 11),
            textcoords="offset points",
            ha="center",
            va="center",
            weight="bold",
            bbox={"boxstyle": "round,pad=0.25", "fc": "white", "ec": colour, "alpha": 0.9},
            zorder=4,
        )

    def _label_axes(self) -> None:
        if self.explained is None:
            self.ax_.set(xlabel="UMAP coordinate 1", ylabel="UMAP coordinate 2")
            return
        first, second = self.explained
        self.ax_.set(
            xlabel=f"first principal component ({first:.0%} of variance)",
            ylabel=f"second principal component ({second:.0%} of variance)",
        )


def _one_number_each(y: Any) -> pd.Series[Any]:
    """Return the numbers to colour points by, with their name if they have one."""
    numbers = target_numbers(y)
    if numbers.shape[1] != 1:
        raise InputError(
            f"y has {numbers.shape[1]} numbers for each series, but a point has one colour; pass "
            "one of its columns."
        )
    name = y.columns[0] if isinstance(y, pd.DataFrame) else getattr(y, "name", None)
    return pd.Series(numbers[:, 0], name=name)


def project_pca(embeddings: Floats) -> tuple[Floats, Floats]:
    """Project onto the first two principal components.

    Returns positions of shape (n_samples, 2) and the fraction of the variance that
    each axis explains. Coordinates that have no variance are 0: both of them if there
    is a single series or all are equal, the second if ``embedding_dim`` is 1.
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


def _project_umap(embeddings: Floats, random_state: int) -> Floats:
    """Project with UMAP; returns positions of shape (n_samples, 2)."""
    if len(embeddings) < 4:
        raise InputError(
            f"UMAP needs at least 4 series, got {len(embeddings)}; pass projection='pca'."
        )
    try:
        with warnings.catch_warnings():
            # umap warns if Keras is missing, which only its parametric variant needs.
            warnings.simplefilter("ignore", ImportWarning)
            from umap import UMAP
    except ImportError as error:
        raise ImportError(
            "projection='umap' needs umap-learn; install it with: pip install 'seqfeat[umap]', or "
            "pass projection='pca'."
        ) from error
    umap = UMAP(
        n_neighbors=min(15, len(embeddings) - 1),
        # The spectral initialization fails on very few series.
        init="spectral" if len(embeddings) > 15 else "random",
        random_state=random_state,
        n_jobs=1,  # UMAP ignores other values when it is seeded, with a warning
    )
    return np.asarray(umap.fit_transform(embeddings), dtype=np.float64)
