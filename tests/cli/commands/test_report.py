import json

import pytest

from tests.commands import error_of, ok

pytest.importorskip("bokeh")
pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_report_has_a_title_and_describes_the_metrics_of_the_card(tmp_path, csv):
    page, model = tmp_path / "new" / "r.html", tmp_path / "m.joblib"
    columns = ["--id", "meter", "--time", "day", "--label", "kind"]
    ok("train", csv, *columns, "--embedding-dim", "4", "--max-iter", "3", "-o", model)
    ok("report", model, csv, "-o", page, "--title", "Meters in May")
    text = page.read_text()
    assert "<html" in text
    assert "Meters in May" in text
    assert "m.joblib: trained on " in text
    assert "accuracy of raw series + RBF SVC on 10 test series" in text
    assert "test_accuracy" not in text
    assert '"load"' in text


def test_numeric_labels_in_a_table_match_classes_that_are_text(demo, tmp_path):
    columns = ["--id", "series", "--time", "time", "--label", "label"]
    ok("report", demo / "m.joblib", demo / "new.csv", *columns, "-o", tmp_path / "r.html")
    card = json.loads((demo / "m.json").read_text())
    assert f"{card['metrics']['test_accuracy']:.3f}" in (tmp_path / "r.html").read_text()


def test_a_map_without_points_is_an_error(tmp_path, models):
    arguments = ["report", models / "m.joblib", models / "new.csv", "-o", tmp_path / "x.html"]
    assert "--max-points 0" in error_of(*arguments, "--max-points", "0")
    assert list(tmp_path.iterdir()) == []
