"""A fitted pipeline as one ONNX graph. Needs ``seqfeat[onnx]``.

- `export`: what can be exported, and `export_onnx` itself
- `graph`: adding nodes
- `encoder_graph`, `classifier_graphs`: converters of our own
- `conversion`: fitted steps as skl2onnx's graph
- `finishing`: its outputs, axes and metadata
- `checks`: whether it gives what the pipeline gives

Only `export` is imported without the extra.
"""

from seqfeat.saving.onnx.export import export_onnx

__all__ = ["export_onnx"]
