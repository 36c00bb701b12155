"""``seqfeat train``: from a file to a model that was measured."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from sklearn.base import clone

from seqfeat.cli.console import Console, progress_bars
from seqfeat.cli.evaluation import Measurement, Split, measure, split
from seqfeat.cli.interrupts import Interrupted
from seqfeat.cli.models import MODELS, make_estimator, size_parameter
from seqfeat.cli.outputs import check_extra, check_picture, check_suffix, check_target
from seqfeat.cli.sizes import best_size, search_sizes, size_rows, size_table
from seqfeat.cli.sources import DEMO, Source, open_source
from seqfeat.cli.training_sets import read_labelled, read_test
from seqfeat.saving.persistence import check_can_save, save
from seqfeat.series import LabelledSeries

__all__ = ["fit", "run"]


def run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Carry the command out and return its result."""
    _check_targets(options)
    # To refuse wrong parameters before reading.
    autoencoder = make_estimator(options, with_labels=True)["autoencoder"]
    source, test_source = _sources(options)
    labelled, alike = read_labelled(source, autoencoder, console)
    test = None if test_source is None else read_test(test_source, labelled, alike)
    parts = split(labelled, test, test_source.name if test_source else "", options)
    estimator = make_estimator(options, with_labels=labelled.y is not None)
    result: dict[str, Any] = {"command": "train", "output": options.output}
    if len(options.embedding_dim) > 1:
        result["sizes"] = _choose_size(estimator, parts, options, console)
    fitted, seconds = fit(estimator, parts.train, console)
    measured = _measured(fitted, parts, options, console)
    was_measured = fitted
    if options.refit and parts.test is not None and test is None and not options.interrupts.came:
        console.note("Training again on all series ...")
        fitted, seconds = fit(clone(estimator), labelled, console)
    metrics = {**measured.metrics, "fit_seconds": round(seconds, 2)}
    notes = options.notes or f"trained on {source.name}"
    reading = source.for_card()
    save(fitted, options.output, metrics=metrics, notes=notes, reading=reading)
    _tell(measured, fitted, options, console)
    _leave_pictures(
        was_measured,
        parts,
        options,
        console,
        notes=_story(parts, source, options, was_retrained=fitted is not was_measured),
        metrics=metrics if parts.test is None else {"fit_seconds": metrics["fit_seconds"]},
        baselines={} if parts.test is None else dict(list(measured.scores.items())[1:]),
        channel_names=(reading or {}).get("channels"),
    )
    return {
        **result,
        "interrupted": options.interrupts.came,
        "n_series": len(parts.train.X),
        "embedding_dim": int(fitted.get_params()[size_parameter(fitted)]),
        "scores": measured.scores,
        "metrics": metrics,
        "bytes": Path(options.output).stat().st_size,
    }


def _check_targets(options: argparse.Namespace) -> None:
    """Refuse what could not be written after the training."""
    check_target(options.output, options.data)
    check_suffix(options.output, MODELS)
    check_can_save(options.output)
    if options.report is not None:
        check_suffix(options.report, (".html",), "--report")
        check_target(options.report, options.data, option="--report")
        check_extra("bokeh", "--report", "report")
    if options.picture is not None:
        check_picture("--picture", options.picture, options.data)


def _sources(options: argparse.Namespace) -> tuple[Source, Source | None]:
    """Return where to train and where to test; the demo comes with a test set of its own."""
    source = open_source(options.data, options, demo_split="train")
    test = options.test
    if test is None and options.cv is None and options.test_size is None:
        test = "demo:japanese-vowels:test" if options.data.startswith(DEMO) else None
    return source, None if test is None else open_source(test, options)


def _choose_size(
    estimator: Any, parts: Split, options: argparse.Namespace, console: Console
) -> list[dict[str, Any]]:
    """Set the best of several sizes, and return what all of them reached."""
    of = argparse.Namespace(**{**vars(options), "cv": options.cv or 3, "cluster": None})
    of.strategy = "grid"
    sizes = ", ".join(map(str, options.embedding_dim))
    console.note(f"Searching the size among {sizes}, {of.cv} folds of the training series ...")
    rows = size_rows(search_sizes(estimator, parts.train, of, console), parts.train)
    best = best_size(rows)
    console.note(size_table(rows, best))
    estimator.set_params(**{size_parameter(estimator): best})
    return rows


