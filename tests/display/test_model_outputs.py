import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from seqfeat import LSTMAutoencoder
from seqfeat.display.model_outputs import evaluate_series, reconstruct_rows

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def ragged():
    return [np.sin(np.arange(n) / 2) for n in (12, 5, 1, 9)]


@pytest.fixture(scope="module")
def autoencoder(ragged):
    return LSTMAutoencoder(2, max_iter=0, random_state=0).fit(ragged)


def test_errors_are_those_of_score_samples(autoencoder, ragged):
    series, evaluation = evaluate_series(autoencoder, ragged)
    assert series.lengths.tolist() == [12, 5, 1, 9]
    errors = evaluation.squared_error / evaluation.n_values
    np.testing.assert_allclose(errors, -autoencoder.score_samples(ragged), rtol=1e-6)


def test_rows_are_reconstructed_in_the_order_given_and_padded(autoencoder, ragged):
    series, _ = evaluate_series(autoencoder, ragged)
    reconstructed = reconstruct_rows(autoencoder, series, np.array([3, 1]))
    assert reconstructed.shape == (2, 9, 1)
    expected = autoencoder.reconstruct(ragged)
    np.testing.assert_allclose(reconstructed[0, :, 0], np.ravel(expected[3]), atol=1e-6)
    np.testing.assert_allclose(reconstructed[1, :5, 0], np.ravel(expected[1]), atol=1e-6)
    assert np.isnan(reconstructed[1, 5:]).all()


def test_an_autoencoder_that_is_not_fitted_is_an_error(ragged):
    with pytest.raises(NotFittedError):
        evaluate_series(LSTMAutoencoder(2), ragged)
