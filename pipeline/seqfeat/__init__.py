"""Features from time series, for scikit-learn.

`LSTMAutoencoder` turns each series into one vector; `make_classifier` puts it in
front of a classifier, in an ordinary Pipeline.

The modules, in the order in which data flows through them:

- `series`: whatever the user has, as one canonical form
- `scaling`: masked standardisation, channel by channel
- `device`: where tensors live
- `pooling`, `recurrence`, `network`: the recurrent autoencoder, and the compiled LSTM in it
- `ranks`, `shards`: the processes that share a fit, and which series each of them holds
- `regions`, `batches`, `scaled`, `corruption`: what a training step is fed
- `sampling`, `initialization`: the weights that training begins with
- `threads`, `schedule`, `objective`, `gradients`, `history`, `training`: the training loop
- `compiled`: its steps, and the encoder, as programs of the compiled kernels
- `resuming`, `checkpoints`, `fingerprints`: going on after a kill
- `inference`: running a trained network over any number of series
- `labels`, `fitting`: one fit from beginning to end
- `input_contract`, `network_cache`, `autoencoder`: the transformer
- `distributed`: one fit on several processes
- `classifier`: the two-stage classifier
- `pickling`, `atomic`, `cards`, `persistence`: saving and loading
- `adapters`: the transformer for aeon and for sktime
- `onnx`: the whole pipeline as one ONNX file
- `datasets`: a small real data set
- `stages`, `rebuilding`: a model's parts, and what it makes of series
- `storing`, `writing`: tables larger than memory as arrays, and features written where they belong
- `cluster`: fit, search and transform on a Dask cluster
- `display`: pictures
- `report`: a page about a model
- `baselines`: what features have to beat
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
    InputError,
    InputTypeError,
    LayoutWarning,
    ModelFileError,
    ModelVersionError,
    ModelVersionWarning,
    SeqfeatError,
    TrainingError,
    WholeTableWarning,
)
from seqfeat.version import __version__ as __version__

if TYPE_CHECKING:
    from seqfeat.autoencoder import LSTMAutoencoder
    from seqfeat.inference.transform_into import transform_into
    from seqfeat.pipeline import make_classifier
    from seqfeat.report import save_report
    from seqfeat.saving.onnx import export_onnx
    from seqfeat.saving.persistence import load, save
    from seqfeat.series.read_into import read_into

__all__ = [
    "CheckpointWarning",
    "DeviceError",
    "DeviceMemoryError",
    "DeviceWarning",
    "DistributedError",
    "ExportError",
    "InputError",
    "InputTypeError",
    "LSTMAutoencoder",
    "LayoutWarning",
    "ModelFileError",
    "ModelVersionError",
    "ModelVersionWarning",
    "SeqfeatError",
    "TrainingError",
    "WholeTableWarning",
    "export_onnx",
    "load",
    "make_classifier",
    "read_into",
    "save",
    "save_report",
    "transform_into",
]

_MODULES = {
    "LSTMAutoencoder": "autoencoder",
    "export_onnx": "saving.onnx",
    "load": "saving.persistence",
    "make_classifier": "pipeline",
    "read_into": "series.read_into",
    "save": "saving.persistence",
    "save_report": "report",
    "transform_into": "inference.transform_into",
}
"""Where the names are that need PyTorch, whose import takes seconds: it waits for their use."""

if not TYPE_CHECKING:  # for type checkers a misspelt name stays an error

    def __getattr__(name: str) -> Any:
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
