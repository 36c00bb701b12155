"""Accuracy, seconds and reconstructions as tables, from the CSV files.

The accuracy of a method on a data set is the mean over the seeds.
"""

import csv
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from scipy.stats import rankdata
from tests.benchmarks.datasets import CHOSEN_ON, HELD_OUT
from tests.benchmarks.features import MAKE_CLASSIFIER
from tests.benchmarks.markdown import markdown, unique
from tests.benchmarks.measure import OURS, median_and_range
from tests.benchmarks.published import Scores, read_published

SHOWN = {
    (OURS, MAKE_CLASSIFIER): OURS,
    ("seqfeat, untrained", MAKE_CLASSIFIER): "seqfeat, untrained",
    ("seqfeat, with labels", MAKE_CLASSIFIER): "seqfeat, with labels",
    ("seqfeat, all statistics", MAKE_CLASSIFIER): "seqfeat, all statistics",
    ("MiniRocket", "ridge"): "MiniRocket + ridge",
    ("raw", "RBF SVC"): "raw + SVC",
    ("PCA", "logistic regression"): "PCA + LR",
}
"""By features and classifier, the names of what has columns in the tables by data set."""
OTHERS = {
    (OURS, "LogisticRegression(C=10)"): "seqfeat + LR(C=10)",
    (OURS, "SVC(C=10)"): "seqfeat + SVC(C=10)",
}
"""The same of what is only in the summary."""
SHOWN_PUBLISHED = ["T-Loss, combined", "TS2Vec", "ROCKET", "HIVE-COTE 2"]
REFERENCE = SHOWN["MiniRocket", "ridge"]
PCA_FEW, PCA_MANY = "PCA-8", "PCA-64"
CLOSE = 0.02
"""A difference in R squared that does not matter."""
DRAW = 0.0005
"""Accuracies are published to three decimals."""


class Accuracies:
    """What ``accuracy.csv`` has, and what others published.

    Attributes
    ----------
    of_seeds : dict of str to dict of str to ndarray
        By method and data set, the accuracy of each seed.
    measured, published : dict of str to dict of str to float
        By method and data set.
    """

    def __init__(self, path: Path) -> None:
        self.rows = read_csv(path)
        grouped: dict = defaultdict(lambda: defaultdict(list))
        for row in self.rows:
            name = {**SHOWN, **OTHERS}.get((row["features"], row["classifier"]))
            if name is not None:
                grouped[name][row["data"]].append(float(row["accuracy"]))
        order = [*SHOWN.values(), *OTHERS.values()]
        self.of_seeds = {
            name: {data: np.array(values) for data, values in grouped[name].items()}
            for name in order
            if name in grouped
        }
        self.measured: Scores = {
            name: {data: float(values.mean()) for data, values in sets.items()}
            for name, sets in self.of_seeds.items()
        }
        self.names = unique(row["data"] for row in self.rows)
        scores, self.sources = read_published()
        known = {
            method: {name: sets[name] for name in self.names if name in sets}
            for method, sets in scores.items()
        }
        self.published = {published_name(method): sets for method, sets in known.items() if sets}

    @property
    def all(self) -> Scores:
        return {**self.measured, **self.published}

    @property
    def shown(self) -> Scores:
        """What has columns in the tables by data set."""
        names = [*SHOWN.values(), *map(published_name, SHOWN_PUBLISHED)]
        return {name: self.all[name] for name in names if name in self.all}

    def complete(self, scores: Scores) -> Scores:
        """Keep the methods that have every data set, and of equal ones the first.

        A reservoir is not trained, so its accuracy without labels is that without training.
        """
        kept: Scores = {}
        for method, sets in scores.items():
            if len(sets) == len(self.names) and sets not in kept.values():
                kept[method] = sets
        return kept


def published_name(method: str) -> str:
    return f"{method} (published)"


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def mean(sets: dict[str, float], names: Iterable[str]) -> float:
    return float(np.mean([sets[name] for name in names]))


def accuracy(path: Path) -> str:
    """Return all tables of ``accuracy.csv``."""
    found = Accuracies(path)
    groups = {
        "all": found.names,
        "chosen on": [name for name in found.names if name in CHOSEN_ON],
        "held out": [name for name in found.names if name in HELD_OUT],
    }
    groups = {group: names for group, names in groups.items() if names}
    parts = ["## Accuracy\n", summary(found, groups)]
    for group in ("chosen on", "held out"):
        if group in groups:
            parts += [f"### Data sets {group}\n", by_set(found, groups[group])]
    parts += ["### Seconds\n", total_seconds(found.rows)]
    return "\n".join([*parts, *(f"{method}: {s}.\n" for method, s in found.sources.items())])


def by_set(found: Accuracies, names: list[str]) -> str:
    lines = [
        [name, *(f"{sets[name]:.3f}" if name in sets else "" for sets in found.shown.values())]
        for name in names
    ]
    return markdown(["", *found.shown], lines)


