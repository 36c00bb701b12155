"""A fitted model on its way to the workers: pickled once, sent to each of them once."""

from __future__ import annotations

import hashlib
import pickle
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from seqfeat.cluster.extra import dask_module
from seqfeat.exceptions import InputError
from seqfeat.pipeline import pipeline_parts
from seqfeat.runtime.device import single_threaded

__all__ = ["SentModel", "features_of", "sent"]


class SentModel(NamedTuple):
    """A model as a task of its own, which all parts of the data share.

    ``key`` is the task, a Delayed: one worker opens the pickle and the others get the
    model from it, each once, with the first part that they work on. Its name is the
    pickle's hash. If the worker that holds it dies, another one opens it again.
    ``copy`` is what the workers get, on the CPU, to be asked before any data are read.
    """

    key: Any
    copy: Any


def sent(model: Any) -> SentModel:
    """Return a fitted model as a task.

    Raises
    ------
    InputError
        If it is no `LSTMAutoencoder`, or pipeline with one, that ends in a transformer.
    NotFittedError
        If it is not fitted.
    """
    autoencoder = pipeline_parts(model).autoencoder
    if not hasattr(model, "transform"):
        raise InputError(
            "the model's last step does not transform. Pass the pipeline without it, model[:-1], "
            "for what the classifier gets."
        )
    check_is_fitted(autoencoder)
    # By value also what the main program defines, such as a function in a pipeline.
    pickled = dask_module("cloudpickle").dumps(model)
    name = f"seqfeat-model-{hashlib.sha256(pickled).hexdigest()[:32]}"
    key = dask_module("dask").delayed(pickle.loads)(pickled, dask_key_name=name)
    copy = pickle.loads(pickled)
    # Whatever runs here must not begin with CUDA, nor complain that there is none.
    pipeline_parts(copy).autoencoder.set_params(device="cpu")
    return SentModel(key, copy)


def features_of(model: Any, X: Any) -> NDArray[Any]:
    """Return what a model makes of series, on one thread.

    A worker has as many tasks at a time as it is to use cores.
    """
    with single_threaded():
        features = model.transform(X)
    array = np.asarray(features)  # also of a DataFrame, if set_output asks for one
    if array.ndim != 2:
        raise InputError(
            f"the model transforms into {type(features).__name__} of {array.ndim} dimensions; "
            "seqfeat.cluster needs a row of numbers for each series."
        )
    return array
