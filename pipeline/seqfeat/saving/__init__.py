"""Fitted estimators as files.

- `cards`: model cards, the JSON files that describe saved models
- `persistence`: `save` and `load`, with a card next to each model to check it against
- `onnx`: `export_onnx`, a whole pipeline as one ONNX graph
"""
