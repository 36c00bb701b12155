"""What the page says, and that names cannot inject code; `test_browser` looks at it."""

import base64
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    classification_report,
    confusion_matrix,
    f1_score,
)
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC

import seqfeat
from seqfeat import LSTMAutoencoder, make_classifier
from seqfeat.datasets import load_japanese_vowels
from seqfeat.report import save_report
from seqfeat.report.page import to_script_json
from seqfeat.runtime.visible_text import escape_controls
from tests.report.pages import Page, noisy_waves, unpack
from tests.versions import skip_if_of_a_later_scikit_learn

pytest.importorskip("bokeh")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

MODEL = Path(__file__).parents[2] / "models" / "japanese-vowels.joblib"


@pytest.fixture(scope="module")
def speakers(tmp_path_factory):
    """The report of the shipped model on its test set, with the model and the data."""
    skip_if_of_a_later_scikit_learn(MODEL)
    model = seqfeat.load(MODEL)
    X, y = load_japanese_vowels(split="test", return_X_y=True)
    target = tmp_path_factory.mktemp("report") / "report.html"
    baselines = {"nearest neighbour": 0.5}
    save_report(model, X, y, target, baselines=baselines, timings={"training": 12.5})
    return Page(target), model, X, y


def test_the_scores_are_those_of_scikit_learn(speakers):
    page, model, X, y = speakers
    predictions = model.predict(X)
    accuracy = accuracy_score(y, predictions)
    assert f"accuracy {100 * accuracy:.1f}%" in page.text
    assert f"correct predictions {(y == predictions).sum()} of 370 series" in page.text
    assert f"macro F1 {f1_score(y, predictions, average='macro'):.3f}" in page.text
    balanced = balanced_accuracy_score(y, predictions)
    assert f"balanced accuracy {100 * balanced:.1f}%" in page.text
    assert f"variance explained {100 * model['autoencoder'].score(X):.1f}%" in page.text
    for name, row in classification_report(y, predictions, output_dict=True).items():
        if name in model.classes_:
            scores = [f"{row[key]:.3f}" for key in ("precision", "recall", "f1-score")]
            assert f"{name} {' '.join(scores)} {row['support']:.0f}" in page.text
    for name, row in zip(model.classes_, confusion_matrix(y, predictions), strict=True):
        assert f"{name} {' '.join(str(n) if n else '·' for n in row)}" in page.text


def test_the_model_and_its_baselines_are_sorted_by_score(speakers):
    page, model, X, y = speakers
    majority, share = pd.Series(y).value_counts(normalize=True).agg(["idxmax", "max"])
    constant = f"always predict “{majority}”, the most frequent class of these series {share:.3f}"
    order = [f"this model {model.score(X, y):.3f}", "nearest neighbour 0.500", constant]
    indices = [page.text.index(text) for text in order]
    assert indices == sorted(indices)
    # Wilson's interval of 185 out of 370.
    assert "nearest neighbour 0.500 0.449 to 0.551" in page.text


def test_the_model_its_data_timings_and_versions_are_described(speakers):
    page, model, X, _ = speakers
    autoencoder = model["autoencoder"]
    for words in (
        " → ".join(type(step).__name__ for _, step in model.steps),
        f"{autoencoder.n_iter_} epochs; the weights of epoch {autoencoder.best_iter_} were kept",
        "9: 1, 2, 3, 4, 5, 6, 7, 8, 9",
        f"{min(map(len, X))} to {max(map(len, X))} timesteps",
        "training 12.50",
        "embedding all 370 series",
        f"seqfeat {seqfeat.__version__}",
        "autoencoder__embedding_dim 64",
    ):
        assert words in page.text
    assert json.dumps(list(model["autoencoder"].loss_curve_)) in json.dumps(page.data["plots"])


