"""Callbacks of our own, compared with scikit-learn's where it has some."""

import pickle
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import seqfeat
from seqfeat.sklearn_compat import (
    HAS_CALLBACKS,
    CallbackSupportMixin,
    OwnCallbackSupportMixin,
    OwnFitCallback,
    OwnProgressBar,
    ProgressBar,
    own_with_callbacks,
    watched,
)
from tests.autoencoders import waves

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


if HAS_CALLBACKS:

    class LSTMAutoencoder(OwnCallbackSupportMixin, seqfeat.LSTMAutoencoder):
        """As it is with scikit-learn before 1.9."""

        fit = own_with_callbacks(seqfeat.LSTMAutoencoder.fit.__wrapped__)

    LSTMAutoencoder.__init__ = seqfeat.LSTMAutoencoder.__init__
else:
    LSTMAutoencoder = seqfeat.LSTMAutoencoder

OURS = (LSTMAutoencoder, OwnProgressBar)
INSTALLED = (seqfeat.LSTMAutoencoder, ProgressBar)


def small(kind, **params):
    return kind(**{"embedding_dim": 3, "max_iter": 4, "random_state": 0, **params})


class Recorder(OwnFitCallback):
    """Records what it is told, as far as it does not depend on the run."""

    def __init__(self, stop_after=None, fail_at=None):
        self.told, self.stop_after, self.fail_at = [], stop_after, fail_at

    def setup(self, estimator, context):
        self.record("setup", estimator, context)

    def on_fit_task_begin(self, estimator, context, *, X):
        self.record("begin", estimator, context, len(X))

    def on_fit_task_end(self, estimator, context, *, y, fitted_estimator):
        shape = None if fitted_estimator is None else fitted_estimator.transform(waves(3)).shape
        self.record("end", estimator, context, y, shape, hasattr(estimator, "weights_"))
        return context.parent is not None and context.task_id + 1 == self.stop_after

    def teardown(self, estimator, context):
        self.record("teardown", estimator, context)

    def record(self, event, estimator, context, *more):
        parent = context.parent and context.parent.task_name
        names = (context.estimator_name, context.task_name, context.source_estimator_name)
        self.told.append((event, *names, context.task_id, context.max_subtasks, parent, *more))
        if event == self.fail_at:
            raise RuntimeError("the callback failed")


@pytest.mark.skipif(not HAS_CALLBACKS, reason="there is nothing to compare with")
@pytest.mark.parametrize("params", [{}, {"max_iter": 0}])
@pytest.mark.parametrize("stop_after", [None, 2])
def test_a_callback_is_told_what_scikit_learn_tells(params, stop_after):
    assert CallbackSupportMixin is not OwnCallbackSupportMixin
    told = []
    for kind in (LSTMAutoencoder, seqfeat.LSTMAutoencoder):
        recorder = Recorder(stop_after)
        small(kind, **params).set_callbacks(recorder).fit(waves(12))
        told.append(recorder.told)
    assert told[0] == told[1]
    assert len(told[0]) == 4 + 2 * params.get("max_iter", stop_after or 4)


@pytest.mark.parametrize("fail_at", ["setup", "begin", "end", "teardown"])
def test_every_callback_that_was_set_up_is_torn_down_once(fail_at):
    first, failing, never_set_up = Recorder(), Recorder(fail_at=fail_at), Recorder()
    estimator = small(LSTMAutoencoder).set_callbacks(first, failing, never_set_up)
    with pytest.raises(RuntimeError, match="the callback failed"):
        estimator.fit(waves(12))
    for callback in (first, failing):
        assert [one[0] for one in callback.told].count("teardown") == 1
    assert (never_set_up.told == []) == (fail_at == "setup")
    assert not {"_callback_fit_ctx", "_skl_callbacks_to_teardown"} & set(vars(estimator))


def test_all_errors_of_teardown_are_told():
    both = [Recorder(fail_at="teardown"), Recorder(fail_at="teardown")]
    with pytest.raises(ExceptionGroup) as failure:
        small(LSTMAutoencoder).set_callbacks(*both).fit(waves(12))
    assert [str(error) for error in failure.value.exceptions] == ["the callback failed"] * 2