def fit(estimator: Any, labelled: LabelledSeries, console: Console) -> tuple[Any, float]:
    """Fit an estimator, with progress; return it and the seconds it took."""
    console.note(f"Training on {len(labelled.X):,} series ...")
    started = time.perf_counter()
    estimator.set_callbacks(*progress_bars(console)).fit(*labelled).set_callbacks()
    seconds = time.perf_counter() - started
    autoencoder = estimator if hasattr(estimator, "n_iter_") else estimator["autoencoder"]
    epochs = f"{autoencoder.n_iter_} epoch{'' if autoencoder.n_iter_ == 1 else 's'}"
    console.note(f"Trained {epochs} in {seconds:.1f} s.")
    return estimator, seconds


def _measured(
    fitted: Any, parts: Split, options: argparse.Namespace, console: Console
) -> Measurement:
    """Measure what was trained, unless ctrl-C came in the meantime."""
    interrupts = options.interrupts
    if interrupts.came and parts.test is None:
        console.note("Interrupted: the model is saved unmeasured.")
        return Measurement()
    with_baselines = not (options.no_baselines or interrupts.came)
    try:
        with interrupts.ending_all():
            return measure(fitted, parts, options, console, with_baselines=with_baselines)
    except Interrupted:
        console.note("Interrupted: the model is saved unmeasured.")
        return Measurement()


def _tell(
    measured: Measurement, fitted: Any, options: argparse.Namespace, console: Console
) -> None:
    if measured.scores:
        console.say(f"{measured.title}\n{measured.table()}")
    if "test_accuracy" in measured.metrics:
        r_squared = measured.metrics["test_r_squared"]
        console.say(f"Reconstruction: R squared {r_squared:.3f} (0 predicts the mean)")
    cut_short = " (cut short by ctrl-C)" if options.interrupts.came else ""
    size = Path(options.output).stat().st_size / 1024
    card = Path(options.output).with_suffix(".json")
    console.say(f"Saved {options.output} ({size:.0f} KiB){cut_short} and its card, {card}.")


def _leave_pictures(
    was_measured: Any, parts: Split, options: argparse.Namespace, console: Console, **findings: Any
) -> None:
    """Draw what was asked for, of the series held out or else of all."""
    X, y = parts.train if parts.test is None else parts.test
    if options.picture is not None:
        _draw(was_measured, X, y, options.picture)
        console.say(f"Drew {options.picture}.")
    if options.report is None:
        return
    from seqfeat.cli.commands.report import write_report

    write_report(
        was_measured,
        X,
        y,
        options.report,
        title=Path(options.output).stem,
        was_trained_on=parts.test is None,
        random_state=options.random_state,
        **findings,
    )
    console.say(f"Wrote {options.report}.")


def _story(
    parts: Split, source: Source, options: argparse.Namespace, *, was_retrained: bool
) -> str:
    """Return what was trained on what, in words."""
    said = f"Trained on {len(parts.train.X):,} series of {source.name}."
    if parts.test is not None:
        said += f" This page is on {parts.description}."
    if was_retrained:
        said += " The model that was saved was then trained once more, on all of them."
    return f"{said}\n{options.notes}" if options.notes else said


def _draw(fitted: Any, X: Any, y: Any, path: str) -> None:
    from seqfeat.display import EmbeddingDisplay

    autoencoder = fitted if y is None else fitted["autoencoder"]
    display = EmbeddingDisplay.from_estimator(autoencoder, X, y)
    without = "" if autoencoder.target_weight else " without their labels"
    colour = "" if y is None else "; colour: label"
    display.ax_.set_title(f"{len(X):,} series, embedded{without}{colour}")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    display.figure_.savefig(path, dpi=130)
