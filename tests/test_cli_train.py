"""`seqfeat train` and `seqfeat search`: from a file to a model that was measured."""

import json
import re
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split
from tests.commands import LONG, QUICK, complaint, meters, ok, seqfeat

import seqfeat as library
from seqfeat import LSTMAutoencoder, make_classifier
from seqfeat.datasets import load_japanese_vowels
from seqfeat.series import read

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    # Of what the commands are compared with; their own are lines on stderr.
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "meters.csv"
    meters().to_csv(path, index=False)
    return path


@pytest.fixture
def npy(tmp_path):
    path = tmp_path / "rows.npy"
    np.save(path, np.sin(np.arange(20) / 3 + np.arange(24)[:, None])[:, :, None])
    return path


def card_of(path):
    return json.loads(path.with_suffix(".json").read_text())


def test_the_model_is_the_one_that_was_measured(tmp_path, csv):
    path = tmp_path / "models" / "meters.joblib"
    done = ok("train", csv, *LONG, *QUICK, "-o", path)
    assert "10 series held out of 40" in done.out
    X, y = read(csv, series_id="meter", time="day", label="kind")
    card = card_of(path)
    rows, held_out = train_test_split(np.arange(40), test_size=10, random_state=0, stratify=y)
    model = library.load(path)
    assert card["metrics"]["test_series"] == 10
    assert card["metrics"]["test_accuracy"] == model.score(X.iloc[held_out], y.iloc[held_out])
    r_squared = model["autoencoder"].score(X.iloc[np.sort(held_out)])
    assert card["metrics"]["test_r_squared"] == pytest.approx(r_squared)
    rows = np.sort(rows)
    again = make_classifier(4, max_iter=3, random_state=0).fit(X.iloc[rows], y.iloc[rows])
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


def test_it_is_compared_with_what_is_simpler(tmp_path, csv):
    done = ok("train", csv, *LONG, *QUICK, "-o", tmp_path / "m.joblib", "--json")
    scores = done.json["scores"]
    assert list(scores) == [
        "seqfeat, 4 features + lda",
        "most frequent class",
        "raw series + RBF SVC",
        "PCA(4) + same classifier",
        "untrained encoder + same classifier",
    ]
    assert scores["most frequent class"] == 0.5
    metrics = card_of(tmp_path / "m.joblib")["metrics"]
    assert metrics["baseline: raw series + RBF SVC"] == scores["raw series + RBF SVC"]


def test_json_alone_is_on_stdout_and_quiet_says_nothing_else(tmp_path, csv):
    arguments = ["train", csv, *LONG, *QUICK, "--no-baselines", "-o", tmp_path / "m.joblib"]
    done = ok(*arguments, "--json", "--quiet")
    assert all(line.startswith("seqfeat: warning: ") for line in done.err.splitlines())
    assert done.json["command"] == "train"
    assert done.json["interrupted"] is False
    assert done.json["bytes"] == (tmp_path / "m.joblib").stat().st_size
    assert "Training on 30 series" in ok("--json", *arguments).err


def test_cross_validation_gives_what_scikit_learn_gives(tmp_path, csv):
    path = tmp_path / "m.joblib"
    done = ok("train", csv, *LONG, *QUICK, "--cv", "3", "--no-baselines", "-o", path, "--json")
    X, y = read(csv, series_id="meter", time="day", label="kind")
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    pipeline = make_classifier(4, max_iter=3, random_state=0)
    scores = cross_val_score(pipeline, X, y, cv=folds)
    assert done.json["metrics"]["cv_accuracy"] == scores.mean()
    assert done.json["metrics"]["cv_accuracy_deviation"] == scores.std()
    # The model that is saved has seen all series.
    np.testing.assert_array_equal(
        library.load(path).predict_proba(X), pipeline.fit(X, y).predict_proba(X)
    )


def test_refit_trains_again_on_all_series(tmp_path, csv):
    path = tmp_path / "m.joblib"
    ok("train", csv, *LONG, *QUICK, "--refit", "--no-baselines", "-o", path)
    X, y = read(csv, series_id="meter", time="day", label="kind")
    expected = make_classifier(4, max_iter=3, random_state=0).fit(X, y)
    np.testing.assert_array_equal(library.load(path).predict_proba(X), expected.predict_proba(X))
    assert card_of(path)["metrics"]["test_series"] == 10


