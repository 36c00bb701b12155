import pandas as pd
import pytest

from tests.commands import assert_close, error_of, ok

pytestmark = pytest.mark.usefixtures("one_thread", "small_batches")


def test_the_series_with_the_largest_errors_are_listed(tmp_path, models, model, new):
    arguments = ["anomalies", models / "m.joblib", models / "new.csv", "--top", "3"]
    errors = pd.Series(-model["autoencoder"].score_samples(new.X), index=new.X.index)
    result = ok(*arguments, "--json", "-o", tmp_path / "errors.csv").json
    assert result["ids"] == errors.nlargest(3).index.tolist()
    assert_close(result["errors"], errors.nlargest(3))
    assert result["median_error"] == pytest.approx(errors.median())
    assert_close(pd.read_csv(tmp_path / "errors.csv", index_col="meter")["error"], errors)
    lines = ok(*arguments).out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == result["ids"]


def test_an_empty_list_is_an_error(models):
    message = error_of("anomalies", models / "m.joblib", models / "new.csv", "--top", "0")
    assert message == "--top 0: must be at least 1."
