"""Tables in Markdown, from the CSV files."""

from pathlib import Path

import numpy as np
from tests.benchmarks import anomalies, pretraining, regression
from tests.benchmarks.accuracy_tables import accuracy, reconstruction
from tests.benchmarks.markdown import markdown, unique
from tests.benchmarks.measure import (
    MATRIX_PRODUCT,
    OURS,
    Row,
    median_and_range,
    read_rows,
    select_values,
)
from tests.benchmarks.plain import training_flops
from tests.benchmarks.workloads import SHAPES


def best_peer(rows: list[Row]) -> tuple[str, np.ndarray]:
    """Return the fastest peer by its median, and our speed-up over it in each round.

    A peer that was measured in a single round is compared with our median.
    """
    peers = unique(row.contestant for row in rows if row.contestant != OURS)
    best = min(peers, key=lambda peer: np.median(select_values(rows, contestant=peer)))
    ours, theirs = select_values(rows, contestant=OURS), select_values(rows, contestant=best)
    return best, theirs / (ours if len(ours) == len(theirs) else np.median(ours))


def cell(rows: list[Row], **fields: object) -> str:
    """Format the rows with the given fields; empty if there are none."""
    values = select_values(rows, **fields)
    return median_and_range(values) if len(values) else ""


def equal_work(rows: list[Row]) -> str:
    parts = []
    for case in unique(row.case for row in rows):
        of_case = [row for row in rows if row.case == case]
        sizes = unique(row.embedding_dim for row in of_case)
        timed = [row for row in of_case if row.contestant != MATRIX_PRODUCT]
        lines = [
            [name, *(cell(timed, contestant=name, embedding_dim=size) for size in sizes)]
            for name in unique(row.contestant for row in timed)
        ]
        speed_ups, fractions = [], []
        for size in sizes:
            peer, ratio = best_peer([row for row in timed if row.embedding_dim == size])
            speed_ups.append(f"{median_and_range(ratio)}, {peer}")
            fractions.append(f"{fraction_of_matrix_product_rate(of_case, case, size):.0%}")
        lines.append(["speed-up over the fastest peer", *speed_ups])
        lines.append(["seqfeat, fraction of `torch.mm`'s rate", *fractions])
        header = [f"seconds per epoch, {case}", *(f"{size} features" for size in sizes)]
        parts.append(markdown(header, lines))
    return "\n".join(parts)


def fraction_of_matrix_product_rate(rows: list[Row], case: str, embedding_dim: int) -> float:
    n_series, n_timesteps, n_channels = SHAPES[case]
    work = training_flops(n_series * n_timesteps * n_channels, n_series, n_channels, embedding_dim)
    of_size = {"embedding_dim": embedding_dim}
    rate = np.median(select_values(rows, contestant=MATRIX_PRODUCT, **of_size))
    return work / np.median(select_values(rows, contestant=OURS, **of_size)) / 1e9 / rate


def unequal_lengths(rows: list[Row]) -> str:
    cases = unique(row.case for row in rows)
    lines = [
        [name, *(cell(rows, contestant=name, case=case) for case in cases)]
        for name in unique(row.contestant for row in rows)
    ]
    packed = [row for row in rows if row.contestant == OURS or "packed" in row.contestant]
    ratios = [best_peer([row for row in packed if row.case == case])[1] for case in cases]
    lines.append(["speed-up over the faster packed loop", *map(median_and_range, ratios)])
    return markdown(["seconds per epoch, 64 features", *cases], lines)


def equal_quality(rows: list[Row]) -> str:
    lines = []
    for case, name in unique((row.case, row.contestant) for row in rows):
        measured = [row for row in rows if (row.case, row.contestant) == (case, name)]
        seconds, unexplained = (cell(measured, quantity=q) for q in ("seconds", "unexplained"))
        is_reached = all(row.note == "reached" for row in measured)
        otherwise = f"not reached, {unexplained} unexplained after {seconds} s"
        lines.append([case, name, f"{seconds} s" if is_reached else otherwise])
    return markdown(["", "", "time until 0.05 of the variance is unexplained"], lines)


def equal_time(rows: list[Row]) -> str:
    lines = [
        [name, cell(rows, contestant=name, quantity="unexplained")]
        for name in unique(row.contestant for row in rows)
    ]
    seconds = cell(rows, quantity="seconds")
    return markdown([f"GunPoint, after the same {seconds} s", "unexplained"], lines)


