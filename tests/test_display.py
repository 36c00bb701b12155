import itertools
import subprocess
import sys

import numpy as np
import pytest
from sklearn.decomposition import PCA

from seqfeat import LSTMAutoencoder, make_classifier
from seqfeat.datasets import load_japanese_vowels
from seqfeat.display import EmbeddingDisplay

pytest.importorskip("matplotlib")


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


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
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
