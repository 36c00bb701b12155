"""What scikit-learn's callbacks and a verbose user see of a training."""

import pickle
import re
import threading

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

from seqfeat import InputError, LSTMAutoencoder, TrainingError, make_classifier
from seqfeat.datasets import load_japanese_vowels
from seqfeat.sklearn_compat import HAS_CALLBACKS, ProgressBar

# Two or three epochs show whether things fit together, not whether they converge.
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

needs_callbacks = pytest.mark.skipif(
    not HAS_CALLBACKS, reason="pipelines and searches have callbacks since scikit-learn 1.9"
)

# scikit-learn's warning about the classifier, which has no progress bar.
CLASSIFIER_WITHOUT_CALLBACKS = "ignore:The estimator .* does not support callbacks:UserWarning"


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


def small(**params):
    return LSTMAutoencoder(**{"embedding_dim": 4, "max_iter": 3, "random_state": 0, **params})


def utterances():
    """Five utterances of each of three speakers."""
    X, y = load_japanese_vowels(return_X_y=True)
    rows = np.concatenate([np.arange(5) + 30 * speaker for speaker in range(3)])
    return X[rows], y[rows]


class Recorder:
    """A callback that records what it is told."""

    def __init__(self):
        self.events = []
        self.epochs = []

    def setup(self, estimator, context):
        self.events.append("setup")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context):
        self.events.append(f"end {context.task_name}")
        if context.task_name == "epoch":
            self.epochs.append((context.task_id, context.parent.max_subtasks))

    def teardown(self, estimator, context):
        self.events.append("teardown")


class PropagatedRecorder(Recorder):
    """The same, propagated from a search and a pipeline to the autoencoder."""

    max_propagation_depth = None


class StopAfter(Recorder):
    def __init__(self, n_epochs):
        super().__init__()
        self.n_epochs = n_epochs

    def on_fit_task_end(self, estimator, context):
        super().on_fit_task_end(estimator, context)
        return len(self.epochs) == self.n_epochs


class FailAfter(StopAfter):
    def on_fit_task_end(self, estimator, context):
        if super().on_fit_task_end(estimator, context):
            raise RuntimeError("the callback failed")


class Transformer(Recorder):
    """Transforms with the estimator that the fit would return if it ended with the epoch."""

    def __init__(self, X):
        super().__init__()
        self.X = X
        self.embeddings = []

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if context.task_name == "epoch":
            self.embeddings.append(fitted_estimator.transform(self.X))


# Progress bars


def test_a_fit_has_a_progress_bar(capsys):
    small().set_callbacks(ProgressBar()).fit(utterances()[0])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("LSTMAutoencoder - fit")
    assert "100%" in lines[0]


def test_a_progress_bar_counts_epochs(capsys):
    estimator = small(max_iter=4).set_callbacks(ProgressBar(), FailAfter(1))
    with pytest.raises(RuntimeError, match="the callback failed"):
        estimator.fit(utterances()[0])
    assert " 25%" in capsys.readouterr().out


@needs_callbacks
@pytest.mark.filterwarnings(CLASSIFIER_WITHOUT_CALLBACKS)
def test_a_progress_bar_nests_in_that_of_a_pipeline(capsys):
    pipeline = make_classifier(4, max_iter=2, random_state=0)
    pipeline.set_callbacks(ProgressBar()).fit(*utterances())
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("Pipeline - fit")
    assert "autoencoder | LSTMAutoencoder - fit" in second
    assert "100%" in second


@needs_callbacks
@pytest.mark.filterwarnings(CLASSIFIER_WITHOUT_CALLBACKS)
def test_progress_bars_nest_in_that_of_a_search(capsys):
    pipeline = make_classifier(max_iter=2, random_state=0)
    search = GridSearchCV(pipeline, {"autoencoder__embedding_dim": [2, 3]}, cv=2)
    search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(*utterances())
    output = capsys.readouterr().out
    assert output.startswith("GridSearchCV - fit")
    # Two sizes on two folds, and the best one on all of them.
    assert output.count("LSTMAutoencoder - fit") == 5


def test_a_fitted_estimator_with_a_progress_bar_can_be_pickled():
    X, _ = utterances()
    estimator = small().set_callbacks(ProgressBar()).fit(X)
    restored = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(restored.transform(X), estimator.transform(X))


# Custom callbacks


@pytest.mark.parametrize("max_iter", [0, 1, 4])
def test_a_callback_is_told_about_every_epoch_once(max_iter):
    recorder = Recorder()
    estimator = small(max_iter=max_iter).set_callbacks(recorder).fit(utterances()[0])
    assert estimator.n_iter_ == max_iter
    assert recorder.epochs == [(epoch, max_iter) for epoch in range(max_iter)]
    epochs = ["begin epoch", "end epoch"] * max_iter
    assert recorder.events == ["setup", "begin fit", *epochs, "end fit", "teardown"]


def test_a_callback_is_told_about_the_epoch_of_partial_fit():
    recorder = Recorder()
    small().set_callbacks(recorder).partial_fit(utterances()[0])
    assert recorder.epochs == [(0, 1)]


def test_a_callback_is_told_about_no_epoch_after_training_stopped():
    recorder = Recorder()
    estimator = small(max_iter=50, tol=1e9, n_iter_no_change=1).set_callbacks(recorder)
    estimator.fit(utterances()[0])
    assert len(recorder.epochs) == estimator.n_iter_ < 50


