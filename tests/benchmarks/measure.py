"""Measuring: contestants in turn, rows of a CSV file, summaries of rounds.

A row is one measurement of one round, so that medians, spreads and ratios can be
worked out again from the files.
"""

import csv
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch

OURS = "seqfeat"
MATRIX_PRODUCT = "torch.mm"
MATRIX_SIZE = 1024

T = TypeVar("T")


class Row(NamedTuple):
    """One measurement. `embedding_dim` is 0 where it does not apply."""

    benchmark: str
    case: str
    embedding_dim: int
    contestant: str
    quantity: str
    round: int
    value: float
    note: str = ""


def in_turn(
    contestants: dict[str, T], run: Callable[[T], float], rounds: int
) -> Iterator[tuple[str, int, float]]:
    """Yield name, round and figure; every round has all contestants.

    Whatever else the machine does thus meets all of them.
    """
    for turn in range(rounds):
        for name, contestant in contestants.items():
            yield name, turn, run(contestant)


def seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def seconds_per_epoch(epochs: list[float]) -> float:
    return sum(epochs) / len(epochs)


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def threads(number: int) -> str:
    return "1 thread" if number == 1 else f"{number} threads"


def matrix_product_rate() -> float:
    """Return the GFLOP/s of a large float32 matrix product on all of torch's threads."""
    a, b = (torch.rand(MATRIX_SIZE, MATRIX_SIZE) for _ in range(2))
    best = min(seconds(lambda: torch.mm(a, b)) for _ in range(10))
    return 2 * MATRIX_SIZE**3 / best / 1e9


def read_rows(path: Path) -> list[Row]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [_parsed(values) for values in csv.DictReader(file)]


def _parsed(values: dict[str, str]) -> Row:
    numbers = {"embedding_dim": int, "round": int, "value": float}
    return Row(**{name: numbers.get(name, str)(value) for name, value in values.items()})


def replace_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write rows in the place of earlier ones of the same benchmarks; others stay."""
    rows = list(rows)
    measured = {row.benchmark for row in rows}
    kept = [row for row in read_rows(path) if row.benchmark not in measured]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Row._fields)
        for row in kept + rows:
            writer.writerow(row._replace(value=float(f"{row.value:.6g}")))


def figures(rows: Iterable[Row], **where: object) -> np.ndarray:
    """Return the values, by round, of the rows whose fields are as given."""
    chosen = [row for row in rows if all(getattr(row, k) == v for k, v in where.items())]
    return np.array([row.value for row in sorted(chosen, key=lambda row: row.round)])


def summary(values: np.ndarray, digits: int = 3) -> str:
    """Return the median and, of several values, the spread from least to most."""
    median, least, most = (
        significant(figure, digits) for figure in (np.median(values), values.min(), values.max())
    )
    return median if len(values) == 1 else f"{median} ({least} to {most})"


def significant(figure: float, digits: int = 3) -> str:
    """Return a figure rounded to so many digits, never in scientific notation."""
    if figure == 0:
        return "0"
    decimals = max(0, digits - 1 - int(np.floor(np.log10(abs(figure)))))
    return f"{figure:,.{decimals}f}"