def grid_search(rows: list[Row]) -> str:
    lines = []
    for case, name in unique((row.case, row.contestant) for row in rows):
        measured = [row for row in rows if (row.case, row.contestant) == (case, name)]
        cells = [cell(measured, quantity=q) for q in ("seconds", "accuracy")]
        timed = [row for row in rows if row.case == case and row.quantity == "seconds"]
        ratio = "" if name == OURS else median_and_range(best_peer(timed)[1])
        lines.append([case, name, *cells, ratio, measured[0].note])
    header = ["", "", "seconds", "best mean accuracy over the folds", "seqfeat's speed-up", ""]
    return markdown(header, lines)


def growth(rows: list[Row]) -> str:
    fits, transforms = [], []
    for case in unique(row.case for row in rows):
        values = {row.quantity: row.value for row in rows if row.case == case}
        task, size = case.split(", ")
        numbers = [part.split("=")[1] for part in size.split()]
        peak = f"{values['peak MB']:.0f}"
        if task == "fit":
            bound = 2 * values["activations MB"] + values["data MB"]
            parts = [f"{values[q]:.1f}" for q in ("activations MB", "data MB")]
            seconds = f"{values['seconds per epoch']:.2f}"
            fits.append([*numbers, seconds, peak, *parts, f"{values['peak MB'] / bound:.2f}"])
        else:
            transforms.append([*numbers, f"{values['seconds']:.2f}", peak])
    size = ["series", "steps", "channels", "features"]
    memory = [
        "peak MB",
        "activations of a batch, MB",
        "data, MB",
        "peak / (2 x activations + data)",
    ]
    of_fit = [f"fit, {quantity}" for quantity in ["s per epoch", *memory]]
    of_transform = ["transform, s", "transform, peak MB in addition to its output"]
    return "\n".join(
        [markdown([*size, *of_fit], fits), markdown([*size, *of_transform], transforms)]
    )


def transform(rows: list[Row]) -> str:
    names = unique(row.contestant for row in rows)
    lines = []
    for case in unique(row.case for row in rows):
        of_case = [row for row in rows if row.case == case]
        ratio = median_and_range(best_peer(of_case)[1])
        lines.append([case, *(cell(of_case, contestant=name) for name in names), ratio])
    return markdown(["ms", *names, "speed-up over the faster onnxruntime"], lines)


def japanese_vowels(rows: list[Row]) -> str:
    lines = [
        [name, *(cell(rows, contestant=name, quantity=q) for q in ("accuracy", "seconds of fit"))]
        for name in unique(row.contestant for row in rows)
    ]
    return markdown(["Japanese Vowels, 370 test utterances", "accuracy", "fit, s"], lines)


SPEED = {
    "equal work": equal_work,
    "equal quality": equal_quality,
    "equal time": equal_time,
    "unequal lengths": unequal_lengths,
    "grid search": grid_search,
    "growth": growth,
    "transform": transform,
}


def few_labels(rows: list[Row]) -> str:
    names = unique(row.contestant for row in rows)
    lines = []
    for case in unique(row.case for row in rows):
        values = [select_values(rows, case=case, contestant=name) for name in names]
        lines.append([case, *(f"{v.mean():.3f} ({v.min():.3f} to {v.max():.3f})" for v in values)])
    return markdown(["mean accuracy over the seeds", *names], lines)


def write(folder: Path) -> Path:
    """Write ``tables.md`` from the CSV files in the folder."""
    parts = [
        "Written by `make bench`. Accuracies are means over the seeds; all else are medians, with "
        "the minimum and maximum in parentheses.\n"
    ]
    for file, table in (("accuracy.csv", accuracy), ("reconstruction.csv", reconstruction)):
        if (folder / file).exists():
            parts.append(table(folder / file))
    rows = read_rows(folder / "few_labels.csv")
    if rows:
        parts += ["## Few labels\n", few_labels(rows)]
    rows = read_rows(folder / "pretraining.csv")
    if rows:
        parts += ["## Starting from a fitted model\n", pretraining.table(rows)]
    rows = read_rows(folder / "japanese_vowels.csv")
    if rows:
        parts += ["## Japanese Vowels\n", japanese_vowels(rows)]
    rows = read_rows(folder / "anomalies.csv")
    if rows:
        parts += ["## Anomalies\n", anomalies.table(rows)]
    rows = read_rows(folder / "regression.csv")
    if rows:
        parts += ["## Numbers as targets\n", regression.table(rows)]
    speed = read_rows(folder / "speed.csv")
    for name, table in SPEED.items():
        rows = [row for row in speed if row.benchmark == name]
        if rows:
            parts += [f"## {name.capitalize()}\n", table(rows)]
    path = folder / "tables.md"
    path.write_text("\n".join(parts))
    return path
