"""The tables of the README and of RESULTS.md, in Markdown, from the CSV files."""

import csv
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from tests.benchmarks.measure import MATRIX_PRODUCT, OURS, Row, figures, read_rows, summary
from tests.benchmarks.plain import training_flops
from tests.benchmarks.published import PUBLISHED, SOURCES
from tests.benchmarks.speed import SHAPES

UCR = [
    "GunPoint",
    "ArrowHead",
    "OSULeaf",
    "ItalyPowerDemand",
    "ACSF1",
    "PickupGestureWiimoteZ",
]
"""Sets of one channel, from the archive that T-Loss and TS2Vec were compared on."""


def markdown(header: list[str], lines: Iterable[list[str]]) -> str:
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows) + "\n"


def unique(values: Iterable) -> list:
    return list(dict.fromkeys(values))


def best_peer(rows: list[Row]) -> tuple[str, np.ndarray]:
    """Return the peer with the least median, and its figure over ours, round by round.

    A peer of a single round is compared with our median.
    """
    peers = unique(row.contestant for row in rows if row.contestant != OURS)
    best = min(peers, key=lambda peer: np.median(figures(rows, contestant=peer)))
    ours, theirs = figures(rows, contestant=OURS), figures(rows, contestant=best)
    return best, theirs / (ours if len(ours) == len(theirs) else np.median(ours))


def equal_work(rows: list[Row]) -> str:
    parts = []
    for case in unique(row.case for row in rows):
        of_case = [row for row in rows if row.case == case]
        sizes = unique(row.embedding_dim for row in of_case)
        timed = [row for row in of_case if row.contestant != MATRIX_PRODUCT]
        lines = [
            [name, *(summary(figures(timed, contestant=name, embedding_dim=E)) for E in sizes)]
            for name in unique(row.contestant for row in timed)
        ]
        of_sizes = [[row for row in timed if row.embedding_dim == E] for E in sizes]
        bests = [best_peer(of_size) for of_size in of_sizes]
        lines.append(["best peer's time over ours", *(f"{summary(r)}, {n}" for n, r in bests)])
        shares = [share_of_matrix_products(of_case, case, E) for E in sizes]
        lines.append(["ours, share of `torch.mm`'s rate", *(f"{share:.0%}" for share in shares)])
        header = [f"seconds per epoch, {case}", *(f"{E} features" for E in sizes)]
        parts.append(markdown(header, lines))
    return "\n".join(parts)


def share_of_matrix_products(rows: list[Row], case: str, embedding_dim: int) -> float:
    n_series, n_timesteps, n_channels = SHAPES[case]
    work = training_flops(n_series * n_timesteps * n_channels, n_series, n_channels, embedding_dim)
    where = {"embedding_dim": embedding_dim}
    rate = np.median(figures(rows, contestant=MATRIX_PRODUCT, **where))
    return work / np.median(figures(rows, contestant=OURS, **where)) / 1e9 / rate


def unequal_lengths(rows: list[Row]) -> str:
    cases = unique(row.case for row in rows)
    names = unique(row.contestant for row in rows)
    lines = [
        [name, *(summary(figures(rows, contestant=name, case=case)) for case in cases)]
        for name in names
    ]
    packed = [row for row in rows if row.contestant == OURS or "packed" in row.contestant]
    bests = [best_peer([row for row in packed if row.case == case]) for case in cases]
    lines.append(["packed, the better, over ours", *(summary(ratio) for _, ratio in bests)])
    return markdown(["seconds per epoch, 64 features", *cases], lines)


def equal_quality(rows: list[Row]) -> str:
    lines = []
    for case, name in unique((row.case, row.contestant) for row in rows):
        of = [row for row in rows if (row.case, row.contestant) == (case, name)]
        seconds = summary(figures(of, quantity="seconds"))
        left = summary(figures(of, quantity="unexplained"))
        reached = all(row.note == "reached" for row in of)
        after = f"not reached, {left} unexplained after {seconds} s"
        lines.append([case, name, f"{seconds} s" if reached else after])
    return markdown(["", "", "until 0.05 of the variance is unexplained"], lines)


def equal_time(rows: list[Row]) -> str:
    lines = [
        [name, summary(figures(rows, contestant=name, quantity="unexplained"))]
        for name in unique(row.contestant for row in rows)
    ]
    seconds = summary(figures(rows, quantity="seconds"))
    return markdown([f"GunPoint, after the same {seconds} s", "unexplained"], lines)


def grid_search(rows: list[Row]) -> str:
    lines = []
    for case, name in unique((row.case, row.contestant) for row in rows):
        of = [row for row in rows if (row.case, row.contestant) == (case, name)]
        of_quantity = [summary(figures(of, quantity=q)) for q in ("seconds", "accuracy")]
        others = [row for row in rows if row.case == case and row.quantity == "seconds"]
        ratio = "" if name == OURS else summary(best_peer(others)[1])
        lines.append([case, name, *of_quantity, ratio, of[0].note])
    over = "time over ours"
    return markdown(["", "", "seconds", "best mean accuracy of the folds", over, ""], lines)


