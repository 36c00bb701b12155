"""What depends on the version of scikit-learn: its callbacks, and the private names we need.

This is the only file that imports from `sklearn.callback` and from modules of scikit-learn whose
names begin with an underscore; a test enforces it. Each may change in any release, and each is
needed because there is no public counterpart:

- `InvalidParameterError`, `HasMethods`, `Interval`, `StrOptions`: the constraints that
  `_validate_params` checks, and the error it raises, so that a parameter out of range reads as in
  scikit-learn's estimators;
- `BaseSearchCV`: what `GridSearchCV`, `RandomizedSearchCV` and the halving searches have in common;
- `output_container`: what `set_output` asks for. Frames indexed by ids have to be made by us.

Callbacks are public since scikit-learn 1.9. With an earlier version, `LSTMAutoencoder` calls
callbacks itself, with the same protocol, and `ProgressBar` draws its bar with rich. Pipelines and
searches do not know callbacks there, so none is propagated from them.
"""

from __future__ import annotations

import copy
import functools
import inspect
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Protocol, Self, runtime_checkable

from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    StrOptions,
)
from sklearn.utils._set_output import _get_output_config

__all__ = [
    "HAS_CALLBACKS",
    "BaseSearchCV",
    "CallbackSupportMixin",
    "FitCallback",
    "HasMethods",
    "Interval",
    "InvalidParameterError",
    "ProgressBar",
    "StrOptions",
    "output_container",
    "watched",
    "with_callbacks",
]


def output_container(estimator: Any) -> str:
    """Return what `set_output` asked `transform` to return: "default", "pandas" or "polars"."""
    return str(_get_output_config("transform", estimator)["dense"])


# Callbacks before scikit-learn 1.9

HOOK_PARAMETERS = {"X", "y", "metadata", "fitted_estimator"}
"""What a hook may ask for, by keyword-only parameters of these names."""


@runtime_checkable
class OwnFitCallback(Protocol):
    """What a callback has to offer; `sklearn.callback.FitCallback` of later versions."""

    def setup(self, estimator: Any, context: Any) -> None:
        """Begin to watch a fit."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Begin a fit or one of its epochs."""

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool | None:
        """End a fit or one of its epochs; True stops training."""

    def teardown(self, estimator: Any, context: Any) -> None:
        """End watching a fit, also one that failed."""


class OwnCallbackContext:
    """The task that callbacks are told about: a fit, or one of its epochs."""

    def __init__(
        self, estimator: Any, task_name: str, max_subtasks: int | None, parent: Any = None
    ) -> None:
        self.estimator_name = type(estimator).__name__
        self.task_name, self.max_subtasks, self.parent = task_name, max_subtasks, parent
        self.source_estimator_name = self.source_task_name = None
        self.sequential_subtasks = True
        self.n_subtasks = 0
        if parent is None:
            self.task_id, self.root_uuid = 0, uuid.uuid4()
            self.callbacks = list(getattr(estimator, "_skl_callbacks", []))
        else:
            self.task_id, self.root_uuid = parent.n_subtasks, parent.root_uuid
            self.callbacks = parent.callbacks
            parent.n_subtasks += 1

    def subcontext(self, task_name: str = "", max_subtasks: int | None = 0) -> OwnCallbackContext:
        """Return the context of the next part of this task."""
        context = OwnCallbackContext(None, task_name, max_subtasks, self)
        context.estimator_name = self.estimator_name
        return context

    def call_on_fit_task_begin(self, *, estimator: Any, **data: Any) -> None:
        """Tell all callbacks that the task begins."""
        self._call("on_fit_task_begin", estimator, data)

    def call_on_fit_task_end(self, *, estimator: Any, **data: Any) -> bool:
        """Tell all callbacks that the task has ended; return whether one of them wants to stop."""
        return self._call("on_fit_task_end", estimator, data)

    def _call(self, name: str, estimator: Any, data: dict[str, Any]) -> bool:
        stop, fitted = False, None
        for callback in self.callbacks:
            hook = getattr(callback, name)
            parameters = inspect.signature(hook).parameters.values()
            asked = {one.name for one in parameters if one.kind == one.KEYWORD_ONLY}
            if unknown := asked - HOOK_PARAMETERS:
                raise TypeError(
                    f"{type(callback).__name__}.{name} has the parameters {sorted(unknown)}; "
                    f"possible are {sorted(HOOK_PARAMETERS)}."
                )
            if "fitted_estimator" in asked and fitted is None:
                fitted = _fitted_copy(estimator, data.get("reconstruction_attributes"))
            values = {**data, "fitted_estimator": fitted}
            stop |= bool(hook(estimator, self, **{one: values.get(one) for one in asked}))
        return stop


def _fitted_copy(estimator: Any, attributes: Callable[[], dict[str, Any]] | None) -> Any:
    """Return a copy that is fitted with the weights of an epoch."""
    if attributes is None:
        return None
    fitted = copy.copy(estimator)
    for name, value in attributes().items():
        setattr(fitted, name, value)
    return fitted


