import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import DBSCAN
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from seqfeat import InputError, LSTMAutoencoder, make_classifier, make_regressor
from seqfeat.display import EmbeddingDisplay
from seqfeat.display.embedding import project_pca

pytest.importorskip("matplotlib")
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.fixture
def embeddings():
    return np.random.default_rng(0).normal(size=(30, 5))


def test_points_lie_at_the_first_two_principal_components(embeddings):
    display = EmbeddingDisplay.from_embeddings(embeddings)
    np.testing.assert_allclose(display.positions, PCA(2).fit_transform(embeddings))
    drawn = display.ax_.collections[0].get_offsets()
    np.testing.assert_allclose(drawn, display.positions)
    share = PCA(2).fit(embeddings).explained_variance_ratio_[0]
    assert display.ax_.get_xlabel() == f"first principal component ({share:.0%} of variance)"
    assert display.centroids_ is None


def test_coordinates_without_variance_are_zero():
    positions, explained = project_pca(np.array([[1.0], [2.0], [4.0]]))
    assert (positions[:, 1] == 0).all()
    np.testing.assert_array_equal(explained, [1, 0])
    for constant in (np.ones((1, 3)), np.ones((4, 3))):
        positions, explained = project_pca(constant)
        assert positions.shape == (len(constant), 2)
        assert not positions.any()
        assert not explained.any()
    display = EmbeddingDisplay.from_embeddings([[1.0], [2.0], [4.0]])
    assert (display.positions[:, 1] == 0).all()


def test_each_class_has_a_colour_a_label_and_a_cross_at_its_centroid(embeddings):
    display = EmbeddingDisplay.from_embeddings(embeddings, np.repeat(["a", "b", "c"], 10))
    assert len({tuple(p.get_facecolor()[0]) for p in display.ax_.collections}) == 3
    assert [text.get_text() for text in display.ax_.texts] == ["a", "b", "c"]
    expected = display.positions.reshape(3, 10, 2).mean(axis=1)
    np.testing.assert_allclose(display.centroids_, expected)
    crosses = [line.get_xydata()[0] for line in display.ax_.lines]
    np.testing.assert_allclose(crosses, expected)


def test_numbers_colour_the_points_on_a_scale_with_their_name(embeddings):
    heights = pd.Series(np.linspace(1.5, 2.0, 30), name="height")
    display = EmbeddingDisplay.from_embeddings(embeddings, heights)
    (points,) = display.ax_.collections
    np.testing.assert_array_equal(points.get_array(), heights)
    assert (display.colorbar_.vmin, display.colorbar_.vmax) == (1.5, 2.0)
    assert display.colorbar_.ax.get_ylabel() == "height"
    assert display.centroids_ is None


def test_whole_numbers_are_classes_unless_the_model_is_a_regressor(embeddings):
    ages = np.arange(30.0)
    classes = EmbeddingDisplay.from_embeddings(embeddings, ages)
    assert len(classes.centroids_) == 30
    X = np.random.default_rng(0).normal(size=(30, 8, 1))
    model = make_regressor(2, max_iter=0, random_state=0).fit(X, ages)
    display = EmbeddingDisplay.from_estimator(model, X, ages)
    np.testing.assert_array_equal(display.numbers, ages)
    with pytest.raises(InputError, match="y has 2 numbers for each series"):
        EmbeddingDisplay.from_estimator(model, X, np.column_stack([ages, ages]))


def test_labels_of_classes_in_the_same_place_do_not_overlap():
    rng = np.random.default_rng(0)
    display = EmbeddingDisplay.from_embeddings(rng.normal(size=(300, 4)), np.arange(300) % 3)
    display.figure_.draw_without_rendering()
    boxes = [text.get_bbox_patch().get_window_extent() for text in display.ax_.texts]
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert not boxes[first].overlaps(boxes[second])
    # They stay near the place that they name.
    places = np.array([text.xy for text in display.ax_.texts])
    width = np.ptp(display.positions, axis=0).max()
    assert np.abs(places - np.median(places, axis=0)).max() < 0.1 * width


def test_dollar_signs_in_a_label_do_not_start_a_formula(embeddings):
    display = EmbeddingDisplay.from_embeddings(embeddings, [r"$\frac{$", "b"] * 15)
    display.figure_.draw_without_rendering()  # an invalid formula would raise here
    assert display.ax_.texts[0].get_text() == r"\$\frac{\$"