def test_the_demo_is_measured_on_its_official_test_set(tmp_path):
    path = tmp_path / "vowels.joblib"
    done = ok("train", "demo:japanese-vowels", *QUICK, "--no-baselines", "-o", path, "--json")
    X, y = load_japanese_vowels(split="test", return_X_y=True)
    assert done.json["metrics"]["test_accuracy"] == library.load(path).score(X, y)
    assert done.json["n_series"] == 270
    assert card_of(path)["notes"] == "trained on demo:japanese-vowels:train"


def test_another_file_can_be_the_test_set(tmp_path, csv):
    other = tmp_path / "other.csv"
    meters(8, seed=1).to_csv(other, index=False)
    path = tmp_path / "m.joblib"
    ok("train", csv, *LONG, *QUICK, "--test", other, "--no-baselines", "-o", path)
    X, y = read(other, series_id="meter", time="day", label="kind")
    assert card_of(path)["metrics"]["test_accuracy"] == library.load(path).score(X, y)


def test_without_labels_features_alone_are_learned(tmp_path, npy):
    path = tmp_path / "m.joblib"
    done = ok("train", npy, *QUICK, "-o", path)
    assert "without labels" in done.err
    model = library.load(path)
    assert isinstance(model, LSTMAutoencoder)
    assert list(card_of(path)["metrics"]) == ["test_series", "test_r_squared", "fit_seconds"]


def test_options_reach_the_estimator(tmp_path, csv):
    path = tmp_path / "m.skops"
    options = ["--classifier", "logistic", "--target-weight", "0.3", "--missing", "mask"]
    options += ["--batch-size", "9", "--early-stopping", "--random-state", "7", "--device", "cpu"]
    options += ["--set", "pooling=max", "--set", "scale=none", "--set", "dropout=0.1"]
    options += ["--notes", "for the tests", "--test-size", "0", "--channels", "load"]
    done = ok("train", csv, *LONG, *QUICK, *options, "-o", path)
    assert "accuracy" not in done.out
    pipeline = library.load(path)
    assert isinstance(pipeline["classifier"], LogisticRegression)
    expected = {
        "embedding_dim": 4,
        "max_iter": 3,
        "target_weight": 0.3,
        "missing": "mask",
        "batch_size": 9,
        "early_stopping": True,
        "random_state": 7,
        "device": "cpu",
        "pooling": "max",
        "scale": None,
        "dropout": 0.1,
    }
    parameters = pipeline["autoencoder"].get_params()
    assert {name: parameters[name] for name in expected} == expected
    assert pipeline["autoencoder"].n_channels_in_ == 1
    assert card_of(path)["notes"] == "for the tests"


@pytest.mark.parametrize("name", ["svc", "linear-svc", "forest", "boosting", "knn", "ridge"])
def test_every_classifier_learns(tmp_path, csv, name):
    path = tmp_path / "m.joblib"
    options = ["--classifier", name, "--no-baselines", "--max-iter", "0"]
    done = ok("train", csv, *LONG, "--embedding-dim", "8", *options, "-o", path, "--json")
    assert done.json["metrics"]["test_accuracy"] >= 0.7


def test_the_card_tells_how_the_series_were_read(tmp_path, csv):
    ok("train", csv, *LONG, *QUICK, "--no-baselines", "-o", tmp_path / "m.joblib")
    assert card_of(tmp_path / "m.joblib")["reading"] == {
        "label": "kind",
        "series_id": "meter",
        "time": "day",
        "channels": ["load", "heat"],
        "step": "auto",
        "even_step": 1,
    }


def test_of_several_sizes_the_best_is_trained(tmp_path, csv):
    path = tmp_path / "m.joblib"
    options = ["--embedding-dim", "2,8", "--max-iter", "2", "--no-baselines", "--json"]
    done = ok("train", csv, *LONG, *options, "-o", path)
    sizes = {row["embedding_dim"]: row["score"] for row in done.json["sizes"]}
    assert set(sizes) == {2, 8}
    assert done.json["embedding_dim"] == max(sizes, key=lambda size: (sizes[size], -size))
    assert library.load(path)["autoencoder"].embedding_dim_ == done.json["embedding_dim"]


