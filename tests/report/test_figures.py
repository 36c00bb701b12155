import json
from types import SimpleNamespace

import numpy as np
import pytest

from seqfeat.report.figures import embedding_map, loss_curves, series_plot

pytest.importorskip("bokeh")

from bokeh.embed import json_item
from bokeh.models import ColumnDataSource, PlainText


def as_json(plot):
    return json.dumps(json_item(plot))


def losses_of(curve, validation=None, target_weight=0.0, n_classes=0):
    autoencoder = SimpleNamespace(
        loss_curve_=curve,
        validation_loss_curve_=validation,
        target_weight=target_weight,
        architecture_={"n_classes": n_classes},
        best_iter_=1,
    )
    return loss_curves(SimpleNamespace(parts=SimpleNamespace(autoencoder=autoencoder)))


def test_without_epochs_there_is_no_loss_curve():
    assert losses_of([]) is None


@pytest.mark.parametrize(
    ("curve", "validation"), [([0.5], None), ([0.5, 0.25, 0.125], [0.75, 0.375, 0.5])]
)
def test_all_loss_curves_are_drawn(curve, validation):
    figure = losses_of(curve, validation)
    drawn = as_json(figure)
    for losses in (curve, validation):
        assert losses is None or json.dumps(losses) in drawn
    assert figure.yaxis.axis_label == "mean squared error"


def test_a_large_range_of_losses_has_a_logarithmic_axis():
    figure = losses_of([2.0, 0.1], target_weight=0.5, n_classes=3)
    assert type(figure.y_scale).__name__ == "LogScale"
    assert {0.1, 1.0, 2.0} <= set(figure.yaxis[0].ticker.ticks)
    assert figure.yaxis.axis_label == "loss"


def test_labels_are_no_part_of_the_loss_without_a_head():
    assert losses_of([2.0, 0.1], target_weight=0.5).yaxis.axis_label == "mean squared error"


def map_of(labels=None, predictions=None):
    n = 60
    analysis = SimpleNamespace(
        labels=labels,
        predictions=predictions,
        drawn=SimpleNamespace(rows=np.arange(n)),
        names=[f"series {row}" for row in range(n)],
        numbers=None,
        positions=np.random.default_rng(0).normal(size=(n, 2)),
        explained=np.array([0.6, 0.3]),
    )
    figure = embedding_map(analysis)
    points = figure.select_one({"type": ColumnDataSource, "name": "points"})
    return figure, points.data


@pytest.mark.parametrize("n_classes", [1, 3, 10, 15, 60])
def test_classes_differ_in_colour_or_shape(n_classes):
    codes = np.arange(60) % n_classes
    _, points = map_of(labels=codes)
    styles = set(zip(points["colour"], points["marker"], strict=True))
    assert len(styles) == n_classes


def test_points_are_coloured_by_labels_or_else_by_predictions():
    labels, predictions = np.arange(60) % 2, np.arange(60) % 3
    assert len(set(map_of(labels, predictions)[1]["colour"])) == 2
    assert len(set(map_of(None, predictions)[1]["colour"])) == 3
    assert len(set(map_of()[1]["colour"])) == 1


def test_few_classes_have_their_names_on_the_map_and_many_have_not():
    assert '"kestrel"' in as_json(map_of(labels=np.array(["kestrel", "owl"] * 30))[0])
    many = np.array([f"bird {code}" for code in np.arange(60) % 31])
    assert '"bird 30"' not in as_json(map_of(labels=many)[0])


def test_the_axes_of_the_map_give_the_variance_they_explain():
    figure, _ = map_of()
    assert figure.xaxis.axis_label == "First principal component (60% of variance)"
    assert figure.yaxis.axis_label == "Second principal component (30% of variance)"


def test_names_of_channels_are_plain_text():
    one, two = series_plot(["$$x$$"], 150), series_plot(["$$x$$", "y"], 150)
    assert isinstance(one.yaxis.axis_label, PlainText)
    assert [text.text for text in two.yaxis[0].major_label_overrides.values()] == ["$$x$$", "y"]
    # The first channel is at the top.
    first, second = two.yaxis[0].major_label_overrides
    assert first > second
