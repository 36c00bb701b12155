"""Features from time series, for scikit-learn.

`LSTMAutoencoder` turns each series into one vector; `make_classifier` puts it in
front of a classifier, in an ordinary Pipeline.

The modules, in the order in which data flows through them:

- `series`: whatever the user has, as one canonical form
- `scaling`: masked standardisation, channel by channel
- `device`: where tensors live
- `pooling`, `recurrence`, `network`: the recurrent autoencoder, and the compiled LSTM in it
- `batches`, `initialization`: what a training step is fed, and the weights it begins with
- `threads`, `schedule`, `training`: the training loop
- `inference`: running a trained network over any number of series
- `labels`, `fitting`: one fit from beginning to end
- `input_contract`, `network_cache`, `autoencoder`: the transformer
- `classifier`: the two-stage classifier
- `pickling`, `atomic`, `cards`, `persistence`: saving and loading
- `adapters`: the transformer for aeon and for sktime
- `onnx`: the whole pipeline as one ONNX file
- `datasets`: a small real data set
- `stages`, `rebuilding`: a model's parts, and what it makes of series
- `display`: pictures
- `report`: a page about a model
"""

from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.classifier import make_classifier
from seqfeat.exceptions import (
    DeviceError,
    DeviceMemoryError,
    DeviceWarning,
    ExportError,
    InputError,
    InputTypeError,
    LayoutWarning,
    ModelFileError,
    ModelVersionError,
    ModelVersionWarning,
    SeqfeatError,
    TrainingError,
)
from seqfeat.onnx import export_onnx
from seqfeat.persistence import load, save
from seqfeat.report import save_report
from seqfeat.version import __version__ as __version__

__all__ = [
    "DeviceError",
    "DeviceMemoryError",
    "DeviceWarning",
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
    "export_onnx",
    "load",
    "make_classifier",
    "save",
    "save_report",
]