def test_a_picture_can_be_had_as_well(tmp_path, csv):
    picture = tmp_path / "new" / "m.png"
    options = ["--no-baselines", "--picture", picture]
    ok("train", csv, *LONG, *QUICK, *options, "-o", tmp_path / "m.joblib")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_search_shows_scores_times_and_sizes(tmp_path, csv):
    path = tmp_path / "best.joblib"
    options = ["--embedding-dim", "2,6", "--max-iter", "2", "--cv", "2"]
    done = ok("search", csv, *LONG, *options, "-o", path)
    header, *lines = done.out.splitlines()[1:4]
    assert header.split() == ["features", "score", "seconds", "of", "a", "fit", "file", "KiB"]
    assert [line.split()[0] for line in lines] == ["2", "6"]
    assert sum(line.endswith("best") for line in lines) == 1
    result = ok("search", csv, *LONG, *options, "--json").json
    X, y = read(csv, series_id="meter", time="day", label="kind")
    folds = StratifiedKFold(2, shuffle=True, random_state=0)
    for row in result["sizes"]:
        pipeline = make_classifier(row["embedding_dim"], max_iter=2, random_state=0)
        assert row["score"] == cross_val_score(pipeline, X, y, cv=folds).mean()
    small, large = (row["file_bytes"] for row in result["sizes"])
    assert small < large
    best = library.load(path)["autoencoder"].embedding_dim_
    assert best == result["best"]
    chosen = next(row for row in result["sizes"] if row["embedding_dim"] == best)
    assert card_of(path)["metrics"]["cv_accuracy"] == chosen["score"]
    assert path.stat().st_size == pytest.approx(chosen["file_bytes"], rel=0.1)


def test_halving_gives_the_better_sizes_more_epochs(npy):
    options = ["--embedding-dim", "1,2,4", "--max-iter", "15", "--cv", "2"]
    result = ok("search", npy, *options, "--strategy", "halving", "--json").json
    epochs = {row["embedding_dim"]: row["epochs"] for row in result["sizes"]}
    assert sorted(epochs.values()) == [5, 5, 15]
    assert epochs[result["best"]] == 15
    assert all(row["file_bytes"] > 0 for row in result["sizes"])


def test_a_search_on_a_cluster_names_the_extra(npy):
    done = seqfeat("search", npy, "--cluster", "tcp://127.0.0.1:9")
    assert done.status == 1
    assert "seqfeat[cluster]" in done.err or "no scheduler answers there" in done.err


def test_the_plot_of_a_search_is_drawn(tmp_path, npy):
    display = pytest.importorskip("seqfeat.display")
    if not hasattr(display, "EmbeddingSizeDisplay"):
        pytest.skip("there is no EmbeddingSizeDisplay yet")
    plot = tmp_path / "sizes.png"
    ok("search", npy, "--embedding-dim", "1,2", "--max-iter", "1", "--plot", plot)
    assert plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("command", ["train", "report"])
def test_a_report_can_be_had(tmp_path, csv, command):
    pytest.importorskip("bokeh")
    pytest.importorskip("seqfeat.report")
    page, model = tmp_path / "new" / "report.html", tmp_path / "m.joblib"
    report = ["--report", page] if command == "train" else []
    ok("train", csv, *LONG, *QUICK, *report, "-o", model)
    if command == "report":
        ok("report", model, csv, "-o", page, "--title", "Meters in May")
        assert "Meters in May" in page.read_text()
    assert "<html" in page.read_text()


def report_of(tmp_path, csv, *options):
    """Return the text of the report that a training leaves, and of its scores alone."""
    pytest.importorskip("bokeh")
    page, model = tmp_path / "r.html", tmp_path / "m.joblib"
    ok("train", csv, *LONG, *QUICK, *options, "--report", page, "-o", model)
    scores, rest = re.split('<section id="series"', page.read_text(), maxsplit=1)
    return scores, rest


