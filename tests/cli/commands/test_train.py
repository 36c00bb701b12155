import importlib
import json

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

import seqfeat as library
from seqfeat import LSTMAutoencoder, make_classifier
from seqfeat.datasets import load_japanese_vowels
from seqfeat.series import read
from tests.commands import LONG, QUICK, error_of, meters, ok, seqfeat

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def card_of(path):
    return json.loads(path.with_suffix(".json").read_text())


def test_the_saved_model_is_the_one_that_was_tested(tmp_path, csv):
    path = tmp_path / "models" / "meters.joblib"
    result = ok("train", csv, *LONG, *QUICK, "--no-baselines", "-o", path)
    assert "10 held-out series of 40" in result.out
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


def test_refit_trains_the_saved_model_on_all_series(tmp_path, csv):
    path = tmp_path / "m.joblib"
    ok("train", csv, *LONG, *QUICK, "--refit", "--no-baselines", "-o", path)
    X, y = read(csv, series_id="meter", time="day", label="kind")
    expected = make_classifier(4, max_iter=3, random_state=0).fit(X, y)
    np.testing.assert_array_equal(library.load(path).predict_proba(X), expected.predict_proba(X))
    assert card_of(path)["metrics"]["test_series"] == 10


def test_the_demo_is_tested_on_its_official_test_set(tmp_path):
    path = tmp_path / "vowels.joblib"
    result = ok("train", "demo:japanese-vowels", *QUICK, "--no-baselines", "-o", path, "--json")
    X, y = load_japanese_vowels(split="test", return_X_y=True)
    assert result.json["metrics"]["test_accuracy"] == library.load(path).score(X, y)
    assert result.json["n_series"] == 270
    assert card_of(path)["notes"] == "trained on demo:japanese-vowels:train"


def test_another_file_can_be_the_test_set(tmp_path, csv):
    other = tmp_path / "other.csv"
    meters(8, seed=1).to_csv(other, index=False)
    path = tmp_path / "m.joblib"
    ok("train", csv, *LONG, *QUICK, "--test", other, "--no-baselines", "-o", path)
    X, y = read(other, series_id="meter", time="day", label="kind")
    assert card_of(path)["metrics"]["test_accuracy"] == library.load(path).score(X, y)


def test_without_labels_only_features_are_learned(tmp_path, npy):
    path = tmp_path / "m.joblib"
    ok("train", npy, *QUICK, "-o", path)
    assert isinstance(library.load(path), LSTMAutoencoder)
    assert list(card_of(path)["metrics"]) == ["test_series", "test_r_squared", "fit_seconds"]


def test_without_a_test_set_nothing_is_scored_and_notes_go_to_the_card(tmp_path, csv):
    path = tmp_path / "m.joblib"
    options = ["--test-size", "0", "--notes", "for the tests"]
    result = ok("train", csv, *LONG, *QUICK, *options, "-o", path)
    assert "ccuracy" not in result.out
    assert card_of(path)["notes"] == "for the tests"


def test_the_card_tells_how_the_series_were_read(tmp_path, csv):
    ok("train", csv, *LONG, *QUICK, "--no-baselines", "-o", tmp_path / "m.joblib")
    reading = card_of(tmp_path / "m.joblib")["reading"]
    expected = {
        "label": "kind",
        "series_id": "meter",
        "time": "day",
        "channels": ["load", "heat"],
        "step": "auto",
        "even_step": 1,
    }
    assert {name: reading[name] for name in expected} == expected


def test_features_that_explain_nothing_are_a_warning_in_one_line(tmp_path):
    np.save(tmp_path / "noise.npy", np.random.default_rng(0).normal(size=(100, 300, 1)))
    options = ["--embedding-dim", "1", "--max-iter", "1", "-o", tmp_path / "m.joblib"]
    result = ok("train", tmp_path / "noise.npy", *options)
    warnings = [line for line in result.err.splitlines() if "of the variance" in line]
    assert len(warnings) == 1
    assert warnings[0].startswith("seqfeat: warning: ")
    assert "Raise reconstruction_fraction or --embedding-dim" in warnings[0]
    assert "Trained 1 epoch in" in result.err


