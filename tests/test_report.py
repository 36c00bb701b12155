"""What a report says, measured with other tools; `test_report_browser` looks at it."""

import base64
import errno
import hashlib
import html.parser
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    classification_report,
    confusion_matrix,
    f1_score,
)
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

import seqfeat
from seqfeat import InputError, LSTMAutoencoder, make_classifier
from seqfeat.datasets import load_japanese_vowels
from seqfeat.report import save_report
from seqfeat.report.page import as_script_data
from seqfeat.report.sampling import drawable, sampled_rows, thinned
from seqfeat.report.scores import score_predictions

pytest.importorskip("bokeh")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

MODEL = Path(__file__).parents[1] / "models" / "japanese-vowels.joblib"


class Page(html.parser.HTMLParser):
    """Texts and scripts of a page, as a browser would find them."""

    def __init__(self, path):
        super().__init__()
        self.texts, self.elements, self.scripts, self.data, self.policy = [], [], [], {}, None
        self._script = None
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.elements.append((tag, attributes))
        if attributes.get("http-equiv") == "Content-Security-Policy":
            self.policy = attributes["content"]
        self._script = attributes.get("id", "") if tag == "script" else None

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self._script = None

    def handle_data(self, data):
        if self._script:
            self.data[self._script] = json.loads(data)
        elif self._script == "":
            self.scripts.append(data)
        else:
            self.texts.append(data)


def unpacked(page, place):
    """Return a drawn series and its reconstruction, shape (n_steps, n_channels), as written."""
    packed = page.data["data"]["series"]
    levels = np.frombuffer(base64.b64decode(packed["values"]), "<u2").astype(float)
    n_channels, n_steps = packed["n_channels"], packed["n_steps"]
    ranges = np.frombuffer(base64.b64decode(packed["ranges"]), "<f8")
    low, step = ranges.reshape(-1, 2, n_channels)[place]
    start = 2 * n_channels * sum(n_steps[:place])
    pair = levels[start : start + 2 * n_channels * n_steps[place]]
    pair = pair.reshape(2, n_channels, n_steps[place]).transpose(0, 2, 1)
    return np.where(pair == 0, np.nan, low + (pair - 1) * step)


