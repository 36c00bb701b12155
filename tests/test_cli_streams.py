"""`embed`, `predict`, `evaluate`, `anomalies`, `convert`: as from the library, part by part."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score
from tests.commands import LONG, complaint, meters, ok, seqfeat, small_batches

import seqfeat as library
from seqfeat import make_classifier
from seqfeat.datasets import load_japanese_vowels
from seqfeat.series import from_long, read

pytestmark = [
    pytest.mark.usefixtures("one_thread", "small_parts"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.fixture
def small_parts(monkeypatch):
    small_batches(monkeypatch)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Models that commands trained, and files for them."""
    folder = tmp_path_factory.mktemp("models")
    meters().to_csv(folder / "train.csv", index=False)
    quick = ["--embedding-dim", "4", "--max-iter", "12", "--no-baselines", "-o"]
    ok("train", folder / "train.csv", *LONG, *quick, folder / "m.joblib")
    np.save(folder / "rows.npy", waves(30))
    ok("train", folder / "rows.npy", *quick, folder / "rows.joblib")
    np.save(folder / "wide.npy", waves(30)[:, :, 0])
    np.save(folder / "wider.npy", np.zeros((4, 30)))
    ok("train", folder / "wide.npy", *quick, folder / "wide.joblib")
    new = meters(24, seed=1)
    new.to_csv(folder / "new.csv", index=False)
    new.drop(columns="kind").to_csv(folder / "unlabelled.csv", index=False)
    new.to_parquet(folder / "new.parquet", index=False, row_group_size=40)
    return folder


def assert_close(one, other):
    """The batch a series comes in may change the last bits of its embedding."""
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def waves(n_series):
    return np.sin(np.arange(20) / 3 + np.arange(n_series)[:, None])[:, :, None]


@pytest.fixture(scope="module")
def model(folder):
    return library.load(folder / "m.joblib")


@pytest.fixture(scope="module")
def new():
    return from_long(meters(24, seed=1), "meter", "day", ["load", "heat"], "kind")


def test_reading_is_in_several_parts(folder):
    from seqfeat.series import read_batches

    parts = list(read_batches(folder / "new.csv", series_id="meter", time="day", label="kind"))
    assert 3 < len(parts) < 24


@pytest.mark.parametrize("data", ["new.csv", "new.parquet", "unlabelled.csv"])
@pytest.mark.parametrize("output", ["f.csv", "f.parquet"])
def test_features_are_those_of_transform_and_carry_the_ids(
    tmp_path, folder, model, new, data, output
):
    done = ok("embed", folder / "m.joblib", folder / data, "-o", tmp_path / output, "--json")
    read_back = pd.read_csv if output.endswith("csv") else pd.read_parquet
    features = read_back(tmp_path / output).set_index("meter")
    assert features.index.tolist() == new.X.index.tolist()
    assert features.columns.tolist() == [f"feature_{place}" for place in range(4)]
    assert_close(features, model[0].transform(new.X))
    assert done.json["n_series"] == 24
    assert done.json["embedding_dim"] == 4


def test_features_as_an_array_have_their_ids_beside_them(tmp_path, folder, model, new):
    ok("embed", folder / "m.joblib", folder / "new.csv", "-o", tmp_path / "f.npy")
    assert_close(np.load(tmp_path / "f.npy"), model[0].transform(new.X))
    assert np.load(tmp_path / "f.npy", mmap_mode="r").shape == (24, 4)
    ids = pd.read_csv(tmp_path / "f.ids.csv")
    assert ids["meter"].tolist() == new.X.index.tolist()


def test_series_without_names_are_numbered(tmp_path, folder):
    ok("embed", folder / "rows.joblib", folder / "rows.npy", "-o", tmp_path / "f.csv")
    features = pd.read_csv(tmp_path / "f.csv", index_col="series")
    assert features.index.tolist() == list(range(30))
    expected = library.load(folder / "rows.joblib").transform(waves(30))
    assert_close(features, expected)


def test_predictions_are_those_of_predict(tmp_path, folder, model, new):
    arguments = ["predict", folder / "m.joblib", folder / "unlabelled.csv"]
    lines = ok(*arguments).out.splitlines()
    assert lines[0] == "meter,prediction"
    expected = model.predict(new.X)
    assert lines[1:] == [f"{name},{it}" for name, it in zip(new.X.index, expected, strict=True)]
    result = ok(*arguments, "--json").json
    assert result["ids"] == new.X.index.tolist()
    assert result["predictions"] == expected.tolist()
    ok(*arguments, "--probabilities", "-o", tmp_path / "p.parquet")
    table = pd.read_parquet(tmp_path / "p.parquet").set_index("meter")
    assert table["prediction"].tolist() == expected.tolist()
    names = ["probability_home", "probability_shop"]
    assert_close(table[names], model.predict_proba(new.X))


