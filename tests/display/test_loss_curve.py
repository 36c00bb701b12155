import numpy as np
import pytest

from seqfeat import InputError, LSTMAutoencoder, make_classifier
from seqfeat.display import LossCurveDisplay

pytest.importorskip("matplotlib")
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def test_the_curves_are_those_of_the_fit(utterances):
    X, _ = utterances
    # Learns too fast, so that no epoch is better than the initial weights.
    params = {"max_iter": 5, "early_stopping": True, "learning_rate_init": 2.0}
    autoencoder = LSTMAutoencoder(4, random_state=0, **params).fit(X)
    display = LossCurveDisplay.from_estimator(autoencoder)
    np.testing.assert_array_equal(display.line_.get_ydata(), autoencoder.loss_curve_)
    np.testing.assert_array_equal(display.line_.get_xdata(), [1, 2, 3, 4, 5])
    validation = display.validation_line_.get_ydata()
    np.testing.assert_array_equal(validation, autoencoder.validation_loss_curve_)
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["training", "validation", "initial weights kept"]
    assert display.ax_.lines[-1].get_xdata()[0] == autoencoder.best_iter_ == 0
    assert display.ax_.get_ylabel() == "mean squared error (scaled units)"


def test_the_epoch_whose_weights_were_kept_is_marked():
    display = LossCurveDisplay.from_curves([0.9, 0.4, 0.2], [1.0, 0.5, 0.6], best_iter=2)
    (mark,) = [text.get_text() for text in display.ax_.get_legend().get_texts()][2:]
    assert mark == "weights kept (epoch 2)"
    assert display.ax_.lines[-1].get_xdata()[0] == 2


def test_the_axis_says_if_labels_are_part_of_the_loss(utterances):
    params = {"pooling": "statistics", "max_iter": 1, "target_weight": 0.5, "random_state": 0}
    pipeline = make_classifier(4, **params).fit(*utterances)
    display = LossCurveDisplay.from_estimator(pipeline)
    assert display.ax_.get_ylabel() == "loss (reconstruction and labels)"
    assert display.validation_line_ is None
    assert display.line_.get_marker() == "o"  # a single epoch has no line


def test_labels_are_no_part_of_the_loss_of_a_reservoir(utterances):
    pipeline = make_classifier(4, max_iter=1, target_weight=0.5, random_state=0).fit(*utterances)
    display = LossCurveDisplay.from_estimator(pipeline)
    assert display.ax_.get_ylabel() == "mean squared error (scaled units)"


def test_a_large_range_of_losses_has_a_logarithmic_axis():
    assert LossCurveDisplay.from_curves([1.0, 0.01]).ax_.get_yscale() == "log"
    assert LossCurveDisplay.from_curves([1.0, 0.5]).ax_.get_yscale() == "linear"
    assert LossCurveDisplay.from_curves([1.0, 0.0]).ax_.get_yscale() == "linear"


def test_an_empty_curve_is_an_error(utterances):
    with pytest.raises(InputError, match="loss_curve has 0 epochs; fit with max_iter of at least"):
        LossCurveDisplay.from_estimator(LSTMAutoencoder(2, max_iter=0).fit(utterances[0]))


def test_curves_of_different_lengths_are_an_error():
    with pytest.raises(InputError, match="validation_loss_curve has 1 epochs and loss_curve has 2"):
        LossCurveDisplay.from_curves([1.0, 0.5], [1.0])