def noisy_waves(n_samples, n_timesteps=8, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(n_classes, size=n_samples)
    X = np.sin(np.arange(n_timesteps) / 2 + y[:, None])
    return X + rng.normal(0, 0.3, X.shape), y


@pytest.fixture(scope="module")
def small():
    X, y = noisy_waves(60)
    return make_classifier(2, max_iter=0, random_state=0).fit(X, y)


@pytest.fixture(scope="module")
def speakers(tmp_path_factory):
    """The report of the model that ships on its test set, and what it is about."""
    model = seqfeat.load(MODEL)
    X, y = load_japanese_vowels(split="test", return_X_y=True)
    target = tmp_path_factory.mktemp("report") / "new" / "report.html"
    baselines = {"nearest neighbour": 0.5}
    path = save_report(model, X, y, target, baselines=baselines, timings={"training": 12.5})
    assert path == target
    return Page(path), model, X, y


def test_the_scores_are_those_of_scikit_learn(speakers):
    page, model, X, y = speakers
    predictions = model.predict(X)
    accuracy = accuracy_score(y, predictions)
    assert f"accuracy {100 * accuracy:.1f} %" in page.text
    assert f"{(y == predictions).sum()} of 370 series" in page.text
    assert f"macro F1 {f1_score(y, predictions, average='macro'):.3f}" in page.text
    balanced = balanced_accuracy_score(y, predictions)
    assert f"balanced accuracy {100 * balanced:.1f} %" in page.text
    assert f"variance rebuilt {100 * model['autoencoder'].score(X):.1f} %" in page.text
    for name, row in classification_report(y, predictions, output_dict=True).items():
        if name in model.classes_:
            figures = [f"{row[key]:.3f}" for key in ("precision", "recall", "f1-score")]
            assert f"{name} {' '.join(figures)} {row['support']:.0f}" in page.text
    for name, row in zip(model.classes_, confusion_matrix(y, predictions), strict=True):
        assert f"{name} {' '.join(str(n) if n else '·' for n in row)}" in page.text


def test_the_interval_is_wilson_s():
    # Wilson (1927), solved for the two proportions that lie z deviations from the observed one.
    scores = score_predictions(np.array([0] * 90 + [1] * 10), np.zeros(100, int))
    z, n, share = 1.959963984540054, 100, 0.9
    for end, sign in zip(scores.interval, (-1, 1), strict=True):
        half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
        expected = (share + z**2 / (2 * n) + sign * half) / (1 + z**2 / n)
        assert end == pytest.approx(expected, rel=1e-12)


def test_the_model_stands_among_its_baselines_the_best_first(speakers):
    page, model, X, y = speakers
    share = pd.Series(y).value_counts().max() / len(y)
    ours = f"this model {model.score(X, y):.3f}"
    order = [ours, "nearest neighbour 0.500", f"the most frequent class here {share:.3f}"]
    places = [page.text.index(text) for text in order]
    assert places == sorted(places)
    # Wilson's interval of 185 of 370.
    assert "nearest neighbour 0.500 0.449 to 0.551" in page.text


def test_further_figures_and_that_scores_flatter(small, tmp_path):
    X, y = noisy_waves(30, seed=1)
    target = tmp_path / "report.html"
    page = Page(save_report(small, X, y, target, metrics={"mean of folds": 0.75}))
    assert "Further figures" in page.text
    assert "mean of folds 0.75" in page.text
    assert "flatters" not in page.text
    page = Page(save_report(small, X, y, target, was_trained_on=True))
    assert "Further figures" not in page.text
    assert "The model was trained on these very series, which flatters it" in page.text


def test_channels_have_the_names_that_are_passed(tmp_path):
    X = np.random.default_rng(0).normal(size=(12, 9, 2))
    model = LSTMAutoencoder(2, max_iter=0, random_state=0).fit(X)
    target = tmp_path / "report.html"
    save_report(model, X, target=target, channel_names=["pulse", "spo2"])
    assert '"pulse"' in target.read_text()
    with pytest.raises(InputError, match="channel_names has 1 names for 2 channels"):
        save_report(model, X, target=target, channel_names=["pulse"])


def test_it_says_what_was_trained_on_what(speakers):
    page, model, X, _ = speakers
    autoencoder = model["autoencoder"]
    n_weights = sum(weights.size for weights in autoencoder.weights_.values())
    for words in (
        "LSTMAutoencoder → StandardScaler → LinearDiscriminantAnalysis",
        "64 features for each series",
        f"{n_weights:,} weights",
        "12 channels, series of up to 26 timesteps, 4,274 observed values in each channel",
        f"60 epochs, weights of epoch {autoencoder.best_iter_} kept",
        "9: 1, 2, 3, 4, 5, 6, 7, 8, 9",
        f"{min(map(len, X))} to {max(map(len, X))} timesteps",
        "training 12.50",
        "embedding all 370 series",
        f"seqfeat {seqfeat.__version__}",
        "autoencoder__embedding_dim 64",
        "classifier__shrinkage 0.1",
    ):
        assert words in page.text


def test_every_series_is_drawn_with_its_reconstruction_the_worst_first(speakers):
    page, model, X, y = speakers
    errors = -model["autoencoder"].score_samples(X)
    rebuilt = model["autoencoder"].reconstruct(X)
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
    for place in (0, 1, 200, 369):
        series, other = unpacked(page, place)
        # 65,534 levels between each channel's ends.
        extent = np.ptp(X[order[place]], axis=0) + np.ptp(rebuilt[order[place]], axis=0) + 1
        assert (np.abs(series - X[order[place]]) < 1e-4 * extent).all()
        assert (np.abs(other - rebuilt[order[place]]) < 1e-4 * extent).all()
    worst = [text for text in page.texts if re.fullmatch(r"series \d+", text)]
    assert worst == [f"series {row}" for row in order[:12]]


def test_the_page_asks_no_host_and_runs_no_script_but_its_own(speakers):
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


def test_it_works_in_steps_each_of_which_runs_once(small, monkeypatch):
    X, y = noisy_waves(30, seed=1)
    calls = []
    for step, name in (("autoencoder", "transform"), ("scaler", "transform")):
        original = getattr(type(small[step]), name)

        def counted(self, X, *args, original=original, step=step):
            calls.append((step, len(X)))
            return original(self, X, *args)

        monkeypatch.setattr(type(small[step]), name, counted)
    predict = type(small["classifier"]).predict
    monkeypatch.setattr(
        type(small["classifier"]),
        "predict",
        lambda self, X: calls.append(("classifier", len(X))) or predict(self, X),
    )
    from seqfeat.report.findings import find

    find(small, X, y, None, max_points=10, n_anomalies=2, random_state=0)
    assert calls == [("autoencoder", 30), ("scaler", 30), ("classifier", 30)]


def test_a_hundred_thousand_series_stay_below_five_megabytes(small, tmp_path):
    X, y = noisy_waves(100_000, seed=2)
    X[777] += 50 * np.array([1, -1] * 4)
    target = save_report(small, X.astype(np.float32), y, tmp_path / "report.html")
    assert target.stat().st_size < 5e6
    page = Page(target)
    said = "2,000 of 100,000 series are drawn, sampled class by class, with the 12 most anomalous"
    assert f"{said} among them; all are in the scores." in page.text
    data = page.data["data"]
    assert len(data["names"]) == 2000
    assert data["names"][0] == "series 777"
    assert data["ranks"][:12] == list(range(1, 13))
    assert f"{(small.predict(X) == y).sum():,} of 100,000 series" in page.text


@pytest.mark.parametrize(("n_channels", "n_timesteps"), [(1, 100_000), (2, 300), (12, 50), (90, 9)])
def test_the_page_is_small_whatever_the_series(n_channels, n_timesteps):
    n_drawn, n_steps = drawable(n_channels, np.array([3, n_timesteps]), 2000)
    n_values = 2 * min(n_channels, 12) * n_drawn * (min(n_steps, n_timesteps) + 8)
    assert n_values <= 900_000
    assert n_drawn >= 400
    assert n_steps >= 64


def test_long_series_of_many_channels_are_thinned_and_the_page_says_so(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(6, 700, 14))
    model = LSTMAutoencoder(2, max_iter=0, random_state=0).fit(X)
    page = Page(save_report(model, X, target=tmp_path / "report.html"))
    assert "6 of the series drawn are long, and drawn by the least and the greatest" in page.text
    assert "The first 12 of 14 channels are drawn; all are in the scores." in page.text
    packed = page.data["data"]["series"]
    assert packed["lengths"] == [700] * 6
    row = int(page.data["data"]["names"][0].split()[1])
    width = packed["widths"][0]
    stretches = [X[row, start : start + width, :12] for start in range(0, 700, width)]
    drawn = unpacked(page, 0)[0].reshape(-1, 2, 12)
    low = [stretch.min(axis=0) for stretch in stretches]
    high = [stretch.max(axis=0) for stretch in stretches]
    np.testing.assert_allclose(drawn.min(axis=1), low, atol=1e-3)
    np.testing.assert_allclose(drawn.max(axis=1), high, atol=1e-3)


def test_thinning_keeps_peaks_order_and_gaps():
    values = np.array([0, 5, 1, 1, 9, 2, np.nan, np.nan, np.nan, 4.0, np.nan])[:, None]
    kept = thinned(values, 3)[:, 0]
    np.testing.assert_array_equal(kept, [0, 5, 1, 9, np.nan, np.nan, 4, 4])
    np.testing.assert_array_equal(thinned(-values, 3)[:2, 0], [0, -5])


def test_gaps_and_unequal_lengths_are_drawn_as_they_are(tmp_path):
    X = [np.sin(np.arange(n) / 2) for n in (12, 5, 1, 9)]
    X[0][4:6] = np.nan
    model = LSTMAutoencoder(2, max_iter=0, missing="mask", random_state=0).fit(X)
    page = Page(save_report(model, X, target=tmp_path / "report.html"))
    assert "Missing values some, which count in no score" in page.text
    assert "1 to 12 timesteps" in page.text
    for place, name in enumerate(page.data["data"]["names"]):
        series, rebuilt = unpacked(page, place)
        expected = X[int(name.split()[1])]
        np.testing.assert_allclose(series[:, 0], expected, atol=1e-3)
        assert not np.isnan(rebuilt).any()


def test_samples_are_stratified_keep_anomalies_and_repeat():
    rng = np.random.default_rng(0)
    strata = np.repeat([0, 1, 2, 3], [8000, 1500, 499, 1])
    errors = rng.random(10_000)
    rows = sampled_rows(errors, strata, 200, 10, seed=0)
    assert len(set(rows)) == 200
    assert set(np.argsort(-errors)[:10]) <= set(rows)
    assert (np.diff(errors[rows]) <= 0).all()
    np.testing.assert_allclose(np.bincount(strata[rows]), [160, 30, 10, 1], atol=10)
    np.testing.assert_array_equal(rows, sampled_rows(errors, strata, 200, 10, seed=0))
    assert set(rows) != set(sampled_rows(errors, strata, 200, 10, seed=1))
    np.testing.assert_array_equal(
        sampled_rows(errors[:5], None, 9, 2, seed=0), np.argsort(-errors[:5])
    )


def test_without_labels_points_are_coloured_by_predictions(small, tmp_path):
    X, _ = noisy_waves(30, seed=1)
    page = Page(save_report(small, X, target=tmp_path / "report.html"))
    data = page.data["data"]
    assert data["labels"] is None
    predictions = small.predict(X)
    rows = [int(name.split()[1]) for name in data["names"]]
    assert [int(data["classes"][code]) for code in data["predictions"]] == predictions[
        rows
    ].tolist()
    assert "accuracy" not in page.text
    assert "predicting each channel's mean 0.000" in page.text


@pytest.mark.parametrize("max_iter", [0, 1, 3])
def test_losses_are_drawn_if_there_are_any(tmp_path, max_iter):
    X, y = noisy_waves(240, n_classes=12)
    model = make_classifier(2, max_iter=max_iter, early_stopping=True, random_state=0).fit(X, y)
    page = Page(save_report(model, X, y, tmp_path / "report.html"))
    autoencoder = model["autoencoder"]
    assert ("losses" in page.data["plots"]) == (max_iter > 0)
    assert ("held-out series" in page.text) == (max_iter > 0)
    drawn = json.dumps(page.data["plots"].get("losses", ""))
    for curve in (autoencoder.loss_curve_, autoencoder.validation_loss_curve_):
        assert not curve or json.dumps(list(curve)) in drawn


def test_a_classifier_without_probabilities_and_a_search(tmp_path):
    X, y = noisy_waves(40)
    pipeline = make_classifier(2, SVC(), max_iter=0, random_state=0)
    search = GridSearchCV(pipeline, {"classifier__C": [1, 10]}, cv=2).fit(X, y)
    page = Page(
        save_report(search, X, y, tmp_path / "report.html", metrics={"mean of folds": 0.75})
    )
    assert page.data["data"]["confidences"] is None
    assert "→ SVC" in page.text
    assert "mean of folds 0.75" in page.text


def test_ids_and_names_of_channels_come_from_a_frame(tmp_path):
    index = pd.MultiIndex.from_product([["north", "south"], range(6)], names=["site", "time"])
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(12, 2)), index, ["wind", "rain"])
    model = LSTMAutoencoder(2, max_iter=0, random_state=0).fit(frame)
    page = Page(save_report(model, frame, target=tmp_path / "report.html"))
    assert set(page.data["data"]["names"]) == {"north", "south"}
    assert {"wind", "rain"} <= set(
        re.findall(r'"text":"(\w+)"', json.dumps(page.data["plots"]).replace(" ", ""))
    )


