"""A fit that starts from a fitted model, and how that model is kept."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import seqfeat
from seqfeat import InputError, LSTMAutoencoder, ModelFileError
from seqfeat.inference.pretrained import open_pretrained
from seqfeat.sklearn_compat import InvalidParameterError
from seqfeat.training.fit import run_fit
from seqfeat.training.parameters import PARAMETER_CONSTRAINTS, FitParameters
from seqfeat.training.plan import plan_fit, share_facts
from tests.autoencoders import ragged_waves, small, waves
from tests.training.thread_ranks import run_on_ranks

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

TRAINED = ["statistics", "last"]
CLASSES = np.arange(12) % 3
LONGER = waves(12, 23, seed=2)


@pytest.fixture(scope="module")
def models():
    """A fitted autoencoder of each kind."""
    kinds = ["reservoir", *TRAINED]
    return {kind: small(pooling=kind).fit(waves(24, 16)) for kind in kinds}


@pytest.fixture(scope="module")
def reservoir(models):
    return models["reservoir"]


@pytest.fixture(scope="module")
def classifying():
    """A trained encoder with a head, and channels with names."""
    frames = [pd.DataFrame(values, columns=["x", "y"]) for values in waves(12, 16)]
    return small(pooling="last", target_weight=0.5).fit(frames, CLASSES)


def untrained(model, **params):
    """Return what starts from a model and stays there."""
    return small(**{"pooling": model.pooling, "max_iter": 0, "init": model, **params})


# Where the fit starts


@pytest.mark.parametrize("kind", ["reservoir", *TRAINED])
def test_without_training_the_embeddings_are_the_models_bit_for_bit(models, kind):
    X = waves(12, 16, seed=1) + 2.0
    again = untrained(models[kind], random_state=5).fit(X)
    assert_array_equal(again.transform(X), models[kind].transform(X))


@pytest.mark.parametrize("kind", TRAINED)
def test_a_trained_encoder_is_the_models_for_other_lengths_and_classes(models, kind):
    again = untrained(models[kind], target_weight=0.5).fit(LONGER, CLASSES)
    assert_array_equal(again.transform(LONGER), models[kind].transform(LONGER))


def test_the_training_goes_on(models):
    X = waves(24, 16)
    model = small(pooling="last", max_iter=30).fit(X)
    anew = small(pooling="last", max_iter=1).fit(X)
    again = small(pooling="last", max_iter=1, init=model).fit(X)
    assert again.loss_curve_[0] < 0.8 * anew.loss_curve_[0]
    assert not np.array_equal(again.transform(X), model.transform(X))


def test_the_scaling_is_that_of_the_model(models):
    again = untrained(models["last"]).fit(100 * waves(12, 16))
    assert_array_equal(again.mean_, models["last"].mean_)
    assert_array_equal(again.std_, models["last"].std_)


@pytest.mark.parametrize(("classes", "is_kept"), [(CLASSES, True), (CLASSES + 1, False)])
def test_the_head_is_kept_for_the_same_classes(classifying, classes, is_kept):
    again = untrained(classifying, target_weight=0.5).fit(waves(12, 16), classes)
    same = np.array_equal(again.weights_["head.weight"], classifying.weights_["head.weight"])
    assert same is is_kept


def test_a_decoder_of_another_size_is_drawn_anew(models):
    again = untrained(models["last"], n_time_features=3).fit(waves(12, 16))
    assert_array_equal(again.transform(LONGER), models["last"].transform(LONGER))
    assert again.architecture_["n_time_features"] == 3


def test_open_dimensions_become_those_of_the_model():
    model = small(pooling="last", hidden_dim=7, window_len=4, window_stride=3, patch_len=5)
    again = small(pooling="last", hidden_dim=None, max_iter=0, init=model.fit(waves(12, 16)))
    again.fit(LONGER)
    names = ["hidden_dim_", "window_len_", "window_stride_", "patch_len_"]
    assert [getattr(again, name) for name in names] == [7, 4, 3, 5]


# A reservoir, whose series have other lengths


def statistics_of(model):
    """Return the columns of a reservoir's projection that are for its statistics."""
    n_values = model.architecture_["n_linear_steps"] * model.n_channels_in_
    return model.weights_["encoder.projection.weight"][:, :-n_values]


