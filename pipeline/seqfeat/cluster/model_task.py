"""A fitted model as a Dask task: pickled once, and sent to each worker once."""

from __future__ import annotations

import hashlib
import pickle
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from seqfeat.cluster.dask_support import import_dask
from seqfeat.exceptions import InputError
from seqfeat.pipeline import pipeline_parts
from seqfeat.runtime.torch_threads import single_threaded

__all__ = ["ModelTask", "compute_features", "model_task"]


class ModelTask(NamedTuple):
    """A fitted model, both for the workers and for this process.

    Attributes
    ----------
    task : dask.delayed.Delayed
        The task that unpickles the model. All chunks depend on it: one worker runs it, and
        every other worker fetches the result once, before its first chunk. If the worker
        that holds the result dies, Dask runs the task again elsewhere. Its key contains a
        hash of the pickle.
    local : LSTMAutoencoder or Pipeline
        A copy on the CPU, for checking the input before any data is read.
    """

    task: Any
    local: Any


def model_task(model: Any) -> ModelTask:
    """Return a fitted model as a task.

    Raises
    ------
    InputError
        If the model is not an `LSTMAutoencoder`, or a pipeline with one, that can transform.
    NotFittedError
        If it is not fitted.
    """
    autoencoder = pipeline_parts(model).autoencoder
    if not hasattr(model, "transform"):
        raise InputError(
            "the last step of the model has no transform method. Pass the pipeline without that "
            "step, model[:-1], to get the features that it sees."
        )
    check_is_fitted(autoencoder)
    # cloudpickle also handles what the user's __main__ defines, such as a function in a pipeline.
    pickled = import_dask("cloudpickle").dumps(model)
    key = f"seqfeat-model-{hashlib.sha256(pickled).hexdigest()[:32]}"
    task = import_dask("dask").delayed(pickle.loads)(pickled, dask_key_name=key)
    local = pickle.loads(pickled)
    # The client must neither initialize CUDA nor warn that there is none.
    pipeline_parts(local).autoencoder.set_params(device="cpu")
    return ModelTask(task, local)


def compute_features(model: Any, X: Any) -> NDArray[Any]:
    """Transform series on a single thread, because Dask runs one task per core."""
    with single_threaded(n_usable=1):
        features = model.transform(X)
    array = np.asarray(features)  # set_output may have asked for a DataFrame
    if array.ndim != 2:
        raise InputError(
            f"model.transform returns a {type(features).__name__} with {array.ndim} dimensions; "
            "seqfeat.cluster needs 2: one row of features per series."
        )
    return array
