"""A report's tables of words: what was trained, on what, with what, in what time."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np

from seqfeat.report.findings import Findings
from seqfeat.report.sampling import MOST_CHANNELS
from seqfeat.saving.cards import installed_versions

__all__ = ["model_facts", "parameters", "remarks", "series_facts", "shortened", "versions"]

LONGEST_NAME = 120
LONGEST_VALUE = 300
"""Characters of a name, and of a parameter's value, before an ellipsis."""

Facts = list[tuple[str, str]]


def shortened(name: Any, longest: int = LONGEST_NAME) -> str:
    """Return a name as text, with an ellipsis if it is very long."""
    text = str(name)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def model_facts(findings: Findings) -> Facts:
    """Return what was trained on what."""
    parts, autoencoder = findings.parts, findings.parts.autoencoder
    steps = [*parts.before, autoencoder, *parts.after, parts.classifier]
    n_weights = sum(weights.size for weights in autoencoder.weights_.values())
    observed = autoencoder.n_observed_
    facts = [
        ("Steps", " → ".join(type(step).__name__ for step in steps if step is not None)),
        ("Embedding", f"{autoencoder.embedding_dim_:,} features for each series"),
        (
            "Network",
            f"{n_weights:,} weights, {autoencoder.hidden_dim_} hidden units, reads windows of "
            f"{autoencoder.window_len_} timesteps, rebuilds {autoencoder.patch_len_} at a time",
        ),
        (
            "Trained on",
            f"{_counted(autoencoder.n_channels_in_, 'channel')}, series of up to "
            f"{_counted(autoencoder.n_timesteps_in_, 'timestep')}, "
            f"{_range(observed)} observed values in each channel",
        ),
        ("Training", _training(autoencoder)),
    ]
    if parts.classifier is not None:
        classes = parts.classifier.classes_
        shown = ", ".join(shortened(name, 40) for name in classes[:20])
        more = f" and {len(classes) - 20:,} more" if len(classes) > 20 else ""
        facts.append(("Classes", f"{len(classes):,}: {shown}{more}"))
    return facts


def _training(autoencoder: Any) -> str:
    epochs = _counted(autoencoder.n_iter_, "epoch")
    if not autoencoder.n_iter_:
        return f"{epochs}: the weights are those that it began with"
    labels = f", labels weighted {autoencoder.target_weight:g}" * (autoencoder.target_weight > 0)
    return f"{epochs}, weights of epoch {autoencoder.best_iter_} kept{labels}"


def series_facts(findings: Findings) -> Facts:
    """Return what this report looked at."""
    series = findings.series
    length = _range(series.lengths)
    facts = [
        ("Series", f"{len(series):,}"),
        ("Length", f"{length} timesteps"),
        ("Channels", f"{series.n_channels:,}"),
    ]
    if not series.is_complete:
        facts.append(("Missing values", "some, which count in no score"))
    return facts


def remarks(findings: Findings, n_anomalies: int) -> list[str]:
    """Return, in words, what of the series is not drawn as it is."""
    drawn, series = findings.drawing, findings.series
    said = []
    if findings.is_sampled:
        by = "class by class, " if findings.labels is not None else ""
        said.append(
            f"{len(drawn.rows):,} of {len(series):,} series are drawn, sampled {by}with the "
            f"{min(n_anomalies, len(drawn.rows)):,} most anomalous among them; all are in the "
            "scores."
        )
    if drawn.n_thinned:
        said.append(
            f"{drawn.n_thinned:,} of the series drawn are long, and drawn by the least and the "
            "greatest value of short stretches; scores are of all timesteps."
        )
    if series.n_channels > MOST_CHANNELS:
        said.append(
            f"The first {MOST_CHANNELS} of {series.n_channels:,} channels are drawn; all are in "
            "the scores."
        )
    return said


def parameters(model: Any) -> Facts:
    """Return the parameters of a model, of its steps as well, without the steps themselves."""
    found = model.get_params(deep=True)
    plain = {
        name: value
        for name, value in found.items()
        if name != "steps" and not hasattr(value, "get_params")
    }
    return [(name, shortened(repr(value), LONGEST_VALUE)) for name, value in sorted(plain.items())]


def versions() -> Facts:
    """Return the versions that made the report, and when."""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return [*installed_versions().items(), ("bokeh", version("bokeh")), ("written", now)]


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _range(values: Any) -> str:
    least, greatest = int(np.min(values)), int(np.max(values))
    return f"{least:,}" if least == greatest else f"{least:,} to {greatest:,}"
