"""Plots that follow scikit-learn's Display convention. They need ``seqfeat[plot]``.

- `LossCurveDisplay`: training and validation loss per epoch
- `ReconstructionDisplay`: series and their reconstructions
- `EmbeddingDisplay`: the embeddings in two dimensions
- `OcclusionDisplay`: which stretches of a series a prediction rests on
- `EmbeddingSizeDisplay`: the scores of a search against ``embedding_dim``

Each has a ``from_estimator`` and a ``from_...`` for values that you have already
computed. Both draw into the axes `ax`, or into a new figure, and return the display
with its axes and figure: ``display.figure_.savefig("picture.png")``.

The modules, in reading order:

- `drawing`: what the displays share: axes, colours, labels and names
- `loss_curve`, `embedding`, `embedding_size`, `reconstruction`, `occlusion`: one display each
- `model_outputs`: the reconstructions and errors that a fitted autoencoder gives
"""

from seqfeat.display.embedding import EmbeddingDisplay
from seqfeat.display.embedding_size import EmbeddingSizeDisplay
from seqfeat.display.loss_curve import LossCurveDisplay
from seqfeat.display.occlusion import OcclusionDisplay
from seqfeat.display.reconstruction import ReconstructionDisplay

__all__ = [
    "EmbeddingDisplay",
    "EmbeddingSizeDisplay",
    "LossCurveDisplay",
    "OcclusionDisplay",
    "ReconstructionDisplay",
]