def test_every_series_is_drawn_with_its_reconstruction_the_worst_first(speakers):
    page, model, X, y = speakers
    errors = -model["autoencoder"].score_samples(X)
    reconstructed = model["autoencoder"].reconstruct(X)
    data = page.data["data"]
    order = np.argsort(-errors, kind="stable")
    assert data["names"] == [f"series {row}" for row in order]
    assert data["ranks"] == list(range(1, 371))
    np.testing.assert_allclose(data["errors"], errors[order], rtol=1e-3)
    assert [data["classes"][code] for code in data["labels"]] == y[order].tolist()
    predicted = [data["classes"][code] for code in data["predictions"]]
    assert predicted == model.predict(X)[order].tolist()
    probabilities = model.predict_proba(X).max(axis=1)
    np.testing.assert_allclose(data["confidences"], probabilities[order], atol=1e-3)
    for index in (0, 1, 200, 369):
        original, expected = X[order[index]], reconstructed[order[index]]
        series, reconstruction = unpack(data["series"], index)
        # There are 65,534 levels between the minimum and maximum of a channel.
        extent = np.ptp(original, axis=0) + np.ptp(expected, axis=0) + 1
        assert (np.abs(series - original) < 1e-4 * extent).all()
        assert (np.abs(reconstruction - expected) < 1e-4 * extent).all()
    worst = [text for text in page.texts if re.fullmatch(r"series \d+", text)]
    assert worst == [f"series {row}" for row in order[:12]]


def test_the_page_makes_no_requests_and_runs_only_its_own_scripts(speakers):
    page, *_ = speakers
    for tag, attributes in page.elements:
        assert not {"src", "action", "onclick", "onload"} & set(attributes)
        if tag in ("a", "link"):
            assert attributes["href"].startswith(("#", "data:"))
    digests = {base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in page.scripts}
    allowed = re.search("script-src ([^;]*);", page.policy)[1].split()
    assert {f"'sha256-{digest}'" for digest in digests} == set(allowed)
    assert len(page.scripts) == 2
    assert page.policy.startswith("default-src 'none';")


def test_metrics_notes_and_a_warning_are_shown_if_they_are_passed(small, tmp_path):
    X, y = noisy_waves(30, seed=1)
    target = tmp_path / "report.html"
    page = Page(save_report(small, X, y, target, n_anomalies=0, max_points=1))
    assert "Report on 30 series" in page.text
    assert "Additional metrics" not in page.text
    assert "optimistic" not in page.text
    assert "Most anomalous series" not in page.text
    assert len(page.data["data"]["names"]) == 1
    assert "losses" not in page.data["plots"]  # the model has not been trained
    assert "Loss per epoch" not in page.text
    page = Page(
        save_report(
            small, X, y, target, metrics={"mean of folds": 0.75}, notes="In May.",
            title="Waves", was_trained_on=True,
        )
    )  # fmt: skip
    assert "Additional metrics" in page.text
    assert "mean of folds 0.75" in page.text
    assert "Waves In May." in page.text
    assert "The model was trained on these series, so the scores are optimistic." in page.text


def test_without_labels_there_is_no_accuracy(small, tmp_path):
    X, _ = noisy_waves(30, seed=1)
    page = Page(save_report(small, X, target=tmp_path / "report.html"))
    data = page.data["data"]
    assert data["labels"] is None
    rows = [int(name.split()[1]) for name in data["names"]]
    predicted = [int(data["classes"][code]) for code in data["predictions"]]
    assert predicted == small.predict(X)[rows].tolist()
    assert "accuracy" not in page.text
    assert "predict the mean of each channel 0.000" in page.text


def test_a_validation_curve_and_names_of_channels_are_shown(tmp_path):
    X = np.random.default_rng(0).normal(size=(20, 9, 2))
    model = LSTMAutoencoder(2, max_iter=1, early_stopping=True, random_state=0).fit(X)
    target = tmp_path / "report.html"
    page = Page(save_report(model, X, target=target, channel_names=["pulse", "spo2"]))
    assert "losses" in page.data["plots"]
    assert "training validation The dashed line" in page.text
    assert {"pulse", "spo2"} <= set(re.findall(r'"text": "(\w+)"', json.dumps(page.data["plots"])))


