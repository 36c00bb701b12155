"""`LossCurveDisplay`: training and validation loss per epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from seqfeat.display.drawing import get_axes, needs_log_scale
from seqfeat.exceptions import InputError
from seqfeat.pipeline import pipeline_parts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["LossCurveDisplay"]


class LossCurveDisplay:
    """Training and validation loss per epoch.

    Create one with `from_estimator` or `from_curves`.

    Parameters
    ----------
    loss_curve : sequence of float
        Training loss of each epoch.
    validation_loss_curve : sequence of float, default=None
        Loss of each epoch on the validation set.
    best_iter : int, default=None
        The epoch whose weights were kept, counted from 1. It is marked with a
        dashed line.
    loss_name : str, default="loss"
        Label of the y axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes that were drawn into.
    figure_ : matplotlib Figure
        The figure of the axes.
    line_, validation_line_ : matplotlib Line2D or None
        The two curves.

    See Also
    --------
    EmbeddingSizeDisplay : The scores of a search against ``embedding_dim``.

    Examples
    --------
    >>> from seqfeat.display import LossCurveDisplay
    >>> display = LossCurveDisplay.from_curves([0.9, 0.4, 0.2], [1.0, 0.5, 0.6], best_iter=2)
    >>> display.ax_.get_xlabel()
    'epoch'
    """

    def __init__(
        self,
        loss_curve: Sequence[float],
        validation_loss_curve: Sequence[float] | None = None,
        *,
        best_iter: int | None = None,
        loss_name: str = "loss",
    ) -> None:
        self.loss_curve = loss_curve
        self.validation_loss_curve = validation_loss_curve
        self.best_iter = best_iter
        self.loss_name = loss_name

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Axes | None = None) -> Self:
        """Plot the loss curves of a fitted estimator.

        Parameters
        ----------
        estimator : LSTMAutoencoder, Pipeline or search
            A fitted estimator. For a search, its best estimator is plotted.
        ax : matplotlib Axes, default=None
            Axes to draw into. By default, a new figure is created.

        Returns
        -------
        display : LossCurveDisplay

        Raises
        ------
        InputError
            If there is no loss curve because the estimator was fitted with
            ``max_iter=0``.
        NotFittedError
            If the autoencoder is not fitted.
        ImportError
            If matplotlib is missing.
        """
        autoencoder = pipeline_parts(estimator).autoencoder
        check_is_fitted(autoencoder)
        has_head = autoencoder.architecture_["n_classes"] > 0
        return cls.from_curves(
            autoencoder.loss_curve_,
            autoencoder.validation_loss_curve_,
            best_iter=autoencoder.best_iter_,
            loss_name="loss (reconstruction and labels)"
            if has_head
            else "mean squared error (scaled units)",
            ax=ax,
        )

    @classmethod
    def from_curves(
        cls,
        loss_curve: Sequence[float],
        validation_loss_curve: Sequence[float] | None = None,
        *,
        best_iter: int | None = None,
        loss_name: str = "loss",
        ax: Axes | None = None,
    ) -> Self:
        """Plot loss curves that you already have.

        Parameters
        ----------
        loss_curve : sequence of float
            Training loss of each epoch.
        validation_loss_curve : sequence of float, default=None
            Loss of each epoch on the validation set.
        best_iter : int, default=None
            The epoch whose weights were kept, counted from 1. It is marked with a
            dashed line.
        loss_name : str, default="loss"
            Label of the y axis.
        ax : matplotlib Axes, default=None
            Axes to draw into. By default, a new figure is created.

        Returns
        -------
        display : LossCurveDisplay

        Raises
        ------
        InputError
            If there are no epochs, or the two curves differ in length.
        """
        if len(loss_curve) == 0:
            raise InputError("loss_curve has 0 epochs; fit with max_iter of at least 1.")
        if validation_loss_curve is not None and len(validation_loss_curve) != len(loss_curve):
            raise InputError(
                f"validation_loss_curve has {len(validation_loss_curve)} epochs and loss_curve "
                f"has {len(loss_curve)}; pass both curves from the same fit."
            )
        display = cls(loss_curve, validation_loss_curve, best_iter=best_iter, loss_name=loss_name)
        return display.plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Plot the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw into. By default, a new figure is created.

        Returns
        -------
        self : LossCurveDisplay
        """
        self.ax_ = get_axes(ax, self, figsize=(7, 4))
        self.figure_: Figure | Any = self.ax_.figure
        self.line_ = self._plot_curve(self.loss_curve, "training", color="tab:blue")
        self.validation_line_ = None
        if self.validation_loss_curve is not None:
            self.validation_line_ = self._plot_curve(
                self.validation_loss_curve, "validation", color="tab:orange"
            )
        if self.best_iter is not None:
            self._mark_best(self.best_iter)
        self.ax_.set(xlabel="epoch", ylabel=self.loss_name)
        self.ax_.grid(alpha=0.25)
        if needs_log_scale(np.array([*self.loss_curve, *(self.validation_loss_curve or [])])):
            self.ax_.set_yscale("log")
        self.ax_.locator_params(axis="x", integer=True)
        self.ax_.legend(frameon=False)
        return self

    def _plot_curve(self, losses: Sequence[float], label: str, **style: Any) -> Any:
        epochs = np.arange(1, len(losses) + 1)
        marker = "o" if len(losses) == 1 else ""  # a single point has no line
        return self.ax_.plot(epochs, losses, label=label, marker=marker, **style)[0]

    def _mark_best(self, best_iter: int) -> None:
        self.ax_.axvline(
            best_iter,
            color="0.5",
            linestyle="--",
            linewidth=1,
            label=f"weights kept (epoch {best_iter})" if best_iter else "initial weights kept",
        )