def test_pandas_output_reaches_the_classifier_as_in_the_pipeline(tmp_path):
    X, y = noisy_waves(40)
    model = make_classifier(2, max_iter=0, random_state=0).set_output(transform="pandas").fit(X, y)
    page = Page(save_report(model, X, y, tmp_path / "report.html"))
    assert f"accuracy {100 * model.score(X, y):.1f} %" in page.text


def test_very_many_classes_are_listed_and_not_tabled(tmp_path):
    X, _ = noisy_waves(600)
    y = np.arange(600) // 2
    model = make_classifier(2, max_iter=0, random_state=0).fit(X, y)
    page = Page(save_report(model, X, y, tmp_path / "report.html"))
    assert "The 20 most frequent confusions among 300 classes" in page.text
    assert "The 200 of 300 classes with the least F1" in page.text
    assert "and 280 more" in page.text


def test_labels_may_be_texts_of_pandas_booleans_or_categories(tmp_path):
    X, y = noisy_waves(40)
    for labels in (
        pd.Series(y).map({0: "a", 1: "b", 2: "c"}),
        y > 0,
        pd.Series(y).map({0: "a", 1: "b", 2: "c"}).astype("category"),
    ):
        model = make_classifier(2, max_iter=0, random_state=0).fit(X, labels)
        page = Page(save_report(model, X, labels, tmp_path / "report.html"))
        assert f"accuracy {100 * model.score(X, labels):.1f} %" in page.text


