import itertools
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from seqfeat import InputError, LSTMAutoencoder, make_classifier
from seqfeat.datasets import load_japanese_vowels
from seqfeat.display import (
    EmbeddingDisplay,
    EmbeddingSizeDisplay,
    LossCurveDisplay,
    ReconstructionDisplay,
)

pytest.importorskip("matplotlib")

too_short_to_converge = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture
def embeddings():
    return np.random.default_rng(0).normal(size=(30, 5))


def test_positions_are_the_principal_components(embeddings):
    display = EmbeddingDisplay.from_embeddings(embeddings)
    np.testing.assert_allclose(display.positions, PCA(2).fit_transform(embeddings))
    drawn = display.ax_.collections[0].get_offsets()
    np.testing.assert_allclose(drawn, display.positions)


def test_each_class_is_drawn_with_its_name(embeddings):
    labels = np.repeat(["a", "b", "c"], 10)
    display = EmbeddingDisplay.from_embeddings(embeddings, labels)
    assert len(display.ax_.collections) == 3
    assert [text.get_text() for text in display.ax_.texts] == ["a", "b", "c"]


def test_many_classes_have_different_colours(embeddings):
    display = EmbeddingDisplay.from_embeddings(embeddings, np.arange(30))
    colours = {tuple(points.get_facecolor()[0]) for points in display.ax_.collections}
    assert len(colours) == 30


def test_a_single_dimension_lies_on_a_line():
    display = EmbeddingDisplay.from_embeddings([[1.0], [2.0], [4.0]])
    assert (display.positions[:, 1] == 0).all()


@too_short_to_converge
def test_from_a_pipeline_or_a_transformer():
    X, y = load_japanese_vowels(return_X_y=True)
    pipeline = make_classifier(4, max_iter=1, random_state=0).fit(X, y)
    of_pipeline = EmbeddingDisplay.from_estimator(pipeline, X, y)
    scaled = EmbeddingDisplay.from_embeddings(pipeline[:-1].transform(X), y)
    np.testing.assert_allclose(of_pipeline.positions, scaled.positions)
    assert isinstance(pipeline[0], LSTMAutoencoder)
    assert len(EmbeddingDisplay.from_estimator(pipeline[0], X).positions) == len(X)


def test_it_draws_into_given_axes(embeddings):
    first = EmbeddingDisplay.from_embeddings(embeddings)
    second = EmbeddingDisplay.from_embeddings(embeddings, ax=first.ax_)
    assert second.ax_ is first.ax_
    assert second.figure_ is first.figure_


