import pandas as pd
import pytest

from tests.commands import LONG, QUICK, assert_close, error_of, ok

pytestmark = pytest.mark.usefixtures("one_thread", "small_batches")


@pytest.fixture
def arguments(models):
    return ["predict", models / "m.joblib", models / "unlabelled.csv"]


def test_predictions_are_printed_as_csv(arguments, model, new):
    header, *lines = ok(*arguments).out.splitlines()
    assert header == "meter,prediction"
    expected = zip(new.X.index, model.predict(new.X), strict=True)
    assert lines == [f"{id},{label}" for id, label in expected]


def test_predictions_are_printed_as_json(arguments, model, new):
    result = ok(*arguments, "--json").json
    assert result["n_series"] == 24
    assert result["ids"] == new.X.index.tolist()
    assert result["predictions"] == model.predict(new.X).tolist()


def test_probabilities_are_those_of_predict_proba(arguments, model, new, tmp_path):
    ok(*arguments, "--probabilities", "-o", tmp_path / "p.parquet")
    table = pd.read_parquet(tmp_path / "p.parquet").set_index("meter")
    assert table["prediction"].tolist() == model.predict(new.X).tolist()
    assert_close(table[["probability_home", "probability_shop"]], model.predict_proba(new.X))


def test_text_labels_do_not_fit_into_an_array(arguments, tmp_path):
    assert "use .csv or .parquet" in error_of(*arguments, "-o", tmp_path / "p.npy")
    assert list(tmp_path.iterdir()) == []


def test_a_classifier_without_probabilities_is_an_error(tmp_path, csv):
    path = tmp_path / "m.joblib"
    options = ["--classifier", "ridge", "--no-baselines"]
    ok("train", csv, *LONG, *QUICK, *options, "-o", path)
    assert error_of("predict", path, csv, "--probabilities").startswith("--probabilities: ")