@pytest.mark.parametrize("fraction", [0.0, 0.5, 1.0])
def test_a_reservoir_keeps_its_components_and_reconstructs_the_new_series(fraction):
    params = {"reconstruction_fraction": fraction}
    model = small(**params).fit(waves(24, 16))
    again = untrained(model, **params).fit(LONGER)
    anew = small(max_iter=0, **params).fit(LONGER)
    directions, sizes, _ = np.linalg.svd(statistics_of(model).astype(float), full_matrices=False)
    directions = directions[:, sizes > 1e-4]
    assert directions.shape[1] == 4 - round(4 * fraction)
    assert_allclose(
        again.transform(LONGER) @ directions, model.transform(LONGER) @ directions, atol=1e-5
    )
    assert_allclose(again.score(LONGER), anew.score(LONGER), atol=0.1)


def test_the_rest_of_a_reservoirs_embedding_is_orthogonal_to_its_components(reservoir):
    again = untrained(reservoir).fit(LONGER)
    of_values = again.weights_["encoder.projection.weight"][:, statistics_of(again).shape[1] :]
    assert np.abs(of_values.T @ statistics_of(again)).max() < 1e-5


def test_labels_weight_the_statistics_of_a_given_reservoir(reservoir):
    X, y = waves(40, 16, seed=3), np.arange(40) % 2
    X[y == 1] *= 1.2
    again = untrained(reservoir, target_weight=0.9).fit(X, y)
    for name in ("encoder.layers.0.weight_ih_l0", "encoder.thresholds"):
        assert_array_equal(again.weights_[name], reservoir.weights_[name])
    plain = untrained(reservoir).fit(X)

    def accuracy(model):
        return cross_val_score(LogisticRegression(C=1e4), model.transform(X), y).mean()

    assert accuracy(again) > accuracy(plain)


def test_all_statistics_are_those_of_the_model():
    model = small(embedding_dim=None).fit(waves(24, 16))
    again = small(embedding_dim=None, max_iter=0, init=model).fit(LONGER)
    assert_array_equal(again.transform(LONGER)[:, 64:], model.transform(LONGER)[:, 64:])


# What contradicts the model


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"embedding_dim": 5}, "embedding_dim=5, .* embedding_dim=4. Pass embedding_dim=4"),
        ({"embedding_dim": None}, "embedding_dim=None, .* embedding_dim=4"),
        ({"hidden_dim": 9}, "hidden_dim=9, .* hidden_dim=8"),
        ({"window_len": 7}, "window_len=7, .* window_len=2"),
        ({"window_stride": 2}, "window_stride=2, .* window_stride=1"),
        ({"pooling": "last"}, "pooling='last', .* pooling='reservoir'"),
        ({"scale": None}, "scale=None, .* scale='channel'"),
        ({"reconstruction_fraction": 0.5}, "reconstruction_fraction=0.5, .*=0.2"),
    ],
)
def test_a_parameter_must_not_contradict_the_model(reservoir, params, message):
    with pytest.raises(InputError, match=message):
        untrained(reservoir, **params).fit(waves(12, 16))


def test_the_number_of_channels_must_agree(reservoir):
    with pytest.raises(InputError, match=r"X has 3 channels, but the model of init .* with 2"):
        untrained(reservoir).fit(waves(12, 16, 3))


def test_channels_are_brought_into_the_order_of_the_model(classifying):
    frames = [pd.DataFrame(values, columns=["x", "y"]) for values in waves(6, 16, seed=4)]
    again = untrained(classifying).fit([frame[["y", "x"]] for frame in frames])
    assert_array_equal(again.transform(frames), classifying.transform(frames))
    assert list(again.feature_names_in_) == ["x", "y"]


