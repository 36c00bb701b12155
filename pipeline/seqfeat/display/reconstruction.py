"""`ReconstructionDisplay`, series beside what the network makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqfeat.display.drawing import axes_or_new, divided
from seqfeat.display.reconstructions import reconstructed_rows, series_and_errors
from seqfeat.exceptions import InputError
from seqfeat.pipeline import pipeline_parts
from seqfeat.series import Series, as_series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ReconstructionDisplay"]

MOST_CHANNELS = 6
"""Lanes that remain readable in a picture of this height."""
LANE = 1.15
"""Height of a channel's lane, in units of the channel's range."""

Floats = NDArray[np.float64]


class ReconstructionDisplay:
    """The worst and the typical of a set of series, each with its reconstruction.

    Use `from_estimator` or `from_reconstructions` to make one. Of one channel the
    values themselves are drawn; several channels lie above each other in lanes,
    each on a scale of its own, the same in all pictures.

    Parameters
    ----------
    series : Series
        What was drawn from, of the drawn rows alone.
    reconstruction : ndarray of shape (n_drawn, n_timesteps, n_channels)
        What the network makes of them; NaN behind the end of a series.
    errors : ndarray of shape (n_drawn,)
        Mean squared error of each.
    names : list of str
        What the drawn series are called.
    kinds : list of {"worst", "typical"}
        Why each was drawn.
    channel_names : sequence of str, default=None
        None numbers them.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The frame around all that was drawn, after `plot`.
    axes_ : ndarray of Axes, shape (n_rows, n_columns)
        A column for the worst series and one for the typical ones.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    EmbeddingDisplay : Where series lie among all others.

    Examples
    --------
    >>> import numpy as np
    >>> from seqfeat.display import ReconstructionDisplay
    >>> X = np.sin(np.arange(30) / 4 + np.arange(10)[:, None])
    >>> display = ReconstructionDisplay.from_reconstructions(X, 0.9 * X, n_series=2)
    >>> display.axes_.shape
    (2, 2)
    """

    def __init__(
        self,
        series: Series,
        reconstruction: Floats,
        errors: Floats,
        names: list[str],
        kinds: list[str],
        *,
        channel_names: Sequence[str] | None = None,
    ) -> None:
        self.series = series
        self.reconstruction = reconstruction
        self.errors = errors
        self.names = names
        self.kinds = kinds
        self.channel_names = channel_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        n_series: int = 3,
        ids: ArrayLike | None = None,
        channel_names: Sequence[str] | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Score series, rebuild the worst and the typical ones, and draw them.

        Parameters
        ----------
        estimator : LSTMAutoencoder, Pipeline or search
            Fitted.
        X : array-like
            Series in any form that the estimator takes.
        n_series : int, default=3
            How many of the worst and how many typical ones, those whose errors are
            closest to the median.
        ids : array-like of shape (n_samples,), default=None
            What the series are called; None takes the names that `X` gives them, or
            numbers them.
        channel_names : sequence of str, default=None
            None numbers them.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : ReconstructionDisplay

        Raises
        ------
        InputError
            If `X`, `n_series`, `ids` or `channel_names` do not fit.
        ImportError
            If matplotlib is missing.
        """
        parts = pipeline_parts(estimator)
        series, evaluation = series_and_errors(parts.autoencoder, parts.series(X))
        errors = evaluation.squared_error / evaluation.n_values
        rows, kinds = _worst_and_typical(errors, n_series)
        rebuilt = reconstructed_rows(parts.autoencoder, series, rows)
        names = _names(series, ids)
        display = cls(
            series.take(rows),
            rebuilt,
            errors[rows],
            [names[row] for row in rows],
            kinds,
            channel_names=_channel_names(series, channel_names),
        )
        return display.plot(ax=ax)

    @classmethod
    def from_reconstructions(
        cls,
        X: Any,
        reconstruction: Any,
        *,
        n_series: int = 3,
        ids: ArrayLike | None = None,
        channel_names: Sequence[str] | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Draw series and reconstructions that you have.

        Errors are mean squares over the observed values, in units of each
        channel's standard deviation over `X`, so that no channel's unit decides.

        Parameters
        ----------
        X : array-like
            Series in any form, gaps as NaN.
        reconstruction : array-like
            What `LSTMAutoencoder.reconstruct` returned for them.
        n_series, ids, channel_names, ax
            See `from_estimator`.

        Returns
        -------
        display : ReconstructionDisplay

        Raises
        ------
        InputError
            If the two differ in number, lengths or channels.
        """
        series, rebuilt = as_series(X, missing="mask"), as_series(reconstruction, missing="mask")
        _refuse_unlike(series, rebuilt)
        values = series.values[:, : series.n_timesteps].astype(np.float64)
        other = rebuilt.values[:, : series.n_timesteps].astype(np.float64)
        deviation = np.nanstd(values, axis=(0, 1))
        scaled = (other - values) / np.where(deviation > 0, deviation, 1.0)
        errors = np.nanmean(scaled**2, axis=(1, 2))
        rows, kinds = _worst_and_typical(errors, n_series)
        names = _names(series, ids)
        display = cls(
            series.take(rows),
            other[rows],
            errors[rows],
            [names[row] for row in rows],
            kinds,
            channel_names=_channel_names(series, channel_names),
        )
        return display.plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Draw the series.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        self : ReconstructionDisplay
        """
        columns = list(dict.fromkeys(self.kinds))
        n_rows = max(self.kinds.count(kind) for kind in columns)
        n_lanes = min(self.series.n_channels, MOST_CHANNELS)
        height = 0.8 + n_rows * (1.9 if n_lanes == 1 else 1.0 + 0.45 * n_lanes)
        self.ax_ = axes_or_new(ax, self, size=(4.8 * len(columns), height))
        self.figure_: Figure | Any = self.ax_.figure
        self.axes_ = divided(self.ax_, n_rows, len(columns))
        axes: Any = self.axes_
        used: dict[str, int] = dict.fromkeys(columns, 0)
        for index, kind in enumerate(self.kinds):
            self._plot_one(axes[used[kind], columns.index(kind)], index)
            used[kind] += 1
        for column, kind in enumerate(columns):
            for empty in axes[used[kind] :, column]:
                empty.set_axis_off()
            axes[used[kind] - 1, column].set_xlabel("timestep")
        axes[0, 0].legend(framealpha=0.85, edgecolor="none", fontsize="small", ncols=2)
        return self

    def _plot_one(self, ax: Any, index: int) -> None:
        """Draw one series, channel by channel."""
        length = int(self.series.lengths[index])
        values = self.series.values[index, :length].astype(np.float64)
        rebuilt = self.reconstruction[index, :length]
        if self.series.n_channels == 1:
            _draw_pair(ax, values[:, 0], rebuilt[:, 0])
            ax.set_ylabel(self._channel_name(0))
        else:
            self._plot_lanes(ax, values, rebuilt)
        ax.locator_params(axis="x", integer=True)
        title = f"{self.kinds[index]}: {self.names[index]}, error {self.errors[index]:.2g}"
        ax.set_title(title.replace("$", r"\$"), fontsize="medium", loc="left")

    def _plot_lanes(self, ax: Any, values: Floats, rebuilt: Floats) -> None:
        """Draw channels above each other, the first on top."""
        low, height = self._ranges()
        n_lanes = min(self.series.n_channels, MOST_CHANNELS)
        for channel in range(n_lanes):
            foot = LANE * (n_lanes - 1 - channel)
            pair = [
                foot + (v[:, channel] - low[channel]) / height[channel] for v in (values, rebuilt)
            ]
            _draw_pair(ax, pair[0], pair[1], labelled=channel == 0)
        ticks = LANE * np.arange(n_lanes)[::-1] + 0.5
        ax.set_yticks(ticks, [self._channel_name(channel) for channel in range(n_lanes)])
        ax.tick_params(axis="y", length=0)
        ax.set_ylim(-0.1, LANE * n_lanes + 0.35)
        shown = "channel, each on its own scale"
        if n_lanes < self.series.n_channels:
            shown = f"first {n_lanes} of {self.series.n_channels} channels, own scales"
        ax.set_ylabel(shown, fontsize="small")

    def _ranges(self) -> tuple[Floats, Floats]:
        """Return each channel's least value and its range over all that is drawn."""
        values = self.series.values[:, : self.series.n_timesteps].astype(np.float64)
        both = np.concatenate([values, self.reconstruction[:, : values.shape[1]]])
        low = np.nanmin(both, axis=(0, 1))
        height = np.nanmax(both, axis=(0, 1)) - low
        return low, np.where(height > 0, height, 1.0)

    def _channel_name(self, channel: int) -> str:
        if self.channel_names is not None:
            return str(self.channel_names[channel]).replace("$", r"\$")
        return "value" if self.series.n_channels == 1 else str(channel)


def _draw_pair(ax: Any, values: Floats, rebuilt: Floats, labelled: bool = True) -> None:
    steps = np.arange(len(values))
    # Dots for what no line reaches: a value between two gaps, a series of one step.
    gaps = np.isnan(np.concatenate([[np.nan], values, [np.nan]]))
    alone = ~gaps[1:-1] & gaps[:-2] & gaps[2:]
    ax.plot(steps, values, color="0.35", linewidth=1.2, label="series" if labelled else None)
    ax.plot(steps[alone], values[alone], ".", color="0.35", markersize=4)
    marker = "." if len(values) == 1 else ""
    name = "reconstruction" if labelled else None
    ax.plot(steps, rebuilt, color="tab:red", linewidth=1.4, marker=marker, label=name)


def _worst_and_typical(errors: Floats, n_series: int) -> tuple[NDArray[np.int64], list[str]]:
    """Return the rows with the largest errors, then those of the rest nearest the median."""
    if n_series < 1:
        raise InputError(f"n_series={n_series}; at least 1 series is drawn of each kind.")
    n_worst = min(n_series, -(-len(errors) // 2))
    order = np.argsort(-errors, kind="stable")
    rest = order[n_worst:]
    nearest = np.argsort(np.abs(errors[rest] - np.median(errors)), kind="stable")
    typical = rest[nearest[:n_series]]
    kinds = ["worst"] * n_worst + ["typical"] * len(typical)
    return np.concatenate([order[:n_worst], typical]), kinds


def _names(series: Series, ids: ArrayLike | None) -> list[str]:
    if ids is None:
        named = range(len(series)) if series.ids is None else series.ids
        return [f"series {name}" for name in named]
    names = [str(name) for name in np.asarray(ids)]
    if len(names) != len(series):
        raise InputError(f"ids has {len(names)} names for {len(series)} series; pass one for each.")
    return names


def _channel_names(series: Series, names: Sequence[str] | None) -> Sequence[str] | None:
    if names is None:
        return None if series.frame_rows is None else [str(n) for n in series.frame_rows.columns]
    if len(names) != series.n_channels:
        raise InputError(
            f"channel_names has {len(names)} names for {series.n_channels} channels; pass one for "
            "each."
        )
    return names


def _refuse_unlike(series: Series, rebuilt: Series) -> None:
    def shape(of: Series) -> tuple[int, int, int]:
        return len(of), of.n_timesteps, of.n_channels

    if shape(series) != shape(rebuilt) or (series.lengths != rebuilt.lengths).any():
        raise InputError(
            f"X has {len(series)} series of up to {series.n_timesteps} timesteps and "
            f"{series.n_channels} channels, reconstruction {len(rebuilt)} of up to "
            f"{rebuilt.n_timesteps} and {rebuilt.n_channels}; pass what reconstruct(X) returned."
        )