@needs_callbacks
@pytest.mark.filterwarnings(CLASSIFIER_WITHOUT_CALLBACKS)
def test_a_propagated_callback_is_told_about_all_fits_of_a_search():
    recorder = PropagatedRecorder()
    pipeline = make_classifier(max_iter=2, random_state=0)
    search = GridSearchCV(pipeline, {"autoencoder__embedding_dim": [2, 3]}, cv=2)
    search.set_callbacks(recorder).fit(*utterances())
    assert recorder.epochs == [(0, 2), (1, 2)] * 5


def test_a_callback_of_the_autoencoder_works_in_a_pipeline():
    recorder = Recorder()
    pipeline = make_classifier(4, max_iter=3, random_state=0)
    pipeline.named_steps["autoencoder"].set_callbacks(recorder)
    pipeline.fit(*utterances())
    assert len(recorder.epochs) == 3


def test_returning_true_stops_training():
    X, _ = utterances()
    recorder = StopAfter(2)
    estimator = small(max_iter=20).set_callbacks(recorder).fit(X)
    assert estimator.n_iter_ == len(estimator.loss_curve_) == 2
    assert recorder.events[-4:] == ["begin epoch", "end epoch", "end fit", "teardown"]
    assert np.isfinite(estimator.transform(X)).all()


@pytest.mark.parametrize("pooling", ["reservoir", "statistics"])
def test_a_callback_can_transform_with_the_estimator_of_an_epoch(pooling):
    X, _ = utterances()
    callback = Transformer(X)
    estimator = small(pooling=pooling).set_callbacks(callback).fit(X)
    assert [Z.shape for Z in callback.embeddings] == [(15, 4)] * 3
    best = callback.embeddings[estimator.best_iter_ - 1]
    np.testing.assert_array_equal(best, estimator.transform(X))
    # A reservoir is not trained.
    is_same = np.array_equal(callback.embeddings[0], callback.embeddings[2])
    assert is_same == (pooling == "reservoir")


def test_the_estimator_of_an_epoch_knows_nothing_of_an_earlier_fit():
    X, _ = utterances()
    estimator = small().fit(X)
    callback = Transformer(X)
    estimator.set_params(random_state=1).set_callbacks(callback).fit(X)
    np.testing.assert_array_equal(callback.embeddings[-1], estimator.transform(X))


@needs_callbacks
def test_scikit_learns_scoring_monitor_follows_the_score():
    from sklearn.callback import ScoringMonitor

    X, y = utterances()
    monitor = ScoringMonitor(scoring={"explained": lambda fitted, X, y: fitted.score(X)})
    estimator = small().set_callbacks(monitor).fit(X, y)
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert [row["task_id"] for row in rows] == [0, 1, 2]
    best = rows[estimator.best_iter_ - 1]["explained"]
    assert best == pytest.approx(estimator.best_score_, rel=1e-5)


def test_callbacks_do_not_change_the_result():
    X, _ = utterances()
    watched = small().set_callbacks(Transformer(X)).fit(X)
    np.testing.assert_array_equal(watched.transform(X), small().fit(X).transform(X))


# Fits that fail


def test_callbacks_are_torn_down_after_a_callback_failed():
    recorder = Recorder()
    estimator = small().set_callbacks(recorder, FailAfter(2))
    with pytest.raises(RuntimeError, match="the callback failed"):
        estimator.fit(utterances()[0])
    assert recorder.events.count("setup") == recorder.events.count("teardown") == 1
    assert recorder.events[-1] == "teardown"
    assert not hasattr(estimator, "weights_")


def test_callbacks_are_torn_down_after_training_failed():
    recorder = Recorder()
    diverging = small(scale=None, learning_rate_init=1e30, batch_size=5)
    with pytest.raises(TrainingError):
        diverging.set_callbacks(recorder).fit([1e14 * series for series in utterances()[0]])
    assert recorder.events[-1] == "teardown"


def test_callbacks_are_not_told_about_invalid_input():
    recorder = Recorder()
    with pytest.raises(InputError):
        small().set_callbacks(recorder).fit(np.full((3, 4, 1), np.nan))
    assert recorder.events == []


def test_a_progress_bar_leaves_no_thread_behind_and_works_again(capsys):
    estimator = small().set_callbacks(ProgressBar(), FailAfter(1))
    with pytest.raises(RuntimeError, match="the callback failed"):
        estimator.fit(utterances()[0])
    kinds = {type(thread).__name__ for thread in threading.enumerate()}
    assert "RichProgressMonitor" not in kinds
    capsys.readouterr()
    estimator.fit(utterances()[0])
    assert "100%" in capsys.readouterr().out


# A verbose fit


def printed_by(capsys, **params):
    small(**params).fit(utterances()[0])
    return capsys.readouterr().out.splitlines()


def test_a_verbose_fit_prints_a_line_per_epoch(capsys):
    model = small(verbose=1).fit(utterances()[0])
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"Epoch {epoch}/3, loss = {loss:.5f}" for epoch, loss in enumerate(model.loss_curve_, 1)
    ]


def test_a_verbose_fit_prints_the_validation_loss(capsys):
    for line in printed_by(capsys, verbose=True, early_stopping=True):
        assert re.fullmatch(r"Epoch \d/3, loss = \d\.\d{5}, validation loss = \d\.\d{5}", line)


def test_a_fit_prints_nothing_by_default(capsys):
    assert printed_by(capsys) == []
