"""The HTML page: one template, filled with escaped text, and the plots as JSON."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np

from seqfeat.display.shading import shade_label
from seqfeat.report.analysis import Analysis
from seqfeat.report.classification import ClassificationScores, accuracy_interval
from seqfeat.report.drawn_series import MAX_CHANNELS
from seqfeat.report.figures import embedding_map, loss_curves, prediction_plot, series_plot
from seqfeat.report.summary import (
    describe_model,
    describe_series,
    drawing_notes,
    parameter_table,
    shorten,
    version_table,
)

__all__ = ["render", "to_script_json"]

MAX_MATRIX_CLASSES = 20
"""With more classes, the same number of most frequent confusions replaces the matrix."""
MAX_TARGETS = 4
"""Numbers of each series whose predictions are plotted; all of them have scores."""
MAX_CLASS_ROWS = 200
"""With more classes, only those with the lowest F1 have a row of their own."""
ANOMALY_HEIGHT = 150
DETAIL_HEIGHT = 270
LANE_HEIGHT = {"detail": 30, "anomaly": 17}
"""Pixels."""


def render(
    analysis: Analysis,
    *,
    title: str | None,
    notes: str | None,
    metrics: dict[str, float],
    baselines: dict[str, float],
    timings: dict[str, float],
    n_anomalies: int,
    was_trained_on: bool,
) -> bytes:
    """Return the page. All names that come from the user are escaped, in HTML and JSON."""
    from bokeh.resources import Resources
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    assets = files("seqfeat.report") / "assets"
    template = (assets / "page.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["name"] = shorten
    environment.filters["percent"] = lambda fraction: f"{100 * fraction:.1f}%"
    n_shown = min(n_anomalies, len(analysis.names))
    # Not escaped, as these are ours; nothing in them ends a script element early.
    scripts = [
        Markup(Resources(mode="inline", components=["bokeh"]).js_raw[0]),
        Markup((assets / "page.js").read_text(encoding="utf-8")),
    ]
    page = environment.from_string(template).render(
        title=title or f"Report on {len(analysis.series):,} series",
        notes=notes,
        shade_label=shade_label(getattr(analysis.parts.autoencoder, "timestep_threshold_", None)),
        was_trained_on=was_trained_on,
        style=Markup((assets / "page.css").read_text(encoding="utf-8")),
        scripts=scripts,
        policy=_content_security_policy(scripts),
        plots=to_script_json(_plots(analysis, n_shown)),
        data=to_script_json(_script_data(analysis)),
        scores=analysis.scores,
        **_class_tables(analysis.scores),
        numbers=analysis.numbers,
        explains=analysis.explanations is not None,
        n_plotted_targets=_n_plotted_targets(analysis),
        r_squared=analysis.r_squared,
        metrics=metrics,
        baselines=_baseline_rows(analysis, baselines),
        drawing_notes=drawing_notes(analysis, n_shown),
        anomalies=[_anomaly(analysis, index) for index in range(n_shown)],
        model_description=describe_model(analysis),
        series_description=describe_series(analysis),
        has_losses=bool(analysis.parts.autoencoder.loss_curve_),
        has_validation=analysis.parts.autoencoder.validation_loss_curve_ is not None,
        has_lanes=analysis.series.n_channels > 1,
        timings=_timing_rows(analysis, timings),
        parameters=parameter_table(analysis.model),
        versions=version_table(),
    )
    # Lone surrogates, which occur in the names of some file systems, cannot be encoded.
    return page.encode("utf-8", "xmlcharrefreplace")


def to_script_json(value: Any) -> Any:
    """Return JSON that cannot end the script element it is in, whatever text it holds."""
    from markupsafe import Markup

    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _content_security_policy(scripts: Sequence[str]) -> str:
    """Return a policy that allows the page its own scripts and no network requests."""
    digests = [hashlib.sha256(script.encode("utf-8")).digest() for script in scripts]
    own = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {own}; style-src 'unsafe-inline'; img-src data: blob:; "
        "font-src data:; base-uri 'none'; form-action 'none'"
    )


def _plots(analysis: Analysis, n_anomalies: int) -> dict[str, Any]:
    """Return each plot as Bokeh's JSON, by the id of its element."""
    from bokeh.core.types import ID
    from bokeh.embed import json_item

    names = [shorten(name, 24) for name in analysis.channel_names[:MAX_CHANNELS]]
    n_lanes = len(names) if len(names) > 1 else 0
    height = DETAIL_HEIGHT + LANE_HEIGHT["detail"] * max(0, n_lanes - 5)
    plots = {"map": embedding_map(analysis), "detail": series_plot(names, height)}
    height = ANOMALY_HEIGHT + LANE_HEIGHT["anomaly"] * max(0, n_lanes - 3)
    for index in range(n_anomalies):
        plots[f"anomaly-{index}"] = series_plot(names, height)
    for target in range(_n_plotted_targets(analysis)):
        plots[f"prediction-{target}"] = prediction_plot(analysis, target)
    losses = loss_curves(analysis)
    if losses is not None:
        plots["losses"] = losses
    return {target: json_item(plot, ID(target)) for target, plot in plots.items()}


def _n_plotted_targets(analysis: Analysis) -> int:
    """Return how many plots of predicted against true numbers there are."""
    numbers = analysis.numbers
    if numbers is None or numbers.true is None:
        return 0
    return min(MAX_TARGETS, int(numbers.true.shape[1]))