def test_without_matplotlib_the_error_names_the_extra():
    program = (
        "import sys; sys.modules['matplotlib.figure'] = None\n"
        "from seqfeat.display import EmbeddingDisplay\n"
        "EmbeddingDisplay.from_embeddings([[1.0, 2.0], [3.0, 1.0]])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode != 0
    assert "pip install 'seqfeat[plot]'" in done.stderr


def test_the_names_of_classes_in_one_place_do_not_hide_each_other():
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 3
    display = EmbeddingDisplay.from_embeddings(rng.normal(size=(300, 4)), labels)
    places = np.array([text.xy for text in display.ax_.texts])
    extent = np.ptp(display.positions, axis=0).max()
    for first, second in itertools.combinations(places, 2):
        assert np.hypot(*(first - second)) > 0.05 * extent
    centre = np.median(places, axis=0)
    assert np.abs(places - centre).max() < 0.1 * extent


def test_each_class_has_its_centroid(embeddings):
    labels = np.repeat(["a", "b", "c"], 10)
    display = EmbeddingDisplay.from_embeddings(embeddings, labels)
    expected = display.positions.reshape(3, 10, 2).mean(axis=1)
    np.testing.assert_allclose(display.centroids_, expected)
    crosses = [line.get_xydata()[0] for line in display.ax_.lines]
    np.testing.assert_allclose(crosses, expected)
    assert EmbeddingDisplay.from_embeddings(embeddings).centroids_ is None


def test_a_label_is_no_formula(embeddings):
    display = EmbeddingDisplay.from_embeddings(embeddings, [r"$\frac{$", "b"] * 15)
    display.figure_.canvas.draw()  # a formula that is not one would raise here
    assert display.ax_.texts[0].get_text() == r"\$\frac{\$"


def test_an_unknown_projection_is_refused(embeddings):
    with pytest.raises(InputError, match=r"projection='tsne'; pass 'pca' or 'umap'"):
        EmbeddingDisplay.from_embeddings(embeddings, projection="tsne")


def test_umap_keeps_clusters_apart():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.showwarning", lambda *_: None)
        pytest.importorskip("umap", exc_type=ImportError)
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 20)
    embeddings = rng.normal(size=(40, 5)) + 20 * labels[:, None]
    display = EmbeddingDisplay.from_embeddings(embeddings, labels, projection="umap")
    again = EmbeddingDisplay.from_embeddings(embeddings, labels, projection="umap")
    np.testing.assert_array_equal(display.positions, again.positions)
    assert display.explained is None
    assert display.ax_.get_xlabel() == "first UMAP coordinate"
    distances = np.linalg.norm(display.positions[:, None] - display.centroids_, axis=2)
    np.testing.assert_array_equal(distances.argmin(axis=1), labels)
    assert EmbeddingDisplay.from_embeddings(embeddings[:5], projection="umap")
    with pytest.raises(InputError, match="UMAP needs at least 4 series and got 3"):
        EmbeddingDisplay.from_embeddings(embeddings[:3], projection="umap")


def test_without_umap_the_error_names_the_extra():
    program = (
        "import sys; sys.modules['umap'] = None\n"
        "from seqfeat.display import EmbeddingDisplay\n"
        "EmbeddingDisplay.from_embeddings([[1.0, 2.0]] * 9, projection='umap')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode != 0
    assert "pip install 'seqfeat[umap]'" in done.stderr


@too_short_to_converge
def test_the_loss_curves_are_those_of_the_fit(utterances):
    X, _ = utterances
    autoencoder = LSTMAutoencoder(4, max_iter=5, early_stopping=True, random_state=0).fit(X)
    display = LossCurveDisplay.from_estimator(autoencoder)
    np.testing.assert_array_equal(display.line_.get_ydata(), autoencoder.loss_curve_)
    np.testing.assert_array_equal(display.line_.get_xdata(), [1, 2, 3, 4, 5])
    validation = display.validation_line_.get_ydata()
    np.testing.assert_array_equal(validation, autoencoder.validation_loss_curve_)
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["training", "validation", f"weights kept, epoch {autoencoder.best_iter_}"]
    assert display.ax_.get_ylabel() == "mean squared error, scaled units"


@too_short_to_converge
def test_the_loss_of_a_pipeline_with_a_head_says_so(utterances):
    pipeline = make_classifier(4, max_iter=1, target_weight=0.5, random_state=0).fit(*utterances)
    display = LossCurveDisplay.from_estimator(pipeline)
    assert display.ax_.get_ylabel() == "loss, reconstruction and labels"
    assert display.validation_line_ is None


def test_a_loss_that_falls_far_has_a_logarithmic_axis():
    assert LossCurveDisplay.from_curves([1.0, 0.01]).ax_.get_yscale() == "log"
    assert LossCurveDisplay.from_curves([1.0, 0.5]).ax_.get_yscale() == "linear"
    assert LossCurveDisplay.from_curves([1.0, 0.0]).ax_.get_yscale() == "linear"


def test_curves_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="loss_curve has 0 epochs"):
        LossCurveDisplay.from_curves([])
    with pytest.raises(InputError, match="validation_loss_curve has 1 epochs, loss_curve 2"):
        LossCurveDisplay.from_curves([1.0, 0.5], [1.0])


