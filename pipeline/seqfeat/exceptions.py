"""The errors and warnings of seqfeat, as one small tree.

::

    Exception
    └── SeqfeatError                 every error that seqfeat raises deliberately
        ├── InputError               (also ValueError) invalid series, labels or files
        │   └── InputTypeError       (also TypeError) ... of the wrong type or dtype
        ├── DeviceError              (also ValueError) the requested device is not available
        ├── DeviceMemoryError        (also RuntimeError) not even the smallest batch fits in memory
        ├── TrainingError            (also ValueError) training produced no finite weights
        ├── DistributedError         (also RuntimeError) another process of a shared fit failed
        ├── ExportError              (also ValueError) a pipeline cannot be exported
        └── ModelFileError           (also ValueError) a damaged, foreign or untrusted model file
            └── ModelVersionError    ... saved by a newer version of seqfeat
    UserWarning
    ├── LayoutWarning                an array looks like (n_samples, n_channels, n_timesteps)
    ├── CheckpointWarning            a checkpoint is damaged or cannot be written
    ├── DeviceWarning                the device is not available; the CPU is used instead
    ├── ShortRecordingWarning        a recording is too short for a window
    ├── IndexColumnWarning           a column that looks like a row number is left out
    ├── WholeTableWarning            a table cannot be read in batches and is read whole
    └── ModelVersionWarning          a model was saved with other versions of its dependencies

Parameters out of range raise scikit-learn's ``InvalidParameterError``, calls
before ``fit`` raise its ``NotFittedError``, and a fit that ended poorly but left
a usable model warns with its ``ConvergenceWarning``, so code written for
scikit-learn handles seqfeat as well.
"""

__all__ = [
    "CheckpointWarning",
    "DeviceError",
    "DeviceMemoryError",
    "DeviceWarning",
    "DistributedError",
    "ExportError",
    "IndexColumnWarning",
    "InputError",
    "InputTypeError",
    "LayoutWarning",
    "ModelFileError",
    "ModelVersionError",
    "ModelVersionWarning",
    "SeqfeatError",
    "ShortRecordingWarning",
    "TrainingError",
    "WholeTableWarning",
]


class SeqfeatError(Exception):
    """Base class of every error that seqfeat raises deliberately."""


class InputError(SeqfeatError, ValueError):
    """Series, labels or files are invalid; the message says which one and how to fix it."""


class InputTypeError(InputError, TypeError):
    """The input is of a type or dtype that cannot hold series, such as text or a sparse matrix."""


class DeviceError(SeqfeatError, ValueError):
    """The requested device is not available on this machine."""


class DeviceMemoryError(SeqfeatError, RuntimeError):
    """Not even the smallest batch fits into the memory of the device."""


class TrainingError(SeqfeatError, ValueError):
    """The loss stopped being finite before training had produced any usable weights."""


class DistributedError(SeqfeatError, RuntimeError):
    """Another process that takes part in a shared fit failed, was killed or stopped responding."""


class ExportError(SeqfeatError, ValueError):
    """A pipeline, or one of its steps, cannot be exported to another format."""


class ModelFileError(SeqfeatError, ValueError):
    """A model file or its card is damaged, foreign or untrusted."""


class ModelVersionError(ModelFileError):
    """A model was saved by a newer version of seqfeat."""


class LayoutWarning(UserWarning):
    """An array has more channels than timesteps; its last two axes may be swapped."""


class CheckpointWarning(UserWarning):
    """A checkpoint is damaged or cannot be written."""


class DeviceWarning(UserWarning):
    """The device of a fitted estimator is not available; the CPU is used instead."""


class IndexColumnWarning(UserWarning):
    """A column looks like the index of a table: a file's is left out, a frame's is read."""


class WholeTableWarning(UserWarning):
    """The rows of a table are not grouped by series, so it is read whole, not in batches."""


class ShortRecordingWarning(UserWarning):
    """Some recordings are too short for a window, and none is made of them."""


class ModelVersionWarning(UserWarning):
    """A model was saved with other versions of the libraries that it depends on."""
