"""What a fit learns from beside the series, checked before anything is trained.

- `labels`: one class for each series, and classes as indices
- `numbers`: one or several numbers for each series, standardized
- `encoding`: what processes that share a fit agree on, and targets as the network gets them
- `weights`: how much each series counts, and each class
"""

__all__: list[str] = []