def test_series_all_alike_and_a_single_one_have_a_page(small, tmp_path):
    page = Page(save_report(small, np.ones((5, 8)), target=tmp_path / "report.html"))
    assert len(page.data["data"]["names"]) == 5
    page = Page(save_report(small, np.ones((1, 8)), target=tmp_path / "one.html"))
    assert "Report on 1 series" in page.text


def test_no_anomalies_and_a_single_point(small, tmp_path):
    X, y = noisy_waves(30)
    target = tmp_path / "report.html"
    page = Page(save_report(small, X, y, target, n_anomalies=0, max_points=1))
    assert "Most anomalous series" not in page.text
    assert len(page.data["data"]["names"]) == 1


HOSTILE = ["<script>alert(1)</script>", "</script>", "<!--", "\ud800", "\u2028", 'a"b', "&amp;"]


def test_whatever_users_named_stays_text(tmp_path):
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
    # Between our own elements there is none that a name made.
    assert target.read_bytes().count(b"<script") == 4
    assert set(page.data["data"]["names"]) == set(HOSTILE)


@pytest.mark.parametrize("text", HOSTILE)
def test_data_in_a_script_element_cannot_end_it(text):
    written = as_script_data({"name": text})
    assert json.loads(written) == {"name": text}
    assert not set(written) & set("<>&\u2028")
    assert written.isascii()


