"""``seqfeat train``: train a model, evaluate it and save it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sklearn.base import clone

from seqfeat.cli.commands.report import write_report
from seqfeat.cli.console import Console
from seqfeat.cli.evaluation import Evaluation, Split, evaluate, split_series
from seqfeat.cli.interrupts import Aborted
from seqfeat.cli.models import MODEL_SUFFIXES, fit, make_estimator, save_model, size_parameter
from seqfeat.cli.outputs import check_extra, check_output, check_picture, format_size
from seqfeat.cli.sizes import best_size, search_sizes, size_rows, size_table
from seqfeat.cli.sources import DEMO, DataSource, count_of, open_source
from seqfeat.cli.training_sets import read_test_set, read_training_set
from seqfeat.pipeline import pipeline_parts
from seqfeat.saving.persistence import check_can_save

__all__ = ["run"]


def run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Run the command and return its result."""
    _check_outputs(options)
    # Wrong parameters are found before the data is read.
    autoencoder = make_estimator(options, with_labels=True)["autoencoder"]
    source, test_source = _open_sources(options)
    # All that is needed of the files is read before the training, after which they may be gone.
    reading = source.card_entry()
    labelled, template = read_training_set(source, autoencoder, console)
    test = None if test_source is None else read_test_set(test_source, labelled, template)
    split = split_series(labelled, test, test_source.name if test_source else "", options)
    if split.note:
        console.status(split.note)
    estimator = make_estimator(options, with_labels=labelled.y is not None)
    result: dict[str, Any] = {"command": "train", "output": options.output}
    if len(options.embedding_dim) > 1:
        result["sizes"] = _choose_size(estimator, split, options, console)
    evaluated, seconds = fit(estimator, split.train, console)
    card: dict[str, Any] = {
        "metrics": {"fit_seconds": round(seconds, 2)},
        "notes": options.notes or f"trained on {source.name}",
        "reading": reading,
    }
    # Saved now, and again with the scores: whatever fails from here on, the model is not lost.
    save_model(evaluated, options.output, console, **card)
    evaluation = _evaluate(evaluated, split, options, console)
    final = evaluated
    holds_out = split.test is not None and test is None
    if options.refit and holds_out and not console.interrupts.received:
        final, seconds = fit(clone(estimator), labelled, console)
    metrics = card["metrics"] = {**evaluation.metrics, "fit_seconds": round(seconds, 2)}
    n_bytes = save_model(final, options.output, console, **card)
    _print_result(evaluation, n_bytes, options, console)
    if options.picture is not None:
        _draw(evaluated, split, options.picture)
        console.print(f"Wrote {options.picture}.")
    if options.report is not None:
        channel_names = (reading or {}).get("channels")
        story = _tell_story(split, source, options, is_refitted=final is not evaluated)
        _write_report(evaluated, split, evaluation, metrics, story, channel_names, options)
        console.print(f"Wrote {options.report}.")
    return {
        **result,
        "interrupted": console.interrupts.received,
        "n_series": len(split.train.X),
        "embedding_dim": pipeline_parts(final).autoencoder.embedding_dim_,
        "scores": evaluation.scores,
        "metrics": metrics,
        "bytes": n_bytes,
    }


def _check_outputs(options: argparse.Namespace) -> None:
    """Check before the training that its results can be written."""
    check_output(options.output, MODEL_SUFFIXES, options.data)
    check_can_save(options.output)
    if options.report is not None:
        check_output(options.report, (".html",), options.data, option="--report")
        check_extra("bokeh", "--report", "report")
    if options.picture is not None:
        check_picture("--picture", options.picture, options.data)


def _open_sources(options: argparse.Namespace) -> tuple[DataSource, DataSource | None]:
    """Return where to train and where to test; the demo has a test set of its own."""
    source = open_source(options.data, options, demo_split="train")
    test = options.test
    if test is None and options.cv is None and options.test_size is None:
        test = "demo:japanese-vowels:test" if options.data.startswith(DEMO) else None
    return source, None if test is None else open_source(test, options)


