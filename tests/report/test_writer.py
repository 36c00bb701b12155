import errno
import sys

import numpy as np
import pytest

from seqfeat import InputError
from seqfeat.report import save_report
from tests.report.pages import Page, noisy_waves

pytest.importorskip("bokeh")


def test_missing_folders_are_created_and_the_path_is_returned(small, tmp_path):
    X, y = noisy_waves(5)
    target = tmp_path / "new" / "report.html"
    assert save_report(small, X, y, str(target)) == target
    assert "Report on 5 series" in target.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_report_on_100_000_series_stays_below_5_mb(small, tmp_path):
    X, y = noisy_waves(100_000, seed=2)
    X[777] += 50 * np.array([1, -1] * 4)
    target = save_report(small, X.astype(np.float32), y, tmp_path / "report.html")
    assert target.stat().st_size < 5e6
    page = Page(target)
    sample = "a random sample, stratified by class, that includes the 12 most anomalous."
    assert f"2,000 of 100,000 series are drawn: {sample}" in page.text
    data = page.data["data"]
    assert len(data["names"]) == 2000
    assert data["names"][0] == "series 777"
    assert data["ranks"][:12] == list(range(1, 13))
    assert f"{(small.predict(X) == y).sum():,} of 100,000 series" in page.text


def test_an_existing_file_survives_if_the_page_cannot_be_written(small, tmp_path, monkeypatch):
    X, y = noisy_waves(30)
    target = tmp_path / "report.html"
    target.write_text("before")

    def full_disk(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_report(small, X, y, target)
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_points": 0}, "max_points=0; pass an integer of at least 1"),
        ({"max_points": True}, "max_points=True"),
        ({"n_anomalies": -1}, "n_anomalies=-1; pass an integer of at least 0"),
        ({"ids": ["a"]}, "ids has 1 names for 30 series"),
        ({"baselines": {"x": np.nan}}, r"baselines\['x'\]=nan; pass finite numbers"),
        ({"metrics": {"x": "high"}}, r"metrics\['x'\]='high'"),
        ({"timings": {"x": True}}, r"timings\['x'\]=True"),
        ({"target": "."}, r"target='\.' is a folder; pass the name of a file in it"),
    ],
)
def test_an_invalid_argument_is_an_error_and_nothing_is_written(
    small, tmp_path, monkeypatch, change, message
):
    monkeypatch.chdir(tmp_path)
    X, y = noisy_waves(30)
    with pytest.raises(InputError, match=message):
        save_report(small, **{"X": X, "y": y, **change})
    assert list(tmp_path.iterdir()) == []


# That the modules import without Bokeh is tested in test_architecture.
def test_without_bokeh_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "bokeh", None)
    with pytest.raises(ImportError, match=r"needs Bokeh; .*pip install 'seqfeat\[report\]'"):
        save_report(None, [[1.0]])
