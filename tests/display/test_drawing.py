import itertools
import sys

import numpy as np
import pandas as pd
import pytest

from seqfeat import InputError
from seqfeat.display import EmbeddingSizeDisplay, LossCurveDisplay, ReconstructionDisplay
from seqfeat.display.drawing import (
    channel_names_or_default,
    qualitative_colours,
    separate_labels,
    series_ids_or_default,
)
from seqfeat.series import as_series

pytest.importorskip("matplotlib")


# That the modules import without matplotlib is tested in test_architecture.
def test_without_matplotlib_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    message = r"LossCurveDisplay needs matplotlib; .*pip install 'seqfeat\[plot\]'"
    with pytest.raises(ImportError, match=message):
        LossCurveDisplay.from_curves([1.0, 0.5])


@pytest.mark.parametrize(
    "draw",
    [
        lambda ax: EmbeddingSizeDisplay.from_sizes([2, 4], [0.5, 0.6], fit_times=[1, 2], ax=ax),
        lambda ax: ReconstructionDisplay.from_reconstructions(np.eye(4), np.eye(4), ax=ax),
    ],
)
def test_displays_of_several_axes_stay_within_the_axes_they_are_given(draw):
    ax = LossCurveDisplay.from_curves([1.0, 0.5]).figure_.add_subplot(2, 2, 4)
    display = draw(ax)
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    display.figure_.draw_without_rendering()
    corner = ax.get_subplotspec().get_position(ax.figure)
    for axes in display.axes_.ravel():
        box = axes.get_subplotspec().get_position(ax.figure)
        assert corner.x0 <= box.x0 < box.x1 <= corner.x1 + 1e-9
        assert corner.y0 <= box.y0 < box.y1 <= corner.y1 + 1e-9


@pytest.mark.parametrize("n_colours", [1, 10, 11, 40])
def test_colours_differ(n_colours):
    assert len(np.unique(qualitative_colours(n_colours), axis=0)) == n_colours


def test_labels_in_the_same_place_are_pushed_apart_but_not_far():
    separated = separate_labels(np.zeros((3, 2)), 0.1)
    for first, second in itertools.combinations(separated, 2):
        assert np.hypot(*(first - second)) > 0.09
    assert np.abs(separated).max() < 0.2


def test_labels_that_are_far_apart_stay_where_they_are():
    positions = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(separate_labels(positions, 0.1), positions, atol=1e-3)


@pytest.fixture(scope="module")
def frame():
    index = pd.MultiIndex.from_product([["north", "south"], range(3)], names=["site", "t"])
    return as_series(pd.DataFrame(np.ones((6, 2)), index, columns=["wind", "rain"]))


def test_names_are_those_given_or_those_of_the_data(frame):
    assert series_ids_or_default(frame, None) == ["north", "south"]
    assert series_ids_or_default(frame, ["n", 7]) == ["n", 7]
    assert channel_names_or_default(frame, None) == ["wind", "rain"]
    assert channel_names_or_default(frame, ["w", "r"]) == ["w", "r"]


@pytest.mark.parametrize(("n_channels", "names"), [(1, ["value"]), (3, ["0", "1", "2"])])
def test_channels_without_names_are_numbered(n_channels, names):
    series = as_series(np.ones((2, 5, n_channels)))
    assert series_ids_or_default(series, None) is None
    assert channel_names_or_default(series, None) == names


def test_a_wrong_number_of_names_is_an_error(frame):
    with pytest.raises(InputError, match="ids has 1 names for 2 series; pass one per series"):
        series_ids_or_default(frame, ["a"])
    with pytest.raises(InputError, match="channel_names has 3 names for 2 channels; pass one per"):
        channel_names_or_default(frame, ["a", "b", "c"])