def test_the_embeddings_can_be_drawn(tmp_path, csv):
    picture = tmp_path / "new" / "m.png"
    options = ["--no-baselines", "--picture", picture]
    ok("train", csv, *LONG, *QUICK, *options, "-o", tmp_path / "m.joblib")
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--label", "kind"], ["'meter'", "--label", "--id and --time"]),
        (["--time", "day"], ["--id"]),
        ([*LONG, "--channels-first"], ["--channels-first", "table"]),
        ([*LONG[:4], "--label", "load", "--channels", "heat"], ["load", "one label"]),
        ([*LONG, "--test", "nothing.csv"], ["there is no file nothing.csv"]),
        ([*LONG, "--step", "5min"], ["--step 5min"]),
    ],
)
def test_data_that_cannot_be_read_is_an_error(tmp_path, csv, options, words):
    message = error_of("train", csv, *options, "-o", tmp_path / "m.joblib")
    for word in words:
        assert word in message
    assert not (tmp_path / "m.joblib").exists()


# The report that a training can write.


@pytest.fixture
def report(tmp_path, monkeypatch):
    """Where to write a report, and what `save_report` is then called with."""
    pytest.importorskip("bokeh")
    module = importlib.import_module("seqfeat.report")
    save_report, calls = module.save_report, []

    def spy(estimator, X, y, **keywords):
        calls.append({"estimator": estimator, "X": X, "y": y, **keywords})
        return save_report(estimator, X, y, **keywords)

    monkeypatch.setattr(module, "save_report", spy)
    return tmp_path / "new" / "r.html", calls


def test_the_report_is_on_the_test_set(tmp_path, csv, report):
    page, calls = report
    options = ["--notes", "the first of May", "--refit", "--report", page]
    path = tmp_path / "m.joblib"
    result = ok("train", csv, *LONG, *QUICK, *options, "-o", path, "--json").json
    (call,) = calls
    assert "<html" in page.read_text()
    assert len(call["X"]) == 10
    # The model that was tested, not the one that was trained again.
    tested, saved = call["estimator"], library.load(path)
    assert tested.score(call["X"], call["y"]) == result["metrics"]["test_accuracy"]
    assert (tested.predict_proba(call["X"]) != saved.predict_proba(call["X"])).any()
    assert call["ids"].tolist() == call["X"].index.tolist()
    assert call["title"] == "m"
    assert call["notes"].splitlines() == [
        f"Trained on 30 series of {csv}. This report is on 10 held-out series of 40. The saved "
        "model was trained again, on all of them.",
        "the first of May",
    ]
    # The report measures the model itself, and knows the most frequent class.
    assert call["metrics"] == {}
    assert call["baselines"] == dict(list(result["scores"].items())[2:])
    assert list(call["timings"]) == ["training"]
    assert call["channel_names"] == ["load", "heat"]
    assert not call["was_trained_on"]


def test_the_report_on_the_training_set_has_no_cross_validated_baselines(tmp_path, csv, report):
    page, calls = report
    options = ["--cv", "2", "--report", page]
    path = tmp_path / "m.joblib"
    metrics = ok("train", csv, *LONG, *QUICK, *options, "-o", path, "--json").json["metrics"]
    (call,) = calls
    assert len(call["X"]) == 40
    assert call["was_trained_on"]
    assert call["baselines"] == {}
    assert call["metrics"]["accuracy, mean of 2 folds"] == metrics["cv_accuracy"]
    assert "accuracy of raw series + RBF SVC, mean of 2 folds" in call["metrics"]


def test_series_with_numbers_for_ids_are_named_after_their_column(tmp_path, npy, report):
    page, calls = report
    options = ["--test-size", "0", "--report", page, "-o", tmp_path / "m.joblib"]
    ok("train", npy, *QUICK, *options)
    assert calls[0]["ids"].tolist() == [f"series {i}" for i in range(24)]


def test_a_training_starts_from_another_model(tmp_path):
    X = np.random.default_rng(0).normal(size=(24, 20, 1))
    np.savez(tmp_path / "all.npz", X=X)
    np.savez(tmp_path / "few.npz", X=X[:8], y=np.arange(8) % 2)
    quick = ["--max-iter", "0", "--embedding-dim", "4", "--test-size", "0"]
    first = seqfeat("train", tmp_path / "all.npz", *quick, "-o", tmp_path / "all.joblib")
    assert first.status == 0, first.err
    init = ["--init", tmp_path / "all.joblib"]
    second = seqfeat("train", tmp_path / "few.npz", *quick, *init, "-o", tmp_path / "few.joblib")
    assert second.status == 0, second.err
    models = [library.load(tmp_path / name) for name in ("all.joblib", "few.joblib")]
    np.testing.assert_array_equal(models[1]["autoencoder"].transform(X), models[0].transform(X))
    other = seqfeat(
        *("train", tmp_path / "few.npz", *quick[:2], "--embedding-dim", "8", *init),
        *("-o", tmp_path / "other.joblib"),
    )
    assert "--embedding-dim 8, but the model of init has --embedding-dim 4" in other.err