def test_an_evaluation_is_scikit_learn_s(folder, model, new):
    result = ok("evaluate", folder / "m.joblib", folder / "new.csv", "--json").json
    predicted = model.predict(new.X)
    assert result["accuracy"] == model.score(*new)
    low, high = result["accuracy_interval"]
    assert low < result["accuracy"] <= high
    assert result["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(new.y, predicted))
    assert result["macro_f1"] == pytest.approx(f1_score(new.y, predicted, average="macro"))
    assert result["confusion_matrix"] == confusion_matrix(new.y, predicted).tolist()
    assert result["r_squared"] == pytest.approx(model["autoencoder"].score(new.X), rel=1e-6)
    assert result["per_class"]["shop"]["n_series"] == 12


def test_an_evaluation_for_people_names_the_classes(folder):
    out = ok("evaluate", folder / "m.joblib", folder / "new.csv").out
    recorded = json.loads((folder / "m.json").read_text())["metrics"]["test_accuracy"]
    assert f"on the series held out then: {recorded:.3f}" in out
    assert "class  precision  recall" in out
    assert out.count("home") == 3


def test_features_alone_are_evaluated_by_their_reconstruction(folder):
    result = ok("evaluate", folder / "rows.joblib", folder / "rows.npy", "--json").json
    expected = library.load(folder / "rows.joblib").score(waves(30))
    assert result == {
        "command": "evaluate",
        "n_series": 30,
        "r_squared": pytest.approx(expected, rel=1e-6),
    }


def test_r_squared_counts_what_was_observed(tmp_path, folder):
    rows = waves(30)
    rows[::3, 15:] = np.nan
    rows[1::3, 4:9] = np.nan
    np.save(tmp_path / "gaps.npy", rows)
    quick = ["--embedding-dim", "2", "--max-iter", "2", "--missing", "mask"]
    path = tmp_path / "gaps.joblib"
    ok("train", tmp_path / "gaps.npy", *quick, "--test-size", "0", "-o", path)
    result = ok("evaluate", path, tmp_path / "gaps.npy", "--json").json
    assert result["r_squared"] == pytest.approx(library.load(path).score(rows), abs=1e-6)


def test_the_worst_rebuilt_series_are_the_anomalies(tmp_path, folder, model, new):
    arguments = ["anomalies", folder / "m.joblib", folder / "new.csv", "--top", "3"]
    errors = pd.Series(-model["autoencoder"].score_samples(new.X), index=new.X.index)
    result = ok(*arguments, "--json", "-o", tmp_path / "errors.csv").json
    assert result["ids"] == errors.nlargest(3).index.tolist()
    assert_close(result["errors"], errors.nlargest(3))
    assert result["median_error"] == pytest.approx(errors.median())
    everything = pd.read_csv(tmp_path / "errors.csv", index_col="meter")["error"]
    assert_close(everything, errors)
    shown = ok(*arguments).out.splitlines()
    assert [line.split()[0] for line in shown[2:]] == result["ids"]


def test_the_demo_is_its_test_set(tmp_path):
    ok("convert", "demo:japanese-vowels", "-o", tmp_path / "test.parquet")
    X, y = read(tmp_path / "test.parquet", series_id="series", time="time", label="label")
    expected, labels = load_japanese_vowels(split="test", return_X_y=True)
    assert y.tolist() == labels.tolist()
    for one, other in zip(X, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_converted_table_keeps_lengths_gaps_and_names(tmp_path, folder, new):
    ok("convert", folder / "new.csv", *LONG, "-o", tmp_path / "long.csv")
    names = {"series_id": "meter", "time": "time", "label": "label"}
    X, y = read(tmp_path / "long.csv", **names)
    assert y.equals(new.y.rename("label"))
    for one, other in zip(X, new.X, strict=True):
        np.testing.assert_array_equal(one, other)
    rows = waves(3)
    rows[1, 5:] = np.nan
    rows[2, 3] = np.nan
    np.save(tmp_path / "gaps.npy", rows)
    done = ok("convert", tmp_path / "gaps.npy", "-o", tmp_path / "gaps.csv", "--json").json
    assert done["n_rows"] == 20 + 5 + 20
    X, _ = read(tmp_path / "gaps.csv", series_id="series", time="time")
    assert [len(series) for series in X] == [20, 5, 20]
    assert np.flatnonzero(np.isnan(X[2])).tolist() == [3]


def test_channels_first_is_turned(tmp_path, folder):
    np.save(tmp_path / "first.npy", waves(30).transpose(0, 2, 1))
    arguments = ["embed", folder / "rows.joblib", tmp_path / "first.npy", "-o", tmp_path / "f.npy"]
    assert complaint(*arguments).endswith("pass --channels-first.")
    ok(*arguments, "--channels-first")
    expected = library.load(folder / "rows.joblib").transform(waves(30))
    assert_close(np.load(tmp_path / "f.npy"), expected)


# How series are read is remembered.


def test_columns_that_the_training_did_not_have_are_no_channels(tmp_path, folder, model, new):
    frame = meters(24, seed=1).assign(weather="rain", roof=1.5)
    frame[["kind", "heat", "roof", "day", "load", "weather", "meter"]].to_csv(
        tmp_path / "more.csv", index=False
    )
    ok("embed", folder / "m.joblib", tmp_path / "more.csv", "-o", tmp_path / "f.npy")
    assert_close(np.load(tmp_path / "f.npy"), model[0].transform(new.X))


def test_other_names_of_columns_can_be_given(tmp_path, folder, model, new):
    frame = meters(24, seed=1).rename(columns={"meter": "site", "kind": "type"})
    frame.to_csv(tmp_path / "renamed.csv", index=False)
    arguments = ["evaluate", folder / "m.joblib", tmp_path / "renamed.csv"]
    said = complaint(*arguments)
    assert said.startswith("--id meter: renamed.csv has no such column; it has site, day")
    assert "the training" in said
    result = ok(*arguments, "--id", "site", "--label", "type", "--json").json
    assert result["accuracy"] == model.score(*new)


def test_the_step_is_that_of_the_training(tmp_path, folder):
    frame = meters(6, seed=1)
    half = frame.assign(day=frame["day"] * 0.5)
    half.to_csv(tmp_path / "half.csv", index=False)
    arguments = ["embed", folder / "m.joblib", tmp_path / "half.csv", "-o", tmp_path / "f.npy"]
    said = complaint(*arguments)
    assert "is 0.5 times" in said
    assert "--step auto" in said
    ok(*arguments, "--step", "auto")


def test_a_table_sorted_by_time_is_read_whole_and_says_so(tmp_path, folder, model, new):
    frame = meters(24, seed=1).sort_values("day", kind="stable")
    frame.to_csv(tmp_path / "by_time.csv", index=False)
    done = ok("embed", folder / "m.joblib", tmp_path / "by_time.csv", "-o", tmp_path / "f.npy")
    warnings = [line for line in done.err.splitlines() if "warning" in line]
    assert len(warnings) == 1
    assert warnings[0].startswith("seqfeat: warning: the rows of series m000 are not together in")
    assert_close(np.load(tmp_path / "f.npy"), model[0].transform(new.X))


def test_a_model_of_the_library_is_read_with_options(tmp_path, folder, new):
    pipeline = make_classifier(2, max_iter=1, random_state=0).fit(*new)
    library.save(pipeline, tmp_path / "own.joblib")
    arguments = ["evaluate", tmp_path / "own.joblib", folder / "new.csv"]
    assert "dtype str" in complaint(*arguments)
    assert ok(*arguments, *LONG, "--json").json["accuracy"] == pipeline.score(*new)


# What is refused, and that nothing is lost by it.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["embed", "{m}", "{new}", "-o", "{new}"], "is what is read"),
        (["embed", "{m}", "{new}", "-o", "f.txt"], "use .csv or .parquet or .npy"),
        (["embed", "{m}", "nothing.csv", "-o", "f.csv"], "there is no file nothing.csv"),
        (["embed", "nothing.joblib", "{new}", "-o", "f.csv"], "there is no file"),
        (["embed", "{new}", "{new}", "-o", "f.csv"], "MODEL"),
        (["predict", "{rows}", "{npy}"], "without labels and cannot predict"),
        (["predict", "{m}", "{new}", "-o", "p.npy"], "holds numbers, and these are labels"),
        (["evaluate", "{m}", "{unlabelled}"], "no labels to compare with; pass --label"),
        (["evaluate", "{m}", "demo:japanese-vowels:test"], "12 features"),
        (["evaluate", "{m}", "{new}", "--label", "meter"], "none of the labels (m000, m001"),
        (["anomalies", "{m}", "{new}", "--top", "0"], "--top 0"),
        (["embed", "{m}", "{npy}", "-o", "f.csv"], "expecting 2 features"),
        (["embed", "{m}", "{npy}", "--id", "x", "-o", "f.csv"], "--id x"),
        (["embed", "{m}", "{new}", "--device", "cuda:77", "-o", "f.csv"], "--device cuda:77"),
        (["evaluate", "{m}", "{new}", "--label", "load"], "Split the series, or pass no --label."),
        (["export", "{m}", "-o", "x.onnx", "--opset", "3"], "--opset 3; pass"),
        (["report", "{m}", "{new}", "-o", "x.html", "--max-points", "0"], "--max-points 0; pass"),
        (["embed", "{wide}", "{wider}", "-o", "f.csv"], "X has 30 features, but"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(tmp_path, monkeypatch, folder, arguments, words):
    monkeypatch.chdir(tmp_path)
    names = {
        "m": folder / "m.joblib",
        "rows": folder / "rows.joblib",
        "new": folder / "new.csv",
        "npy": folder / "rows.npy",
        "unlabelled": folder / "unlabelled.csv",
        "wide": folder / "wide.joblib",
        "wider": folder / "wider.npy",
    }
    said = complaint(*(text.format(**names) for text in arguments))
    assert words in said
    assert "--debug" not in said
    assert ("step" in said) == ("step" in words)
    assert list(tmp_path.iterdir()) == []


def test_an_array_s_ids_do_not_replace_what_is_read(tmp_path, folder):
    table = tmp_path / "new.ids.csv"
    table.write_bytes((folder / "new.csv").read_bytes())
    said = complaint("embed", folder / "m.joblib", table, "-o", tmp_path / "new.npy")
    assert "new.ids.csv, which is what is read" in said
    assert table.read_bytes() == (folder / "new.csv").read_bytes()


def test_an_error_in_a_late_part_leaves_the_earlier_output_whole(tmp_path, folder):
    output = tmp_path / "f.csv"
    ok("embed", folder / "m.joblib", folder / "new.csv", "-o", output)
    before = output.read_bytes()
    frame = meters(24, seed=1)
    frame.loc[frame["meter"].eq("m022") & frame["day"].eq(3), "load"] = np.nan
    frame.to_csv(tmp_path / "gap.csv", index=False)
    said = complaint("embed", folder / "m.joblib", tmp_path / "gap.csv", "-o", output)
    assert "series m022 has NaN at timestep 3, channel 0" in said
    assert said.endswith(
        "Fill it, or train the model with --missing mask, which takes NaN as not observed."
    )
    assert output.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.csv", "gap.csv"]


def test_unknown_labels_are_named(tmp_path, folder):
    frame = meters(24, seed=1)
    frame.loc[frame["meter"] == "m003", "kind"] = "school"
    frame.to_csv(tmp_path / "schools.csv", index=False)
    done = ok("evaluate", folder / "m.joblib", tmp_path / "schools.csv", "--json")
    assert "warning: label school is no class of the model" in done.err
    assert done.json["unknown_labels"] == ["school"]
    assert done.json["per_class"]["school"]["recall"] == 0


@pytest.mark.parametrize("command", ["info", "embed", "predict", "evaluate", "anomalies", "export"])
def test_a_damaged_model_is_never_opened(tmp_path, folder, command):
    for suffix in (".joblib", ".json"):
        content = (folder / f"m{suffix}").read_bytes()
        (tmp_path / f"m{suffix}").write_bytes(content)
    damaged = bytearray((tmp_path / "m.joblib").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "m.joblib").write_bytes(damaged)
    output = {"embed": ["-o", tmp_path / "f.csv"], "export": ["-o", tmp_path / "m.onnx"]}
    data = [] if command in ("info", "export") else [folder / "new.csv"]
    said = complaint(command, tmp_path / "m.joblib", *data, *output.get(command, []))
    assert "is not the file of its card, m.json" in said


def test_the_card_is_shown_and_is_the_json(folder):
    card = json.loads((folder / "m.json").read_text())
    assert ok("info", folder / "m.joblib", "--json").json == card
    out = ok("info", folder / "m.joblib").out
    assert "--label kind --id meter --time day --channels load,heat --step 1" in out
    assert "the file is the one that was saved" in out
    assert "home, shop" in out
    assert f"test_accuracy {card['metrics']['test_accuracy']:.6g}" in out


def test_a_model_becomes_an_onnx_file(tmp_path, folder, model, new):
    onnxruntime = pytest.importorskip("onnxruntime")
    done = ok("export", folder / "m.joblib", "-o", tmp_path / "new" / "m.onnx", "--json")
    path = tmp_path / "new" / "m.onnx"
    assert done.json["bytes"] == path.stat().st_size
    padded = np.full((24, 25, 2), np.nan, dtype=np.float32)
    for row, series in zip(padded, new.X, strict=True):
        row[: len(series)] = series
    session = onnxruntime.InferenceSession(path)
    (labels,) = session.run(["label"], {"X": padded})
    assert labels.tolist() == model.predict(new.X).tolist()


def test_a_folder_that_cannot_be_made_is_named(folder):
    done = seqfeat("export", folder / "m.joblib", "-o", "/proc/nowhere/m.onnx")
    assert done.status == 1
    assert done.err.splitlines()[-1] == "seqfeat: error: /proc/nowhere: No such file or directory"
