import json

import pytest

import seqfeat as library
from tests.commands import LONG, ok

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_best_size_is_shown_trained_and_saved(tmp_path, csv):
    path = tmp_path / "best.joblib"
    options = ["--embedding-dim", "2,6", "--max-iter", "2", "--cv", "2"]
    out = ok("search", csv, *LONG, *options, "-o", path).out
    title, header, *rows = out.splitlines()[:4]
    assert title == "Accuracy, mean and std of 2 folds:"
    assert header.split() == ["features", "score", "std", "fit", "time", "file", "size"]
    assert [row.split()[0] for row in rows] == ["2", "6"]
    (best,) = (int(row.split()[0]) for row in rows if row.endswith("best"))
    assert library.load(path)["autoencoder"].embedding_dim_ == best
    result = ok("search", csv, *LONG, *options, "--json").json
    assert result["best"] == best
    chosen = next(row for row in result["sizes"] if row["embedding_dim"] == best)
    metrics = json.loads(path.with_suffix(".json").read_text())["metrics"]
    assert metrics["cv_accuracy"] == chosen["score"]
    assert path.stat().st_size == pytest.approx(chosen["file_bytes"], rel=0.1)


def test_the_scores_can_be_plotted(tmp_path, npy):
    pytest.importorskip("matplotlib")
    plot = tmp_path / "sizes.png"
    ok("search", npy, "--embedding-dim", "1,2", "--max-iter", "1", "--plot", plot)
    assert plot.read_bytes().startswith(b"\x89PNG")
