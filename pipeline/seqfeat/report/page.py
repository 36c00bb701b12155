"""The HTML around the plots: one template, filled with escaped text."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np

from seqfeat.report.facts import model_facts, parameters, remarks, series_facts, shortened, versions
from seqfeat.report.figures import embedding_map, loss_curves, series_plot
from seqfeat.report.findings import Findings
from seqfeat.report.sampling import MOST_CHANNELS
from seqfeat.report.scores import Scores, accuracy_interval

__all__ = ["as_script_data", "render"]

MOST_IN_MATRIX = 20
"""Classes in a confusion matrix; of more, as many of the most frequent confusions are listed."""
MOST_CLASS_ROWS = 200
"""Classes with a row of their own; of more, those with the least F1."""
ANOMALY_HEIGHT = 150
DETAIL_HEIGHT = 270
LANE_HEIGHT = {"detail": 30, "anomaly": 17}
"""Pixels."""


def render(
    findings: Findings,
    *,
    title: str | None,
    notes: str | None,
    metrics: dict[str, float],
    baselines: dict[str, float],
    timings: dict[str, float],
    n_anomalies: int,
    was_trained_on: bool,
) -> bytes:
    """Return the page. Whatever users named is escaped, in HTML and in data."""
    from bokeh.resources import Resources
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    assets = files("seqfeat.report") / "assets"
    template = (assets / "page.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["name"] = shortened
    environment.filters["percent"] = lambda share: f"{100 * share:.1f} %"
    n_shown = min(n_anomalies, len(findings.names))
    # As they are, since they are ours; nothing in them ends a script early.
    scripts = [
        Markup(Resources(mode="inline", components=["bokeh"]).js_raw[0]),
        Markup((assets / "page.js").read_text(encoding="utf-8")),
    ]
    page = environment.from_string(template).render(
        title=title or _title(findings),
        notes=notes,
        was_trained_on=was_trained_on,
        style=Markup((assets / "page.css").read_text(encoding="utf-8")),
        scripts=scripts,
        policy=_policy(scripts),
        plots=as_script_data(_plots(findings, n_shown)),
        data=as_script_data(_data(findings)),
        scores=findings.scores,
        **_of_classes(findings.scores),
        r_squared=findings.r_squared,
        metrics=metrics,
        baselines=_compared(findings, baselines),
        remarks=remarks(findings, n_shown),
        anomalies=[_anomaly(findings, place) for place in range(n_shown)],
        model_facts=model_facts(findings),
        series_facts=series_facts(findings),
        has_losses=bool(findings.parts.autoencoder.loss_curve_),
        has_validation=findings.parts.autoencoder.validation_loss_curve_ is not None,
        has_lanes=findings.series.n_channels > 1,
        seconds=_seconds(findings, timings),
        parameters=parameters(findings.model),
        versions=versions(),
    )
    # A lone surrogate, which some file systems' names hold, becomes a replacement character.
    return page.encode("utf-8", "xmlcharrefreplace")


def as_script_data(value: Any) -> Any:
    """Return JSON that stays data within a script element, whatever text it holds."""
    from markupsafe import Markup

    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _policy(scripts: Sequence[str]) -> str:
    """Return what the page may do: run its own scripts and nothing else, and ask no host."""
    digests = [hashlib.sha256(script.encode("utf-8")).digest() for script in scripts]
    own = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {own}; style-src 'unsafe-inline'; img-src data: blob:; "
        "font-src data:; base-uri 'none'; form-action 'none'"
    )


def _title(findings: Findings) -> str:
    return f"Report on {len(findings.series):,} series"


def _plots(findings: Findings, n_anomalies: int) -> dict[str, Any]:
    """Return each plot as Bokeh's JSON, by the id of the element that it goes into."""
    from bokeh.core.types import ID
    from bokeh.embed import json_item

    names = [shortened(name, 24) for name in findings.channel_names[:MOST_CHANNELS]]
    n_lanes = len(names) if len(names) > 1 else 0
    height = DETAIL_HEIGHT + LANE_HEIGHT["detail"] * max(0, n_lanes - 5)
    plots = {"map": embedding_map(findings), "detail": series_plot(names, height)}
    height = ANOMALY_HEIGHT + LANE_HEIGHT["anomaly"] * max(0, n_lanes - 3)
    for place in range(n_anomalies):
        plots[f"anomaly-{place}"] = series_plot(names, height)
    losses = loss_curves(findings)
    if losses is not None:
        plots["losses"] = losses
    return {target: json_item(plot, ID(target)) for target, plot in plots.items()}


