"""Fitted estimators as files.

- `card_format`: model cards as files, their fields and the checksum that covers them
- `cards`: what a card says about a model
- `model_files`: a model file and its card, written and read together
- `persistence`: `save` and `load`, with a card next to each model to check it against
- `onnx`: `export_onnx`, a whole pipeline as one ONNX graph
"""