def test_a_training_s_report_compares_on_the_series_held_out(tmp_path, csv):
    scores, rest = report_of(tmp_path, csv, "--notes", "the first of May")
    assert "Trained on 30 series of" in scores
    assert "10 series held out of 40." in scores
    assert "the first of May" in scores
    assert "raw series + RBF SVC" in scores
    assert "flatters" not in scores
    assert re.search(r'"m0\d\d"', rest)  # the series' names
    assert "most frequent class<" not in scores  # the page has a better one
    assert re.search('<th scope="row">training</th>', rest)
    assert '"load"' in rest  # the channels' names
    assert "fit_seconds" not in scores + rest


def test_series_that_are_mere_numbers_are_called_by_their_column(tmp_path, npy):
    pytest.importorskip("bokeh")
    page = tmp_path / "r.html"
    ok("train", npy, *QUICK, "--test-size", "0", "--report", page, "-o", tmp_path / "m.joblib")
    assert '"series 7"' in page.read_text()


def test_a_report_on_what_was_trained_on_does_not_compare_with_folds(tmp_path, csv):
    scores, _ = report_of(tmp_path, csv, "--cv", "2")
    assert "which flatters it" in scores
    metrics = card_of(tmp_path / "m.joblib")["metrics"]
    table, further = scores.split("Further figures</caption>")
    assert "raw series" not in table
    assert "accuracy of raw series + RBF SVC, mean of 2 folds" in further
    assert (
        f'accuracy, mean of 2 folds</th><td class="number">{metrics["cv_accuracy"]:.4g}' in further
    )


def test_a_report_is_on_the_model_that_was_measured(tmp_path, csv):
    scores, _ = report_of(tmp_path, csv, "--refit")
    metrics = card_of(tmp_path / "m.joblib")["metrics"]
    assert f"{100 * metrics['test_accuracy']:.1f} %" in scores
    assert "was then trained once more, on all of them." in scores
    assert "flatters" not in scores


def test_what_a_card_says_is_in_a_later_report_in_words(tmp_path, csv):
    pytest.importorskip("bokeh")
    page, model = tmp_path / "r.html", tmp_path / "m.joblib"
    ok("train", csv, *LONG, *QUICK, "-o", model)
    ok("report", model, csv, "-o", page)
    text = page.read_text()
    assert "m.joblib: trained on " in text
    assert "accuracy of raw series + RBF SVC on 10 series held out of the training" in text
    assert "test_accuracy" not in text
    assert '"load"' in text


