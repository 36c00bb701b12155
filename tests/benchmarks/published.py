"""Accuracies that others published for the official splits; not measured here.

They are read from ``published.csv`` in the folder of archive sets, with the columns dataset,
method, accuracy and source file. Without the folder there are those below, for the sets that aeon
bundles. T-Loss and TS2Vec are RBF SVCs on 320 learned features, with C chosen by cross-validation.
"""

import csv

from tests.benchmarks.datasets import archive_folder

Scores = dict[str, dict[str, float]]
"""Accuracies by method, and then by data set."""

OF_BUNDLED_SETS: Scores = {
    "T-Loss": {
        "JapaneseVowels": 0.989,
        "BasicMotions": 1.000,
        "GunPoint": 0.980,
        "ArrowHead": 0.766,
        "OSULeaf": 0.760,
        "ItalyPowerDemand": 0.954,
        "ACSF1": 0.900,
        "PickupGestureWiimoteZ": 0.740,
    },
    "T-Loss, combined": {
        "JapaneseVowels": 0.989,
        "BasicMotions": 1.000,
        "GunPoint": 0.993,
        "ArrowHead": 0.829,
        "OSULeaf": 0.831,
        "ItalyPowerDemand": 0.925,
        "ACSF1": 0.810,
        "PickupGestureWiimoteZ": 0.780,
    },
    "TS2Vec": {
        "JapaneseVowels": 0.984,
        "BasicMotions": 0.975,
        "GunPoint": 0.980,
        "ArrowHead": 0.857,
        "OSULeaf": 0.851,
        "ItalyPowerDemand": 0.925,
        "ACSF1": 0.900,
        "PickupGestureWiimoteZ": 0.820,
    },
}
SOURCES_OF_BUNDLED_SETS = {
    "T-Loss": (
        "Franceschi, Dieuleveut and Jaggi, NeurIPS 2019; results_ucr.csv (K = 10) and "
        "results_uea.csv (K = 20) of the authors' repository, as TS2Vec's paper quotes them"
    ),
    "T-Loss, combined": "the same files: features of encoders with three or four K side by side",
    "TS2Vec": (
        "Yue et al., AAAI 2022, tables of the appendix over UCR and UEA; quoted from memory of "
        "the paper, the original was not at hand to compare"
    ),
}
NAMES_IN_FILE = {
    "T-Loss, combined": ["T-Loss, combined"],
    "TS2Vec": ["TS2Vec (RankSCL's run)"],
    "MiniRocket": ["MiniRocket"],
    "ROCKET": ["ROCKET", "ROCKET (tsml-eval)"],
    "InceptionTime": ["InceptionTime"],
    "MultiROCKET-Hydra": ["MultiROCKET-Hydra"],
    "HIVE-COTE 2": ["HIVE-COTE 2"],
}
"""By method, what it is called in the file. The first name that has a data set counts: authors of
ROCKET published only univariate sets, and the other run is on the same splits."""


def read_published() -> tuple[Scores, dict[str, str]]:
    """Return the accuracies, and the source of each method's."""
    folder = archive_folder()
    if folder is None or not (folder / "published.csv").exists():
        return OF_BUNDLED_SETS, SOURCES_OF_BUNDLED_SETS
    with (folder / "published.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    scores: Scores = {}
    sources: dict[str, str] = {}
    for method, names in NAMES_IN_FILE.items():
        # In reverse, so that the first name replaces what the others have.
        chosen = [row for name in names[::-1] for row in rows if row["method"] == name]
        scores[method] = {row["dataset"]: float(row["accuracy"]) for row in chosen}
        sources[method] = "; ".join(dict.fromkeys(row["source file"] for row in chosen[::-1]))
    return scores, sources