class OwnCallbackSupportMixin:
    """Adds `set_callbacks` to an estimator."""

    def set_callbacks(self, *callbacks: Any) -> Self:
        """Set the callbacks that watch the fits of this estimator; without any, remove them.

        Parameters
        ----------
        *callbacks : callback instances
            Each with the methods `setup`, `on_fit_task_begin`, `on_fit_task_end` and `teardown`.

        Returns
        -------
        self : estimator instance
        """
        if not all(isinstance(one, OwnFitCallback) for one in callbacks) or any(
            isinstance(one, type) for one in callbacks
        ):
            raise TypeError("callbacks must be instances following the FitCallback protocol.")
        self.__dict__.pop("_skl_callbacks", None)
        if callbacks:
            self._skl_callbacks = list(callbacks)
        return self

    def __sklearn_clone__(self) -> Any:
        """Return a clone with the same callbacks, which are no parameters."""
        from sklearn.base import _clone_parametrized

        cloned = _clone_parametrized(self)
        if hasattr(self, "_skl_callbacks"):
            cloned._skl_callbacks = self._skl_callbacks
        return cloned

    def _init_callback_context(
        self, task_name: str = "fit", max_subtasks: int | None = 0
    ) -> OwnCallbackContext:
        """Set up the callbacks, and return the context of the fit."""
        context = OwnCallbackContext(self, task_name, max_subtasks)
        self._callback_fit_ctx, self._skl_callbacks_to_teardown = context, []
        for callback in context.callbacks:
            self._skl_callbacks_to_teardown.append(callback)
            callback.setup(estimator=self, context=context)
        return context


def own_with_callbacks(method: Callable[..., Any]) -> Callable[..., Any]:
    """Tear down the callbacks after a method, however it ends."""

    @functools.wraps(method)
    def managed(estimator: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(estimator, *args, **kwargs)
        finally:
            context = estimator.__dict__.pop("_callback_fit_ctx", None)
            errors = []
            for callback in estimator.__dict__.pop("_skl_callbacks_to_teardown", []):
                try:
                    callback.teardown(estimator=estimator, context=context)
                except Exception as error:
                    errors.append(error)
            if len(errors) == 1:
                raise errors[0]
            if errors:
                raise ExceptionGroup("several callbacks could not be torn down", errors)

    return managed


class OwnProgressBar:
    """A progress bar for each fit, which counts epochs. Needs rich.

    Parameters
    ----------
    max_propagation_depth : int or None, default=1
        Without effect: there is nothing that it would be propagated through.
    """

    def __init__(self, max_propagation_depth: int | None = 1) -> None:
        try:
            import rich.progress  # noqa: F401
        except ImportError as error:
            raise ImportError("ProgressBar needs rich: pip install 'seqfeat[progress]'") from error
        self.max_propagation_depth = max_propagation_depth
        self._bars: dict[uuid.UUID, Any] = {}

    def setup(self, estimator: Any, context: Any) -> None:
        """Start to draw."""
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("[progress.description]{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        self._bars[context.root_uuid] = bar = Progress(*columns)
        bar.start()

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Add the bar at the beginning of the fit."""
        if context.parent is None:
            description = f"{context.estimator_name} - {context.task_name}"
            self._bars[context.root_uuid].add_task(description, total=context.max_subtasks)

    def on_fit_task_end(self, estimator: Any, context: Any) -> None:
        """Advance the bar after an epoch, and fill it at the end, which may be an early one."""
        bar = self._bars[context.root_uuid]
        task = bar.task_ids[0]
        if context.parent is None:
            bar.update(task, total=1, completed=1)
        else:
            bar.advance(task)

    def teardown(self, estimator: Any, context: Any) -> None:
        """Draw the last state, and stop."""
        self._bars.pop(context.root_uuid).stop()


HAS_CALLBACKS = find_spec("sklearn.callback") is not None
"""Whether scikit-learn itself has callbacks, which its pipelines and searches propagate."""

if HAS_CALLBACKS:
    from sklearn.callback import CallbackSupportMixin, FitCallback, ProgressBar, with_callbacks
else:
    CallbackSupportMixin, FitCallback = OwnCallbackSupportMixin, OwnFitCallback
    ProgressBar, with_callbacks = OwnProgressBar, own_with_callbacks


@contextmanager
def watched(estimator: Any, callbacks: Sequence[Any]) -> Iterator[None]:
    """Watch the fits of an estimator in this context with callbacks.

    Where pipelines do not support them, the first step that does is watched; where that is unknown,
    as in a search, callbacks are told when the fit begins and ends.
    """
    steps = [estimator, *(step for _, step in getattr(estimator, "steps", []))]
    supporting = next((step for step in steps if hasattr(step, "set_callbacks")), None)
    if supporting is not None:
        supporting.set_callbacks(*callbacks)
        try:
            yield
        finally:
            supporting.set_callbacks()
        return
    context = OwnCallbackContext(estimator, "fit", None)
    context.callbacks = list(callbacks)
    for callback in callbacks:
        callback.setup(estimator, context)
    try:
        context.call_on_fit_task_begin(estimator=estimator)
        yield
        context.call_on_fit_task_end(estimator=estimator)
    finally:
        for callback in callbacks:
            callback.teardown(estimator, context)
