"""What can go wrong, as one small tree.

::

    Exception
    └── SeqfeatError                 everything seqfeat raises on purpose
        ├── InputError               (also ValueError) series that cannot be used
        │   └── InputTypeError       (also TypeError) ... because of what they are
        ├── DeviceError              (also ValueError) a device that is not there
        ├── DeviceMemoryError        (also RuntimeError) no batch is small enough
        ├── TrainingError            (also ValueError) training left no finite weights
        └── ExportError              (also ValueError) a pipeline that another format cannot hold
    UserWarning
    └── LayoutWarning                an array looks like (n_samples, n_channels, n_timesteps)

Parameters out of range raise scikit-learn's own ``InvalidParameterError``, use
before ``fit`` its ``NotFittedError``, and a fit that ended badly but usably
warns with its ``ConvergenceWarning``, so that code which knows scikit-learn
knows seqfeat.
"""

__all__ = [
    "DeviceError",
    "DeviceMemoryError",
    "ExportError",
    "InputError",
    "InputTypeError",
    "LayoutWarning",
    "SeqfeatError",
    "TrainingError",
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


class LayoutWarning(UserWarning):
    """The channels look like timesteps: the array may need its last axes swapped."""


class ExportError(SeqfeatError, ValueError):
    """A pipeline, or a step of it, that cannot be written in another format."""
