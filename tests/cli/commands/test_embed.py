import numpy as np
import pandas as pd
import pytest

from tests.commands import assert_close, ok

pytestmark = pytest.mark.usefixtures("one_thread", "small_batches")


@pytest.mark.parametrize(
    ("data", "output"),
    [("new.csv", "f.csv"), ("new.parquet", "f.parquet"), ("unlabelled.csv", "f.csv")],
)
def test_features_are_those_of_transform_with_the_ids(tmp_path, models, model, new, data, output):
    result = ok("embed", models / "m.joblib", models / data, "-o", tmp_path / output, "--json")
    read = pd.read_csv if output.endswith("csv") else pd.read_parquet
    features = read(tmp_path / output).set_index("meter")
    assert features.index.tolist() == new.X.index.tolist()
    assert features.columns.tolist() == [f"feature_{i}" for i in range(4)]
    assert_close(features, model[0].transform(new.X))
    assert result.json["n_series"] == 24
    assert result.json["embedding_dim"] == 4


def test_features_in_an_array_have_their_ids_next_to_them(tmp_path, models, model, new):
    ok("embed", models / "m.joblib", models / "new.csv", "-o", tmp_path / "f.npy")
    assert_close(np.load(tmp_path / "f.npy"), model[0].transform(new.X))
    assert pd.read_csv(tmp_path / "f.ids.csv")["meter"].tolist() == new.X.index.tolist()
