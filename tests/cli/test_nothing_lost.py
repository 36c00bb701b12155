"""What fails in `train` fails before the training, or once the model is saved."""

import importlib
import os

import numpy as np
import pytest

import seqfeat as library
from seqfeat.cli.console import Console
from seqfeat.cli.models import fit, save_model
from tests.commands import LONG, QUICK, ok, seqfeat

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.mark.parametrize(("command", "training"), [("train", "fit"), ("search", "search_sizes")])
def test_fault_60_the_data_may_go_away_during_the_training(
    tmp_path, csv, monkeypatch, command, training
):
    module = importlib.import_module(f"seqfeat.cli.commands.{command}")
    train = getattr(module, training)

    def remove_and_train(*arguments):
        csv.unlink()
        return train(*arguments)

    monkeypatch.setattr(module, training, remove_and_train)
    path = tmp_path / "m.joblib"
    options = [*LONG, "--embedding-dim", "4", "--max-iter", "1"]
    ok(command, csv, *options, "-o", path)
    assert library.load_card(path)["reading"]["channels"] == ["load", "heat"]


def break_in(monkeypatch, name):
    def fail(*_, **__):
        raise ValueError("something broke")

    monkeypatch.setattr(name, fail)


@pytest.mark.parametrize(
    ("what", "options"),
    [
        ("evaluate", []),
        ("_print_result", []),
        ("_draw", ["--picture", "p.png"]),
        ("_write_report", ["--report", "r.html"]),
    ],
)
def test_fault_60_what_fails_after_the_training_says_where_the_model_is(
    tmp_path, csv, monkeypatch, what, options
):
    for extra in ("bokeh", "matplotlib"):
        pytest.importorskip(extra)
    monkeypatch.chdir(tmp_path)
    break_in(monkeypatch, f"seqfeat.cli.commands.train.{what}")
    result = seqfeat("train", csv, *LONG, *QUICK, "--no-baselines", *options, "-o", "m.joblib")
    assert result.status == 1
    last = result.err.splitlines()[-1]
    assert "something broke" in last
    assert last.endswith("But the model is saved in m.joblib.")
    assert set(library.load("m.joblib").classes_) == {"home", "shop"}


def test_fault_60_ctrl_c_after_the_training_says_where_the_model_is(tmp_path, csv, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("seqfeat.cli.commands.train._print_result", interrupt)
    path = tmp_path / "m.joblib"
    result = seqfeat("train", csv, *LONG, *QUICK, "--no-baselines", "-o", path)
    assert result.status == 130
    assert f"seqfeat: interrupted; the model is saved in {path}" in result.err
    library.load(path)


@pytest.mark.skipif(not os.path.exists("/proc"), reason="there is no /proc")
def test_fault_60_a_model_whose_place_fails_is_saved_elsewhere(tmp_path, csv, monkeypatch):
    """The folder becomes one in which nobody can make files, as a share that went away."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()

    def fit_and_lose_the_folder(*arguments):
        fitted = fit(*arguments)
        (tmp_path / "out").rmdir()
        (tmp_path / "out").symlink_to("/proc")
        return fitted

    monkeypatch.setattr("seqfeat.cli.commands.train.fit", fit_and_lose_the_folder)
    result = seqfeat("train", csv, *LONG, *QUICK, "--no-baselines", "-o", "out/m.joblib")
    assert result.status == 1
    last = result.err.splitlines()[-1]
    place = last.split("But the model is saved in ")[1].removesuffix(".")
    assert os.path.dirname(os.path.dirname(place)) == str(tmp_path)
    assert set(library.load(place).classes_) == {"home", "shop"}


def test_a_model_that_can_be_saved_nowhere_leaves_no_folder_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    break_in(monkeypatch, "seqfeat.cli.models.save")
    console = Console()
    with pytest.raises(ValueError, match="something broke"):
        save_model(object(), str(tmp_path / "m.joblib"), console)
    assert console.saved_to is None
    assert list(tmp_path.iterdir()) == []


def test_fault_64_a_classifier_that_cannot_learn_is_refused_before_the_training(tmp_path):
    """Two kinds of identical series, as a table with a row for each series."""
    wave = np.sin(np.arange(8) / 2)
    rows = [f"s{i},{'ab'[i % 2]}," + ",".join(map(str, wave * (1 + i % 2))) for i in range(24)]
    header = "id,kind," + ",".join(f"t{step}" for step in range(8))
    (tmp_path / "d.csv").write_text("\n".join([header, *rows]) + "\n")
    options = ["--id", "id", "--label", "kind", "--classifier", "lda", *QUICK]
    result = seqfeat("train", tmp_path / "d.csv", *options, "-o", tmp_path / "m.joblib")
    assert result.status == 1
    message = result.err.splitlines()[-1]
    assert "LinearDiscriminantAnalysis cannot be trained on these series" in message
    assert "choose another --classifier, such as logistic." in message
    assert "Trained" not in result.err
    assert not (tmp_path / "m.joblib").exists()