def _data(findings: Findings) -> dict[str, Any]:
    """Return what the page's script shows of each drawn series."""
    rows = findings.drawing.rows
    given = [known[rows] for known in (findings.labels, findings.predictions) if known is not None]
    known = np.unique(np.concatenate(given)).tolist() if given else []
    place = {name: index for index, name in enumerate(known)}

    def codes(values: Any) -> list[int] | None:
        return None if values is None else [place[value] for value in values[rows].tolist()]

    rank = np.empty(len(findings.errors), dtype=np.int64)
    rank[np.argsort(-findings.errors, kind="stable")] = np.arange(1, len(rank) + 1)
    confidences = findings.confidences
    return {
        "names": [shortened(name) for name in findings.names],
        "classes": [shortened(name) for name in known],
        "labels": codes(findings.labels),
        "predictions": codes(findings.predictions),
        "confidences": None if confidences is None else [round(p, 4) for p in confidences.tolist()],
        "errors": [float(f"{error:.4g}") for error in findings.errors[rows]],
        "ranks": rank[rows].tolist(),
        "total": len(findings.series),
        "series": findings.drawing.packed,
    }


def _of_classes(scores: Scores | None) -> dict[str, Any]:
    """Return a matrix of few classes or the confusions of many, and a row for each class."""
    if scores is None:
        return {"matrix": None, "confusions": [], "class_rows": []}
    class_rows = scores.by_class
    if len(class_rows) > MOST_CLASS_ROWS:
        class_rows = sorted(class_rows, key=lambda row: row.f1)[:MOST_CLASS_ROWS]
    is_small = len(scores.classes) <= MOST_IN_MATRIX
    return {
        "matrix": scores.matrix() if is_small else None,
        "confusions": [] if is_small else _confusions(scores),
        "class_rows": class_rows,
    }


def _confusions(scores: Scores) -> list[tuple[Any, Any, int, float]]:
    """Return true and predicted class, how often, and of which share, the most frequent first."""
    wrong = scores.pairs[scores.pairs[:, 0] != scores.pairs[:, 1]]
    most = wrong[np.argsort(-wrong[:, 2], kind="stable")[:MOST_IN_MATRIX]].tolist()
    return [
        (scores.classes[true], scores.classes[other], n, n / scores.by_class[true].support)
        for true, other, n in most
    ]


def _compared(
    findings: Findings, baselines: dict[str, float]
) -> list[tuple[str, float, str, bool]]:
    """Return names, scores, their intervals and whether it is the model's own, the best first."""
    scores = findings.scores
    if scores is None:
        rows = [("this model, share of the variance rebuilt", findings.r_squared, True)]
        rows.append(("predicting each channel's mean", 0.0, False))
    else:
        rows = [("this model", scores.accuracy, True)]
        constant = f"always “{shortened(scores.majority, 40)}”, the most frequent class here"
        rows.append((constant, scores.majority_share, False))
    rows += [(name, score, False) for name, score in baselines.items()]
    n_series = 0 if scores is None else scores.n_series
    whole = [(name, score, _interval(score, n_series), is_own) for name, score, is_own in rows]
    return sorted(whole, key=lambda row: -row[1])


def _interval(accuracy: float, n_series: int) -> str:
    """Return the interval of an accuracy as text; of other scores there is none."""
    if not n_series or not 0 <= accuracy <= 1:
        return ""
    low, high = accuracy_interval(round(accuracy * n_series), n_series)
    return f"{low:.3f} to {high:.3f}"


def _anomaly(findings: Findings, place: int) -> dict[str, Any]:
    row = findings.drawing.rows[place]
    label = None if findings.labels is None else findings.labels[row]
    prediction = None if findings.predictions is None else findings.predictions[row]
    return {
        "name": findings.names[place],
        "error": f"{findings.errors[row]:.3g}",
        "label": label,
        "prediction": prediction,
        "is_wrong": findings.scores is not None and label != prediction,
    }


def _seconds(findings: Findings, timings: dict[str, float]) -> list[tuple[str, float, str]]:
    """Return what took how long, and how long for each series where that says something."""
    rows = [(name, seconds, "") for name, seconds in timings.items()]
    for name, seconds in findings.seconds.items():
        each = 1000 * seconds / len(findings.series)
        shown = f"{each:.2g} ms" if each < 10 else f"{each:,.0f} ms"
        rows.append((f"{name} all {len(findings.series):,} series", seconds, shown))
    return rows
