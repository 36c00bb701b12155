import sys

import pytest
from sklearn.model_selection import StratifiedKFold, cross_val_score

import seqfeat as library
from seqfeat import make_classifier
from seqfeat.cli.sizes import best_size
from seqfeat.series import read
from tests.commands import LONG, error_of, ok

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def test_scores_are_those_of_a_cross_validation_and_larger_sizes_take_more_bytes(csv):
    options = ["--embedding-dim", "2,6", "--max-iter", "2", "--cv", "2"]
    rows = ok("search", csv, *LONG, *options, "--json").json["sizes"]
    X, y = read(csv, series_id="meter", time="day", label="kind")
    folds = StratifiedKFold(2, shuffle=True, random_state=0)
    for row in rows:
        pipeline = make_classifier(row["embedding_dim"], max_iter=2, random_state=0)
        assert row["score"] == cross_val_score(pipeline, X, y, cv=folds).mean()
    assert rows[0]["file_bytes"] < rows[1]["file_bytes"]


def test_halving_trains_only_the_better_sizes_longer(npy):
    options = ["--embedding-dim", "1,2,4", "--max-iter", "15", "--cv", "2"]
    result = ok("search", npy, *options, "--strategy", "halving", "--json").json
    epochs = {row["embedding_dim"]: row["epochs"] for row in result["sizes"]}
    assert sorted(epochs.values()) == [5, 5, 15]
    assert epochs[result["best"]] == 15
    assert all(row["file_bytes"] > 0 for row in result["sizes"])


def test_the_smallest_of_equally_good_sizes_is_the_best():
    rows = [{"embedding_dim": size, "score": score} for size, score in ((2, 0.5), (4, 0.9))]
    assert best_size([*rows, {"embedding_dim": 8, "score": 0.9 + 1e-16}]) == 4


def test_only_sizes_with_the_most_epochs_can_be_the_best():
    rows = [
        {"embedding_dim": 2, "score": 0.9, "epochs": 5},
        {"embedding_dim": 4, "score": 0.8, "epochs": 15},
    ]
    assert best_size(rows) == 4


def test_train_chooses_the_best_of_several_sizes(tmp_path, csv):
    path = tmp_path / "m.joblib"
    options = ["--embedding-dim", "2,8", "--max-iter", "2", "--no-baselines", "--json"]
    result = ok("train", csv, *LONG, *options, "-o", path).json
    scores = {row["embedding_dim"]: row["score"] for row in result["sizes"]}
    assert set(scores) == {2, 8}
    assert result["embedding_dim"] == max(scores, key=lambda size: (scores[size], -size))
    assert library.load(path)["autoencoder"].embedding_dim_ == result["embedding_dim"]


def test_a_cluster_without_dask_is_an_error_that_names_the_extra(npy, monkeypatch):
    monkeypatch.setitem(sys.modules, "dask.distributed", None)
    message = error_of("search", npy, "--cluster", "tcp://127.0.0.1:9")
    assert message.endswith("pip install 'seqfeat[cluster]'")


def test_a_scheduler_that_does_not_answer_is_an_error(npy, monkeypatch):
    pytest.importorskip("dask.distributed")
    monkeypatch.setattr("seqfeat.cli.sizes.CLUSTER_TIMEOUT", 0.2)
    message = error_of("search", npy, "--cluster", "tcp://127.0.0.1:9")
    assert message.startswith("--cluster tcp://127.0.0.1:9: cannot connect to a scheduler (")
