"""Pictures, in scikit-learn's Display convention. Needs ``seqfeat[plot]``.

- `LossCurveDisplay`: how training went
- `ReconstructionDisplay`: series beside what the network makes of them
- `EmbeddingDisplay`: the embeddings in a plane
- `EmbeddingSizeDisplay`: a search's score against the length of the embedding

Each has a ``from_estimator`` and a ``from_...`` for figures that you have
already; both draw, into the axes ``ax`` or a new figure, and the display holds
what was drawn: ``display.figure_.savefig("picture.png")``.
"""

from seqfeat.display.embedding import EmbeddingDisplay
from seqfeat.display.embedding_size import EmbeddingSizeDisplay
from seqfeat.display.loss_curve import LossCurveDisplay
from seqfeat.display.reconstruction import ReconstructionDisplay

__all__ = [
    "EmbeddingDisplay",
    "EmbeddingSizeDisplay",
    "LossCurveDisplay",
    "ReconstructionDisplay",
]
