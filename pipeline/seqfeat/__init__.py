"""Features from time series, for scikit-learn.

`LSTMAutoencoder` turns each series into one vector; `make_classifier` puts it in
front of a classifier, in an ordinary Pipeline.

The modules, in the order in which data flows through them:

- `series`: whatever the user has, as one canonical form
- `scaling`: masked standardisation, channel by channel
- `network`: the recurrent autoencoder
- `device`: where tensors live
- `batches`, `training`: batches of series, and the training loop
- `inference`: running a trained network over any number of series
- `labels`, `fitting`: one fit from beginning to end
- `input_contract`, `network_cache`, `autoencoder`: the transformer
- `classifier`: the two-stage classifier
- `pickling`, `cards`, `persistence`: saving and loading
- `adapters`: the transformer for aeon and for sktime
- `display`: pictures
- `datasets`: a small real data set
"""

from seqfeat.autoencoder import LSTMAutoencoder
from seqfeat.classifier import make_classifier
from seqfeat.exceptions import (
    DeviceError,
    DeviceMemoryError,
    DeviceWarning,
    InputError,
    InputTypeError,
    LayoutWarning,
    ModelFileError,
    ModelVersionError,
    ModelVersionWarning,
    SeqfeatError,
    TrainingError,
)
from seqfeat.persistence import load, save
from seqfeat.version import __version__ as __version__

__all__ = [
    "DeviceError",
    "DeviceMemoryError",
    "DeviceWarning",
    "InputError",
    "InputTypeError",
    "LSTMAutoencoder",
    "LayoutWarning",
    "ModelFileError",
    "ModelVersionError",
    "ModelVersionWarning",
    "SeqfeatError",
    "TrainingError",
    "load",
    "make_classifier",
    "save",
]