# What is refused, before any training and in one line.


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--label", "kin"], ["--label kin", "meters.csv", "meter, day", "Did you mean 'kind'?"]),
        (["--label", "kind"], ["'meter'", "--label", "--id and --time"]),
        (["--time", "day"], ["needs --id"]),
        ([*LONG, "--max-iter", "-1"], ["--max-iter", "-1"]),
        ([*LONG, "--set", "droput=1"], ["--set droput", "dropout"]),
        ([*LONG, "--set", "dropout=2"], ["--set dropout=...", "Got 2"]),
        ([*LONG, "--device", "cuda:77"], ["--device cuda:77", "--device cpu"]),
        ([*LONG, "--cv", "21"], ["--cv 21", "20 series", "--cv 20"]),
        ([*LONG, "--test-size", "1.5"], ["--test-size 1.5"]),
        ([*LONG, "--test-size", "0.02"], ["--test-size 0.02", "one of each class", "--cv"]),
        ([*LONG, "--channels-first"], ["--channels-first", "table"]),
        ([*LONG[:4], "--label", "load", "--channels", "heat"], ["load", "a series has one label"]),
        ([*LONG, "--test", "nothing.csv"], ["there is no file nothing.csv"]),
        ([*LONG, "--step", "5min"], ["--step 5min"]),
        ([*LONG, "--report", "page.txt"], ["--report page.txt", ".html"]),
        ([*LONG, "--picture", "page.txt"], ["--picture page.txt", ".png"]),
    ],
)
def test_what_cannot_be_trained_is_refused(tmp_path, csv, options, words):
    said = complaint("train", csv, *options, "-o", tmp_path / "m.joblib")
    for word in words:
        assert word in said
    assert not (tmp_path / "m.joblib").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": ["a"] + [None] * 9 + ["b"] * 10}, ["9 of 20 series have no label", "s1"]),
        ({"kind": ["a"] * 20}, ["all series have the label a"]),
        ({"kind": ["a"] * 19 + ["b"]}, ["only 1 series has the label b"]),
        ({"kind": np.arange(20) / 7}, ["no classes but numbers"]),
        ({"t3": [0.0] * 12 + [np.nan] * 8}, ["series s12 has NaN at timestep 3", "--missing mask"]),
        ({"t3": [0.0] * 19 + [np.inf]}, ["series s19 has inf", "--missing mask"]),
    ],
)
@pytest.mark.parametrize("measured_by", [["--cv", "2"], [], ["--test-size", "0"]])
def test_series_and_labels_that_cannot_be_learned_are_named(tmp_path, change, words, measured_by):
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 8))).add_prefix("t")
    frame = frame.assign(name=[f"s{row}" for row in range(20)], kind=["a", "b"] * 10)
    frame.assign(**change).to_csv(tmp_path / "wide.csv", index=False)
    options = ["--id", "name", "--label", "kind", *QUICK, *measured_by]
    done = seqfeat("train", tmp_path / "wide.csv", *options, "-o", tmp_path / "m.joblib")
    assert done.status == 1
    assert "Training" not in done.err
    for word in words:
        assert word in done.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frame: frame.assign(load=np.nan), ["series m000 has NaN", "--missing mask"]),
        (lambda frame: frame.drop(columns="heat"), ["X has 1 features", "expecting 2"]),
        (
            lambda frame: frame.assign(kind="office"),
            ["none of the labels (office)", "(home, shop)"],
        ),
        (lambda frame: frame.assign(kind=np.nan), ["series m000 has no label"]),
    ],
)
def test_what_cannot_be_a_test_set_is_refused_before_the_training(tmp_path, csv, change, words):
    test = tmp_path / "test.csv"
    change(meters(10, seed=1)).to_csv(test, index=False)
    done = seqfeat("train", csv, *LONG, *QUICK, "--test", test, "-o", tmp_path / "m.joblib")
    assert done.status == 1
    assert "Training" not in done.err
    for word in [f"--test {test}: ", *words]:
        assert word in done.err.splitlines()[-1]


def test_labels_of_a_test_set_may_be_written_as_numbers_or_as_text(tmp_path):
    X = np.sin(np.arange(20) / 3 + np.arange(24)[:, None])[:, :, None]
    y = np.arange(24) % 2
    for name, labels in (("numbers", y), ("texts", y.astype(str))):
        np.savez(tmp_path / f"{name}.npz", X=X, y=labels)
    command = ["train", tmp_path / "numbers.npz", *QUICK, "--no-baselines", "--json"]
    scores = [
        ok(*command, "--test", tmp_path / f"{name}.npz", "-o", tmp_path / "m.joblib").json["scores"]
        for name in ("numbers", "texts")
    ]
    assert scores[0] == scores[1]


@pytest.mark.parametrize(
    ("option", "page", "module"),
    [("--report", "page.html", "bokeh"), ("--picture", "page.png", "matplotlib")],
)
def test_what_could_not_be_drawn_is_refused_before_the_training(
    tmp_path, csv, monkeypatch, option, page, module
):
    command = ["train", csv, *LONG, *QUICK, "-o", tmp_path / "m.joblib", option]
    assert "is a file and no folder" in complaint(*command, csv / page)
    monkeypatch.setitem(sys.modules, module, None)
    done = seqfeat(*command, tmp_path / page)
    assert done.status == 1
    assert f"{option} needs {module}: pip install 'seqfeat[" in done.err
    assert "Training" not in done.err


def test_where_nothing_can_be_saved_nothing_is_trained(tmp_path, csv):
    arguments = ["train", csv, *LONG, *QUICK, "-o"]
    assert "use .joblib or .skops" in complaint(*arguments, tmp_path / "m.pkl")
    assert "is a folder" in complaint(*arguments, tmp_path)
    ok(*arguments, tmp_path / "m.joblib", "--no-baselines")
    other = seqfeat(*arguments, tmp_path / "m.skops")
    assert other.status == 1
    assert "m.json is the card of m.joblib" in other.err
    assert "Training" not in other.err


def test_a_name_of_the_demo_is_checked(tmp_path):
    said = complaint("train", "demo:vowels", "-o", tmp_path / "m.joblib")
    assert "demo:japanese-vowels:train" in said
