"""All benchmarks: ``make bench``, or ``make bench-quick`` for a short look.

They write CSV files, tables and pictures into a folder; nothing is asserted. Part of
them, in place of what was measured before: ``python -m tests.benchmarks --only growth``.
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
    growth,
    gunpoint,
    japanese_vowels,
    onnx_transform,
    plots,
    quality,
    search,
    speed,
    tables,
)
from tests.benchmarks.measure import Row, replace_rows

import seqfeat

Measure = Callable[[bool], Iterator[Row]]

PARTS: dict[str, tuple[str, Measure]] = {
    "equal-work": ("speed.csv", speed.equal_work),
    "equal-quality": ("speed.csv", quality.equal_quality),
    "equal-time": ("speed.csv", gunpoint.equal_time),
    "unequal-lengths": ("speed.csv", speed.unequal_lengths),
    "grid-search": ("speed.csv", search.grid_search),
    "growth": ("speed.csv", growth.growth),
    "transform": ("speed.csv", onnx_transform.transform),
    "japanese-vowels": ("japanese_vowels.csv", japanese_vowels.japanese_vowels),
}
RESULTS = Path(__file__).parent / "results"
PEERS = ["skorch", "keras", "jax", "sequitur", "onnxruntime", "aeon"]
PACKAGES = ["torch", "numpy", "llvmlite", *PEERS]


def main() -> None:
    names = [*PARTS, "accuracy", "plots"]
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="minutes, and rough figures")
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--output", type=Path, metavar="DIR", help="default: the published results")
    options = parser.parse_args()
    if options.quick and options.output is None:
        parser.error("--quick needs an --output of its own, so that it replaces no full results")
    run(options.only or names, options.output or RESULTS, options.quick)


def run(names: list[str], folder: Path, quick: bool) -> None:
    began = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    for name, (file, measure) in PARTS.items():
        if name in names:
            with timed(name):
                replace_rows(folder / file, told(measure(quick)))
    if "accuracy" in names:
        with timed("accuracy"):
            accuracy.run(folder / "accuracy.csv", quick)
    (folder / "environment.json").write_text(json.dumps(environment(), indent=2) + "\n")
    print(tables.write(folder).read_text())
    plots.draw(folder)
    print(f"All in {folder}, {(time.perf_counter() - began) / 60:.1f} minutes")


@contextmanager
def timed(name: str) -> Iterator[None]:
    print(f"{name} ...", flush=True)
    started = time.perf_counter()
    with warnings.catch_warnings():
        # Plain networks and short fits do not converge; the tables say how far they came.
        warnings.simplefilter("ignore")
        yield
    print(f"{name}: {(time.perf_counter() - started) / 60:.1f} minutes", flush=True)


def told(rows: Iterable[Row]) -> Iterator[Row]:
    """Print a line for each contestant of each case that begins to come in."""
    last = None
    for row in rows:
        begun = (row.case, row.embedding_dim, row.contestant)
        if row.round == 0 and begun != last:
            last = begun
            print(f"  {row.case}, {row.contestant}: {row.value:.3g} {row.quantity}", flush=True)
        yield row


def environment() -> dict[str, object]:
    """Return the versions that were measured and how many cores there were."""
    return {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "seqfeat": seqfeat.__version__,
        "scikit-learn": sklearn.__version__,
        **{name: version(name) for name in PACKAGES},
    }


if __name__ == "__main__":
    main()
