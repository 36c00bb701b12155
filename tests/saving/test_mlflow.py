"""Pipelines logged with MLflow load unchanged."""

import mlflow
import numpy as np
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    # Warnings of MLflow and its dependencies.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlflow")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    yield mlflow.create_experiment("speakers", artifact_location=(folder / "artifacts").as_uri())
    mlflow.set_tracking_uri(before)


@pytest.mark.parametrize(
    "options",
    [
        {"serialization_format": "cloudpickle"},
        {
            "serialization_format": "skops",
            "skops_trusted_types": [
                "seqfeat.autoencoder.LSTMAutoencoder",
                "seqfeat.pipeline.Pipeline",
            ],
        },
    ],
    ids=lambda options: options["serialization_format"],
)
def test_a_logged_pipeline_predicts_the_same_after_loading(store, pipeline, utterances, options):
    X, y = utterances
    with mlflow.start_run(experiment_id=store) as run:
        mlflow.log_params({"embedding_dim": 4})
        mlflow.log_metric("accuracy", pipeline.score(X, y))
        logged = mlflow.sklearn.log_model(
            pipeline, name="model", pip_requirements=["seqfeat"], **options
        )
    recorded = mlflow.get_run(run.info.run_id).data
    assert recorded.metrics["accuracy"] == pipeline.score(X, y)
    again = mlflow.sklearn.load_model(logged.model_uri)
    np.testing.assert_array_equal(again.predict_proba(X), pipeline.predict_proba(X))
    generic = mlflow.pyfunc.load_model(logged.model_uri)
    cut = np.stack([series[:7] for series in X])  # pyfunc takes arrays, not lists
    np.testing.assert_array_equal(generic.predict(cut), pipeline.predict(cut))
