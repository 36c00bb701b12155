"""Features from time series, for scikit-learn.

`LSTMAutoencoder` turns each series into one vector; `make_classifier` and `make_regressor` put it
in front of a classifier or a regressor, in an ordinary Pipeline.

The packages and modules, from the bottom to the top; each imports only what comes before it:

- `runtime`: devices, threads, processes that share a fit, files
- `series`: anything that users have, as one canonical form, and its scaling
- `nn`: the network, and its compiled kernels
- `inference`: a trained network applied to any number of series
- `training`: from parameters and series to a plan, and from the plan to weights
- `autoencoder`: the transformer
- `pipeline`: the two-stage classifier and regressor, and the parts of a fitted pipeline
- `datasets`: a small real data set
- `distributed`: one fit on several processes
- `saving`: model files, their cards, and ONNX
- `adapters`: the transformer for aeon and for sktime
- `cluster`: fit, search and transform on a Dask cluster
- `display`: plots
- `report`: a report on a model as one HTML file
- `cli`: all of it as commands
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from seqfeat.exceptions import (
    CheckpointWarning,
    DeviceError,
    DeviceMemoryError,
    DeviceWarning,
    DistributedError,
    ExportError,
    IndexColumnWarning,
    InputError,
    InputTypeError,
    LayoutWarning,
    ModelFileError,
    ModelVersionError,
    ModelVersionWarning,
    SeqfeatError,
    ShortRecordingWarning,
    TrainingError,
    WholeTableWarning,
)
from seqfeat.runtime.fork_safety import ForkSafeLock as _ForkSafeLock
from seqfeat.version import __version__ as __version__

if TYPE_CHECKING:
    from seqfeat.autoencoder import LSTMAutoencoder
    from seqfeat.inference.transform_into import transform_into
    from seqfeat.pipeline import make_classifier, make_regressor
    from seqfeat.report import save_report
    from seqfeat.saving.onnx import export_onnx
    from seqfeat.saving.persistence import load, load_card, save
    from seqfeat.series.files.read_into import read_into

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
    "LSTMAutoencoder",
    "LayoutWarning",
    "ModelFileError",
    "ModelVersionError",
    "ModelVersionWarning",
    "SeqfeatError",
    "ShortRecordingWarning",
    "TrainingError",
    "WholeTableWarning",
    "export_onnx",
    "load",
    "load_card",
    "make_classifier",
    "make_regressor",
    "read_into",
    "save",
    "save_report",
    "transform_into",
]

_MODULES = {
    "LSTMAutoencoder": "autoencoder",
    "export_onnx": "saving.onnx",
    "load": "saving.persistence",
    "load_card": "saving.persistence",
    "make_classifier": "pipeline",
    "make_regressor": "pipeline",
    "read_into": "series.files.read_into",
    "save": "saving.persistence",
    "save_report": "report",
    "transform_into": "inference.transform_into",
}
"""Modules of the names that need PyTorch, whose import takes seconds; imported when first used."""

_lock = _ForkSafeLock()
"""Held during imports, which a process that is forked meanwhile could not finish."""

if not TYPE_CHECKING:  # for type checkers a misspelt name stays an error

    def __getattr__(name: str) -> Any:
        with _lock:
            if name in _MODULES:
                value = getattr(import_module(f"seqfeat.{_MODULES[name]}"), name)
            elif not name.startswith("_") and find_spec(f"seqfeat.{name}"):
                value = import_module(f"seqfeat.{name}")
            else:
                raise AttributeError(f"module 'seqfeat' has no attribute {name!r}")
            globals()[name] = value
            return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