@too_short_to_converge
def test_the_worst_series_are_drawn_first_and_then_the_typical_ones(pipeline, utterances):
    X, _ = utterances
    display = ReconstructionDisplay.from_estimator(pipeline, X, n_series=2)
    errors = -pipeline["autoencoder"].score_samples(X)
    order = np.argsort(-errors)
    rest = order[2:]
    typical = rest[np.argsort(np.abs(errors[rest] - np.median(errors)), kind="stable")][:2]
    assert display.names == [f"series {row}" for row in [*order[:2], *typical]]
    assert display.kinds == ["worst", "worst", "typical", "typical"]
    np.testing.assert_allclose(display.errors, errors[[*order[:2], *typical]], rtol=1e-6)
    rebuilt = pipeline["autoencoder"].reconstruct(X)[order[0]]
    np.testing.assert_allclose(display.reconstruction[0, : len(rebuilt)], rebuilt, rtol=1e-4)
    assert np.isnan(display.reconstruction[0, len(rebuilt) :]).all()


def test_the_lines_are_the_series_and_its_reconstruction_in_their_units():
    X = np.random.default_rng(0).normal(10, 3, size=(5, 12))
    display = ReconstructionDisplay.from_reconstructions(X, X + 1, n_series=1, ids=list("abcde"))
    row = "abcde".index(display.names[0])
    series, _, rebuilt = display.axes_[0, 0].lines
    np.testing.assert_allclose(series.get_ydata(), X[row])
    np.testing.assert_allclose(rebuilt.get_ydata(), X[row] + 1)
    assert display.axes_[0, 0].get_xlabel() == "timestep"
    np.testing.assert_allclose(display.errors, 1 / X.var(), rtol=1e-9)


def test_gaps_stay_gaps_and_what_stands_alone_is_a_dot():
    X = np.arange(16.0).reshape(2, 8)
    X[:, [2, 4]] = np.nan
    X[1, 6:] = np.nan
    filled = np.where(np.isnan(X), 0.0, X)
    filled[1, 6:] = np.nan
    display = ReconstructionDisplay.from_reconstructions(X, filled, n_series=1)
    lengths = {name: len(axes.lines[0].get_ydata()) for name, axes in named_axes(display)}
    assert lengths == {"series 0": 8, "series 1": 6}
    for name, axes in named_axes(display):
        series, alone, rebuilt = (line.get_xydata() for line in axes.lines)
        row = X[int(name[-1])]
        np.testing.assert_array_equal(series[:, 1], row[: len(series)])
        np.testing.assert_array_equal(alone[:, 0], [3, 5] if len(series) == 6 else [3])
        assert not np.isnan(rebuilt).any()


def named_axes(display):
    return zip(display.names, display.axes_.T.ravel(), strict=True)


def test_channels_lie_in_lanes_the_first_on_top():
    X = np.random.default_rng(0).normal(size=(4, 9, 8)) * 10.0 ** np.arange(8)
    display = ReconstructionDisplay.from_reconstructions(X, X, n_series=1)
    axes = display.axes_[0, 0]
    heights = [axes.lines[3 * lane].get_ydata() for lane in range(6)]
    assert all(upper.min() > lower.max() for upper, lower in itertools.pairwise(heights))
    assert axes.get_ylabel() == "first 6 of 8 channels, own scales"
    assert [text.get_text() for text in axes.get_yticklabels()] == list("012345")


def test_names_of_channels_and_series_come_from_a_frame(one_thread):
    index = pd.MultiIndex.from_product([["north", "south", "west"], range(6)], names=["site", "t"])
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(18, 2)), index, columns=["wind", "rain"])
    autoencoder = LSTMAutoencoder(3, max_iter=0, random_state=0).fit(frame)
    display = ReconstructionDisplay.from_estimator(autoencoder, frame, n_series=1)
    assert set(display.names) < {"series north", "series south", "series west"}
    labels = [text.get_text() for text in display.axes_[0, 0].get_yticklabels()]
    assert labels == ["wind", "rain"]


