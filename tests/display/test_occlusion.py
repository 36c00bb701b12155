import numpy as np
import pytest

from seqfeat import InputError, make_classifier, make_regressor
from seqfeat.display import OcclusionDisplay
from seqfeat.inspection import occlusion

pytest.importorskip("matplotlib")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).normal(size=(20, 23, 2))


@pytest.fixture(scope="module")
def model():
    return make_classifier(4, hidden_dim=8, max_iter=0, random_state=0).fit(X, np.arange(20) % 2)


def test_it_shows_the_importances_of_a_series(model):
    display = OcclusionDisplay.from_estimator(model, X, width=5, row=3)
    expected = occlusion(model, X[3:4], width=5, by_channel=True)[0]
    np.testing.assert_allclose(display.importances, expected)
    lanes = [mesh.get_array().ravel() for mesh in display.ax_.collections]
    np.testing.assert_allclose(lanes, expected.T[::-1])
    label = model.predict(X[3:4])[0]
    assert display.ax_.get_title(loc="left").startswith(f"series 3: predicted {label}, probability")
    assert [tick.get_text() for tick in display.ax_.get_yticklabels()] == ["0", "1"]


def test_the_last_stretch_ends_with_the_series(model):
    display = OcclusionDisplay.from_estimator(model, X, width=5, by_channel=False)
    coordinates = display.ax_.collections[0].get_coordinates()[0, :, 0]
    assert coordinates.tolist() == [-0.5, 4.5, 9.5, 14.5, 19.5, 22.5]


def test_colours_are_symmetric_about_nothing():
    display = OcclusionDisplay.from_importances(X[0], np.array([0.1, -0.4]), width=12)
    assert display.ax_.collections[0].get_clim() == (-0.4, 0.4)


def test_of_many_channels_those_that_matter_are_drawn():
    values, importances = np.random.default_rng(0).normal(size=(2, 10, 30))
    importances[:, 17] = 9
    display = OcclusionDisplay.from_importances(values, importances, width=1)
    assert len(display.lines_) == 12
    assert "17" in [tick.get_text() for tick in display.ax_.get_yticklabels()]
    assert display.ax_.get_ylabel() == "12 of 30 channels"


def test_a_regressors_prediction_is_named():
    regressor = make_regressor(4, hidden_dim=8, max_iter=0, random_state=0).fit(X, X[:, 0, 0])
    title = OcclusionDisplay.from_estimator(regressor, X, width=8).ax_.get_title(loc="left")
    assert title == f"series 0: predicted {regressor.predict(X[:1])[0]:.4g}"


@pytest.mark.parametrize(
    ("importances", "says"),
    [
        (np.zeros(2), "23 timesteps have 3 stretches of 10"),
        (np.zeros((3, 5)), "importances has 5 channels, but the series has 2"),
    ],
)
def test_importances_that_do_not_fit_are_an_error(importances, says):
    with pytest.raises(InputError, match=says):
        OcclusionDisplay.from_importances(X[0], importances, width=10)


def test_rows_and_targets_that_cannot_be_drawn_are_an_error(model):
    with pytest.raises(InputError, match="row=20, but X has 20 series"):
        OcclusionDisplay.from_estimator(model, X, width=5, row=20)
    several = make_regressor(4, hidden_dim=8, max_iter=0, random_state=0).fit(X, X[:, 0])
    with pytest.raises(InputError, match="the model predicts 2 numbers"):
        OcclusionDisplay.from_estimator(several, X, width=5)
