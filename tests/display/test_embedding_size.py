import numpy as np
import pytest
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV

from seqfeat import InputError, LSTMAutoencoder, make_classifier
from seqfeat.display import EmbeddingSizeDisplay

pytest.importorskip("matplotlib")
pytestmark = pytest.mark.usefixtures("one_thread")


def render(display):
    """Return the picture as an array of pixels: rows from the top, and red, green and blue."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(display.figure_)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3]


@pytest.fixture(scope="module")
def search(utterances):
    grid = {"autoencoder__embedding_dim": [4, 2], "classifier__C": [0.1, 10]}
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
    assert display.axes_[0].get_ylabel() == "accuracy\n(mean ± std of 2 splits)"
    assert display.axes_[1].get_ylabel() == "fit time (s)"


def test_file_sizes_are_drawn_at_the_bottom_and_all_labels_fit(search):
    display = EmbeddingSizeDisplay.from_estimator(search, file_bytes=[2048, 4096])
    assert [axes.get_ylabel() for axes in display.axes_[1:]] == ["fit time (s)", "file size (KiB)"]
    np.testing.assert_array_equal(display.axes_[2].lines[0].get_ydata(), [2, 4])
    render(display)
    for axes in display.axes_:
        box = axes.yaxis.label.get_window_extent()
        assert box.x0 >= 0
        assert 0 <= box.y0 < box.y1 <= display.figure_.bbox.y1


def test_a_metric_is_selected_by_name(utterances):
    search = GridSearchCV(
        make_classifier(max_iter=0, random_state=0),
        {"autoencoder__embedding_dim": [2]},
        scoring=["accuracy", "f1_macro"],
        refit=False,
        cv=2,
    ).fit(*utterances)
    display = EmbeddingSizeDisplay.from_estimator(search, metric="f1_macro")
    np.testing.assert_array_equal(display.scores, search.cv_results_["mean_test_f1_macro"])
    with pytest.raises(InputError, match=r"metric='score' .*pass one of \['accuracy', 'f1_macro'"):
        EmbeddingSizeDisplay.from_estimator(search)


def test_sizes_that_a_halving_search_eliminated_early_are_hollow(utterances):
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
    handles, labels = display.axes_[0].get_legend_handles_labels()
    np.testing.assert_array_equal(handles[0].get_xdata(), display.sizes[display.is_early])
    assert labels == ["eliminated early, with fewer resources"]
    pixels = render(display)
    for size, score, is_early in zip(display.sizes, display.scores, display.is_early, strict=True):
        x, y = display.axes_[0].transData.transform((size, score)).round().astype(int)
        assert (pixels[-1 - y, x] > 250).all() == is_early


def test_a_search_over_other_parameters_is_an_error(utterances):
    grid = {"classifier__C": [0.1]}
    search = GridSearchCV(make_classifier(2, max_iter=0), grid, cv=2, refit=False).fit(*utterances)
    with pytest.raises(InputError, match="covered classifier__C but not embedding_dim"):
        EmbeddingSizeDisplay.from_estimator(search)


def test_sizes_are_sorted():
    display = EmbeddingSizeDisplay.from_sizes(
        [32, 8], [0.9, 0.5], fit_times=[2.0, 1.0], file_bytes=[4096, 2048]
    )
    np.testing.assert_array_equal(display.sizes, [8, 32])
    np.testing.assert_array_equal(display.scores, [0.5, 0.9])
    np.testing.assert_array_equal(display.axes_[1].lines[0].get_ydata(), [1.0, 2.0])
    np.testing.assert_array_equal(display.axes_[2].lines[0].get_xydata(), [[8, 2], [32, 4]])
    assert len(EmbeddingSizeDisplay.from_sizes([8], [0.5]).axes_) == 1
    display = EmbeddingSizeDisplay.from_sizes([8, 4], [0.9, 0.8], file_bytes=[4096, 2048])
    np.testing.assert_array_equal(display.axes_[1].lines[0].get_xydata(), [[4, 2], [8, 4]])


def test_every_argument_needs_one_value_per_size(search):
    with pytest.raises(InputError, match="sizes has 2 values and spreads has 1; pass at least one"):
        EmbeddingSizeDisplay.from_sizes([8, 16], [0.5, 0.6], [0.1])
    with pytest.raises(InputError, match="sizes has 0 values"):
        EmbeddingSizeDisplay.from_sizes([], [])
    with pytest.raises(InputError, match="sizes has 2 values and file_bytes has 1"):
        EmbeddingSizeDisplay.from_estimator(search, file_bytes=[1])
