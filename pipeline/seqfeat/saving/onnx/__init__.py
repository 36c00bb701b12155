"""A fitted pipeline as one ONNX graph. Requires ``seqfeat[onnx]``.

- `export`: `export_onnx` itself, and which estimators it accepts
- `graph_writer`: adding nodes to a graph
- `encoder`: the converter for `LSTMAutoencoder`
- `predictors`: converters for scikit-learn's classifiers and regressors
- `conversion`: fitted steps as one model, with its outputs, axis names and metadata
- `verification`: whether the model returns what the pipeline returns

Only `export` can be imported without the extra.
"""

from seqfeat.saving.onnx.export import export_onnx

__all__ = ["export_onnx"]