def growth(rows: list[Row]) -> str:
    fits, transforms = [], []
    for case in unique(row.case for row in rows):
        of = {row.quantity: row.value for row in rows if row.case == case}
        task, size = case.split(", ")
        numbers = [part.split("=")[1] for part in size.split()]
        peak = f"{of['peak MB']:.0f}"
        if task == "fit":
            bound = 2 * of["activations MB"] + of["data MB"]
            parts = [f"{of[q]:.1f}" for q in ("activations MB", "data MB")]
            seconds = f"{of['seconds per epoch']:.2f}"
            fits.append([*numbers, seconds, peak, *parts, f"{of['peak MB'] / bound:.2f}"])
        else:
            transforms.append([*numbers, f"{of['seconds']:.2f}", peak])
    header = ["series", "steps", "channels", "features"]
    over = "peak over twice the activations plus the data"
    parts = ["s per epoch", "peak MB", "activations of a batch, MB", "data, MB", over]
    return "\n".join(
        [
            markdown([*header, *(f"fit, {part}" for part in parts)], fits),
            markdown([*header, "transform, s", "transform, peak MB beyond its output"], transforms),
        ]
    )


def transform(rows: list[Row]) -> str:
    names = unique(row.contestant for row in rows)
    lines = []
    for case in unique(row.case for row in rows):
        of = [figures(rows, case=case, contestant=name) for name in names]
        over = summary(best_peer([row for row in rows if row.case == case])[1])
        lines.append([case, *(summary(times) if len(times) else "" for times in of), over])
    return markdown(["ms", *names, "the best of onnxruntime over ours"], lines)


def japanese_vowels(rows: list[Row]) -> str:
    lines = [
        [name, *(summary(figures(rows, contestant=name, quantity=q)) for q in quantities)]
        for quantities in [("accuracy", "seconds of fit")]
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

Accuracies = dict[tuple[str, str], dict[str, np.ndarray]]
"""By features and classifier, and then by data set: one accuracy a seed."""


def read_accuracies(path: Path) -> Accuracies:
    cells: dict = defaultdict(lambda: defaultdict(list))
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            cell = cells[row["features"], row["classifier"]][row["data"]]
            cell.append(float(row["accuracy"]))
    return {key: {n: np.array(v) for n, v in sets.items()} for key, sets in cells.items()}


def means(sets: dict[str, float]) -> list[float]:
    """Return the mean over all data sets, and over the UCR archive's."""
    return [np.mean(list(sets.values())), np.mean([v for n, v in sets.items() if n in UCR])]


def medians(sets: dict[str, np.ndarray]) -> dict[str, float]:
    return {name: float(np.median(values)) for name, values in sets.items()}


def headline(accuracies: Accuracies) -> Accuracies:
    """Keep a classifier for each kind of features that nobody chose by its result on test sets.

    MiniRocket's is linear, as its authors have it; that of all else the SVC of T-Loss and TS2Vec.
    """
    return {
        (features, classifier): sets
        for (features, classifier), sets in accuracies.items()
        if classifier == ("logistic regression" if features == "MiniRocket" else "RBF SVC")
    }


def accuracy(accuracies: Accuracies, spread: bool) -> str:
    names = unique(name for sets in accuracies.values() for name in sets)
    lines = []
    for (features, classifier), sets in accuracies.items():
        centre = means(medians(sets))
        cells = [
            summary(sets[name]) if spread else f"{np.median(sets[name]):.3f}" for name in names
        ]
        lines.append([f"{features}, {classifier}", *cells, *(f"{m:.3f}" for m in centre)])
    for method, sets in PUBLISHED.items():
        known = {name: sets[name] for name in names}
        cells = [f"{value:.3f}" for value in known.values()]
        lines.append([f"{method}, published", *cells, *(f"{m:.3f}" for m in means(known))])
    return markdown(["", *names, "mean", "mean of UCR"], lines)


def write(folder: Path) -> Path:
    """Write ``tables.md`` from the files that are in the folder."""
    parts = ["Written by `make bench`. Medians, and in parentheses the least to the most.\n"]
    if (folder / "accuracy.csv").exists():
        accuracies = read_accuracies(folder / "accuracy.csv")
        parts += ["## Accuracy\n", accuracy(headline(accuracies), False)]
        parts += ["## Accuracy, all classifiers\n", accuracy(accuracies, True)]
        parts += [f"{method}: {source}.\n" for method, source in SOURCES.items()]
    rows = read_rows(folder / "japanese_vowels.csv")
    if rows:
        parts += ["## Japanese Vowels\n", japanese_vowels(rows)]
    speed = read_rows(folder / "speed.csv")
    for name, table in SPEED.items():
        rows = [row for row in speed if row.benchmark == name]
        if rows:
            parts += [f"## {name.capitalize()}\n", table(rows)]
    path = folder / "tables.md"
    path.write_text("\n".join(parts))
    return path