def test_a_single_series_has_no_typical_one():
    display = ReconstructionDisplay.from_reconstructions(np.ones((1, 1)), np.zeros((1, 1)))
    assert display.axes_.shape == (1, 1)
    assert display.kinds == ["worst"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_series": 0}, "n_series=0; at least 1"),
        ({"ids": ["a"]}, "ids has 1 names for 3 series"),
        ({"channel_names": ["a", "b"]}, "channel_names has 2 names for 1 channels"),
        ({"reconstruction": np.ones((3, 4))}, "X has 3 series of up to 5 timesteps"),
    ],
)
def test_what_does_not_fit_the_series_is_refused(change, message):
    X = np.ones((3, 5))
    arguments = {"X": X, "reconstruction": X, **change}
    with pytest.raises(InputError, match=message):
        ReconstructionDisplay.from_reconstructions(**arguments)


def test_pictures_of_several_axes_go_into_given_ones():
    ax = LossCurveDisplay.from_curves([1.0, 0.5]).figure_.add_subplot(2, 2, 4)
    X = np.random.default_rng(0).normal(size=(4, 9))
    display = ReconstructionDisplay.from_reconstructions(X, X, ax=ax)
    assert display.ax_ is ax
    assert all(axes.figure is ax.figure for axes in display.axes_.ravel())


@pytest.fixture(scope="module")
def search(utterances):
    grid = {"autoencoder__embedding_dim": [4, 2], "classifier__shrinkage": [0.1, 0.9]}
    pipeline = make_classifier(max_iter=0, random_state=0)
    return GridSearchCV(pipeline, grid, cv=2, refit=False).fit(*utterances)


def test_each_size_is_drawn_with_its_best_candidate(search):
    display = EmbeddingSizeDisplay.from_estimator(search)
    scores = search.cv_results_["mean_test_score"].reshape(2, 2).max(axis=1)[::-1]
    np.testing.assert_array_equal(display.sizes, [2, 4])
    np.testing.assert_array_equal(display.scores, scores)
    line = display.axes_[0].lines[0].get_xydata()
    np.testing.assert_allclose(line, np.column_stack([[2, 4], scores]))
    best = [np.flatnonzero(search.cv_results_["mean_test_score"] == score)[0] for score in scores]
    np.testing.assert_array_equal(display.fit_times, search.cv_results_["mean_fit_time"][best])
    assert display.axes_[0].get_ylabel() == "accuracy\n(mean ± deviation, 2 splits)"
    assert display.axes_[1].get_ylabel() == "time of a fit (s)"


def test_a_metric_is_chosen_by_name(utterances):
    search = GridSearchCV(
        make_classifier(max_iter=0, random_state=0),
        {"autoencoder__embedding_dim": [2]},
        scoring=["accuracy", "f1_macro"],
        refit=False,
        cv=2,
    ).fit(*utterances)
    display = EmbeddingSizeDisplay.from_estimator(search, metric="f1_macro")
    np.testing.assert_array_equal(display.scores, search.cv_results_["mean_test_f1_macro"])
    with pytest.raises(InputError, match=r"metric='score', but the search has \['accuracy', "):
        EmbeddingSizeDisplay.from_estimator(search)


def test_what_a_halving_search_dropped_early_is_hollow(utterances):
    search = HalvingGridSearchCV(
        LSTMAutoencoder(random_state=0, max_iter=0),
        {"embedding_dim": [1, 2, 4]},
        cv=2,
        min_resources=18,
        factor=3,
        refit=False,
        random_state=0,
    ).fit(utterances[0])
    display = EmbeddingSizeDisplay.from_estimator(search)
    results = search.cv_results_
    survivor = results["param_embedding_dim"][results["iter"] == 1]
    np.testing.assert_array_equal(display.sizes[~display.is_early], survivor)
    hollow = display.axes_[0].get_legend_handles_labels()[0][0].get_xdata()
    np.testing.assert_array_equal(hollow, display.sizes[display.is_early])
    pixels = drawn_pixels(display)
    for size, score, is_early in zip(display.sizes, display.scores, display.is_early, strict=True):
        x, y = display.axes_[0].transData.transform((size, score)).round().astype(int)
        assert (pixels[-1 - y, x] > 250).all() == is_early