def test_a_hook_that_asks_for_something_else_is_an_error():
    class Asking(Recorder):
        def on_fit_task_begin(self, estimator, context, *, loss):
            pass

    with pytest.raises(TypeError, match=r"Asking.on_fit_task_begin has the parameters \['loss'\]"):
        small(LSTMAutoencoder).set_callbacks(Asking()).fit(waves(12))


@pytest.mark.parametrize("kind", [LSTMAutoencoder, seqfeat.LSTMAutoencoder])
@pytest.mark.parametrize("callback", [Recorder, object(), "bar"])
def test_what_is_no_callback_is_an_error(kind, callback):
    with pytest.raises(TypeError, match="instances following the FitCallback protocol"):
        kind().set_callbacks(callback)


@pytest.mark.parametrize("kind", [LSTMAutoencoder, seqfeat.LSTMAutoencoder])
def test_a_clone_has_the_callbacks_until_they_are_removed(kind):
    recorder = Recorder()
    estimator = kind(max_iter=1).set_callbacks(recorder)
    clone(estimator).fit(waves(12))
    assert recorder.told
    before = len(recorder.told)
    clone(estimator.set_callbacks()).fit(waves(12))
    assert len(recorder.told) == before


@pytest.mark.parametrize(("kind", "bar"), [OURS, INSTALLED])
def test_a_progress_bar_counts_epochs_and_ends_full(kind, bar, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    estimator = small(kind).set_callbacks(bar())
    estimator.fit(waves(12))
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("LSTMAutoencoder - fit ")
    assert "100%" in line
    expected = small(seqfeat.LSTMAutoencoder).fit(waves(12)).transform(waves(3))
    np.testing.assert_array_equal(estimator.transform(waves(3)), expected)
    estimator.set_callbacks(bar(), Recorder(fail_at="end"))
    with pytest.raises(RuntimeError, match="the callback failed"):
        estimator.fit(waves(12))
    assert " 25%" in capsys.readouterr().out


def test_our_progress_bar_can_be_pickled():
    bar = OwnProgressBar(max_propagation_depth=0)
    seqfeat.LSTMAutoencoder(max_iter=1).set_callbacks(bar).fit(waves(12))
    assert pickle.loads(pickle.dumps(bar)).max_propagation_depth == 0


def test_our_progress_bar_names_the_extra_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    with pytest.raises(ImportError, match=r"pip install 'seqfeat\[progress\]'"):
        OwnProgressBar()


# Estimators of scikit-learn


class WithoutCallbacks(GridSearchCV):
    """As searches are before scikit-learn 1.9."""

    set_callbacks = property()


def test_the_first_step_that_can_be_is_watched():
    recorder = Recorder()
    autoencoder = small(LSTMAutoencoder)
    pipeline = make_pipeline(autoencoder, StandardScaler())
    pipeline.__class__ = type("Pipeline", (type(pipeline),), {"set_callbacks": property()})
    with watched(pipeline, [recorder]):
        pipeline.fit(waves(12))
    assert [one[0] for one in recorder.told].count("end") == 5
    pipeline.fit(waves(12))
    assert [one[0] for one in recorder.told].count("end") == 5
    assert not hasattr(autoencoder, "_skl_callbacks")


def test_a_search_that_cannot_be_watched_has_a_bar_without_end(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    search = WithoutCallbacks(small(seqfeat.LSTMAutoencoder, max_iter=1), {"tol": [1, 2]}, cv=2)
    recorder = Recorder()
    recorder.on_fit_task_begin = recorder.on_fit_task_end = lambda estimator, context: None
    with watched(search, [OwnProgressBar(), recorder]):
        search.fit(waves(12))
    assert capsys.readouterr().out.startswith("WithoutCallbacks - fit ")
    assert [one[:6] for one in recorder.told] == [
        (event, "WithoutCallbacks", "fit", None, 0, None) for event in ("setup", "teardown")
    ]


def test_what_failed_is_no_longer_watched():
    estimator, recorder = small(seqfeat.LSTMAutoencoder), Recorder()
    with pytest.raises(ValueError, match="no series"), watched(estimator, [recorder]):
        raise ValueError("no series")
    assert not hasattr(estimator, "_skl_callbacks")
