"""Frames that a splitter has cut by rows, so that series lie on both sides, are not scored."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score

from seqfeat import InputError, LSTMAutoencoder, make_classifier
from seqfeat.series import from_long

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore"),
]

MESSAGE = r"different rows of series .*from_long"


def long_frame(names=range(12), times=range(8)):
    index = pd.MultiIndex.from_product([names, times], names=["name", "time"])
    values = np.random.default_rng(0).normal(size=(len(index), 1))
    return pd.DataFrame(values, index, ["v"])


def small(**parameters):
    return LSTMAutoencoder(2, max_iter=0, random_state=0, **parameters)


@pytest.fixture(scope="module")
def fitted():
    return small().fit(long_frame())


def even_rows(frame):
    return frame.index.get_level_values(1) % 2 == 0


def test_fault_62_other_rows_of_series_that_were_fitted_are_not_scored():
    frame = long_frame()
    is_train = even_rows(frame)
    model = small().fit(frame[is_train])
    for score in (model.score, model.score_samples):
        with pytest.raises(InputError, match=MESSAGE):
            score(frame[~is_train])
        with pytest.raises(InputError, match=MESSAGE):
            score(frame)


def test_the_same_rows_some_of_them_and_other_series_are_scored(fitted):
    frame = long_frame()
    assert fitted.score(frame) == fitted.score(frame.copy())
    fitted.score(frame.loc[[3, 5]])
    fitted.score(frame.iloc[:12])
    fitted.score(long_frame(range(50, 60)))
    fitted.score([np.zeros((8, 1)), np.ones((8, 1))])


def test_monitoring_goes_on_after_what_was_fitted(fitted):
    later = long_frame(times=range(8, 16))
    assert fitted.score_samples(later).shape == (12,)
    with pytest.raises(InputError, match=MESSAGE):
        fitted.score(later)
    with pytest.raises(InputError, match=MESSAGE):
        fitted.score_samples(long_frame(times=range(4, 12)))


def test_fault_62_no_search_scores_series_that_it_has_seen():
    search = GridSearchCV(
        small(missing="mask"), {"embedding_dim": [2]}, cv=KFold(3, shuffle=True, random_state=0)
    )
    search.set_params(error_score="raise")
    with pytest.raises(InputError, match=MESSAGE):
        search.fit(long_frame())
    search.set_params(error_score=np.nan)
    assert np.isnan(search.fit(long_frame()).best_score_)


def test_the_way_out_works():
    X, _ = from_long(long_frame().reset_index(), "name", "time")
    assert np.isfinite(cross_val_score(small(), X, cv=3)).all()


def test_a_pipeline_does_not_score_them_either():
    frame = long_frame()
    is_train = even_rows(frame)
    y = [0, 1] * 6
    pipeline = make_classifier(2, max_iter=0, random_state=0).fit(frame[is_train], y)
    pipeline.score(frame[is_train], y)
    with pytest.raises(InputError, match=MESSAGE):
        pipeline.score(frame[~is_train], y)


def test_labels_are_checked_before_a_score():
    X, _ = from_long(long_frame().reset_index(), "name", "time")
    y = pd.Series([0, 1] * 6, index=X.index)
    pipeline = make_classifier(2, max_iter=0, random_state=0).fit(X, y)
    with pytest.raises(InputError, match="in another order"):
        pipeline.score(X, y[::-1])
    with pytest.raises(InputError, match="1 of 12 series has no label"):
        pipeline.score(X, [None, *y[1:]])


@pytest.mark.parametrize(
    "again",
    [
        lambda model: pickle.loads(pickle.dumps(model)),
        copy.deepcopy,
        lambda model: clone(model).fit(long_frame(range(20, 32))),
        lambda model: model.fit(long_frame(range(20, 32))),
        lambda model: model.fit(np.zeros((4, 8, 1))),
        lambda model: model.partial_fit(long_frame()),
    ],
)
def test_only_the_last_fit_of_this_estimator_counts(again):
    model = again(small(early_stopping=False).fit(long_frame()))
    model.score(long_frame(times=range(3, 9)))