def drawn_pixels(display):
    """Return the picture as an array of rows from the top, of red, green and blue."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(display.figure_)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3]


def test_the_sizes_of_the_files_are_drawn_below(search):
    display = EmbeddingSizeDisplay.from_estimator(search, file_bytes=[2048, 4096])
    assert [axes.get_ylabel() for axes in display.axes_[1:]] == ["time of a fit (s)", "file (KiB)"]
    np.testing.assert_array_equal(display.axes_[2].lines[0].get_ydata(), [2, 4])
    display = EmbeddingSizeDisplay.from_sizes([8, 4], [0.9, 0.8], file_bytes=[4096, 2048])
    np.testing.assert_array_equal(display.axes_[1].lines[0].get_xydata(), [[4, 2], [8, 4]])
    with pytest.raises(InputError, match="sizes has 2 values and file_bytes 1"):
        EmbeddingSizeDisplay.from_estimator(search, file_bytes=[1])


def test_every_name_of_an_axis_is_within_the_picture(search):
    display = EmbeddingSizeDisplay.from_estimator(search, file_bytes=[2048, 4096])
    drawn_pixels(display)
    for axes in display.axes_:
        box = axes.yaxis.label.get_window_extent()
        assert box.x0 >= 0
        assert 0 <= box.y0 < box.y1 <= display.figure_.bbox.y1


def test_a_search_over_something_else_is_refused(utterances):
    grid = {"classifier__shrinkage": [0.1]}
    search = GridSearchCV(make_classifier(2, max_iter=0), grid, cv=2).fit(*utterances)
    with pytest.raises(InputError, match="went over classifier__shrinkage and not over emb"):
        EmbeddingSizeDisplay.from_estimator(search)


def test_sizes_come_in_any_order():
    display = EmbeddingSizeDisplay.from_sizes([32, 8], [0.9, 0.5], fit_times=[2.0, 1.0])
    np.testing.assert_array_equal(display.sizes, [8, 32])
    np.testing.assert_array_equal(display.scores, [0.5, 0.9])
    np.testing.assert_array_equal(display.axes_[1].lines[0].get_ydata(), [1.0, 2.0])
    assert len(EmbeddingSizeDisplay.from_sizes([8], [0.5]).axes_) == 1
    with pytest.raises(InputError, match="sizes has 2 values and spreads 1"):
        EmbeddingSizeDisplay.from_sizes([8, 16], [0.5, 0.6], [0.1])


def test_a_search_is_drawn_by_its_best_estimator(utterances):
    X, y = utterances
    grid = {"autoencoder__embedding_dim": [2]}
    search = GridSearchCV(make_classifier(2, max_iter=0, random_state=0), grid, cv=2).fit(X, y)
    of_search = EmbeddingDisplay.from_estimator(search, X).positions
    of_best = EmbeddingDisplay.from_estimator(search.best_estimator_, X).positions
    np.testing.assert_array_equal(of_search, of_best)


def test_steps_before_the_autoencoder_are_taken(utterances):
    X, _ = utterances
    halves = FunctionTransformer(lambda series: [one[:5, :3] for one in series])
    model = make_pipeline(halves, "passthrough", LSTMAutoencoder(2, max_iter=0, random_state=0))
    display = ReconstructionDisplay.from_estimator(model.fit(X), X)
    assert display.reconstruction.shape[1] == 5


@too_short_to_converge
def test_a_model_without_an_autoencoder_or_with_a_regressor_is_refused(pipeline, utterances):
    X, y = utterances
    with pytest.raises(InputError, match="LinearRegression has 0 steps that are an LSTMAuto"):
        ReconstructionDisplay.from_estimator(LinearRegression(), X)
    regression = make_pipeline(pipeline["autoencoder"], LinearRegression())
    regression.fit(X, y.astype(float))
    with pytest.raises(InputError, match=r"LinearRegression, which predicts no classes; .*\[:-1\]"):
        EmbeddingDisplay.from_estimator(regression, X)