def test_many_classes_have_a_list_of_confusions_instead_of_a_matrix(tmp_path):
    X, _ = noisy_waves(600)
    y = np.arange(600) // 2
    model = make_classifier(2, max_iter=0, random_state=0).fit(X, y)
    page = Page(save_report(model, X, y, tmp_path / "report.html"))
    assert "The 20 most frequent confusions among 300 classes" in page.text
    assert "The 200 of 300 classes with the lowest F1" in page.text
    assert "and 280 more" in page.text


HOSTILE = ["<script>alert(1)</script>", "</script>", "<!--", "\ud800", "\u2028", 'a"b', "&amp;"]


def test_names_from_the_user_stay_text(tmp_path):
    X, _ = noisy_waves(35)
    y = np.array(HOSTILE * 5, dtype=object)
    model = make_classifier(2, max_iter=0, random_state=0).fit(X, y)
    target = save_report(
        model, X, y, tmp_path / "report.html", ids=y, title=HOSTILE[0], notes=HOSTILE[1],
        metrics={HOSTILE[0]: 1}, baselines={HOSTILE[0]: 1}, timings={HOSTILE[1]: 1},
    )  # fmt: skip
    page = Page(target)
    assert len(page.scripts) == 2
    assert set(page.data) == {"data", "plots"}
    assert page.text.count("<script>alert(1)</script>") > 5
    # There is no script element but our four.
    assert target.read_bytes().count(b"<script") == 4
    assert set(page.data["data"]["names"]) == {escape_controls(name) for name in HOSTILE}


@pytest.mark.parametrize("text", HOSTILE)
def test_json_cannot_end_its_script_element(text):
    written = to_script_json({"name": text})
    assert json.loads(written) == {"name": text}
    assert not set(written) & set("<>&\u2028")
    assert written.isascii()


@pytest.mark.parametrize("n_series", [1, 5])
def test_equal_series_and_a_single_one_have_a_page(small, tmp_path, n_series):
    page = Page(save_report(small, np.ones((n_series, 8)), target=tmp_path / "report.html"))
    assert f"Report on {n_series} series" in page.text
    assert len(page.data["data"]["names"]) == n_series


def test_long_series_of_many_channels_are_thinned_and_the_page_says_so(tmp_path):
    X = np.random.default_rng(0).normal(size=(3, 700, 14))
    model = LSTMAutoencoder(2, max_iter=0, random_state=0).fit(X)
    page = Page(save_report(model, X, target=tmp_path / "report.html"))
    assert "3 of the series drawn are long, so only the minimum and maximum" in page.text
    assert "Only the first 12 of 14 channels are drawn." in page.text
    series = page.data["data"]["series"]
    assert series["lengths"] == [700] * 3
    assert max(series["n_steps"]) <= 240
    assert series["n_channels"] == 12


@pytest.mark.parametrize(
    "convert",
    [lambda y: y > 0, lambda y: pd.Series(y).map(dict(enumerate("abc"))).astype("category")],
    ids=["booleans", "categories"],
)
def test_a_search_without_probabilities_has_a_page(tmp_path, convert):
    X, y = noisy_waves(40)
    labels = convert(y)
    pipeline = make_classifier(2, SVC(), max_iter=0, random_state=0)
    search = GridSearchCV(pipeline, {"classifier__C": [1, 10]}, cv=2).fit(X, labels)
    page = Page(save_report(search, X, labels, tmp_path / "report.html"))
    assert page.data["data"]["confidences"] is None
    assert "→ SVC" in page.text
    assert "estimator__classifier__C" in page.text
    assert f"accuracy {100 * search.score(X, labels):.1f}%" in page.text


def test_very_long_names_are_shortened(small, tmp_path):
    X, _ = noisy_waves(3)
    page = Page(save_report(small, X, target=tmp_path / "report.html", ids=["n" * 5000] * 3))
    assert page.data["data"]["names"] == ["n" * 119 + "…"] * 3
