"""All benchmarks: ``make bench``, or ``make bench-quick`` for a rough version.

They write CSV files, tables and plots to a folder, and assert nothing. To repeat some of them and
replace their earlier results: ``python -m tests.benchmarks --only growth``.
"""

import argparse
import json
import os
import platform
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import sklearn
from tests.benchmarks import (
    accuracy,
    anomalies,
    equal_quality,
    equal_time,
    few_labels,
    growth,
    japanese_vowels,
    onnx_transform,
    plots,
    pretraining,
    regression,
    search,
    speed,
    tables,
)
from tests.benchmarks.measure import Row, replace_rows

import seqfeat

Measure = Callable[[bool], Iterator[Row]]

PARTS: dict[str, tuple[str, Measure]] = {
    "equal-work": ("speed.csv", speed.equal_work),
    "equal-quality": ("speed.csv", equal_quality.equal_quality),
    "equal-time": ("speed.csv", equal_time.equal_time),
    "unequal-lengths": ("speed.csv", speed.unequal_lengths),
    "grid-search": ("speed.csv", search.grid_search),
    "growth": ("speed.csv", growth.growth),
    "transform": ("speed.csv", onnx_transform.transform),
    "few-labels": ("few_labels.csv", few_labels.few_labels),
    "pretraining": ("pretraining.csv", pretraining.pretraining),
    "anomalies": ("anomalies.csv", anomalies.anomalies),
    "regression": ("regression.csv", regression.regression),
    "japanese-vowels": ("japanese_vowels.csv", japanese_vowels.japanese_vowels),
}
RESULTS = Path(__file__).parent / "results"
PEERS = ["skorch", "keras", "jax", "sequitur", "onnxruntime", "aeon"]
PACKAGES = ["torch", "numpy", "llvmlite", *PEERS]


def main() -> None:
    names = [*PARTS, "accuracy", "plots"]
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="takes minutes; rough results")
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--output", type=Path, metavar="DIR", help="default: the published results")
    options = parser.parse_args()
    if options.quick and options.output is None:
        parser.error("--quick needs --output, so that it does not replace the full results")
    run(options.only or names, options.output or RESULTS, options.quick)


def run(names: list[str], folder: Path, quick: bool) -> None:
    began = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    for name, (file, measure) in PARTS.items():
        if name in names:
            with timed(name):
                replace_rows(folder / file, with_progress(measure(quick)))
    if "accuracy" in names:
        with timed("accuracy"):
            accuracy.run(folder, quick)
    (folder / "environment.json").write_text(json.dumps(environment(), indent=2) + "\n")
    print(tables.write(folder).read_text())
    plots.draw(folder)
    print(f"All results are in {folder}, after {(time.perf_counter() - began) / 60:.1f} minutes")


@contextmanager
def timed(name: str) -> Iterator[None]:
    print(f"{name} ...", flush=True)
    started = time.perf_counter()
    with warnings.catch_warnings():
        # Plain networks and short fits do not converge; the tables show how far they got.
        warnings.simplefilter("ignore")
        yield
    print(f"{name}: {(time.perf_counter() - started) / 60:.1f} minutes", flush=True)


def with_progress(rows: Iterable[Row]) -> Iterator[Row]:
    """Print a line when the first measurement of each contestant in each case arrives."""
    previous = None
    for row in rows:
        current = (row.case, row.embedding_dim, row.contestant)
        if row.round == 0 and current != previous:
            previous = current
            print(f"  {row.case}, {row.contestant}: {row.value:.3g} {row.quantity}", flush=True)
        yield row


def environment() -> dict[str, object]:
    """Return the versions that were measured, and the number of cores."""
    return {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "seqfeat": seqfeat.__version__,
        "scikit-learn": sklearn.__version__,
        **{name: version(name) for name in PACKAGES},
    }


if __name__ == "__main__":
    main()