def summary(found: Accuracies, groups: dict[str, list[str]]) -> str:
    """Return the means, and how seqfeat compares on the data sets that a method has."""
    ours, ranked = found.measured[OURS], found.complete(found.shown)
    ranks = mean_ranks(ranked)
    lines = []
    for method, sets in found.all.items():
        cells = [mean_cell(sets, ours, names) for names in groups.values()]
        by_seed = found.of_seeds.get(method)
        rank = next((f"{ranks[name]:.2f}" for name, other in ranked.items() if other == sets), "")
        versus = ["", ""] if method == OURS else comparison(ours, sets)
        lines.append([method, *cells, range_over_seeds(by_seed), rank, *versus])
    header = [f"mean over {len(names)} sets, {group}" for group, names in groups.items()]
    versus = ["seqfeat wins, draws, losses", "seqfeat's largest loss"]
    return markdown(["", *header, "range of the mean over seeds", "mean rank", *versus], lines)


def mean_cell(sets: dict[str, float], ours: dict[str, float], names: list[str]) -> str:
    """Format the mean; where there are not all data sets, with that of seqfeat on the same ones."""
    known = [name for name in names if name in sets]
    if not known:
        return ""
    cell = f"{mean(sets, known):.3f}"
    if len(known) == len(names):
        return cell
    return f"{cell} of {len(known)} (seqfeat {mean(ours, known):.3f})"


def range_over_seeds(by_seed: dict[str, np.ndarray] | None) -> str:
    if by_seed is None:
        return ""
    means = np.mean(list(by_seed.values()), axis=0)
    return f"{means.min():.3f} to {means.max():.3f}" if len(means) > 1 else ""


def mean_ranks(scores: Scores) -> dict[str, float]:
    """Return the mean over the data sets of each method's rank, where 1 is the best."""
    table = [list(dict(sorted(sets.items())).values()) for sets in scores.values()]
    ranks = rankdata(-np.array(table), axis=0).mean(axis=1)
    return dict(zip(scores, ranks.tolist(), strict=True))


def comparison(ours: dict[str, float], theirs: dict[str, float]) -> list[str]:
    """Return our wins, draws and losses on the data sets that both have, and the largest loss."""
    lead = {name: ours[name] - value for name, value in theirs.items()}
    wins = sum(value >= DRAW for value in lead.values())
    losses = sum(value <= -DRAW for value in lead.values())
    worst = min(lead, key=lead.__getitem__)
    loss = f"{-lead[worst]:.3f}, {worst}" if losses else ""
    return [f"{wins}, {len(lead) - wins - losses}, {losses}", loss]


def total_seconds(rows: list[dict[str, str]]) -> str:
    """Return the seconds over all data sets, and seqfeat's as a multiple of MiniRocket's."""
    seconds: dict = defaultdict(lambda: np.zeros(2))
    for row in rows:
        key = row["features"], row["classifier"]
        name = {**SHOWN, **OTHERS}.get(key)
        # Of our features with another classifier, only the classifier's seconds are known.
        if name is not None and (key[0] != OURS or key[1] == MAKE_CLASSIFIER):
            seconds[name, row["seed"]] += float(row["seconds_fit"]), float(row["seconds_transform"])
    lines = []
    for method in unique(method for method, _ in seconds):
        totals = {seed: values for (name, seed), values in seconds.items() if name == method}
        fit, predict = np.mean(list(totals.values()), axis=0)
        ratios = [t.sum() / seconds[REFERENCE, seed].sum() for seed, t in totals.items()]
        cells = [f"{fit:.1f}", f"{predict:.1f}", median_and_range(np.array(ratios))]
        lines.append([method, *cells])
    n_sets = len({row["data"] for row in rows})
    header = [f"fit, s, {n_sets} sets", "predict, s", f"sum as a multiple of {REFERENCE}"]
    return markdown(["one thread, mean of the seeds", *header], lines)


def reconstruction(path: Path) -> str:
    """Return R squared on the test series, and how it compares with principal components."""
    grouped: dict = defaultdict(lambda: defaultdict(list))
    for row in read_csv(path):
        grouped[row["method"]][row["data"]].append(float(row["r2_test"]))
    scores: Scores = {
        method: {data: float(np.mean(values)) for data, values in sets.items()}
        for method, sets in grouped.items()
    }
    names = list(scores[OURS])
    lines = [
        [name, *(f"{sets[name]:.3f}" if name in sets else "" for sets in scores.values())]
        for name in names
    ]
    parts = [markdown(["R squared on the test series", *scores], lines)]
    if PCA_MANY in scores:
        parts.append(reconstruction_summary(scores))
    return "\n".join(["## Reconstruction\n", *parts])


def reconstruction_summary(scores: Scores) -> str:
    few, many = scores[PCA_FEW], scores[PCA_MANY]
    lines = []
    for method, sets in scores.items():
        unexplained = f"{1 - mean(sets, many):.3f}"
        if method in (PCA_FEW, PCA_MANY):
            lines.append([method, "", "", "", unexplained])
            continue
        counts = [
            sum(sets[name] > few[name] for name in many),
            sum(sets[name] >= many[name] for name in many),
            sum(sets[name] >= many[name] - CLOSE for name in many),
        ]
        lines.append([method, *map(str, counts), unexplained])
    compared = [f"above {PCA_FEW}", f"at least {PCA_MANY}", f"at least {PCA_MANY} less {CLOSE}"]
    header = [f"{len(many)} sets of equal lengths without gaps", *compared, "mean unexplained"]
    return markdown(header, lines)
