"""What can go wrong, as one small tree.

::

    Exception
    └── SeqfeatError                 everything seqfeat raises on purpose
        ├── InputError               (also ValueError) series that cannot be used
        │   └── InputTypeError       (also TypeError) ... because of what they are
        ├── DeviceError              (also ValueError) a device that is not there
        ├── DeviceMemoryError        (also RuntimeError) no batch is small enough
        ├── TrainingError            (also ValueError) training left no finite weights
        ├── DistributedError         (also RuntimeError) another process of a fit is lost
        ├── ExportError              (also ValueError) a pipeline that another format cannot hold
        └── ModelFileError           (also ValueError) a model file that is not what was saved
            └── ModelVersionError    ... because a newer seqfeat saved it
    UserWarning
    ├── LayoutWarning                an array looks like (n_samples, n_channels, n_timesteps)
    ├── CheckpointWarning            a checkpoint that is damaged or cannot be written
    ├── DeviceWarning                the device is not there, and the CPU does its work
    ├── WholeTableWarning            a table that cannot be read in batches is read whole
    └── ModelVersionWarning          a model was saved with other versions

Parameters out of range raise scikit-learn's own ``InvalidParameterError``, use
before ``fit`` its ``NotFittedError``, and a fit that ended badly but usably
warns with its ``ConvergenceWarning``, so that code which knows scikit-learn
knows seqfeat.
"""

__all__ = [
    "CheckpointWarning",
    "DeviceError",
    "DeviceMemoryError",
    "DeviceWarning",
    "DistributedError",
    "ExportError",
    "InputError",
    "InputTypeError",
    "LayoutWarning",
    "ModelFileError",
    "ModelVersionError",
    "ModelVersionWarning",
    "SeqfeatError",
    "TrainingError",
    "WholeTableWarning",
]


class SeqfeatError(Exception):
    """Base of every error that seqfeat raises on purpose."""


class InputError(SeqfeatError, ValueError):
    """Series that cannot be used; the message names the series and the way out."""


class InputTypeError(InputError, TypeError):
    """An input of a kind that is no series at all, such as strings or a sparse matrix."""


class DeviceError(SeqfeatError, ValueError):
    """The requested device does not exist on this machine."""


class DeviceMemoryError(SeqfeatError, RuntimeError):
    """The device's memory does not hold even the smallest batch."""


class TrainingError(SeqfeatError, ValueError):
    """The loss was not finite before any usable weights existed."""


class DistributedError(SeqfeatError, RuntimeError):
    """Of several processes that train one network, another one is lost or gave up."""


class ModelFileError(SeqfeatError, ValueError):
    """A model file, or its card, that is damaged, foreign or not trusted."""


class ModelVersionError(ModelFileError):
    """A model that a newer seqfeat saved."""


class CheckpointWarning(UserWarning):
    """A checkpoint of a training is damaged, or cannot be written."""


class DeviceWarning(UserWarning):
    """The device that an estimator names is not there, and the CPU does its work."""


class ModelVersionWarning(UserWarning):
    """A model was saved with other versions of the libraries that it depends on."""


class WholeTableWarning(UserWarning):
    """A table's rows lie so that it cannot be read in batches; it is read whole into memory."""


class LayoutWarning(UserWarning):
    """The channels look like timesteps: the array may need its last axes swapped."""


class ExportError(SeqfeatError, ValueError):
    """A pipeline, or a step of it, that cannot be written in another format."""