def test_very_long_names_end_in_an_ellipsis(small, tmp_path):
    X, _ = noisy_waves(3)
    page = Page(save_report(small, X, target=tmp_path / "report.html", ids=["n" * 5000] * 3))
    assert page.data["data"]["names"] == ["n" * 119 + "…"] * 3


def test_what_was_there_is_whole_if_the_page_cannot_be_written(small, tmp_path, monkeypatch):
    X, y = noisy_waves(30)
    target = tmp_path / "report.html"
    target.write_text("before")

    def full_disk(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_report(small, X, y, target)
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_points": 0}, "max_points=0; pass a whole number of at least 1"),
        ({"max_points": True}, "max_points=True"),
        ({"n_anomalies": -1}, "n_anomalies=-1; pass a whole number of at least 0"),
        ({"ids": ["a"]}, "ids has 1 names for 30 series"),
        ({"y": ["a"] * 30}, "y holds text, such as 'a', and the model predicts numbers, such as"),
        ({"y": [0.0] * 29 + [np.nan]}, "y has no label for series 29, and for 1 series in all"),
        ({"baselines": {"x": np.nan}}, r"baselines\['x'\]=nan; pass finite numbers"),
        ({"metrics": {"x": "high"}}, r"metrics\['x'\]='high'"),
        ({"target": "."}, r"target='\.' is a folder"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_written(
    small, tmp_path, monkeypatch, change, message
):
    monkeypatch.chdir(tmp_path)
    X, y = noisy_waves(30)
    with pytest.raises(InputError, match=message):
        save_report(small, **{"X": X, "y": y, **change})
    assert list(tmp_path.iterdir()) == []


def test_labels_of_another_number_and_continuous_ones_are_refused(small, tmp_path):
    X, y = noisy_waves(30)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        save_report(small, X, y[:-1], tmp_path / "report.html")
    with pytest.raises(ValueError, match="continuous"):
        save_report(small, X, y + 0.5, tmp_path / "report.html")


def test_a_model_that_is_not_fitted_or_no_classifier_is_refused(tmp_path):
    X, y = noisy_waves(30)
    with pytest.raises(NotFittedError):
        save_report(make_classifier(2), X, y, tmp_path / "report.html")
    model = make_pipeline(LSTMAutoencoder(2, max_iter=0, random_state=0), LinearRegression())
    with pytest.raises(InputError, match="LinearRegression, which predicts no classes"):
        save_report(model.fit(X, y), X, y, tmp_path / "report.html")


def test_without_bokeh_the_error_names_the_extra():
    program = (
        "import sys; sys.modules['bokeh'] = None\n"
        "from seqfeat.report import save_report\n"
        "save_report(None, [[1.0]])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode != 0
    assert "pip install 'seqfeat[report]'" in done.stderr