def test_other_names_of_channels_are_refused(classifying):
    frames = [pd.DataFrame(values, columns=["x", "z"]) for values in waves(6, 16)]
    with pytest.raises(InputError, match="the model of init was fitted on"):
        untrained(classifying).fit(frames)


def test_a_long_frame_has_its_channels_in_the_order_of_the_model(classifying):
    index = pd.MultiIndex.from_product([range(6), range(16)])
    frame = pd.DataFrame(waves(6, 16).reshape(-1, 2), index=index, columns=["y", "x"])
    with pytest.raises(InputError, match="in this order"):
        untrained(classifying).fit(frame)
    again = untrained(classifying).fit(frame[["x", "y"]])
    assert again.transform(frame[["x", "y"]]).shape == (6, 4)


@pytest.mark.parametrize(
    ("init", "message"),
    [
        (small(), "is not fitted"),
        (FunctionTransformer(), "FunctionTransformer, in which there are 0 steps"),
        (make_pipeline(small(), small()), "Pipeline, in which there are 2 steps"),
    ],
)
def test_init_holds_exactly_one_fitted_autoencoder(init, message):
    with pytest.raises(InputError, match=message):
        small(init=init).fit(waves())


def test_a_path_is_refused():
    with pytest.raises(InvalidParameterError, match="'init'"):
        small(init="model.joblib").fit(waves())


# Pipelines and searches


def test_the_autoencoder_is_found_in_pipelines_and_searches(models):
    X, model = waves(12, 16, seed=1), models["last"]
    pipeline = seqfeat.make_classifier(4, pooling="last", max_iter=0, hidden_dim=8, init=model)
    search = GridSearchCV(pipeline, {"classifier__C": [1.0]}, cv=2).fit(X, CLASSES)
    for init in (pipeline.fit(X, CLASSES), search, FrozenEstimator(search)):
        again = untrained(model, init=init).fit(X)
        assert_array_equal(again.transform(X), model.transform(X))


def test_a_clone_shares_the_fitted_model_and_is_not_fitted(reservoir):
    estimator = untrained(reservoir).set_output(transform="pandas").fit(waves(12, 16))
    copied = clone(estimator)
    assert copied.init is reservoir
    assert not hasattr(copied, "weights_")
    assert isinstance(copied.fit_transform(waves(12, 16)), pd.DataFrame)


def test_a_search_over_init_wants_frozen_models(models):
    X = waves(12, 16)
    pipeline = seqfeat.make_classifier(4, pooling="last", max_iter=0, hidden_dim=8)
    candidates = [None, FrozenEstimator(models["last"])]
    search = GridSearchCV(pipeline, {"autoencoder__init": candidates}, cv=2, error_score="raise")
    assert np.isfinite(search.fit(X, CLASSES).cv_results_["mean_test_score"]).all()
    search.set_params(param_grid={"autoencoder__init": [models["last"]]})
    with pytest.raises(InputError, match="wrap them in a FrozenEstimator"):
        search.fit(X, CLASSES)


def test_the_parameters_of_the_model_are_none_of_the_estimators(reservoir):
    pipeline = seqfeat.make_classifier(4, init=reservoir)
    assert not [name for name in pipeline.get_params() if "init__" in name]
    with pytest.raises(InputError, match="Set max_iter of this estimator instead"):
        pipeline.set_params(autoencoder__init__max_iter=7)
    assert reservoir.max_iter == 3


# Copies and files


def test_a_copy_holds_the_model_but_not_those_before_it(models):
    first = models["last"]
    second = untrained(first).fit(LONGER)
    third = untrained(second, init=make_pipeline(second)).fit(LONGER)
    again = pickle.loads(pickle.dumps(third))
    assert_array_equal(again.init.transform(LONGER), second.transform(LONGER))
    assert again.init.init is None
    assert second.init is first
    assert_array_equal(clone(again).fit_transform(LONGER), third.transform(LONGER))