def _choose_size(
    estimator: Any, split: Split, options: argparse.Namespace, console: Console
) -> list[dict[str, Any]]:
    """Set the best embedding size, and return the scores of all of them."""
    search_options = argparse.Namespace(
        **{**vars(options), "cv": options.cv or 3, "cluster": None, "strategy": "grid"}
    )
    sizes = ", ".join(map(str, options.embedding_dim))
    console.status(
        f"Searching embedding sizes {sizes} with {search_options.cv} folds of the training set..."
    )
    search = search_sizes(estimator, split.train, search_options, console)
    rows = size_rows(search, split.train)
    best = best_size(rows)
    console.status(size_table(rows, best))
    estimator.set_params(**{size_parameter(estimator): best})
    return rows


def _evaluate(
    fitted: Any, split: Split, options: argparse.Namespace, console: Console
) -> Evaluation:
    """Evaluate the model unless ctrl-C ends the evaluation.

    After ctrl-C in the training, only a test set is worth the time.
    """
    interrupts = console.interrupts
    if not interrupts.received or split.test is not None:
        with_baselines = not (options.no_baselines or interrupts.received)
        try:
            with interrupts.aborting():
                return evaluate(fitted, split, options, console, with_baselines=with_baselines)
        except Aborted:
            pass
    console.status("Interrupted: saving the model without an evaluation.")
    return Evaluation()


def _print_result(
    evaluation: Evaluation, n_bytes: int, options: argparse.Namespace, console: Console
) -> None:
    if evaluation.scores:
        console.print(f"{evaluation.title}\n{evaluation.table()}")
    if evaluation.metrics.keys() & {"test_accuracy", "test_r2"}:
        r_squared = evaluation.metrics["test_r_squared"]
        console.print(f"R squared of the reconstruction: {r_squared:.3f} (the mean scores 0)")
    size = format_size(n_bytes)
    interrupted = ", training interrupted" if console.interrupts.received else ""
    card = Path(options.output).with_suffix(".json")
    console.print(f"Saved {options.output} ({size}{interrupted}) and its card {card}.")


def _draw(fitted: Any, split: Split, path: str) -> None:
    from seqfeat.display import EmbeddingDisplay

    X, y = split.train if split.test is None else split.test
    autoencoder = fitted if y is None else fitted["autoencoder"]
    display = EmbeddingDisplay.from_estimator(autoencoder, X, y)
    unsupervised = "" if autoencoder.target_weight else ", learned without labels"
    colour = "" if y is None else "; colour: label"
    display.ax_.set_title(f"Embeddings of {count_of(X)}{unsupervised}{colour}")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    display.figure_.savefig(path, dpi=130)


def _write_report(
    fitted: Any,
    split: Split,
    evaluation: Evaluation,
    metrics: dict[str, float],
    story: str,
    channel_names: list[str] | None,
    options: argparse.Namespace,
) -> None:
    """Report on the test set, or without one on the training set."""
    is_tested = split.test is not None
    X, y = split.train if split.test is None else split.test
    write_report(
        fitted,
        X,
        y,
        options.report,
        title=Path(options.output).stem,
        notes=story,
        # The report measures a test set itself.
        metrics={"fit_seconds": metrics["fit_seconds"]} if is_tested else metrics,
        baselines=evaluation.baselines if is_tested else {},
        y_train=split.train.y,
        channel_names=channel_names,
        was_trained_on=not is_tested,
        random_state=options.random_state,
    )


def _tell_story(
    split: Split, source: DataSource, options: argparse.Namespace, *, is_refitted: bool
) -> str:
    """Say what the model was trained and evaluated on."""
    story = f"Trained on {count_of(split.train.X)} of {source.name}."
    if split.test is not None:
        story += f" This report is on {split.description}."
    if is_refitted:
        story += " The saved model was trained again, on all of them."
    return f"{story}\n{options.notes}" if options.notes else story
