"""The report's tables of text: the model, its data, parameters and versions."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np

from seqfeat.report.analysis import Analysis
from seqfeat.report.drawn_series import MAX_CHANNELS
from seqfeat.runtime.visible_text import escape_controls
from seqfeat.saving.cards import installed_versions

__all__ = [
    "describe_model",
    "describe_series",
    "drawing_notes",
    "parameter_table",
    "shorten",
    "version_table",
]

MAX_NAME_LENGTH = 120
MAX_VALUE_LENGTH = 300
"""Characters of a parameter's value, and above of any other name, before an ellipsis."""

Table = list[tuple[str, str]]


def shorten(name: Any, max_length: int = MAX_NAME_LENGTH) -> str:
    """Return a name as text that shows all there is, with an ellipsis if it is very long."""
    text = escape_controls(str(name))
    return text if len(text) <= max_length else f"{text[: max_length - 1]}…"


def describe_model(analysis: Analysis) -> Table:
    """Return what the model consists of and what it was trained on."""
    parts, autoencoder = analysis.parts, analysis.parts.autoencoder
    steps = [*parts.before, autoencoder, *parts.after, parts.classifier, parts.regressor]
    n_weights = sum(weights.size for weights in autoencoder.weights_.values())
    table = [
        ("Steps", " → ".join(type(step).__name__ for step in steps if step is not None)),
        ("Embedding", f"{autoencoder.embedding_dim_:,} features per series"),
        (
            "Network",
            f"{n_weights:,} weights, {autoencoder.hidden_dim_} hidden units; "
            f"reads windows of {_count(autoencoder.window_len_, 'timestep')}, "
            f"reconstructs {_count(autoencoder.patch_len_, 'timestep')} at a time",
        ),
        (
            "Training data",
            f"{_count(autoencoder.n_channels_in_, 'channel')}, series of up to "
            f"{_count(autoencoder.n_timesteps_in_, 'timestep')}, "
            f"{_range(autoencoder.n_observed_)} observed values per channel",
        ),
        ("Training", _describe_training(autoencoder)),
    ]
    if parts.classifier is not None:
        classes = parts.classifier.classes_
        shown = ", ".join(shorten(name, 40) for name in classes[:20])
        more = f" and {len(classes) - 20:,} more" if len(classes) > 20 else ""
        table.append(("Classes", f"{len(classes):,}: {shown}{more}"))
    return table


def _describe_training(autoencoder: Any) -> str:
    epochs = _count(autoencoder.n_iter_, "epoch")
    if not autoencoder.n_iter_:
        return f"{epochs}; the weights are the initial ones"
    weight = autoencoder.target_weight
    labels = f"; trained on labels as well (target_weight={weight:g})" if weight > 0 else ""
    return f"{epochs}; the weights of epoch {autoencoder.best_iter_} were kept{labels}"


def describe_series(analysis: Analysis) -> Table:
    """Return the size of the data set that the report is about."""
    series = analysis.series
    table = [
        ("Series", f"{len(series):,}"),
        ("Length", f"{_range(series.lengths)} timesteps"),
        ("Channels", f"{series.n_channels:,}"),
    ]
    if not series.is_complete:
        table.append(("Missing values", "some; ignored in all scores"))
    return table


def drawing_notes(analysis: Analysis, n_anomalies: int) -> list[str]:
    """Return a sentence on each way in which the plots do not show all the data."""
    drawn, series = analysis.drawn, analysis.series
    notes = []
    if analysis.is_sampled:
        stratified = ", stratified by class," if analysis.labels is not None else ""
        notes.append(
            f"{len(drawn.rows):,} of {len(series):,} series are drawn: a random sample"
            f"{stratified} that includes the {min(n_anomalies, len(drawn.rows)):,} most "
            "anomalous. The scores cover all series."
        )
    if drawn.n_thinned:
        notes.append(
            f"{drawn.n_thinned:,} of the series drawn are long, so only the minimum and maximum "
            "of short intervals are shown. The scores cover every timestep."
        )
    if series.n_channels > MAX_CHANNELS:
        notes.append(
            f"Only the first {MAX_CHANNELS} of {series.n_channels:,} channels are drawn. "
            "The scores cover all channels."
        )
    return notes


def parameter_table(model: Any) -> Table:
    """Return the parameters of a model and of its steps, but not the steps themselves."""
    parameters = {
        name: value
        for name, value in model.get_params(deep=True).items()
        if name != "steps" and not hasattr(value, "get_params")
    }
    return [
        (name, shorten(repr(value), MAX_VALUE_LENGTH)) for name, value in sorted(parameters.items())
    ]


def version_table() -> Table:
    """Return the versions of the packages that made the report, and the time."""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return [*installed_versions().items(), ("bokeh", version("bokeh")), ("created", now)]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _range(values: Any) -> str:
    smallest, largest = int(np.min(values)), int(np.max(values))
    return f"{smallest:,}" if smallest == largest else f"{smallest:,} to {largest:,}"