def test_it_draws_into_the_axes_it_is_given(embeddings):
    first = EmbeddingDisplay.from_embeddings(embeddings)
    second = EmbeddingDisplay.from_embeddings(embeddings, ax=first.ax_)
    assert second.ax_ is first.ax_
    assert second.figure_ is first.figure_


def test_a_pipeline_is_drawn_without_its_classifier(pipeline, utterances):
    X, y = utterances
    display = EmbeddingDisplay.from_estimator(pipeline, X, y)
    expected = EmbeddingDisplay.from_embeddings(pipeline[:-1].transform(X), y)
    np.testing.assert_allclose(display.positions, expected.positions)
    assert len(display.centroids_) == 9
    assert isinstance(pipeline[0], LSTMAutoencoder)
    assert len(EmbeddingDisplay.from_estimator(pipeline[0], X).positions) == len(X)


def test_a_search_is_drawn_by_its_best_estimator(utterances):
    X, y = utterances
    grid = {"autoencoder__embedding_dim": [2]}
    search = GridSearchCV(make_classifier(2, max_iter=0, random_state=0), grid, cv=2).fit(X, y)
    of_search = EmbeddingDisplay.from_estimator(search, X).positions
    of_best = EmbeddingDisplay.from_estimator(search.best_estimator_, X).positions
    np.testing.assert_array_equal(of_search, of_best)


def test_a_model_that_ends_in_clusters_or_has_no_autoencoder_is_an_error(pipeline, utterances):
    X, _ = utterances
    with pytest.raises(InputError, match="DBSCAN has 0 steps"):
        EmbeddingDisplay.from_estimator(DBSCAN(), X)
    clusters = make_pipeline(pipeline["autoencoder"], DBSCAN()).fit(X)
    with pytest.raises(InputError, match=r"DBSCAN, which predicts neither .*\[:-1\]"):
        EmbeddingDisplay.from_estimator(clusters, X)


def test_an_unknown_projection_is_an_error(embeddings):
    with pytest.raises(InputError, match=r"projection='tsne' is unknown; pass 'pca' or 'umap'"):
        EmbeddingDisplay.from_embeddings(embeddings, projection="tsne")


@pytest.mark.parametrize(
    ("n_series", "n_neighbors", "init"),
    [(30, 15, "spectral"), (15, 14, "random"), (4, 3, "random")],
)
def test_umap_gets_parameters_that_suit_the_number_of_series(
    monkeypatch, embeddings, n_series, n_neighbors, init
):
    params = {}

    class FirstTwoColumns:
        def __init__(self, **given):
            params.update(given)

        def fit_transform(self, X):
            return X[:, :2].astype(np.float32)

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=FirstTwoColumns))
    display = EmbeddingDisplay.from_embeddings(
        embeddings[:n_series], projection="umap", random_state=7
    )
    assert params == {"n_neighbors": n_neighbors, "init": init, "random_state": 7, "n_jobs": 1}
    np.testing.assert_allclose(display.positions, embeddings[:n_series, :2], rtol=1e-6)
    assert display.positions.dtype == np.float64
    assert display.explained is None
    assert display.ax_.get_xlabel() == "UMAP coordinate 1"


def test_too_few_series_for_umap_are_an_error(embeddings):
    with pytest.raises(InputError, match="UMAP needs at least 4 series, got 3; pass proj"):
        EmbeddingDisplay.from_embeddings(embeddings[:3], projection="umap")


def test_without_umap_the_error_names_the_extra(monkeypatch, embeddings):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ImportError, match=r"pip install 'seqfeat\[umap\]', or pass projection="):
        EmbeddingDisplay.from_embeddings(embeddings, projection="umap")


@pytest.mark.slow
def test_umap_is_reproducible_and_keeps_clusters_apart(monkeypatch):
    # Compiling UMAP takes longer than running it in Python on so few series.
    monkeypatch.setattr(pytest.importorskip("numba").config, "DISABLE_JIT", True)
    pytest.importorskip("umap", exc_type=ImportError)
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 8)
    embeddings = rng.normal(size=(16, 5)) + 20 * labels[:, None]
    display = EmbeddingDisplay.from_embeddings(embeddings, labels, projection="umap")
    again = EmbeddingDisplay.from_embeddings(embeddings, labels, projection="umap")
    np.testing.assert_array_equal(display.positions, again.positions)
    distances = np.linalg.norm(display.positions[:, None] - display.centroids_, axis=2)
    np.testing.assert_array_equal(distances.argmin(axis=1), labels)
    few = EmbeddingDisplay.from_embeddings(embeddings[:5], projection="umap")
    assert np.isfinite(few.positions).all()