@pytest.mark.parametrize("suffix", ["joblib", "skops"])
def test_a_saved_model_holds_the_model_it_started_from(models, suffix, tmp_path):
    estimator = untrained(models["last"]).fit(LONGER)
    path = seqfeat.save(estimator, tmp_path / f"model.{suffix}")
    again = seqfeat.load(path)
    assert_array_equal(again.init.transform(LONGER), models["last"].transform(LONGER))
    assert seqfeat.load_card(path)["parameters"]["init"].startswith("LSTMAutoencoder(")


@pytest.mark.parametrize("is_forged", [False, True])
def test_the_model_in_a_file_is_checked_as_well(models, is_forged):
    """Damaged, and with a right checksum of what contradicts itself."""
    model = copy.copy(models["last"])
    model.weights_ = {name: value.copy() for name, value in model.weights_.items()}
    estimator = untrained(model).fit(LONGER)
    found = pickle.dumps(estimator)
    weight = model.weights_["decoder.output.weight"]
    if is_forged:
        model.weights_["decoder.output.weight"] = weight[:, 1:].copy()
        found = pickle.dumps(estimator)
    else:
        # Where it is first is the model: parameters are saved before what was learned.
        at = found.index(weight.tobytes())
        assert found.count(weight.tobytes()) == 2
        found = found[:at] + bytes([found[at] ^ 1]) + found[at + 1 :]
    with pytest.raises(ModelFileError):
        pickle.loads(found)


# Fits that continue


def test_a_warm_start_continues_its_own_fit(models):
    X, model = waves(12, 16), models["last"]
    estimator = untrained(model, max_iter=2, warm_start=True).fit(X)
    first = estimator.transform(X)
    assert not np.array_equal(first, model.transform(X))
    assert_array_equal(estimator.set_params(max_iter=0).fit(X).transform(X), first)


def test_a_stream_continues_the_model(models):
    """As if the model itself were given the next part."""
    X = waves(8, 16, seed=5) + 1.0
    continued = copy.deepcopy(models["last"]).partial_fit(X)
    stream = small(pooling="last", init=models["last"]).partial_fit(X)
    assert_allclose(stream.mean_, continued.mean_)
    assert_allclose(stream.transform(X), continued.transform(X), rtol=1e-3, atol=1e-5)
    assert stream.partial_fit(X).n_iter_ == 2


def test_checkpoints_of_fits_from_different_models_differ(models, tmp_path):
    X = waves(12, 16)
    other = small(pooling="last", random_state=7).fit(X)
    for model in (models["last"], other, other):
        untrained(model, max_iter=1, checkpoint_dir=tmp_path).fit(X)
    assert len(list(tmp_path.iterdir())) == 2


def test_processes_that_share_a_fit_start_from_the_model_alike(models):
    X, model = ragged_waves(12, 16, seed=6), models["statistics"]
    values = {name: getattr(small(pooling="statistics"), name) for name in PARAMETER_CONSTRAINTS}
    init = open_pretrained(model, LSTMAutoencoder)
    parameters = FitParameters(**{**values, "init": init, "batch_size": 12})

    def fit(ranks):
        own = X[ranks.rank * 6 : ranks.rank * 6 + 6]
        facts = share_facts(lambda: seqfeat.series.as_series(own), None, None, parameters, ranks)
        return run_fit(plan_fit(parameters, facts, None)).network.state_dict()

    alone = small(pooling="statistics", init=model, batch_size=12).fit(X)
    for found in run_on_ranks(fit):
        for name, weight in found.items():
            torch.testing.assert_close(
                weight, torch.from_numpy(alone.weights_[name]), rtol=1e-3, atol=1e-5
            )