def _script_data(analysis: Analysis) -> dict[str, Any]:
    """Return what page.js shows of each drawn series."""
    rows = analysis.drawn.rows
    known = [values for values in (analysis.labels, analysis.predictions) if values is not None]
    classes = np.unique(np.concatenate([v[rows] for v in known])).tolist() if known else []
    code_of = {name: code for code, name in enumerate(classes)}

    def codes(values: Any) -> list[int] | None:
        return None if values is None else [code_of[value] for value in values[rows].tolist()]

    ranks = np.empty(len(analysis.errors), dtype=np.int64)
    ranks[np.argsort(-analysis.errors, kind="stable")] = np.arange(1, len(ranks) + 1)
    confidences = analysis.confidences
    return {
        "names": [shorten(name) for name in analysis.names],
        "classes": [shorten(name) for name in classes],
        "labels": codes(analysis.labels),
        "predictions": codes(analysis.predictions),
        "confidences": None if confidences is None else [round(p, 4) for p in confidences.tolist()],
        "causes": None if analysis.explanations is None else analysis.explanations.packed(),
        "facts": None if analysis.numbers is None else [analysis.numbers.facts(r) for r in rows],
        "errors": [float(f"{error:.4g}") for error in analysis.errors[rows]],
        "ranks": ranks[rows].tolist(),
        "total": len(analysis.series),
        "series": analysis.drawn.packed,
    }


def _class_tables(scores: ClassificationScores | None) -> dict[str, Any]:
    """Return the confusion matrix, or a list of confusions if it is large, and class scores."""
    if scores is None:
        return {"matrix": None, "confusions": [], "class_rows": []}
    class_rows = scores.per_class
    if len(class_rows) > MAX_CLASS_ROWS:
        class_rows = sorted(class_rows, key=lambda row: row.f1)[:MAX_CLASS_ROWS]
    is_small = len(scores.classes) <= MAX_MATRIX_CLASSES
    return {
        "matrix": scores.confusion_matrix() if is_small else None,
        "confusions": [] if is_small else _confusions(scores),
        "class_rows": class_rows,
    }


def _confusions(scores: ClassificationScores) -> list[tuple[Any, Any, int, float]]:
    """Return the most frequent confusions: true class, predicted class, count and share."""
    counts = scores.confusion_counts
    wrong = counts[counts[:, 0] != counts[:, 1]]
    most = wrong[np.argsort(-wrong[:, 2], kind="stable")[:MAX_MATRIX_CLASSES]].tolist()
    return [
        (scores.classes[true], scores.classes[other], n, n / scores.per_class[true].support)
        for true, other, n in most
    ]


def _baseline_rows(
    analysis: Analysis, baselines: dict[str, float]
) -> list[tuple[str, float, str, bool]]:
    """Return names, scores, intervals and whether each is the model's own; best first."""
    scores, numbers = analysis.scores, analysis.numbers
    if numbers is not None and numbers.true is not None:
        whose = "training series" if numbers.knows_training else "series in this report"
        rows = [("this model", numbers.mean_r_squared, True)]
        rows.append((f"predict the mean of the {whose}", numbers.mean_score, False))
    elif scores is None:
        rows = [("this model", analysis.r_squared, True)]
        rows.append(("predict the mean of each channel", 0.0, False))
    else:
        rows = [("this model", scores.accuracy, True)]
        whose = "in training" if analysis.knows_training else "of these series"
        name = shorten(scores.majority_class, 40)
        constant = f"always predict “{name}”, the most frequent class {whose}"
        rows.append((constant, scores.majority_share, False))
    rows += [(name, score, False) for name, score in baselines.items()]
    n_series = 0 if scores is None else scores.n_series
    with_intervals = [
        (name, score, _interval_text(score, n_series), is_own) for name, score, is_own in rows
    ]
    return sorted(with_intervals, key=lambda row: -row[1])


def _interval_text(accuracy: float, n_series: int) -> str:
    """Return the confidence interval of an accuracy; other scores have none."""
    if not n_series or not 0 <= accuracy <= 1:
        return ""
    low, high = accuracy_interval(round(accuracy * n_series), n_series)
    return f"{low:.3f} to {high:.3f}"


def _anomaly(analysis: Analysis, index: int) -> dict[str, Any]:
    row = analysis.drawn.rows[index]
    label = None if analysis.labels is None else analysis.labels[row]
    prediction = None if analysis.predictions is None else analysis.predictions[row]
    return {
        "name": analysis.names[index],
        "error": f"{analysis.errors[row]:.3g}",
        "label": label,
        "prediction": prediction,
        "is_wrong": analysis.scores is not None and label != prediction,
        "facts": [] if analysis.numbers is None else analysis.numbers.facts(row),
    }


def _timing_rows(analysis: Analysis, timings: dict[str, float]) -> list[tuple[str, float, str]]:
    """Return the seconds of each step and, for those of this report, the time per series."""
    rows = [(name, seconds, "") for name, seconds in timings.items()]
    for name, seconds in analysis.seconds.items():
        each = 1000 * seconds / len(analysis.series)
        shown = f"{each:.2g} ms" if each < 10 else f"{each:,.0f} ms"
        rows.append((f"{name} all {len(analysis.series):,} series", seconds, shown))
    return rows
